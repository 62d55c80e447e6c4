"""Where pictures lie in, their vectors out, a block at a time, every one of them held to be a unit vector."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.tuning.store.contents import Block
from clipwarden.tuning.store.parts import Part, read_vectors
from clipwarden.tuning.store.pictures import PictureRows, first_rows
from clipwarden.unitvectors import require_unit


def read_blocks(parts: Sequence[Part], rows: PictureRows, *, width: int, most_views: int) -> Iterator[Block]:
    """Read the vectors of some rows, part by part.

    Args:
        parts: All of the store's.
        rows: Each once, in any order.
        width: D.
        most_views: Of a block, about.

    Yields:
        Blocks whose `pictures` are indices of `rows`.

    Raises:
        StoreError: A part was changed, or holds what is no unit vector.
    """
    order = np.lexsort((rows.row, rows.part))
    bounds = np.searchsorted(rows.part[order], np.arange(len(parts) + 1))
    for part, low, high in zip(parts, bounds[:-1], bounds[1:], strict=True):
        if high > low:
            yield from _part_blocks(part, rows, order[low:high], width=width, most_views=most_views)


def read_all(parts: Sequence[Part], rows: PictureRows, *, width: int, most_views: int) -> NDArray[np.float32]:
    """Read the vectors of some rows in their order, `[R,D]`; raises as `read_blocks`."""
    vectors = np.empty((int(rows.counts.sum()), width), dtype=np.float32)
    for block in read_blocks(parts, rows, width=width, most_views=most_views):
        counts = rows.counts[block.pictures]
        vectors[np.repeat(rows.starts[block.pictures] - block.starts, counts) + np.arange(counts.sum())] = (
            block.embeddings
        )
    return vectors


def _part_blocks(
    part: Part, rows: PictureRows, wanted: NDArray[np.intp], *, width: int, most_views: int
) -> Iterator[Block]:
    """Read some rows of a part; `wanted` are indices of `rows`, by where they lie in it."""
    views = int(rows.counts[wanted].sum())
    most_rows = max(1, most_views * len(wanted) // views)
    begin = 0
    for column in read_vectors(part, most_rows=most_rows):
        end = begin + len(column)
        low, high = np.searchsorted(rows.row[wanted], (begin, end))
        if high > low:
            yield _block(part, rows, wanted[low:high], column, begin=begin, width=width)
        begin = end
    if begin != part.rows:
        raise StoreError(f"{part.path} was changed since it was opened; open the store again.")


def _block(
    part: Part, rows: PictureRows, pictures: NDArray[np.intp], column: object, *, begin: int, width: int
) -> Block:
    places, counts = rows.row[pictures] - begin, rows.counts[pictures]
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if (lengths % width).any() or not np.array_equal(lengths[places], counts * width):
        raise StoreError(f"{part.path} has a picture whose vectors are not {width} numbers for each of its views.")
    flat = pc.list_flatten(column)
    if flat.null_count:
        raise StoreError(f"{part.path} has a vector with a number missing.")
    begins = first_rows(lengths.astype(np.intp))[places] // width
    starts = first_rows(counts)
    whole = flat.to_numpy().reshape(-1, width)
    embeddings = whole[np.repeat(begins - starts, counts) + np.arange(counts.sum())]
    require_unit(embeddings, StoreError(f"{part.path} has a vector that is not finite or not of unit length."))
    return Block(pictures=pictures, starts=starts, embeddings=embeddings)
