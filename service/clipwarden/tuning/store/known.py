"""What a store holds in, whether an upload or a picture that comes is among it out; about 60 bytes an upload."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipwarden.tuning.store.columns import SLICE_PREFIX, Kind
from clipwarden.tuning.store.digests import Digests
from clipwarden.tuning.store.parts import list_parts
from clipwarden.tuning.store.pictures import read_pictures
from clipwarden.tuning.store.records import UploadRecord
from clipwarden.tuning.store.uploads import read_uploads

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 2**14


class KnownUploads:
    """The uploads of a store when its writer came; a source that is read again finds each of its uploads here once.

    Two uploads may be the same in all that is known of them: so many as there are of them here are found, and no more.

    Args:
        table: From `read_uploads`.
    """

    def __init__(self, table: Any) -> None:  # noqa: ANN401  a pyarrow table
        each = itertools.chain.from_iterable(_keys_of_all(table))
        keys = np.fromiter(each, dtype=np.uint64, count=3 * len(table)).reshape(-1, 3)
        self._whole, self._left = np.unique(keys[:, 0], return_counts=True)
        self._files, self._unmatched = np.unique(keys[:, 1], return_counts=True)
        self._names = np.unique(keys[:, 2])

    def find(self, upload: UploadRecord) -> bool:
        """Tell whether an upload is here, and if so, take it: the next that is the same is another one."""
        whole, file, name = _keys_of(upload)
        place = _place(self._whole, whole)
        if place is None:
            # What was read once needs no note that it cannot be now.
            return upload.sha256 is None and _place(self._names, name) is not None
        if not self._left[place]:
            return False
        self._left[place] -= 1
        self._unmatched[np.searchsorted(self._files, np.uint64(file))] -= 1
        return True

    def may_have_other_slices(self, upload: UploadRecord) -> bool:
        """Tell whether the same file is here under the same name and time, and never in these slices.

        It may be this upload, of which the source said something else then; or another one, which the source has as
        well. Once all of the source was read, `take_other_slices` tells.
        """
        whole, file, _ = _keys_of(upload)
        return _place(self._whole, whole) is None and _place(self._files, file) is not None

    def take_other_slices(self, upload: UploadRecord) -> bool:
        """Tell whether such an upload is here that nothing else of the source was found to be, and if so, take it."""
        place = _place(self._files, _keys_of(upload)[1])
        if place is None or not self._unmatched[place]:
            return False
        self._unmatched[place] -= 1
        return True


class KnownPictures:
    """The pictures of a store, those of its writer included.

    Args:
        judgeable: Digests of those that can be judged.
        failed: Reasons of the others by digest.
    """

    def __init__(self, judgeable: Digests, failed: Mapping[str, str]) -> None:
        self._before = np.sort(judgeable.keys)
        self._since: set[bytes] = set()
        self._failed = dict(failed)

    def __contains__(self, sha256: str) -> bool:
        """Tell whether a picture is here that can be judged, or was tried by this writer."""
        raw = bytes.fromhex(sha256)
        place = int(np.searchsorted(self._before, np.bytes_(raw)))
        return raw in self._since or (place < len(self._before) and self._before[place] == raw.rstrip(b"\0"))

    def reason(self, sha256: str) -> str | None:
        """Say why a picture cannot be judged; None where it can, or was never tried."""
        return self._failed.get(sha256)

    def add(self, sha256: str, reason: str | None) -> bool:
        """Take a picture that was tried, and why it cannot be judged, if it cannot; tells whether that is news."""
        if sha256 in self:
            return False
        self._since.add(bytes.fromhex(sha256))
        if reason is None:
            self._failed.pop(sha256, None)
            return True
        news = sha256 not in self._failed
        self._failed.setdefault(sha256, reason)
        return news


def read_known(store: Path) -> tuple[KnownUploads, KnownPictures]:
    """Read what a store holds already.

    Raises:
        StoreError: A part is damaged.
    """
    uploads = KnownUploads(read_uploads(list_parts(store, Kind.IMAGES)))
    rows = read_pictures(list_parts(store, Kind.EMBEDDINGS))
    failed = {rows.sha256[int(row)]: rows.reason[row] for row in np.flatnonzero(~rows.judgeable)}
    return uploads, KnownPictures(rows.sha256.take(np.flatnonzero(rows.judgeable)), failed)


def _keys_of_all(table: Any) -> Iterator[tuple[int, int, int]]:  # noqa: ANN401  as above
    names = [name for name in table.column_names if name.startswith(SLICE_PREFIX)]
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = (batch.column(name).to_pylist() for name in ("sha256", "uri", "time", *names))
        for content, uri, time, *texts in zip(*columns, strict=True):
            slices = {name.removeprefix(SLICE_PREFIX): text for name, text in zip(names, texts, strict=True)}
            yield _keys_of(UploadRecord(uri=uri, sha256=content and content.hex(), time=time, slices=slices))


def _keys_of(upload: UploadRecord) -> tuple[int, int, int]:
    """Return hashes of all that is known of an upload, of the same without its slices, and of its name and time."""
    name = _hash(upload.uri, upload.time and (upload.time - _EPOCH) // _MICROSECOND)
    file = _hash(name, upload.sha256)
    return _hash(file, sorted((each, text) for each, text in upload.slices.items() if text)), file, name


def _hash(*parts: object) -> int:
    """Hash to 64 bits, of which two of a million uploads share one once in 40 million stores."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest())


def _place(keys: NDArray[np.uint64], key: int) -> int | None:
    place = int(np.searchsorted(keys, np.uint64(key)))
    return place if place < len(keys) and int(keys[place]) == key else None
