"""A store and some of its pictures in; which are near-duplicates of one another out, as found once and kept there."""

from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.tuning.design.groups import NEAR, near_duplicates
from clipwarden.tuning.design.nearness import Told
from clipwarden.tuning.store.groupfile import key_of, read_groups, write_groups
from clipwarden.tuning.store.store import Store

METHOD: Final = "complete linkage of first views, 1"
"""What finds groups; whoever changes which groups come out counts it up, so that none of before are read."""
_FEW: Final = 2_000
"""Pictures that are grouped in less time than a file takes to be worth it."""


def group_store(
    store: Store, pictures: NDArray[np.intp] | None = None, *, told: Told | None = None
) -> NDArray[np.intp]:
    """Group near-duplicates of a store, or read how they were grouped before.

    Args:
        store: The store.
        pictures: intp `[K]`, rising: those that are grouped; None takes all.
        told: For a progress bar, called with how much is done and how much there is.

    Returns:
        intp `[K]`: numbers from 0 in the order in which groups first appear.

    Raises:
        StoreError: A part was changed, or holds what is no unit vector.
    """
    chosen = np.arange(len(store.pictures)) if pictures is None else pictures
    key = _key(store, chosen)
    if (known := read_groups(store.path, key, len(chosen))) is not None:
        return known
    vectors = store.first_views()
    number = near_duplicates(vectors if len(chosen) == len(vectors) else vectors[chosen], told=told)
    if len(chosen) >= _FEW:
        write_groups(store.path, key, number, parts=store.part_paths)
    return number


def _key(store: Store, pictures: NDArray[np.intp]) -> str:
    """Name what groups depend on: which pictures, in which order, seen by what; and how they are found."""
    of = sha256(np.ascontiguousarray(store.pictures.sha256.raw[pictures]).tobytes()).hexdigest()
    return key_of({"method": METHOD, "near": NEAR, "store": store.info.digest, "pictures": of})
