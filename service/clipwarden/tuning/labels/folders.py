"""A folder of folders that are named after categories in; a row for each picture in them, named by its digest, out."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clipwarden.errors import LabelError, why_of
from clipwarden.tuning.labels.model import Mark
from clipwarden.tuning.labels.rows import CellError, Header, Row, label_marks

_Marks = tuple[Mapping[str, Mark], Mark]
"""What a folder's name says of the pictures in it, and what holds for the categories that it does not name."""


def read_folder(path: Path, categories: Sequence[str]) -> tuple[Header, Iterator[Row]]:
    """Read `weapons/`, `harmless/`, `unsure/` and their like; a picture in two of them belongs to both categories.

    Args:
        path: The folder; hidden files and folders within are left out, and links to folders are not followed.
        categories: All of the policy.

    Returns:
        An empty header; and the rows, whose files are hashed while they are asked for.

    Raises:
        LabelError: A folder is named after no category, a picture lies in none, or something cannot be read.
    """
    entries = _listed(path)
    folders = [entry for entry in entries if entry.is_dir()]
    if loose := [entry for entry in entries if not entry.is_dir()]:
        raise LabelError(f"{loose[0]} lies in no folder that says what it shows; move it into one, such as harmless/.")
    if not folders:
        raise LabelError(f"{path} has no folders that are named after categories, such as harmless/.")
    labelled = [(folder, _marks_of(folder, categories)) for folder in folders]
    seen = tuple(dict.fromkeys(name for _, (marks, _) in labelled for name in marks))
    return Header(categories=seen), _rows(labelled)


def _marks_of(folder: Path, categories: Sequence[str]) -> _Marks:
    try:
        return label_marks(folder.name, categories)
    except CellError as exc:
        raise exc.at(f"{folder}") from exc


def _rows(labelled: Sequence[tuple[Path, _Marks]]) -> Iterator[Row]:
    number = 0
    for folder, (marks, rest) in labelled:
        for file in _files(folder):
            number += 1
            yield Row(line=number, sha256=_sha256(file), uri=str(file), marks=marks, rest=rest)


def _files(folder: Path) -> Iterator[Path]:
    for entry in _listed(folder):
        if entry.is_symlink() and entry.is_dir():
            continue
        if entry.is_dir():
            yield from _files(entry)
        elif entry.is_file():
            yield entry


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as exc:
        raise LabelError(f"{folder} cannot be read: {why_of(exc)}.") from exc


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as exc:
        raise LabelError(f"{file} cannot be read: {why_of(exc)}.") from exc
