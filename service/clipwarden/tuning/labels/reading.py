"""Label files and folders in, labels out; whatever is wrong is said in a sentence with its file and line."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.tuning.extra import require_tune
from clipwarden.tuning.labels.folders import read_folder
from clipwarden.tuning.labels.jsonlines import read_json_lines
from clipwarden.tuning.labels.merging import Merger, Picture, disagreements_of, merged
from clipwarden.tuning.labels.model import Design, Labels, Mark, Walk, no_marks
from clipwarden.tuning.labels.places import Places
from clipwarden.tuning.labels.rows import Header, Row
from clipwarden.tuning.labels.tables import read_csv

if TYPE_CHECKING:
    from clipwarden.tuning.store.store import Store

_Reader = Callable[[Path, Sequence[str]], tuple[Header, Iterator[Row]]]
_READERS: Final[dict[str, _Reader]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
}
_PARQUET: Final = ".parquet"


class _File(NamedTuple):
    """One file, whose rows are read as they are asked for."""

    path: Path
    header: Header
    rows: Iterator[Row]


def read_labels(
    paths: Path | Sequence[Path],
    *,
    categories: Sequence[str],
    design: Design | None = None,
    complete: bool = False,
    store: "Store | None" = None,
) -> Labels:
    """Read labels: JSON lines, CSV, Parquet, or a folder of folders named after categories.

    Several files are merged: of several people who labelled the same sample, or of a set in parts. What one person says
    twice must agree; where two people differ, the mark is UNSURE and the disagreement is kept. A person is who a row
    names, or else the file, where there are several.

    Args:
        paths: One file or folder, or several.
        categories: Ids that the policy declares; others are refused. The labels have those that the files are about.
        design: How the pictures were drawn, where the files do not say. Without either, tables with probabilities are a
            sample, and all else a set.
        complete: Whether what files leave out is "no", where they do not say.
        store: Where the pictures are. Rows of other pictures go to `absent`, of ones without vectors to `unjudged`.

    Returns:
        Rows in the order of the files.

    Raises:
        LabelError: A file cannot be read, or contradicts itself, the others, `design`, the policy or the store.
    """
    listed = [paths] if isinstance(paths, Path) else list(paths)
    files = [_open(path, categories) for path in listed]
    header = _one_header(files, design)
    places = None if store is None else Places(store)
    merger = Merger(categories, needs_pi=header.design is Design.SAMPLE, places=places)
    for file in files:
        merger.take(str(file.path), file.rows, nobody=str(file.path) if len(files) > 1 else "")
    header = replace(header, complete=complete or header.complete)
    labels = _labels(merger, header, tuple(str(path) for path in listed))
    _require_some(labels, merger)
    return _with_the_rest(labels, places) if labels.complete and places and labels.design is Design.SET else labels


def _open(path: Path, categories: Sequence[str]) -> _File:
    if not path.exists():
        raise LabelError(f"There is no file {path} to read labels from.")
    if path.is_dir():
        return _File(path, *read_folder(path, categories))
    if path.suffix.casefold() == _PARQUET:
        return _File(path, *_parquet_reader()(path, categories))
    reader = _READERS.get(path.suffix.casefold())
    if reader is None:
        raise LabelError(
            f"{path} is no label file by its name, which ends with {', '.join((*_READERS, _PARQUET))}; "
            "save spreadsheets as CSV UTF-8."
        )
    return _File(path, *reader(path, categories))


def _parquet_reader() -> _Reader:
    """Import what reads Parquet, which other files do without.

    Raises:
        ExtraMissingError: The extra is not installed.
    """
    require_tune()
    from clipwarden.tuning.labels.parquet import read_parquet  # noqa: PLC0415  pyarrow is in an extra

    return read_parquet


def _one_header(files: Sequence[_File], design: Design | None) -> Header:
    """Make one header of several that do not contradict each other."""
    first, *others = files
    # Where one of them lists all that was drawn, it matters no more by what the others were ordered.
    whole_walk = any(file.header.walk is not None and file.header.walk.listed is None for file in files)
    for other in others:
        _require_same(first, other, ordered=not whole_walk)
    for file in files:
        if design and file.header.design and file.header.design is not design:
            raise LabelError(
                f"{file.path} says that its design is {file.header.design}, and you say {design}; drop yours."
            )
    chosen = design or first.header.design or (Design.SAMPLE if first.header.has_pi else Design.SET)
    if (chosen is Design.TOP) != (first.header.walk is not None):
        raise LabelError(
            f"{first.path}: a walk from the top is written by `clipwarden sample --from-the-top`, and nobody else."
        )
    named = tuple(dict.fromkeys(name for file in files for name in file.header.categories))
    whole = all(file.header.complete for file in files)
    return replace(first.header, design=chosen, categories=named, complete=whole, walk=_longest([*files]))


def _longest(files: Sequence[_File]) -> Walk | None:
    """Take the walk of the file that lists most of it."""
    walks = [file.header.walk for file in files if file.header.walk is not None]
    return max(walks, key=lambda walk: walk.uploads if walk.listed is None else walk.listed) if walks else None


def _require_same(first: _File, other: _File, *, ordered: bool) -> None:
    """Refuse to mix what was drawn differently: no rate follows from that.

    Raises:
        LabelError: The two differ.
    """
    kinds = [file.header.design or (Design.SAMPLE if file.header.has_pi else Design.SET) for file in (first, other)]
    if kinds[0] is not kinds[1]:
        raise LabelError(
            f"{first.path} has the design {kinds[0]} and {other.path} {kinds[1]}; "
            "figures follow from one design. Tune by the files of one, then "
            "the version that it wrote by those of the other."
        )
    if kinds[0] not in (Design.SAMPLE, Design.TOP):
        return
    walks = [file.header.walk for file in (first, other)]
    drawn = [walk and replace(walk, by=None) for walk in walks]
    for what, differ in (("seed", first.header.seed != other.header.seed), ("walk", drawn[0] != drawn[1])):
        if differ:
            raise LabelError(
                f"{first.path} and {other.path} were drawn with another {what}; "
                "add to a sample by `clipwarden sample --add`."
            )
    if ordered and walks[0] != walks[1]:
        raise LabelError(
            f"{first.path} and {other.path} list the first of one walk by other texts: name the one that "
            "`clipwarden sample --add` wrote last, which holds the labels of before, without the other."
        )


def _labels(merger: Merger, header: Header, sources: tuple[str, ...]) -> Labels:
    """Make columns of what was read, of the categories that the files are about."""
    about = [name for name in merger.categories if name in merger.named or name in header.categories]
    kept = [merger.categories.index(name) for name in about]
    pictures = merger.pictures
    marks, disagreements = no_marks(len(pictures), about), []
    for row, (sha256, picture) in enumerate(pictures.items()):
        found, differences = merged(picture, merger.categories)
        marks[row] = [found[column] for column in kept]
        disagreements += disagreements_of(sha256, differences)
    escalated = [row for row, picture in enumerate(pictures.values()) if picture.escalated]
    beyond = [row for row, picture in enumerate(pictures.values()) if picture.beyond]
    marks[escalated] = np.where(marks[escalated] == Mark.UNKNOWN, Mark.UNSURE, marks[escalated])
    if header.complete:
        _require_looked_at(header, marks, sources)
        marks[marks == Mark.UNKNOWN] = Mark.NEGATIVE
    return Labels(
        design=header.design or Design.SET,
        categories=tuple(about),
        sha256=tuple(pictures),
        **_columns(pictures.values()),
        marks=marks,
        disagreements=tuple(disagreements),
        labellers=tuple(sorted({name for picture in pictures.values() for name in picture.said if name})),
        escalated=tuple(escalated),
        complete=header.complete,
        seed=header.seed,
        store=header.store,
        policy=header.policy,
        walk=header.walk,
        beyond=tuple(beyond),
        absent=tuple(merger.absent),
        absent_pi=tuple(merger.absent.values()),
        unjudged=tuple(merger.unjudged),
        sources=sources,
    )


def _require_looked_at(header: Header, marks: NDArray[np.int8], sources: tuple[str, ...]) -> None:
    """Refuse to take what nobody looked at for harmless: of a sample, rates of traffic follow from every row.

    Raises:
        LabelError: A drawn picture has no mark.
    """
    bare = int((marks == Mark.UNKNOWN).any(axis=1).sum())
    if header.design is Design.SAMPLE and bare:
        raise LabelError(
            f"{', '.join(sources)} is a sample in which {bare:,} of {len(marks):,} pictures lack a label, and of a "
            "sample that is no no: label them, unsure where nobody can tell, and leave --complete out."
        )


def _columns(pictures: Collection[Picture]) -> dict[str, Any]:
    slices = dict.fromkeys(name for picture in pictures for name in picture.slices)
    return {
        "uri": tuple(picture.uri for picture in pictures),
        "pi": np.array([np.nan if picture.pi is None else picture.pi for picture in pictures], dtype=np.float64),
        "group": tuple(picture.group for picture in pictures),
        "slices": {name: tuple(picture.slices.get(name) for picture in pictures) for name in slices},
    }


def _require_some(labels: Labels, merger: Merger) -> None:
    """Refuse labels of which nothing is left.

    Raises:
        LabelError: None names a picture, or none names one that the store has.
    """
    where = ", ".join(labels.sources)
    if len(labels):
        return
    missing = [*merger.absent, *merger.unjudged]
    if missing:
        raise LabelError(
            f"{where}: none of the {len(missing)} pictures is in the store, or can be judged, such as {missing[0]}."
        )
    raise LabelError(f"{where} has no rows.")


def _with_the_rest(labels: Labels, places: Places) -> Labels:
    """Add the pictures of the store that complete labels of a set do not mention: they are "no" in every category."""
    rest = sorted(places.judged - set(labels.sha256))
    return replace(
        labels,
        sha256=(*labels.sha256, *rest),
        uri=(*labels.uri, *(None for _ in rest)),
        pi=np.append(labels.pi, np.full(len(rest), np.nan)),
        group=(*labels.group, *(None for _ in rest)),
        slices={name: (*values, *(None for _ in rest)) for name, values in labels.slices.items()},
        marks=np.concatenate([labels.marks, np.zeros((len(rest), len(labels.categories)), dtype=np.int8)]),
    )
