"""The parts of `embeddings/` in, every distinct picture once and where its vectors lie out; or why it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store.columns import EMBEDDING_FIELDS
from clipwarden.tuning.store.digests import DIGEST_BYTES, Digests
from clipwarden.tuning.store.parts import Part, read_columns

_NOT_KEPT = {"detail", "format", "bytes", "vectors"}
_COLUMNS = tuple(field.name for field in EMBEDDING_FIELDS if field.name not in _NOT_KEPT)
_MOST_FRAMES = 2**31 - 1


class Views(Sequence[ViewRef]):
    """Many views in five bytes each.

    Args:
        names: All names there are.
        codes: `[R]` int8, which of them each view has.
        frames: `[R]` int32.
    """

    def __init__(self, names: Sequence[str], codes: NDArray[np.int8], frames: NDArray[np.int32]) -> None:
        self.names = names
        self.codes = codes
        self.frames = frames

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int | slice) -> Any:  # noqa: ANN401  a view, or a list of them
        """Return a view; of a slice, a list."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return ViewRef(name=self.names[self.codes[index]], frame=int(self.frames[index]))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureRows:
    """N rows of `embeddings/` but for vectors, with R views.

    Attributes:
        sha256: N digests.
        judgeable: `[N]` bool.
        reason: `[N]` texts, why a picture cannot be judged; "" where it can.
        part: `[N]` int32, which part a row lies in.
        row: `[N]` int32, where in the part.
        width: `[N]` int32; 0 where a picture cannot be judged, as all below.
        height: `[N]` int32.
        partial: `[N]` bool.
        degraded: `[N]` bool.
        share_shown: `[N]` float64.
        starts: `[N]` intp, the first view of each.
        counts: `[N]` intp, its views.
        codes: `[R]` int8, the name of each view among `names`.
        frames: `[R]` int32.
        names: Of views.
    """

    sha256: Digests
    judgeable: NDArray[np.bool_]
    reason: NDArray[np.object_]
    part: NDArray[np.int32]
    row: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    partial: NDArray[np.bool_]
    degraded: NDArray[np.bool_]
    share_shown: NDArray[np.float64]
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]
    codes: NDArray[np.int8]
    frames: NDArray[np.int32]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.judgeable)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return some of the rows, in that order, with their views."""
        counts = self.counts[rows]
        starts = first_rows(counts)
        views = np.repeat(self.starts[rows] - starts, counts) + np.arange(counts.sum())
        return type(self)(
            sha256=self.sha256.take(rows),
            judgeable=self.judgeable[rows],
            reason=self.reason[rows],
            part=self.part[rows],
            row=self.row[rows],
            width=self.width[rows],
            height=self.height[rows],
            partial=self.partial[rows],
            degraded=self.degraded[rows],
            share_shown=self.share_shown[rows],
            starts=starts,
            counts=counts,
            codes=self.codes[views],
            frames=self.frames[views],
            names=self.names,
        )

    def same(self, one: int, other: int) -> bool:
        """Tell whether two rows say the same but for where they lie, vectors aside."""
        fields = ("judgeable", "reason", "width", "height", "partial", "degraded", "share_shown", "counts")
        alike = all(getattr(self, name)[one] == getattr(self, name)[other] for name in fields)
        mine, its = (slice(self.starts[each], self.starts[each] + self.counts[each]) for each in (one, other))
        return alike and all(np.array_equal(views[mine], views[its]) for views in (self.codes, self.frames))


def first_rows(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where each run begins, of runs of these lengths that follow one another."""
    return np.cumsum(counts, dtype=np.intp) - counts


def read_pictures(parts: Sequence[Part]) -> PictureRows:
    """Read all rows of some parts; the same picture may come several times.

    Raises:
        StoreError: A part is damaged, or a row makes no sense.
    """
    names: dict[str, int] = {}
    pieces = [_read(number, part, names) for number, part in enumerate(parts)]
    joined = {
        name: np.concatenate([piece[name] for piece in pieces]) if pieces else np.empty(0, dtype=kind)
        for name, kind in _KINDS.items()
    }
    raw = np.concatenate([piece["sha256"] for piece in pieces]) if pieces else np.empty((0, DIGEST_BYTES), np.uint8)
    return PictureRows(sha256=Digests(raw), starts=first_rows(joined["counts"]), names=tuple(names), **joined)


_KINDS: Mapping[str, Any] = {
    "judgeable": np.bool_,
    "reason": np.object_,
    "part": np.int32,
    "row": np.int32,
    "width": np.int32,
    "height": np.int32,
    "partial": np.bool_,
    "degraded": np.bool_,
    "share_shown": np.float64,
    "counts": np.intp,
    "codes": np.int8,
    "frames": np.int32,
}


def _read(number: int, part: Part, names: dict[str, int]) -> Mapping[str, NDArray[Any]]:
    table = read_columns(part, _COLUMNS).combine_chunks()
    views = _flat_views(table["views"], names, part)
    judgeable = pc.is_null(table["reason"]).to_numpy()
    frames_total, frames_judged = (_numbers(table[name], np.int32) for name in ("frames_total", "frames_judged"))
    share = _numbers(table["share_shown"], np.float64)
    found = {
        "sha256": raw_digests(table["sha256"]),
        "judgeable": judgeable,
        "reason": np.array(pc.fill_null(table["reason"], "").to_pylist(), dtype=np.object_),
        "part": np.full(len(table), number, dtype=np.int32),
        "row": np.arange(len(table), dtype=np.int32),
        "width": _numbers(table["width"], np.int32),
        "height": _numbers(table["height"], np.int32),
        "partial": (frames_judged < frames_total) | (share < 1) | _numbers(table["hdr"], np.bool_),
        "degraded": _numbers(pc.list_value_length(table["degraded"]), np.int32) > 0,
        "share_shown": share,
        **views,
    }
    _require_sense(part, found, frames_total, frames_judged)
    return found


def _flat_views(column: Any, names: dict[str, int], part: Part) -> Mapping[str, NDArray[Any]]:  # noqa: ANN401  pyarrow
    counts = _numbers(pc.list_value_length(column), np.intp)
    flat = pc.list_flatten(column.combine_chunks())
    if flat.null_count or any(flat.field(index).null_count for index in range(2)):
        raise StoreError(f"{part.path} has a view without a name or a frame.")
    named = flat.field(0).dictionary_encode()
    codes = np.array([names.setdefault(name, len(names)) for name in named.dictionary.to_pylist()], dtype=np.intp)
    if len(names) > np.iinfo(np.int8).max:
        raise StoreError(f"{part.path} names more views than any view plan has.")
    return {
        "counts": counts,
        "codes": codes[named.indices.to_numpy(zero_copy_only=False)].astype(np.int8),
        "frames": flat.field(1).to_numpy(zero_copy_only=False),
    }


def raw_digests(column: Any) -> NDArray[np.uint8]:  # noqa: ANN401  a pyarrow column
    """Return a column of digests as `[N,32]` uint8; zeros where there is none."""
    whole = pc.fill_null(column, bytes(DIGEST_BYTES)).combine_chunks()
    flat = np.frombuffer(whole.buffers()[1] or b"", dtype=np.uint8)
    return flat[whole.offset * DIGEST_BYTES :][: len(whole) * DIGEST_BYTES].reshape(-1, DIGEST_BYTES)


def _numbers(column: Any, kind: Any) -> NDArray[Any]:  # noqa: ANN401  a pyarrow column, a dtype
    filled = pc.fill_null(column, pa.scalar(False if kind is np.bool_ else 0, type=column.type))
    numbers: NDArray[Any] = filled.to_numpy().astype(kind, copy=False)
    return numbers


def _require_sense(
    part: Part, found: Mapping[str, NDArray[Any]], frames_total: NDArray[np.int32], frames_judged: NDArray[np.int32]
) -> None:
    """Refuse rows that no image could have given."""
    seen, share = found["counts"] > 0, found["share_shown"]
    sizes = (found["width"] > 0) & (found["height"] > 0) & (frames_judged > 0) & (frames_judged <= frames_total)
    sense = np.where(found["judgeable"], seen & sizes & (share > 0) & (share <= 1), ~seen)
    if not sense.all():
        row = int(np.flatnonzero(~sense)[0])
        what = "that can be judged lacks" if found["judgeable"][row] else "that cannot be judged has"
        name = found["sha256"][row].tobytes().hex()
        raise StoreError(f"{part.path}: the picture {name} {what} views, a size, frames or a share of rows.")
