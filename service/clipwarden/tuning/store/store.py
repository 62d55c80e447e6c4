"""A store's folder in; what it holds, as columns, and its vectors, a block at a time, out."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipwarden.tuning.store.contents import Block, Pictures, Uploads
from clipwarden.tuning.store.info import StoreInfo


class Store:
    """An open store; what it holds stays as it was when it was opened, unless parts are forgotten meanwhile.

    Attributes:
        path: Its folder.
        info: What it is.
        uploads: One entry an upload.
        pictures: One entry a distinct picture that can be judged and that some upload shows.
        failed: By digest, why a file cannot be judged: one of the `IMAGE_*` reasons.
        unread: How many uploads could not be read at all, so that nobody knows their content.
    """

    path: Path
    info: StoreInfo
    uploads: Uploads
    pictures: Pictures
    failed: Mapping[str, str]
    unread: int

    def blocks(self, *, most_views: int = 2**14) -> Iterator[Block]:
        """Read all vectors, a block at a time; every picture comes once, in no order in particular.

        Args:
            most_views: Of a block, but for a picture that has more by itself.

        Raises:
            StoreError: A part was changed, or holds what is no unit vector.
        """
        raise NotImplementedError

    def vectors(self, pictures: NDArray[np.intp]) -> Block:
        """Read the vectors of some pictures.

        Args:
            pictures: `[K]` intp, each once.

        Returns:
            Those, in that order.

        Raises:
            StoreError: As `blocks`.
        """
        raise NotImplementedError


def open_store(path: Path) -> Store:
    """Open a store: reads all but the vectors, about 200 bytes of memory an upload.

    Raises:
        StoreError: It is no store, or a part of it is damaged, of another model, or contradicts another.
    """
    raise NotImplementedError
