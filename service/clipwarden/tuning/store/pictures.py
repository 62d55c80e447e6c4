"""The parts of `embeddings/` in, every distinct picture once and where its vectors lie out; or why it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.tuning.store.columns import EMBEDDING_FIELDS
from clipwarden.tuning.store.digests import DIGEST_BYTES, Digests
from clipwarden.tuning.store.looks import Views, read_looks
from clipwarden.tuning.store.looks import joined as joined_looks
from clipwarden.tuning.store.parts import Part, read_columns
from clipwarden.vision.plan import MAX_VIEWS

_NOT_KEPT = {"detail", "format", "bytes", "vectors"}
_COLUMNS = tuple(field.name for field in EMBEDDING_FIELDS if field.name not in _NOT_KEPT)
_MOST_FRAMES = 2**31 - 1


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
        coverage: `[N]` float64; NaN where it was not kept.
        resolution: `[N]` float64; NaN likewise, and where nobody knows.
        starts: `[N]` intp, the first view of each.
        counts: `[N]` intp, its views.
        views: R views.
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
    coverage: NDArray[np.float64]
    resolution: NDArray[np.float64]
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]
    views: Views

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
            coverage=self.coverage[rows],
            resolution=self.resolution[rows],
            starts=starts,
            counts=counts,
            views=self.views.take(views),
        )

    def same(self, one: int, other: int) -> bool:
        """Tell whether two rows say the same but for where they lie, vectors aside; what one does not know is no more.

        A part of before what a view shows was kept does not contradict one that says it.
        """
        fields = ("judgeable", "reason", "width", "height", "partial", "degraded", "share_shown", "counts")
        alike = all(getattr(self, name)[one] == getattr(self, name)[other] for name in fields)
        mine, its = (slice(self.starts[each], self.starts[each] + self.counts[each]) for each in (one, other))
        known = (self.coverage[[one, other]], self.resolution[[one, other]])
        return (
            alike and self.views.same(mine, its) and all(np.isnan(each).any() or each[0] == each[1] for each in known)
        )


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
    views = joined_looks(tuple(names), pieces)
    return PictureRows(sha256=Digests(raw), starts=first_rows(joined["counts"]), views=views, **joined)


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
    "coverage": np.float64,
    "resolution": np.float64,
    "counts": np.intp,
}


def _read(number: int, part: Part, names: dict[str, int]) -> Mapping[str, NDArray[Any]]:
    table = read_columns(part, (*_COLUMNS, *part.later)).combine_chunks()
    looks = read_looks(table, names, where=str(part.path))
    judgeable = pc.is_null(table["reason"]).to_numpy()
    frames = _frames(table)
    share = _numbers(table["share_shown"], np.float64)
    left = _later(table, "parts_left", np.bool_, absent=False)
    found = {
        "sha256": raw_digests(table["sha256"]),
        "judgeable": judgeable,
        "reason": np.array(pc.fill_null(table["reason"], "").to_pylist(), dtype=np.object_),
        "part": np.full(len(table), number, dtype=np.int32),
        "row": np.arange(len(table), dtype=np.int32),
        "width": _numbers(table["width"], np.int32),
        "height": _numbers(table["height"], np.int32),
        "partial": (frames.seen < frames.total) | (share < 1) | _numbers(table["hdr"], np.bool_) | left,
        "degraded": _numbers(pc.list_value_length(table["degraded"]), np.int32) > 0,
        "share_shown": share,
        "coverage": _later(table, "coverage", np.float64, absent=np.nan),
        "resolution": _later(table, "resolution", np.float64, absent=np.nan),
        **looks,
    }
    _require_sense(part, found, frames)
    return found


class _Frames(NamedTuple):
    """Of N rows, `[N]` each."""

    total: NDArray[np.int32]
    judged: NDArray[np.int32]
    seen: NDArray[np.int32]
    """Judged, or so near to one that was that they count; at least those judged."""


def _frames(table: Any) -> _Frames:  # noqa: ANN401  a pyarrow table
    total, judged = (_numbers(table[name], np.int32) for name in ("frames_total", "frames_judged"))
    return _Frames(total, judged, np.maximum(judged, _later(table, "frames_seen", np.int32, absent=0)))


def _later(table: Any, name: str, kind: Any, *, absent: Any) -> NDArray[Any]:  # noqa: ANN401  as above
    """Read a column of `LATER_FIELDS`; `absent` stands where it says nothing, and where the part has none."""
    if name not in table.column_names:
        return np.full(len(table), absent, dtype=kind)
    return _numbers(table[name], kind, absent)


def raw_digests(column: Any) -> NDArray[np.uint8]:  # noqa: ANN401  a pyarrow column
    """Return a column of digests as `[N,32]` uint8; zeros where there is none."""
    whole = pc.fill_null(column, bytes(DIGEST_BYTES)).combine_chunks()
    flat = np.frombuffer(whole.buffers()[1] or b"", dtype=np.uint8)
    return flat[whole.offset * DIGEST_BYTES :][: len(whole) * DIGEST_BYTES].reshape(-1, DIGEST_BYTES)


def _numbers(column: Any, kind: Any, absent: float = 0) -> NDArray[Any]:  # noqa: ANN401  a pyarrow column, a dtype
    filled = pc.fill_null(column, pa.scalar(bool(absent) if kind is np.bool_ else absent, type=column.type))
    numbers: NDArray[Any] = filled.to_numpy().astype(kind, copy=False)
    return numbers


def _require_sense(part: Part, found: Mapping[str, NDArray[Any]], frames: _Frames) -> None:
    """Refuse rows that no image could have given."""
    viewed, share = found["counts"] > 0, found["share_shown"]
    coverage, resolution = found["coverage"], found["resolution"]
    sizes = (found["width"] > 0) & (found["height"] > 0) & (frames.judged > 0) & (frames.seen <= frames.total)
    known = (np.isnan(coverage) | ((coverage > 0) & (coverage <= 1))) & ~(resolution <= 0) & ~np.isinf(resolution)
    bounded = found["counts"] <= MAX_VIEWS
    sense = np.where(found["judgeable"], viewed & bounded & sizes & known & (share > 0) & (share <= 1), ~viewed)
    if not sense.all():
        row = int(np.flatnonzero(~sense)[0])
        what = "that can be judged lacks" if found["judgeable"][row] else "that cannot be judged has"
        name = found["sha256"][row].tobytes().hex()
        raise StoreError(f"{part.path}: the picture {name} {what} views, a size, frames or shares of what was seen.")
