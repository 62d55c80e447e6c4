"""Many SHA-256 digests in 32 bytes each, read as texts of 64 hexadecimal digits."""

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 32


class Digests(Sequence[str]):
    """Digests in a row; immutable.

    Args:
        raw: `[N,32]` uint8.
    """

    def __init__(self, raw: NDArray[np.uint8]) -> None:
        self.raw = raw

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Digests":
        """Pack texts of 64 hexadecimal digits each; raises ValueError where one is none."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.raw)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Digests": ...
    def __getitem__(self, index: int | slice) -> "str | Digests":
        """Return a digest as text; of a slice, the digests."""
        raise NotImplementedError

    def take(self, indices: NDArray[np.intp]) -> "Digests":
        """Return those at some places, which may be negative where `-1` stands for none: they give zeros."""
        raise NotImplementedError

    def find(self, wanted: "Digests | Sequence[str]") -> NDArray[np.intp]:
        """Find where others lie here.

        Args:
            wanted: K digests; text that is no digest is nowhere.

        Returns:
            `[K]` intp, -1 where it is not here.
        """
        raise NotImplementedError
