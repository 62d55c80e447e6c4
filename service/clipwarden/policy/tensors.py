"""Read safetensors files that may be hostile: bounded, parsed by the library's Rust core, never unpickled."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

_DTYPES = {"F32": "<f4", "U8": "u1"}
_LENGTH_BYTES = 8
"""A file starts with the length of its JSON header, little-endian."""

Tensors = dict[str, NDArray[np.generic]]


def dump_tensors(tensors: Tensors, *, metadata: dict[str, str] | None = None) -> bytes:
    """Render tensors; give at most one metadata entry, since the library orders several at random."""
    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata=metadata)


def read_bounded(path: Path, *, limit: int) -> bytes:
    """Read a file of at most `limit` bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: It is larger.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    return data


@dataclass(frozen=True, kw_only=True, slots=True)
class RawTensor:
    """A tensor as its file holds it.

    Attributes:
        dtype: As safetensors writes it: `F32`, `F16`, `I64`, ...
        shape: Of any length.
        data: Little-endian; as long as the shape and type say, which the library checks.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def raw_tensor(tensor: NDArray[np.generic]) -> RawTensor:
    """Return what a file would hold of a float32 tensor."""
    return RawTensor(dtype="F32", shape=tensor.shape, data=tensor.astype("<f4").tobytes())


def open_tensors(data: bytes) -> dict[str, RawTensor]:
    """Parse a safetensors file without a word on what its tensors should be.

    Args:
        data: The whole file.

    Returns:
        The tensors by name.

    Raises:
        ValueError: Not safetensors.
    """
    try:
        found = dict(deserialize(data))  # type: ignore[no-untyped-call]  # a Rust function without stubs
    except SafetensorError as exc:
        raise ValueError(f"it is no safetensors file ({exc})") from exc
    return {
        name: RawTensor(dtype=facts["dtype"], shape=tuple(facts["shape"]), data=bytes(facts["data"]))
        for name, facts in found.items()
    }


def parse_tensors(data: bytes) -> Tensors:
    """Parse a safetensors file.

    Args:
        data: The whole file.

    Returns:
        The tensors by name, copied.

    Raises:
        ValueError: Not safetensors, or a tensor that is neither float32 nor uint8.
    """
    found = open_tensors(data)
    unknown = [tensor.dtype for tensor in found.values() if tensor.dtype not in _DTYPES]
    if unknown:
        raise ValueError(f"it holds a tensor of type {unknown[0]}")
    return {
        name: np.frombuffer(tensor.data, dtype=_DTYPES[tensor.dtype]).reshape(tensor.shape).copy()
        for name, tensor in found.items()
    }


def parse_metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a file that `parse_tensors` accepted; empty when it has none.

    Raises:
        ValueError: The header is not JSON.
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    found = header.get("__metadata__", {})
    return {str(key): str(value) for key, value in found.items()}
