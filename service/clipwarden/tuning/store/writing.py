"""Uploads and pictures as they come in, a store's parts out, so that what was written stays whatever happens next."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from clipwarden.errors import StoreError
from clipwarden.tuning.store.columns import Kind
from clipwarden.tuning.store.folder import write_part, writing_to
from clipwarden.tuning.store.known import KnownPictures, KnownUploads, read_known
from clipwarden.tuning.store.records import PictureRecord, UploadRecord, pictures_part, uploads_part
from clipwarden.tuning.store.storefile import (
    STORE_NAME,
    Charter,
    read_charter,
    require_same_sight,
    write_charter,
)

MOST_PICTURES = 1024
"""Pictures of a part: what is lost at most when the process is killed, beside `MOST_SECONDS`; a million make a thousand
parts, which open in seconds."""
MOST_UPLOADS = 2**14
"""Uploads of a part, where they show few pictures."""
MOST_BYTES = 2**24
"""Bytes of vectors of a part, where pictures have many views."""
MOST_SECONDS = 60.0
"""Longest that anything waits to be written."""


class Added(Enum):
    """What became of an upload that was to be added."""

    NEW = "new"
    KNOWN = "known"
    """It is there already: the source was read before."""
    OTHER_SLICES = "other slices"
    """So it is, with other slices than now, which stay as they were."""
    UNDECIDED = "undecided"
    """One of the others; `StoreWriter.settle` says which."""


class StoreWriter:
    """Writes one store; made by `writing`. Not safe to share between threads.

    Attributes:
        uploads: Those that are there already.
        pictures: Likewise, those that this writer adds included.

    Args:
        store: Its folder.
        charter: What it is.
        clock: Seconds that only grow.
    """

    def __init__(self, store: Path, charter: Charter, clock: Callable[[], float]) -> None:
        self.uploads: KnownUploads
        self.pictures: KnownPictures
        self.uploads, self.pictures = read_known(store)
        self._store = store
        self._charter = charter
        self._clock = clock
        self._new_uploads: list[UploadRecord] = []
        self._undecided: list[UploadRecord] = []
        self._new_pictures: list[PictureRecord] = []
        self._bytes = 0
        self._since = clock()

    def add_picture(self, picture: PictureRecord) -> bool:
        """Take a picture, and tell whether it is news: one that cannot be judged now as before is none."""
        if not self.pictures.add(picture.sha256, picture.reason):
            return False
        self._new_pictures.append(picture)
        self._bytes += 0 if picture.vectors is None else picture.vectors.nbytes
        return True

    def add_upload(self, upload: UploadRecord) -> Added:
        """Take an upload, unless it is there; its picture has been added, or is there."""
        if self.uploads.may_have_other_slices(upload):
            self._undecided.append(upload)
            return Added.UNDECIDED
        if self.uploads.find(upload):
            return Added.KNOWN
        self._new_uploads.append(upload)
        return Added.NEW

    def settle(self) -> Counter[Added]:
        """Decide on the undecided, now that all of the source was read, and count what became of them."""
        counts: Counter[Added] = Counter()
        for upload in self._undecided:
            known = self.uploads.take_other_slices(upload)
            counts[Added.OTHER_SLICES if known else Added.NEW] += 1
            self._new_uploads += [] if known else [upload]
        self._undecided = []
        return counts

    @property
    def is_due(self) -> bool:
        """Whether so much waits, or for so long, that it should be written."""
        waits = self._new_uploads or self._new_pictures
        return (
            len(self._new_pictures) >= MOST_PICTURES
            or len(self._new_uploads) >= MOST_UPLOADS
            or self._bytes >= MOST_BYTES
            or bool(waits and self._clock() - self._since >= MOST_SECONDS)
        )

    def write(self) -> None:
        """Write what waits; blocks.

        Raises:
            StoreError: It cannot be written; what was written before stays, and what waits still does.
        """
        try:
            if self._new_pictures or self._new_uploads:
                write_charter(self._store, self._charter)
            # Pictures first: an upload without its picture would be an error, the other way round nothing is amiss.
            if self._new_pictures:
                write_part(self._store, Kind.EMBEDDINGS, pictures_part(self._new_pictures, self._charter.sight))
                self._new_pictures, self._bytes = [], 0
            if self._new_uploads:
                write_part(self._store, Kind.IMAGES, uploads_part(self._new_uploads))
                self._new_uploads = []
        except OSError as exc:
            raise StoreError(f"{self._store} cannot be written: {exc.strerror or exc}.") from exc
        self._since = self._clock()


@contextmanager
def writing(store: Path, charter: Charter, *, clock: Callable[[], float] = time.monotonic) -> Iterator[StoreWriter]:
    """Write a store inside the block, new or begun before; what waits at its end is written, whatever ended it.

    Args:
        store: Its folder.
        charter: What it is, or is to be.
        clock: Seconds that only grow.

    Raises:
        StoreError: Somebody else writes it, it is something else than `charter` says, or it cannot be written.
    """
    with writing_to(store):
        if (store / STORE_NAME).exists():
            _require_same(store, read_charter(store), charter)
        writer = StoreWriter(store, charter, clock)
        try:
            yield writer
            writer.settle()
        finally:
            writer.write()


def _require_same(store: Path, had: Charter, wanted: Charter) -> None:
    advice = "Name another folder: vectors of both mean nothing beside each other."
    require_same_sight(had.sight, wanted.sight, what=f"{store} is", advice=advice)
    if (had.source, had.since, had.until) != (wanted.source, wanted.since, wanted.until):
        raise StoreError(
            f"{store} is {had.in_words}, and what is to be added {wanted.in_words}: nothing could be concluded from "
            "both together. Name another folder."
        )
