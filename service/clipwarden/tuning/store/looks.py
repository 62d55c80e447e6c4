"""The views of a part's pictures in, as columns of numbers; one view after another, or as the engine has them, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.scoring.verdict import ViewRef

CORNERS = 4
"""Numbers of a box: left, top, right, bottom."""
KINDS: Mapping[str, tuple[Any, tuple[int, ...]]] = {
    "codes": (np.int8, ()),
    "frames": (np.int32, ()),
    "seconds": (np.float64, ()),
    "boxes": (np.int32, (CORNERS,)),
}
"""Of each column of views, what it is made of."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Views(Sequence[ViewRef]):
    """Many views in 29 bytes each.

    Attributes:
        names: All names there are.
        codes: `[R]` int8, which of them each view has.
        frames: `[R]` int32.
        seconds: `[R]` float64, NaN where a view stands in no animation.
        boxes: `[R,4]` int32, zeros where a view shows all there is.
    """

    names: Sequence[str]
    codes: NDArray[np.int8]
    frames: NDArray[np.int32]
    seconds: NDArray[np.float64]
    boxes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int | slice) -> Any:  # noqa: ANN401  a view, or a list of them
        """Return a view; of a slice, a list."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        seconds, box = float(self.seconds[index]), self.boxes[index]
        return ViewRef(
            name=self.names[self.codes[index]],
            frame=int(self.frames[index]),
            seconds=None if np.isnan(seconds) else seconds,
            box=tuple(box.tolist()) if box.any() else None,
        )

    def take(self, places: NDArray[np.intp]) -> Self:
        """Return some of them, in that order."""
        return type(self)(names=self.names, **{name: getattr(self, name)[places] for name in KINDS})

    def same(self, one: slice, other: slice) -> bool:
        """Tell whether two stretches hold the same views."""
        columns = (getattr(self, name) for name in KINDS)
        return all(np.array_equal(each[one], each[other], equal_nan=each.dtype.kind == "f") for each in columns)


def joined(names: Sequence[str], pieces: Sequence[Mapping[str, NDArray[Any]]]) -> Views:
    """Put the views of several parts, as `read_looks` gives them, one after another."""
    empty = {name: np.empty((0, *shape), dtype=kind) for name, (kind, shape) in KINDS.items()}
    return Views(names=names, **{name: np.concatenate([each[name] for each in (empty, *pieces)]) for name in KINDS})


def read_looks(table: Any, names: dict[str, int], *, where: str) -> Mapping[str, NDArray[Any]]:  # noqa: ANN401  pyarrow
    """Flatten the columns that tell of views; of parts that were written before there were all, the first alone.

    Args:
        table: With `views`, and perhaps `view_seconds` and `view_boxes`, in one chunk.
        names: Codes of names; grows.
        where: The part, for messages.

    Returns:
        The columns of `KINDS`, and `counts`, `[N]` intp, the views of each row.

    Raises:
        StoreError: They make no sense.
    """
    column = table["views"]
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.intp)
    flat = pc.list_flatten(column.combine_chunks())
    if flat.null_count or any(flat.field(index).null_count for index in range(2)):
        raise StoreError(f"{where} has a view without a name or a frame.")
    named = flat.field(0).dictionary_encode()
    codes = np.array([names.setdefault(name, len(names)) for name in named.dictionary.to_pylist()], dtype=np.intp)
    if len(names) > np.iinfo(np.int8).max:
        raise StoreError(f"{where} names more views than any view plan has.")
    found = {
        "counts": counts,
        "codes": codes[named.indices.to_numpy(zero_copy_only=False)].astype(np.int8),
        "frames": flat.field(1).to_numpy(zero_copy_only=False),
        "seconds": _of_views(table, "view_seconds", counts, 1, np.nan, where=where),
        "boxes": _of_views(table, "view_boxes", counts, CORNERS, 0, where=where).reshape(-1, CORNERS).astype(np.int32),
    }
    _require_sense(found, where=where)
    return found


def _of_views(  # pyarrow has no types
    table: Any,  # noqa: ANN401
    name: str,
    counts: NDArray[np.intp],
    each: int,
    absent: float,
    *,
    where: str,
) -> NDArray[Any]:
    """Flatten a column with so many numbers a view; a row without any has `absent` for each of its views."""
    numbers = np.full(int(counts.sum()) * each, absent)
    if name not in table.column_names:
        return numbers
    column = table[name]
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    said = lengths > 0
    if not np.array_equal(lengths[said], counts[said] * each):
        raise StoreError(f"{where} has a picture with other {name} than views.")
    flat = pc.list_flatten(column.combine_chunks())
    numbers[np.repeat(said, counts * each)] = pc.fill_null(flat.cast("float64"), absent).to_numpy()
    return numbers


def _require_sense(found: Mapping[str, NDArray[Any]], *, where: str) -> None:
    seconds, boxes = found["seconds"], found["boxes"]
    whole = ~boxes.any(axis=1)
    ordered = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    if not (whole | ordered).all():
        raise StoreError(f"{where} has a view_boxes that is no left, top, right and bottom.")
    if not (np.isnan(seconds) | ((seconds >= 0) & np.isfinite(seconds))).all() or (found["frames"] < 0).any():
        raise StoreError(f"{where} has a view at a frame, or a time, that no animation has.")
