"""Find the learned vectors and heads that a policy names: in safetensors files beside it, or inside a bundle.

A policy decides about people, so whoever reviews one must be able to see all that it rests on: its files lie beside
it or below, never elsewhere on the machine that happens to load it.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipwarden.modelfolder.modeljson import MAX_DIM
from clipwarden.policy.contexts import scored_anywhere
from clipwarden.policy.schema import FLOAT_BYTES, Head, HeadLayer, LearnedVector, Policy
from clipwarden.policy.tensors import RawTensor, open_tensors, raw_tensor, read_bounded
from clipwarden.textfiles.wording import closest, shown

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest file: 21,000 float32 vectors of width 768. A policy that names that many nobody can review."""
MAX_TOTAL_BYTES = 256 * 1024 * 1024
"""Most bytes of all files of one policy, since they are in memory together; what a bundle may come to. A float16 counts
as the float32 that it becomes."""
MAX_HEAD_BYTES = 32 * 1024 * 1024
"""Largest head, as float32. The largest published one that we know, LAION's for ViT-H/14, has 22 MB; every view of an
image reads all of it."""
SHORTEST = 1e-6
"""Length below which a vector's direction is noise; the steps of float16, which files may use, are 6e-8 apart there."""

MAX_LAYERS = 16
"""Most layers of a head; published ones have 2 to 6."""

_DTYPES = {"F32": "<f4", "F16": "<f2"}
_VECTOR = "vector"
_LAYER = re.compile(r"layers\.[0-9]+\.(weight|bias)")
_NAMES_SHOWN = 5
_EXPORT_HEAD_AGAIN = "Export the head again."


class LearnedError(Exception):
    """Why a file or vector cannot be used.

    Args:
        code: Rule name of the finding.
        message: What is wrong, one sentence.
        fix: What to do instead, one sentence.
    """

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


T = TypeVar("T")


def _once(found: dict[str, T | LearnedError], name: str, find: Callable[[str], T]) -> T:
    """Find something at the first call of its name only, whether that fails or not.

    A policy may name one vector a thousand times; each copy would count against nothing.
    """
    if name not in found:
        try:
            found[name] = find(name)
        except LearnedError as error:
            found[name] = error
    answer = found[name]
    if isinstance(answer, LearnedError):
        raise answer
    return answer


class LearnedFile(Protocol):
    """A file that was found and read."""

    def vector(self, name: str) -> LearnedVector:
        """Take one vector out of it, brought to unit length.

        Raises:
            LearnedError: It holds no such tensor, or one that is no direction.
        """

    def head(self) -> Head:
        """Take the whole file as a head, layer by layer.

        Raises:
            LearnedError: It holds something else, or layers that do not fit together.
        """


class LearnedSource(Protocol):
    """Where the files lie that a policy names."""

    def open(self, file: str) -> LearnedFile:
        """Read a file, once.

        Args:
            file: As the policy writes it.

        Raises:
            LearnedError: It may not be read, is missing or damaged.
        """


class NoFolder:
    """The source of a policy that is text alone."""

    def open(self, file: str) -> LearnedFile:
        """Refuse: there is no folder to look in."""
        message = f'The file "{shown(file)}" cannot be looked for: this policy is a text without a folder.'
        raise LearnedError("learned-file", message, "Save the policy as a file beside it, and load that.")


class PolicyFolder:
    """Reads files beside a policy file or in folders below; not safe to share between threads.

    Args:
        folder: Of the policy file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, _TensorFile | LearnedError] = {}
        self._bytes_read = 0

    def open(self, file: str) -> LearnedFile:
        """Read a file, once, whether that fails or not."""
        return _once(self._found, file, self._read)

    def _read(self, file: str) -> "_TensorFile":
        try:
            data = read_bounded(self._path_of(file), limit=MAX_FILE_BYTES)
            tensors = open_tensors(data)
        except OSError as exc:
            message = f'The file "{shown(file)}" cannot be read: {exc.strerror or type(exc).__name__}.'
            raise LearnedError("learned-file", message, "Check the path, which starts at the policy's folder.") from exc
        except ValueError as exc:
            message = f'The file "{shown(file)}" is refused: {exc}.'
            raise LearnedError("learned-file", message, "Write it again as safetensors.") from exc
        self._bytes_read += len(data) + sum(len(each.data) for each in tensors.values() if each.dtype == "F16")
        if self._bytes_read > MAX_TOTAL_BYTES:
            message = f"The files of this policy come to more than {MAX_TOTAL_BYTES >> 20} MiB."
            raise LearnedError("learned-file", message, "Keep only the vectors that the policy names in them.")
        return _TensorFile(file, tensors)

    def _path_of(self, file: str) -> Path:
        """Find a file, refusing whatever leads out of the folder: a path, or a link on the way."""
        written = PurePosixPath(file)
        if written.is_absolute() or ".." in written.parts:
            message = f'The file "{shown(file)}" is not named from the policy\'s own folder.'
            fix = "Put it beside the policy or in a folder below, and write the path from there, without `..`."
            raise LearnedError("learned-path", message, fix)
        try:
            path = (self._folder / written).resolve()
            inside = path.is_relative_to(self._folder.resolve())
        except RuntimeError as exc:  # links in a circle, before Python 3.13
            raise OSError(f"{exc}") from exc
        if not inside:
            message = f'The file "{shown(file)}" is a link that leads out of the policy\'s folder.'
            raise LearnedError("learned-path", message, "Put the file itself there.")
        if path.exists() and not path.is_file():
            message = f'"{shown(file)}" is no file.'
            raise LearnedError("learned-file", message, "Name a safetensors file.")
        return path


class BundleTensors:
    """Finds what a bundle holds, where a file's name is the content of the one vector or head in it.

    Args:
        table: float32 [R,D], the rows of scored concepts, among them their vectors.
        others: From `bundle_tensors`.
    """

    def __init__(self, table: NDArray[np.float32], others: Mapping[str, NDArray[np.generic]]) -> None:
        self._table = table
        self._rows: dict[str, bytes] | None = None
        self._files: dict[str, dict[str, RawTensor]] = {}
        self._heads: dict[str, _TensorFile | LearnedError] = {}
        for path, tensor in others.items():
            content, _, name = path.partition("/")
            self._files.setdefault(content, {})[name] = raw_tensor(tensor)

    def open(self, file: str) -> LearnedFile:
        """Find the row, vector or head of this content."""
        tensors = self._files.get(file, {})
        if tensors and _VECTOR not in tensors:
            return _once(self._heads, file, lambda content: _checked_head(content, _TensorFile(content, tensors)))
        if self._rows is None:  # most bundles hold none, and need not be hashed
            rows = [row.astype("<f4").tobytes() for row in self._table]
            rows += [bytes(each[_VECTOR].data) for each in self._files.values() if _VECTOR in each]
            self._rows = {f"sha256:{hashlib.sha256(row).hexdigest()}": row for row in rows}
        if file not in self._rows:
            message = f"Nothing in it has the content {shown(file)}."
            raise LearnedError("learned-file", message, "Compile the policy again.")
        return _Row(self._rows[file])


def _checked_head(content: str, file: "_TensorFile") -> "_TensorFile":
    if head_content(file.head()) != content:
        raise LearnedError("learned-file", f"A head in it is not {shown(content)}.", "Compile the policy again.")
    return file


def bundle_tensors(policy: Policy) -> dict[str, NDArray[np.generic]]:
    """Return what a bundle keeps beside its rows: all heads, and the vectors of disabled categories, which own no rows.

    Args:
        policy: As parsed.

    Returns:
        `CONTENT/layers.N.weight`, `CONTENT/layers.N.bias` and `CONTENT/vector`; what is equal is kept once.
    """
    found: dict[str, NDArray[np.generic]] = {}
    for concept in (*policy.categories, *policy.attributes):
        for layer in concept.head:
            path = f"{head_content(concept.head)}/layers.{layer.place}"
            found[f"{path}.weight"] = np.frombuffer(layer.weight, dtype="<f4").reshape(layer.outputs, layer.inputs)
            found[f"{path}.bias"] = np.frombuffer(layer.bias, dtype="<f4")
    unscored = (category for category in policy.categories if not scored_anywhere(category))
    for phrase in (phrase for category in unscored for phrase in category.phrases):
        if isinstance(phrase, LearnedVector):
            found[f"{phrase.content}/{_VECTOR}"] = np.frombuffer(phrase.values, dtype="<f4")
    return found


def head_content(head: Head) -> str:
    """Name a head by its content: `sha256:` over the SHA-256 of each layer's weight and bias, in order."""
    total = hashlib.sha256()
    for layer in sorted(head, key=lambda each: each.place):
        total.update(hashlib.sha256(layer.weight).digest() + hashlib.sha256(layer.bias).digest())
    return f"sha256:{total.hexdigest()}"


class _Row:
    def __init__(self, values: bytes) -> None:
        self._values = values

    def vector(self, name: str) -> LearnedVector:
        return LearnedVector(name=name, values=self._values)

    def head(self) -> Head:
        raise LearnedError("bad-head", "The content that is named as a head is a vector.", "Compile the policy again.")


class _TensorFile:
    """A file's tensors; gives one and the same vector or head however often it is asked."""

    def __init__(self, file: str, tensors: dict[str, RawTensor]) -> None:
        self._file = file
        self._tensors = tensors
        self._vectors: dict[str, LearnedVector | LearnedError] = {}
        self._heads: dict[str, Head | LearnedError] = {}

    def vector(self, name: str) -> LearnedVector:
        return _once(self._vectors, name, self._vector)

    def head(self) -> Head:
        return _once(self._heads, self._file, lambda _: self._head())

    def _vector(self, name: str) -> LearnedVector:
        tensor = self._tensors.get(name)
        if tensor is None:
            message = f'The file "{shown(self._file)}" holds no tensor "{shown(name)}".'
            raise LearnedError("unknown-vector", message, self._hint(name))
        return LearnedVector(name=name, values=_unit_bytes(self._numbers(name, tensor), name))

    def _head(self) -> Head:
        if wrong := self._why_no_head():
            fix = f"Store layers.0.weight, layers.0.bias, layers.1.weight and so on, at most {MAX_LAYERS} layers."
            raise LearnedError("bad-head", f'The file "{shown(self._file)}" is no head: {wrong}.', fix)
        if sum(math.prod(tensor.shape) for tensor in self._tensors.values()) * FLOAT_BYTES > MAX_HEAD_BYTES:
            message = f'The head in "{shown(self._file)}" comes to more than {MAX_HEAD_BYTES >> 20} MiB of float32.'
            raise LearnedError("bad-head", message, "Train a narrower one: every view of an image reads all of it.")
        layers = tuple(self._layer(place) for place in range(len(self._tensors) // 2))
        for before, after in pairwise(layers):
            if after.inputs != before.outputs:
                message = f"layers.{after.place} reads {after.inputs} numbers, but the layer before it gives "
                raise LearnedError("bad-head", f"{message}{before.outputs}.", _EXPORT_HEAD_AGAIN)
        if layers[-1].outputs != 1:
            message = f"The last layer gives {layers[-1].outputs} numbers; a head gives one logit."
            raise LearnedError("bad-head", message, "Export the row of the class that this category looks for.")
        return layers

    def _why_no_head(self) -> str | None:
        """Say what is missing or too much for a chain of layers; None where the names are right."""
        if not self._tensors:
            return "it holds no tensor"
        if odd := sorted(name for name in self._tensors if not _LAYER.fullmatch(name)):
            return f'it holds "{shown(odd[0])}"'
        count = (len(self._tensors) + 1) // 2
        names = (f"layers.{place}.{kind}" for place in range(count) for kind in ("weight", "bias"))
        if missing := next((name for name in names if name not in self._tensors), None):
            return f"it lacks {missing}"
        return f"it has {count} layers; at most {MAX_LAYERS} are read" if count > MAX_LAYERS else None

    def _layer(self, place: int) -> HeadLayer:
        weight, bias = (self._tensors[f"layers.{place}.{kind}"] for kind in ("weight", "bias"))
        if len(weight.shape) != len(("out", "in")) or bias.shape != weight.shape[:1] or not weight.data:
            shapes = f"{list(weight.shape)} and {list(bias.shape)}"
            message = f"layers.{place} has a weight and a bias of the shapes {shapes}; they must be [out,in] and [out]."
            raise LearnedError("bad-head", message, _EXPORT_HEAD_AGAIN)
        values = []
        for kind, tensor in (("weight", weight), ("bias", bias)):
            if tensor.dtype not in _DTYPES:
                message = f"layers.{place}.{kind} is of type {tensor.dtype}, not float32."
                raise LearnedError("bad-head", message, "Store it as float32 or float16.")
            numbers = np.frombuffer(tensor.data, dtype=_DTYPES[tensor.dtype]).astype("<f4")
            if not np.isfinite(numbers).all():
                raise LearnedError("bad-head", f"layers.{place}.{kind} holds NaN or infinity.", _EXPORT_HEAD_AGAIN)
            values.append(numbers.tobytes())
        return HeadLayer(place=place, weight=values[0], bias=values[1])

    def _numbers(self, name: str, tensor: RawTensor) -> NDArray[np.float64]:
        if tensor.dtype not in _DTYPES:
            message = f'The tensor "{shown(name)}" is of type {tensor.dtype}, not float32.'
            raise LearnedError("bad-vector", message, "Store it as float32 or float16.")
        if len(tensor.shape) != 1 or not tensor.data:
            message = f'The tensor "{shown(name)}" has the shape {list(tensor.shape)}; a vector is [D].'
            raise LearnedError("bad-vector", message, "Store each vector as a tensor of its own, under its own name.")
        if tensor.shape[0] > MAX_DIM:
            message = f'The tensor "{shown(name)}" has {tensor.shape[0]} numbers; no model has more than {MAX_DIM}.'
            raise LearnedError("bad-vector", message, "Store each vector as a tensor of its own, under its own name.")
        return np.frombuffer(tensor.data, dtype=_DTYPES[tensor.dtype]).astype(np.float64)

    def _hint(self, name: str) -> str:
        if guess := closest(name, self._tensors):
            return f'Did you mean "{guess}"?'
        names = [shown(each) for each in sorted(self._tensors)[:_NAMES_SHOWN]]
        more = f" and {len(self._tensors) - len(names)} more" if len(self._tensors) > len(names) else ""
        return f"It holds {', '.join(names)}{more}." if names else "It holds none at all: write it again."


def _unit_bytes(numbers: NDArray[np.float64], name: str) -> bytes:
    """Bring [D] to unit length, giving the same bytes on every machine: they are part of the policy's digest.

    A float32 squared is exact in float64, and `math.fsum`, a square root and a division are rounded correctly by
    every machine; the sum of a BLAS is not.
    """
    if not np.isfinite(numbers).all():
        message = f'The tensor "{shown(name)}" holds NaN or infinity.'
        raise LearnedError("bad-vector", message, "Write the file again from finite numbers.")
    length = math.sqrt(math.fsum((numbers * numbers).tolist()))
    if length < SHORTEST:
        message = f'The tensor "{shown(name)}" is zero, which points nowhere.'
        raise LearnedError("bad-vector", message, "Write the file again, or leave this prompt out.")
    unit = (numbers / length).astype("<f4") + np.float32(0.0)  # -0.0 becomes 0.0: they judge alike
    return unit.astype("<f4").tobytes()
