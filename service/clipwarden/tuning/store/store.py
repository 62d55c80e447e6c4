"""A store's folder in; what it holds, as columns, and its vectors, a block at a time, out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.tuning.store.columns import Kind
from clipwarden.tuning.store.contents import Block, Pictures, Uploads
from clipwarden.tuning.store.digests import Digests
from clipwarden.tuning.store.info import StoreInfo
from clipwarden.tuning.store.merging import without_copies
from clipwarden.tuning.store.parts import Part, check_whole, list_parts
from clipwarden.tuning.store.pictures import PictureRows, raw_digests, read_pictures
from clipwarden.tuning.store.storefile import Charter, read_charter, require_same_sight, sight_record
from clipwarden.tuning.store.uploads import Names, read_uploads, slices_of, times_of
from clipwarden.tuning.store.vectors import read_all, read_blocks

MOST_VIEWS = 2**14
"""Views of a block: 32 MiB of vectors of width 512."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Store:
    """An open store; what it holds stays as it was when it was opened.

    Attributes:
        path: Its folder.
        info: What it is.
        uploads: One entry an upload.
        pictures: One entry a distinct picture that can be judged and that some upload shows.
        failed: By digest, why a file that some upload shows cannot be judged: one of `clipwarden.errors.Reason`.
        unread: How many uploads could not be read at all, so that nobody knows their content.
        unused: How many pictures no upload shows: an interrupted run leaves some, and the next one takes them up.
    """

    path: Path
    info: StoreInfo
    uploads: Uploads
    pictures: Pictures
    failed: Mapping[str, str]
    unread: int
    unused: int
    _images: Sequence[Part]
    _parts: Sequence[Part]
    _rows: PictureRows

    def blocks(self, *, most_views: int = MOST_VIEWS) -> Iterator[Block]:
        """Read all vectors, a block at a time; every picture comes once, in no order in particular.

        Args:
            most_views: Of a block, about: a picture's views are never parted.

        Raises:
            StoreError: A part was changed, or holds what is no unit vector.
        """
        return read_blocks(self._parts, self._rows, width=self.info.sight.width, most_views=most_views)

    @property
    def upload_counts(self) -> NDArray[np.int64]:
        """How often each picture was uploaded, `[P]`."""
        shown = self.uploads.picture
        return np.bincount(shown[shown >= 0], minlength=len(self.pictures))

    @property
    def first_uploads(self) -> NDArray[np.intp]:
        """Which upload showed each picture first, in the order of `uploads`, `[P]`."""
        shown = self.uploads.picture
        first = np.full(len(self.pictures), -1, dtype=np.intp)
        places = np.flatnonzero(shown >= 0)[::-1]
        first[shown[places]] = places
        return first

    def first_views(self) -> NDArray[np.float32]:
        """Read one vector a picture, its first view's: what near-duplicates are told by.

        Returns:
            float32 `[P,D]`.

        Raises:
            StoreError: As for `blocks`.
        """
        vectors = np.empty((len(self.pictures), self.info.sight.width), dtype=np.float32)
        for block in self.blocks():
            vectors[block.pictures] = block.embeddings[block.starts]
        return vectors

    @property
    def part_paths(self) -> Sequence[Path]:
        """Name the files that all this was read from."""
        return [part.path for part in (*self._images, *self._parts)]

    def check(self) -> Iterator[int]:
        """Read every byte of the store, and compare it with its checksums; every vector has to be one.

        Yields:
            How many pictures were read so far.

        Raises:
            StoreError: Something is not what it was.
        """
        for part in (*self._images, *self._parts):
            check_whole(part)
        done = 0
        for block in self.blocks():
            done += len(block.pictures)
            yield done

    def vectors(self, pictures: NDArray[np.intp]) -> Block:
        """Read the vectors of some pictures, for which every part that holds one is read.

        Args:
            pictures: `[K]` intp, each once.

        Returns:
            Those, in that order.

        Raises:
            StoreError: As `blocks`.
        """
        rows = self._rows.take(pictures)
        vectors = read_all(self._parts, rows, width=self.info.sight.width, most_views=MOST_VIEWS)
        return Block(pictures=pictures, starts=rows.starts, embeddings=vectors)


def open_store(path: Path) -> Store:
    """Open a store: reads all but the vectors.

    Raises:
        StoreError: It is no store, or a part of it is damaged, of another model, or contradicts another.
    """
    charter = read_charter(path)
    # Uploads first: whoever writes meanwhile writes their pictures before them.
    images = list_parts(path, Kind.IMAGES)
    table = read_uploads(images)
    parts = _seen_alike(path, charter, list_parts(path, Kind.EMBEDDINGS))
    vectors = partial(read_all, parts, width=charter.sight.width, most_views=MOST_VIEWS)
    found = without_copies(read_pictures(parts), vectors)
    shown, known = Digests(raw_digests(table["sha256"])), pc.is_valid(table["sha256"]).to_numpy()
    place = np.where(known, found.sha256.find(shown), -1)
    if lost := int((known & (place < 0)).sum()):
        name = table["uri"][int(np.argmax(known & (place < 0)))].as_py()
        raise StoreError(f"{path} lacks the pictures of {lost:,} uploads, {name} among them; embed them again.")
    shows = np.bincount(place[known], minlength=len(found)) > 0
    kept = np.flatnonzero(shows & found.judgeable)
    rows = found.take(kept)
    failed = {found.sha256[row]: found.reason[row] for row in np.flatnonzero(shows & ~found.judgeable).tolist()}
    uploads = Uploads(
        picture=_renumbered(kept, len(found))[place],
        sha256=shown,
        uri=Names(table["uri"]),
        time=times_of(table),
        slices=slices_of(table),
    )
    return Store(
        path=path,
        info=_info(charter, uploads, failed),
        uploads=uploads,
        pictures=_pictures(rows, partial(vectors, rows)),
        failed=failed,
        unread=int((~known).sum()),
        unused=int((~shows).sum()),
        _images=images,
        _parts=parts,
        _rows=rows,
    )


def _seen_alike(path: Path, charter: Charter, parts: Sequence[Part]) -> Sequence[Part]:
    advice = f"Its vectors mean nothing beside the others of {path}; move it out of there."
    for part in parts:
        if part.sight is not None:
            require_same_sight(part.sight, charter.sight, what=f"{part.path} is", advice=advice)
    return parts


def _renumbered(kept: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return where each of `count` rows is among those kept, -1 for the others; the last entry is that of row -1."""
    places = np.full(count + 1, -1, dtype=np.intp)
    places[kept] = np.arange(len(kept))
    return places


def _pictures(rows: PictureRows, vectors: Callable[[], NDArray[np.float32]]) -> Pictures:
    return Pictures(
        sha256=rows.sha256,
        starts=rows.starts,
        views=rows.views,
        width=rows.width,
        height=rows.height,
        partial=rows.partial,
        degraded=rows.degraded,
        share_shown=rows.share_shown,
        coverage=rows.coverage,
        resolution=rows.resolution,
        read_all=vectors,
    )


def _info(charter: Charter, uploads: Uploads, failed: Mapping[str, str]) -> StoreInfo:
    return StoreInfo(
        source=charter.source,
        since=charter.since,
        until=charter.until,
        sight=charter.sight,
        digest=_digest(charter, uploads, failed),
    )


def _digest(charter: Charter, uploads: Uploads, failed: Mapping[str, str]) -> str:
    """Hash what figures rest on; uploads come in an order that their own content gives."""
    digest = sha256()
    sight = {name: value for name, value in sight_record(charter.sight).items() if name != "model"}
    said = [charter.source, str(charter.since), str(charter.until), sight, sorted(failed.items()), [*uploads.slices]]
    digest.update(json.dumps(said, sort_keys=True).encode() + b"\n")
    digest.update(uploads.sha256.raw.tobytes())
    if uploads.time is not None:
        digest.update(uploads.time.astype("<i8").tobytes())
    for texts in uploads.slices.values():
        digest.update(json.dumps(texts.tolist()).encode())
    return f"sha256:{digest.hexdigest()}"
