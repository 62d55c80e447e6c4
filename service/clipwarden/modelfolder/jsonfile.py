"""Read a JSON object strictly: bounded size, no NaN, no duplicate keys, typed fields, or ModelError."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from clipwarden.errors import ModelError

# Six golden images and texts of width 1,024 with 300 background texts come to about 0.4 MB; anything
# near this bound is not a manifest, and parsing it would only cost memory.
MAX_JSON_BYTES = 16 * 1024 * 1024


def read_json_object(path: Path) -> dict[str, object]:
    """Read one JSON object from a file.

    Args:
        path: The file; at most `MAX_JSON_BYTES` long.

    Returns:
        The parsed object.

    Raises:
        ModelError: Missing, unreadable, too large, not JSON, not an object, NaN or infinity inside, a key twice.
    """
    return parse_json_object(_read_bounded(path), where=path.name)


def parse_json_object(data: bytes, *, where: str) -> dict[str, object]:
    """Parse one JSON object, refusing what JSON's grammar leaves open (NaN, duplicate keys).

    Args:
        data: UTF-8 text.
        where: File name for messages.

    Returns:
        The parsed object.

    Raises:
        ModelError: Not UTF-8, not JSON, not an object, NaN or infinity inside, a key twice, nested too deep.
    """
    try:
        parsed = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except RecursionError as exc:
        raise ModelError(f"{where} is nested too deeply to be a manifest.") from exc
    except ValueError as exc:
        raise ModelError(f"{where} is not valid JSON: {exc}.") from exc
    if not isinstance(parsed, dict):
        raise ModelError(f"{where} must hold a JSON object, not {_kind(parsed)}.")
    return parsed


def _read_bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror}.") from exc
    if len(data) > MAX_JSON_BYTES:
        raise ModelError(f"{path} is larger than {MAX_JSON_BYTES} bytes, so it is not a manifest.")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_duplicates(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f'key "{key}" appears twice')
        seen[key] = value
    return seen


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true/false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


class JsonObject:
    """Typed access to one JSON object; every mismatch is a ModelError that names the key.

    Args:
        values: The parsed object.
        where: Its path inside the file, such as `model.json: image`.
    """

    def __init__(self, values: object, *, where: str) -> None:
        if not isinstance(values, dict):
            raise ModelError(f"{where} must be an object, not {_kind(values)}.")
        self._values: dict[str, object] = values
        self._where = where

    def allow_only(self, names: Iterable[str]) -> None:
        """Refuse keys that nothing reads: a misspelt setting must not be silently ignored."""
        unknown = sorted(set(self._values) - set(names))
        if unknown:
            raise ModelError(f'{self._where} has the unknown key "{unknown[0]}".')

    def get(self, name: str) -> object:
        """Return a required value of any type; null is a value."""
        if name not in self._values:
            raise ModelError(f'{self._where} lacks the key "{name}".')
        return self._values[name]

    def has(self, name: str) -> bool:
        """Tell whether a key is there, null or not."""
        return name in self._values

    def is_null(self, name: str) -> bool:
        """Tell whether a required key holds null."""
        return self.get(name) is None

    def section(self, name: str) -> "JsonObject":
        """Return a nested object."""
        return JsonObject(self.get(name), where=self._path(name))

    def text(self, name: str) -> str:
        """Return a text."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """Return a text that is one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            raise ModelError(f'{self._path(name)} is "{value}"; it must be one of {", ".join(allowed)}.')
        return value

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def integer(self, name: str, *, low: int, high: int) -> int:
        """Return a whole number within `[low, high]`."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "a whole number", value)
        if not low <= value <= high:
            raise ModelError(f"{self._path(name)} is {value}; it must lie between {low} and {high}.")
        return value

    def number(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number within `[low, high]`."""
        value = self.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, "a number", value)
        return self._within(name, value, low, high)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self.items(name)
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(name, "a list of texts", value)
        return tuple(str(value) for value in values)

    def numbers(self, name: str, *, length: int) -> tuple[float, ...]:
        """Return a list of `length` finite numbers."""
        values = self.items(name)
        if len(values) != length:
            raise ModelError(f"{self._path(name)} has {len(values)} numbers; the model's dim is {length}.")
        pairs = {str(index): value for index, value in enumerate(values)}
        inner = JsonObject(pairs, where=self._path(name))
        return tuple(inner.number(index) for index in pairs)

    def sections(self, name: str) -> tuple["JsonObject", ...]:
        """Return a list of objects."""
        return tuple(
            JsonObject(value, where=f"{self._path(name)}[{index}]") for index, value in enumerate(self.items(name))
        )

    def items(self, name: str) -> list[object]:
        """Return a list of anything."""
        value = self.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return value

    def mapping(self, name: str) -> dict[str, object]:
        """Return a nested object with free keys."""
        value = self.get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return dict(value)

    def _within(self, name: str, value: float, low: float, high: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        # 1e999 parses to infinity without naming it, so the constant hook cannot catch it.
        if not math.isfinite(number) or not low <= number <= high:
            raise ModelError(f"{self._path(name)} must be a finite number between {low} and {high}.")
        return number

    def _path(self, name: str) -> str:
        joint = ": " if self._where.endswith(".json") else "."
        return f"{self._where}{joint}{name}"

    def _wrong(self, name: str, wanted: str, value: object) -> ModelError:
        return ModelError(f"{self._path(name)} must be {wanted}, not {_kind(value)}.")
