"""A label file of JSON lines in, be it without a header; what it says of itself, and its rows, out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NoReturn

from clipwarden.errors import LabelError
from clipwarden.textfiles.wording import closest, shown
from clipwarden.tuning.labels.model import FORMAT, Design, Walk
from clipwarden.tuning.labels.rows import CellError, Header, Row, category_named, mark_of, pi_of, sha256_of, text_of
from clipwarden.tuning.labels.textlines import numbered_lines

HEADER_KEYS: Final = ("labels", "design", "categories", "complete", "seed", "store", "policy", "walk")
ROW_KEYS: Final = ("sha256", "uri", "pi", "labels", "group", "slices", "labeller", "escalated", "beyond")
_WALK_KEYS: Final = {"category": str, "uploads": int, "at_most": float, "confidence": float, "allowed": int}
_LIST_KEYS: Final = {"listed": int, "by": str}
"""Of a walk of which not all is listed: both, or none as in older files."""


def read_json_lines(path: Path, categories: Sequence[str]) -> tuple[Header, Iterator[Row]]:
    """Read a file of JSON objects, one a line.

    Args:
        path: The file.
        categories: All of the policy.

    Returns:
        Its header, an empty one where the first line is a row; and its rows, read while they are asked for.

    Raises:
        LabelError: A line is none.
    """
    objects = _objects(path)
    first = next(objects, None)
    if first is None:
        raise LabelError(f"{path} has no line.")
    if not isinstance(first[1].get("labels"), str):
        return Header(has_pi="pi" in first[1]), _rows(path, chain([first], objects), categories)
    return _at(path, first[0], _header, first[1], categories), _rows(path, objects, categories)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path):
        if line.strip():
            yield number, _at(path, number, _parsed, line)


def _rows(path: Path, objects: Iterable[tuple[int, dict[str, Any]]], categories: Sequence[str]) -> Iterator[Row]:
    for number, given in objects:
        yield _at(path, number, _row, number, given, categories)


def _at(path: Path, number: int, read: Any, *given: object) -> Any:  # noqa: ANN401  whatever `read` returns
    """Call a reader; what it refuses is said with file and line."""
    try:
        return read(*given)
    except CellError as exc:
        raise exc.at(f"{path}:{number}") from exc


def _parsed(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise CellError("the line is no JSON object") from exc
    if not isinstance(value, dict):
        raise CellError("the line is no JSON object")
    return value


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise CellError(f'"{shown(twin)}" stands twice')
    return made


def _no_constant(name: str) -> NoReturn:
    raise CellError(f"{name} is no number of JSON")


def _header(given: Mapping[str, Any], categories: Sequence[str]) -> Header:
    if given["labels"] != FORMAT:
        raise CellError(f'the file is of the format "{shown(given["labels"])}"; this version reads "{FORMAT}"')
    _require_known(given, HEADER_KEYS)
    named = given.get("categories", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise CellError("categories is no list of names")
    complete = given.get("complete", False)
    if not isinstance(complete, bool):
        raise CellError("complete is neither true nor false")
    return Header(
        design=_design(given.get("design")),
        categories=tuple(category_named(name, categories) for name in named),
        complete=complete,
        walk=_walk(given.get("walk"), categories),
        seed=text_of(given.get("seed"), "seed"),
        store=text_of(given.get("store"), "store"),
        policy=text_of(given.get("policy"), "policy"),
    )


def _design(value: object) -> Design | None:
    if value is None:
        return None
    if value not in list(Design):
        raise CellError(f'design is "{shown(str(value))}"; there is {", ".join(Design)}')
    return Design(str(value))


def _walk(given: object, categories: Sequence[str]) -> Walk | None:
    if given is None:
        return None
    kinds = _WALK_KEYS | _LIST_KEYS
    if not isinstance(given, dict) or set(given) not in (set(_WALK_KEYS), set(kinds)):
        raise CellError(f"walk has other keys than {', '.join(_WALK_KEYS)}, or also {', '.join(_LIST_KEYS)}")
    for name, kind in ((name, kinds[name]) for name in given):
        if isinstance(given[name], bool) or not isinstance(given[name], (int, kind) if kind is float else kind):
            raise CellError(f"walk.{name} is no {kind.__name__}")
    walk = Walk(**given)
    if not (0 < walk.at_most < 1 and 0 < walk.confidence < 1 and 0 <= walk.allowed < walk.uploads and _is_listed(walk)):
        raise CellError("walk has numbers that no walk has")
    category_named(walk.category, categories)
    return walk


def _is_listed(walk: Walk) -> bool:
    return walk.listed is None or 0 < walk.listed < walk.uploads


def _row(number: int, given: Mapping[str, Any], categories: Sequence[str]) -> Row:
    _require_known(given, ROW_KEYS)
    labels, slices = (_mapping(given.get(name), name) for name in ("labels", "slices"))
    escalated, beyond = (given.get(name, False) for name in ("escalated", "beyond"))
    for name, value in (("escalated", escalated), ("beyond", beyond)):
        if not isinstance(value, bool):
            raise CellError(f"{name} is neither true nor false")
    return Row(
        line=number,
        sha256=sha256_of(given.get("sha256")),
        uri=text_of(given.get("uri"), "uri"),
        pi=pi_of(given.get("pi")),
        marks={category_named(name, categories): mark_of(value) for name, value in labels.items()},
        group=text_of(given.get("group"), "group"),
        slices={name: text for name, value in slices.items() if (text := text_of(value, f"slice {shown(name)}"))},
        labeller=text_of(given.get("labeller"), "labeller") or "",
        escalated=escalated,
        beyond=beyond,
    )


def _mapping(value: object, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CellError(f"{what} is no JSON object")
    return value


def _require_known(given: Mapping[str, Any], keys: Sequence[str]) -> None:
    for name in given:
        if name not in keys:
            guess = closest(name, keys)
            hint = f'did you mean "{guess}"?' if guess else f"there is {', '.join(keys)}"
            raise CellError(f'there is no key "{shown(name)}"; {hint}')
