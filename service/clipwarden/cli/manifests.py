"""A manifest in, a row an upload out: which file, under which name, when, and in which slices; its mistakes by line.

A manifest is a CSV file with a header, or JSON lines. It is read twice: once to find what is wrong with it and to count
it, before anything is encoded, and once to work from. So it is never held as a whole.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote_to_bytes, urlsplit

from clipwarden.errors import ConfigError, why_of
from clipwarden.textfiles.wording import closest

SUFFIXES = (".csv", ".jsonl", ".ndjson")
"""How the names of manifests end."""
SLICE_PREFIX = "slice:"
"""How a column's name begins that says which slice an upload belongs to."""

_KEYS = ("uri", "path", "time", "slices")
_DELIMITERS = (",", ";", "\t")
_MOST_LINE = 2**20
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://").match


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One upload.

    Attributes:
        path: Where the file lies.
        uri: What it is called; None where its place is its name.
        time: When it was uploaded, with a time zone; None where the manifest does not say.
        slices: By name.
    """

    path: str
    uri: str | None
    time: datetime | None
    slices: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How manifests are read.

    Attributes:
        root: Where relative paths begin; None takes the manifest's own folder.
        slices: Names of columns that say slices, beside those that begin with `slice:`.
        since: First day that an upload may be of (UTC); None allows any.
        until: Last day, inclusive.
    """

    root: Path | None = None
    slices: Sequence[str] = field(default_factory=tuple)
    since: date | None = None
    until: date | None = None


def is_manifest(name: str) -> bool:
    """Tell whether the name of a file is that of a manifest."""
    return name.lower().endswith(SUFFIXES)


def read_manifest(manifest: Path, reading: Reading) -> Iterator[Row]:
    """Read a manifest, row by row.

    Raises:
        ConfigError: Says by line what is wrong.
    """
    root = manifest.parent if reading.root is None else reading.root
    for line, values in _lines(manifest, reading):
        with _located(manifest, line):
            yield _row(values, root, reading)


def ignored_columns(manifest: Path, reading: Reading) -> Sequence[str]:
    """Name the columns of a manifest's first row that nothing reads."""
    _, values = next(_lines(manifest, reading), (0, {}))
    return [name for name in values if name not in (*_KEYS, *reading.slices) and not name.startswith(SLICE_PREFIX)]


def _lines(manifest: Path, reading: Reading) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield each row's first line number and its values by column."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            yield from (_csv_lines if manifest.suffix.lower() == ".csv" else _json_lines)(manifest, file, reading)
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{manifest} is no UTF-8; save it as such.") from exc
    except OSError as exc:
        raise ConfigError(f"{manifest} cannot be read: {why_of(exc)}.") from exc


def _csv_lines(manifest: Path, file: TextIO, reading: Reading) -> Iterator[tuple[int, Mapping[str, object]]]:
    header = file.readline(_MOST_LINE)
    # The mark that parts the most names; spreadsheets write semicolons where commas are decimal.
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    _require_columns(manifest, names, reading)
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for cells in rows:
            line = rows.line_num + 1
            if not cells:
                continue
            with _located(manifest, line):
                if len(cells) != len(names):
                    raise ConfigError(
                        f"the row has {len(cells)} cells, and the header {len(names)}; is a quote missing?"
                    )
            yield line, dict(zip(names, cells, strict=True))
    except csv.Error as exc:
        raise ConfigError(f"{manifest}:{rows.line_num + 1}: this is no CSV: {exc}.") from exc


def _require_columns(manifest: Path, names: Sequence[str], reading: Reading) -> None:
    if twice := next((name for index, name in enumerate(names) if name in names[:index]), None):
        raise ConfigError(f"{manifest}: two columns are called {twice!r}; rename one.")
    if not {"uri", "path"} & set(names):
        raise ConfigError(
            f"{manifest} has no column uri or path, which say where each file lies; its first line has to name the "
            f"columns, and names {', '.join(names[:10]) or 'none'}."
        )
    for wanted in reading.slices:
        if wanted not in names:
            meant = closest(wanted, names)
            hint = f' Did you mean "{meant}"?' if meant else ""
            raise ConfigError(f"{manifest} has no column {wanted!r} for --slice.{hint}")


def _json_lines(manifest: Path, file: TextIO, reading: Reading) -> Iterator[tuple[int, Mapping[str, object]]]:
    number = 0
    while text := file.readline(_MOST_LINE):
        number += 1
        if not text.strip():
            continue
        with _located(manifest, number):
            yield number, _json_object(text, reading)


def _json_object(text: str, reading: Reading) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"this is no JSON: {exc}.") from exc
    if not isinstance(found, dict):
        raise ConfigError('a line has to be an object such as {"path": "a.jpg", "time": "2026-10-01T12:00:00Z"}.')
    if lacking := next((name for name in reading.slices if name not in found), None):
        raise ConfigError(f"there is no {lacking!r} for --slice; write null where it is not known.")
    return found


@contextmanager
def _located(manifest: Path, line: int) -> Iterator[None]:
    try:
        yield
    except ConfigError as exc:
        raise ConfigError(f"{manifest}:{line}: {exc}") from exc


def _row(values: Mapping[str, object], root: Path, reading: Reading) -> Row:
    uri, path = _text(values, "uri"), _text(values, "path")
    if uri is None and path is None:
        raise ConfigError("there is neither a uri nor a path.")
    time = _time(values.get("time"))
    _require_within(time, reading)
    return Row(
        path=str(root / (path if path is not None else _local(uri or ""))),
        uri=uri if path is not None or _ADDRESS(uri or "") else None,
        time=time,
        slices=_slices(values, reading),
    )


def _local(uri: str) -> str:
    """Return the path that a uri names; one without a scheme is a path already."""
    if _ADDRESS(uri) is None:
        return uri
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file" or parts.netloc not in {"", "localhost"}:
        raise ConfigError(f"{uri} is no file of this machine; add a column path that says where its file lies here.")
    return unquote_to_bytes(parts.path).decode("utf-8", "surrogateescape")


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} has to be a text, not {json.dumps(value)[:80]}.")
    if "\0" in value:
        raise ConfigError(f"{name} holds a zero byte, which no name has.")
    return _whole(value)


def _whole(text: str) -> str:
    """Refuse halves of characters, which JSON can spell and no file of a store can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{text!r} holds half of a character (a lone surrogate).") from exc
    return text


def _time(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(f"the time {str(value)[:80]!r} cannot be read; write it as in 2026-10-01T12:00:00Z.") from exc


def _require_within(time: datetime | None, reading: Reading) -> None:
    if time is None or reading.since is None or reading.until is None:
        return
    if not reading.since <= time.date() <= reading.until:
        raise ConfigError(
            f"the time {time:%Y-%m-%d %H:%M} (UTC) lies outside {reading.since} to {reading.until}, which --from and "
            "--to say; leave the row out, or give its day."
        )


def _slices(values: Mapping[str, object], reading: Reading) -> Mapping[str, str]:
    nested = values.get("slices")
    if nested is not None and not isinstance(nested, dict):
        raise ConfigError('slices has to be an object such as {"country": "DE"}.')
    found = {name.removeprefix(SLICE_PREFIX): value for name, value in values.items() if name.startswith(SLICE_PREFIX)}
    found |= {name: values[name] for name in reading.slices} | dict(nested or {})
    return {name: text for name, value in found.items() if (text := _slice(name, value))}


def _slice(name: str, value: object) -> str:
    if not name:
        raise ConfigError("a slice needs a name, as in slice:country.")
    if value is None or isinstance(value, str):
        return _whole((value or "").strip())
    if isinstance(value, bool | int):
        return json.dumps(value)
    raise ConfigError(f"the slice {name} has to be a text, not {json.dumps(value)[:80]}.")
