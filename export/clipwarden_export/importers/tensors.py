"""A file of weights in, its named float arrays out; a pickle only where the user named it, and never run as code."""

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipwarden_export.errors import SourceError

Arrays = Mapping[str, NDArray[np.float32]]
SOLE = "array"
"""The name given to the array of a file that holds just one and no name for it."""

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_PICKLE_SUFFIXES = (".p", ".pkl", ".pickle")
_LFS = b"version https://git-lfs."  # how a clone without Git LFS begins each large file; git-lfs, docs/spec.md
_NUMBER_KINDS = "fiu"
# Where numpy 1 and numpy 2 keep what a pickled array calls; see `_STAND_INS`.
_NUMPY_MODULES = (
    "numpy",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
)


def read_tensors(path: Path, *, pickle_named: str | None = None) -> Arrays:
    """Read a file of arrays.

    Args:
        path: `.safetensors`, `.npy`, `.npz`, a torch state dict, or a pickled numpy array.
        pickle_named: File name of a pickle that the user insists on; any other pickle is refused.

    Returns:
        Name to float32 array; the name is `SOLE` where the file has none.

    Raises:
        SourceError: Unreadable, of another format, a pickle that was not named or holds more than arrays, or not
            numbers.
    """
    if not path.is_file():
        raise SourceError(f"There is no file {path}.")
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise SourceError(f"{path.name} is a pointer of Git LFS, and not the file: run `git lfs pull` there.")
    suffix = path.suffix.lower()
    if suffix in (*_TORCH_SUFFIXES, *_PICKLE_SUFFIXES):
        _require_named(path, pickle_named)
    try:
        found = _read(path, suffix)
    except SourceError:
        raise
    except Exception as exc:  # safetensors, numpy, zipfile, torch and pickle raise their own
        raise SourceError(f"{path.name} cannot be read: {_first_line(exc)}") from exc
    return {name: _as_float32(name, array, path) for name, array in found.items()}


def _require_named(path: Path, named: str | None) -> None:
    if named == path.name:
        return
    raise SourceError(
        f"{path.name} is a pickle, a format that can run code on loading. If you trust who made it: "
        f"--allow-pickle {path.name} (it is read by a reader that knows arrays alone)."
    )


def _read(path: Path, suffix: str) -> Mapping[str, Any]:
    if suffix == ".safetensors":
        from safetensors.torch import load_file  # noqa: PLC0415 - torch's reader, for bfloat16

        return {name: tensor.float().numpy() for name, tensor in load_file(path).items()}
    if suffix == ".npy":
        return {SOLE: np.load(path, allow_pickle=False)}
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    if suffix in _TORCH_SUFFIXES:
        return _read_torch(path)
    if suffix in _PICKLE_SUFFIXES:
        return _read_pickle(path)
    raise SourceError(f"{path.name}: write the arrays as .safetensors, .npy or .npz, or give a torch state dict.")


def _read_torch(path: Path) -> Mapping[str, Any]:
    import torch  # noqa: PLC0415 - seconds to import, and other formats do without

    # weights_only: torch's own unpickler, which knows tensors and containers and nothing that runs.
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        # Its own sentence advises to load the file without that protection.
        msg = f"{path.name} is no state dict: it is damaged, or holds more than tensors, such as a whole module."
        raise SourceError(msg) from exc
    if isinstance(state, torch.Tensor):
        state = {SOLE: state}
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise SourceError(f"{path.name} is no state dict: a mapping of names to tensors is what is read.")
    return {str(name): value.detach().float().numpy() for name, value in state.items()}


def _read_pickle(path: Path) -> Mapping[str, Any]:
    found = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    if isinstance(found, Mapping):
        return {str(name): np.asarray(value) for name, value in found.items()}
    return {SOLE: np.asarray(found)}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numbers, lists and numpy arrays; everything else is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        """Look up our stand-in for one of the few names that a numpy array needs."""
        if module in _NUMPY_MODULES and name in _STAND_INS:
            return _STAND_INS[name]
        if (module, name) == ("_codecs", "encode"):
            return _bytes_of
        raise SourceError(f"The pickle calls {module}.{name}, and only numpy arrays are read; nothing of it was run.")


class _NumberType:
    """Stands in for numpy.dtype, of which only the name and the byte order of a plain number are read."""

    def __init__(self, code: object, *_: object) -> None:
        self._code, self._order = code, "="

    def __setstate__(self, state: Sequence[Any]) -> None:
        self._order = state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or np.dtype(self._code).kind not in _NUMBER_KINDS:
            raise SourceError(f"The pickle holds an array of type {self._code}, not numbers.")
        return np.dtype(self._code).newbyteorder(">" if self._order == ">" else "<")


class _NumberArray(np.ndarray[Any, Any]):
    """Stands in for numpy.ndarray, and takes only bytes that are numbers."""

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - a pickle's
        version, shape, kind, by_columns, data = state
        if not isinstance(kind, _NumberType):
            raise SourceError("The pickle holds an array without a type.")
        super().__setstate__((version, shape, kind.dtype, by_columns, data))


def _start_array(*_: object) -> _NumberArray:
    """Stand in for `_reconstruct`: an empty array, which a state then fills."""
    return _NumberArray((0,), np.int8)


def _from_bytes(data: bytes, kind: _NumberType, shape: tuple[int, ...], order: Any = "C") -> NDArray[Any]:  # noqa: ANN401
    """Stand in for `_frombuffer`, which protocol 5 calls."""
    return np.frombuffer(data, dtype=kind.dtype).reshape(shape, order=order)


def _bytes_of(text: str, _: object = None) -> bytes:
    """Stand in for `_codecs.encode`: how protocol 2 and older write bytes."""
    return text.encode("latin1")


# numpy's own would let a pickle make arrays of Python objects out of raw bytes, of memory never written, and of types
# whose flags lie: reads anywhere in this process, and from there to anything.
_STAND_INS: Mapping[str, object] = {
    "ndarray": "numpy.ndarray",  # only ever passed to `_reconstruct`
    "dtype": _NumberType,
    "_reconstruct": _start_array,
    "_frombuffer": _from_bytes,
}


def _as_float32(name: str, array: Any, path: Path) -> NDArray[np.float32]:  # noqa: ANN401
    found = np.asarray(array)
    if found.dtype.kind not in _NUMBER_KINDS:
        raise SourceError(f'{path.name}: "{name}" is of type {found.dtype}, not numbers.')
    return np.ascontiguousarray(found, dtype=np.float32)


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0] or type(exc).__name__
