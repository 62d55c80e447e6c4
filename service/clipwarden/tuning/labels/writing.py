"""Labels in, the canonical label file out: JSON lines, the same bytes for the same labels.

Each line is JSON in the canonical form of RFC 8785, which browsers write too: the page on which people label saves the
same bytes as we do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rfc8785

from clipwarden.errors import LabelError, why_of
from clipwarden.textfiles.atomic import write_new
from clipwarden.tuning.labels.model import FORMAT, Design, Labels, Mark

_VALUES: dict[Mark, bool | str] = {Mark.POSITIVE: True, Mark.NEGATIVE: False, Mark.UNSURE: "unsure"}


def write_labels(labels: Labels, path: Path) -> None:
    """Write a label file that is not there yet, in one step.

    Args:
        labels: Disagreements are written as the unsure marks that they became; who said what is not kept.
        path: Ends with `.jsonl`, so that `read_labels` knows what it is.

    Raises:
        LabelError: Something is there already, or the folder is missing or cannot be written to.
    """
    if path.suffix != ".jsonl":
        raise LabelError(f"{path} is to hold JSON lines; let its name end with .jsonl.")
    try:
        write_new(path, label_text(labels).encode())
    except FileExistsError as exc:
        raise LabelError(f"{path} is there; labels are never overwritten. Name another file.") from exc
    except OSError as exc:
        raise LabelError(f"{path} cannot be written: {why_of(exc)}.") from exc


def label_text(labels: Labels) -> str:
    """Write labels as the canonical file has them."""
    return "".join(f"{canonical(each)}\n" for each in (header_of(labels), *rows_of(labels)))


def header_of(labels: Labels) -> dict[str, Any]:
    """Make the first line: what the labels say of themselves; what they do not say is left out."""
    facts = {"seed": labels.seed, "store": labels.store, "policy": labels.policy}
    parts = asdict(labels.walk) if labels.walk else {}
    walk = {"walk": {name: value for name, value in parts.items() if value is not None}} if parts else {}
    said = {name: value for name, value in facts.items() if value is not None}
    head = {"labels": FORMAT, "design": str(labels.design), "categories": [*labels.categories]}
    return {**head, "complete": labels.complete, **said, **walk}


def rows_of(labels: Labels) -> Iterator[dict[str, Any]]:
    """Make a line for each picture; what is not known is left out."""
    labeller = labels.labellers[0] if len(labels.labellers) == 1 else None
    escalated, beyond = set(labels.escalated), set(labels.beyond)
    for row, sha256 in enumerate(labels.sha256):
        marks = _marks(labels, row)
        facts = {
            "sha256": sha256,
            "uri": labels.uri[row],
            "pi": float(labels.pi[row]) if labels.design is Design.SAMPLE else None,
            "group": labels.group[row],
            "slices": {name: values[row] for name, values in labels.slices.items() if values[row] is not None},
            "labels": marks,
            "labeller": labeller if marks else None,
            "escalated": row in escalated,
            "beyond": row in beyond,
        }
        yield {name: value for name, value in facts.items() if value not in (None, {}, False)}


def canonical(value: Mapping[str, Any]) -> str:
    """Write JSON the one way that RFC 8785 allows; halves of surrogate pairs, as in odd file names, become U+FFFD."""
    try:
        return rfc8785.dumps(value).decode()
    except (UnicodeEncodeError, rfc8785.CanonicalizationError):
        return rfc8785.dumps(whole_text(value)).decode()


def whole_text(value: Any) -> Any:  # noqa: ANN401  JSON
    """Make halves of surrogate pairs in any text of a JSON value U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {whole_text(name): whole_text(each) for name, each in value.items()}
    return [whole_text(each) for each in value] if isinstance(value, list | tuple) else value


def _marks(labels: Labels, row: int) -> dict[str, bool | str]:
    marks = zip(labels.categories, labels.marks[row].tolist(), strict=True)
    return {category: _VALUES[Mark(mark)] for category, mark in marks if mark != Mark.UNKNOWN}
