"""Many SHA-256 digests in 32 bytes each, read as texts of 64 hexadecimal digits."""

import re
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 32

_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 digest as this package writes them: 64 hexadecimal digits, small letters."""
    return _IS_DIGEST(text) is not None


class Digests(Sequence[str]):
    """Digests in a row; immutable.

    Args:
        raw: `[N,32]` uint8.
    """

    def __init__(self, raw: NDArray[np.uint8]) -> None:
        self.raw = np.ascontiguousarray(raw)

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Digests":
        """Pack texts of 64 hexadecimal digits each.

        Raises:
            ValueError: One is no digest.
        """
        whole = list(texts)
        if wrong := next((text for text in whole if not is_digest(text)), None):
            raise ValueError(f"{wrong[:80]!r} is no SHA-256 digest of 64 hexadecimal digits")
        return cls(np.frombuffer(bytes.fromhex("".join(whole)), dtype=np.uint8).reshape(-1, DIGEST_BYTES))

    def __len__(self) -> int:
        return len(self.raw)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Digests": ...
    def __getitem__(self, index: int | slice) -> "str | Digests":
        """Return a digest as text; of a slice, the digests."""
        return Digests(self.raw[index]) if isinstance(index, slice) else self.raw[index].tobytes().hex()

    def take(self, indices: NDArray[np.intp]) -> "Digests":
        """Return those at some places."""
        return Digests(self.raw[indices])

    def find(self, wanted: "Digests | Sequence[str]") -> NDArray[np.intp]:
        """Find where others lie here; the first of equals.

        Args:
            wanted: K digests; text that is no digest is nowhere.

        Returns:
            `[K]` intp, -1 where it is not here.
        """
        if isinstance(wanted, Digests):
            return self._find(wanted)
        sound = np.array([is_digest(text) for text in wanted], dtype=np.bool_)
        places = np.full(len(wanted), -1, dtype=np.intp)
        places[sound] = self._find(Digests.of(text for text in wanted if is_digest(text)))
        return places

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """All as `[N]` S32, to be compared and sorted: that numpy takes zeros off all ends changes neither."""
        return self.raw.view(f"S{DIGEST_BYTES}").reshape(-1)

    def _find(self, wanted: "Digests") -> NDArray[np.intp]:
        if not len(self):
            return np.full(len(wanted), -1, dtype=np.intp)
        order = np.argsort(self.keys, kind="stable")
        ordered = self.keys[order]
        places = np.minimum(np.searchsorted(ordered, wanted.keys), len(self) - 1)
        return np.where(ordered[places] == wanted.keys, order[places], -1).astype(np.intp)
