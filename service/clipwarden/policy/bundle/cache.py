"""Keep the vector of every text that was ever embedded, so that editing a threshold embeds nothing."""

import hashlib
import logging
from pathlib import Path
from typing import cast

import numpy as np
import rfc8785
from numpy.typing import NDArray

from clipwarden.policy.tensors import Tensors, dump_tensors, parse_tensors, read_bounded
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.unitvectors import require_unit

MAX_VECTORS = 200_000
"""Most vectors kept, the oldest leaving first: 400 MB at D = 512, twice what the largest policy embeds."""
MAX_FILE_BYTES = 512 * 1024 * 1024
"""Largest cache file that is read; `MAX_VECTORS` of width 512 and their keys come to 416 MB."""

_KEY_BYTES = 32
_log = logging.getLogger(__name__)


class VectorCache:
    """Vectors by SHA-256 of fingerprint and expanded text (a template with a prompt in it).

    Two threads may share one: each call touches the dictionary in single steps, and at worst both embed a text.
    Files are trusted as far as the folder's permissions go: their shape is checked, but nothing can tell a
    wrong unit vector from a right one.

    Args:
        folder: Where to keep one file a model; None keeps vectors in memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._vectors: dict[bytes, NDArray[np.float32]] = {}
        self._opened: dict[str, set[bytes]] = {}

    def get(self, fingerprint: str, text: str) -> NDArray[np.float32] | None:
        """Return a text's vector float32 [D], or None; the model's file is read on first use."""
        self._open(fingerprint)
        return self._vectors.get(_key(fingerprint, text))

    def put(self, fingerprint: str, text: str, vector: NDArray[np.float32]) -> None:
        """Keep a text's vector float32 [D]."""
        self._open(fingerprint)
        key = _key(fingerprint, text)
        self._remember(key, vector)
        self._opened[fingerprint].add(key)

    def save(self, fingerprint: str) -> None:
        """Write a model's vectors to its file, if the cache has a folder.

        A cache that cannot be written costs time, not correctness, so that is logged and no error.
        """
        keys = [key for key in sorted(self._opened.get(fingerprint, ())) if key in self._vectors]
        if self._folder is None or not keys:
            return
        tensors: Tensors = {
            "keys": np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, _KEY_BYTES),
            "vectors": np.stack([self._vectors[key] for key in keys]),
        }
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path(fingerprint, self._folder), dump_tensors(tensors))
        except OSError as exc:
            _log.warning("The vector cache cannot be written: %s", exc)

    def _open(self, fingerprint: str) -> None:
        if fingerprint in self._opened:
            return
        self._opened[fingerprint] = set()
        if self._folder is None:
            return
        path = self._path(fingerprint, self._folder)
        try:
            stored = _read(path)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as exc:
            _log.warning("The vector cache %s is not used: %s", path, exc)
            return
        for key, vector in stored.items():
            self._remember(key, vector)
            self._opened[fingerprint].add(key)

    def _remember(self, key: bytes, vector: NDArray[np.float32]) -> None:
        self._vectors[key] = vector
        while len(self._vectors) > MAX_VECTORS:
            self._vectors.pop(next(iter(self._vectors)), None)

    @staticmethod
    def _path(fingerprint: str, folder: Path) -> Path:
        return folder / f"{fingerprint.removeprefix('sha256:')}.safetensors"


def _key(fingerprint: str, text: str) -> bytes:
    # JSON keeps the two apart: plain concatenation would let a text imitate a fingerprint.
    return hashlib.sha256(rfc8785.dumps([fingerprint, text])).digest()


def _read(path: Path) -> dict[bytes, NDArray[np.float32]]:
    tensors = parse_tensors(read_bounded(path, limit=MAX_FILE_BYTES))
    if set(tensors) != {"keys", "vectors"}:
        raise ValueError("it holds other tensors than keys and vectors")
    keys, vectors = tensors["keys"], tensors["vectors"]
    if keys.dtype != np.uint8 or vectors.dtype != np.float32 or vectors.ndim != len("PD"):
        raise ValueError("its tensors are not of the right type")
    if keys.shape != (len(vectors), _KEY_BYTES):
        raise ValueError("its tensors are not of the right shape")
    require_unit(cast("NDArray[np.float32]", vectors), ValueError("its vectors are not finite unit vectors"))
    return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}
