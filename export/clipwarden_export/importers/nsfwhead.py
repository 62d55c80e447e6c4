"""LAION's NSFW heads in, or any chain of Linear layers with ReLU between; a head that policies read out.

LAION ships two kinds, both for unit embeddings (its converter and its training normalise what they feed them):

- ViT-B/32 and ViT-L/14, converted from Keras: `norm.mean`, `norm.variance`, then `linear_1` to `linear_N`, a ReLU
  between all, and a sigmoid at the end. The normalisation is folded into the first layer.
- ViT-H/14: an `nn.Sequential` called `layers`, in which a gap of three between two indices is a ReLU and a Dropout, and
  a gap of one is nothing: its last two layers are folded into one. It was fitted to 0 and 1 by squared error, so what
  it gives is the score itself. A policy's head ends with a sigmoid, which never changes an order: a threshold `t` on
  the value becomes `sigmoid(t)` on the score.

Source: github.com/LAION-AI/CLIP-based-NSFW-Detector, src/models.py (layers), convert_heads_to_pytorch.py (unit inputs),
old/docs/train_h14_nsfw.md (squared error); github.com/rom1504/clip-retrieval, clip_retrieval/h14_nsfw_model.py.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ConfigError
from clipwarden.policy.schema import Mode
from clipwarden_export.errors import SourceError
from clipwarden_export.importers.imported import header
from clipwarden_export.importers.tensors import Arrays, read_tensors

POLICY_ID = "laion-nsfw"
HEAD_NAME = "nsfw-head.safetensors"
SEVERITY = 2
"""LAION calls it a detector of nudity and pornography; `sexual.nudity` of the default policy has this much."""
EPSILON = 1e-10
"""Added to a standard deviation by LAION's own class."""

_LINEAR = re.compile(r"(?P<stem>.*?)(?P<index>\d+)\.(?P<part>weight|bias)")
_NORM = ("norm.mean", "norm.variance")
_RELU_AND_DROPOUT = 3  # distance between two Linear layers of an nn.Sequential with both in between
_MATRIX = 2
_GREATEST_VALUE = 30.0  # far beyond any threshold on a value near 0 to 1; a sigmoid is 1.0 in float64 above 37

Floats = NDArray[np.float64]


class Reading(StrEnum):
    """What the last layer's number is."""

    LOGIT = "logit"
    """Its sigmoid is the probability that thresholds are chosen on."""
    VALUE = "value"
    """It is itself what thresholds are chosen on."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NsfwHead:
    """A head, folded into Linear layers with a ReLU between all of them.

    Attributes:
        layers: Weight float32 [out,in] and bias float32 [out] of each.
        reading: How its thresholds are meant.
    """

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    reading: Reading

    @property
    def width(self) -> int:
        """D of the embeddings it reads."""
        return int(self.layers[0][0].shape[1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Linear:
    index: int
    weight: Floats
    bias: Floats


def load_head(
    path: Path, *, pickle: str | None = None, reading: Reading | None = None, relu_in_gaps_of_two: bool = False
) -> NsfwHead:
    """Read and fold a head.

    Args:
        path: A torch state dict or .safetensors.
        pickle: File name of a pickle that the user insists on.
        reading: None takes what its layout means at LAION.
        relu_in_gaps_of_two: What lies between two layers of an `nn.Sequential` whose indices differ by two: a ReLU, or
            else a Dropout, which a file does not tell.

    Returns:
        The head.

    Raises:
        SourceError: Unreadable, a pickle that was not named, or no chain of Linear layers that ends in one number.
    """
    tensors = read_tensors(path, pickle_named=pickle)
    stem, layers = _read_layers(tensors, path)
    _check_chain(layers, path)
    sequential = stem.endswith(".") or not stem
    if not sequential:
        _require_all(layers, path)
    runs = list(_runs(layers, path, relu_in_gaps_of_two=relu_in_gaps_of_two)) if sequential else [[x] for x in layers]
    folded = [_fold(run) for run in runs]
    if any(name in tensors for name in _NORM):
        folded[0] = _fold_norm(folded[0], tensors, path)
    return NsfwHead(
        layers=tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in folded),
        reading=reading or (Reading.VALUE if sequential else Reading.LOGIT),
    )


def score_bound(threshold: float, reading: Reading) -> float:
    """Turn a threshold as the head's users know it into one on a policy's score.

    Args:
        threshold: On the probability, in (0, 1); or on the value, any finite number.
        reading: Of the head.

    Returns:
        The bound, in (0, 1).

    Raises:
        ConfigError: No such threshold.
    """
    bound = threshold
    if reading is Reading.VALUE:
        bound = 1.0 / (1.0 + math.exp(-threshold)) if abs(threshold) <= _GREATEST_VALUE else math.nan
    if not 0.0 < bound < 1.0:
        kind = "a probability between 0 and 1" if reading is Reading.LOGIT else "a value of this head, near 0 to 1"
        raise ConfigError(f"--threshold is {kind}, not {threshold:g}.")
    return bound


def policy_document(
    head: NsfwHead, *, threshold: float, fingerprint: str, source: str, mode: Mode
) -> dict[str, object]:
    """Write a head as a policy.

    Args:
        head: Loaded.
        threshold: From which an image is blocked, inclusive, as `score_bound` takes it.
        fingerprint: Of the model it is bound to.
        source: For the reason.
        mode: Of the category.

    Returns:
        The policy's document; its head is that of `policy_arrays`.

    Raises:
        ConfigError: No such threshold.
    """
    what = "probability" if head.reading is Reading.LOGIT else "value"
    return {
        **header(POLICY_ID, f"imported from {source}", fingerprint, mode),
        "categories": [
            {
                "id": "nsfw",
                "severity": SEVERITY,
                "definition": f"Nudity or pornography by the head {source}, blocked from a {what} of {threshold:g}.",
                "scoring": {"method": "head", "file": HEAD_NAME},
                "thresholds": {"unit": "score", "block": score_bound(threshold, head.reading)},
            }
        ],
    }


def policy_arrays(head: NsfwHead) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Name the layers as policies want them: file name to `layers.N.weight` [out,in] and `layers.N.bias` [out]."""
    named = {}
    for number, (weight, bias) in enumerate(head.layers):
        named[f"layers.{number}.weight"], named[f"layers.{number}.bias"] = weight, bias
    return {HEAD_NAME: named}


def _read_layers(tensors: Arrays, path: Path) -> tuple[str, list[_Linear]]:
    found = {name: match for name in tensors if (match := _LINEAR.fullmatch(name))}
    strange = sorted(set(tensors) - set(found) - set(_NORM))
    stems = {match["stem"] for match in found.values()}
    if strange or len(stems) != 1:
        such = strange[0] if strange else ", ".join(sorted(stems)) or "nothing"
        raise SourceError(
            f"{path.name} is no chain of Linear layers under one name, such as layers.0.weight; it has {such}."
        )
    stem = stems.pop()
    indices = sorted({int(match["index"]) for match in found.values()})
    return stem, [_read_layer(tensors, stem, index, path) for index in indices]


def _read_layer(tensors: Arrays, stem: str, index: int, path: Path) -> _Linear:
    weight = tensors.get(f"{stem}{index}.weight")
    if weight is None or weight.ndim != _MATRIX:
        raise SourceError(f"{stem}{index} of {path.name} has no weight of shape [out,in]: it is no Linear layer.")
    bias = tensors.get(f"{stem}{index}.bias", np.zeros(len(weight), dtype=np.float32))
    if bias.shape != (len(weight),) or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise SourceError(f"{stem}{index} of {path.name} has a bias that does not fit, or numbers that are not finite.")
    return _Linear(index=index, weight=weight.astype(np.float64), bias=bias.astype(np.float64))


def _check_chain(layers: Sequence[_Linear], path: Path) -> None:
    for before, after in pairwise(layers):
        if len(before.weight) != after.weight.shape[1]:
            raise SourceError(
                f"Layer {before.index} of {path.name} gives {len(before.weight)} numbers and layer {after.index} takes "
                f"{after.weight.shape[1]}."
            )
    if len(layers[-1].weight) != 1:
        raise SourceError(f"{path.name} gives {len(layers[-1].weight)} numbers for an image; a head gives one.")


def _require_all(layers: Sequence[_Linear], path: Path) -> None:
    """Insist that no named layer is missing, which widths alone do not tell."""
    for before, after in pairwise(layers):
        if after.index != before.index + 1:
            raise SourceError(f"{path.name} has layers {before.index} and {after.index}, and none between.")


def _runs(layers: Sequence[_Linear], path: Path, *, relu_in_gaps_of_two: bool) -> Iterator[list[_Linear]]:
    """Cut a Sequential's layers where a ReLU lies between them."""
    run = [layers[0]]
    for before, after in pairwise(layers):
        gap = after.index - before.index
        if gap == _RELU_AND_DROPOUT - 1 and not relu_in_gaps_of_two:
            raise SourceError(
                f"Between layers {before.index} and {after.index} of {path.name} lies one module without weights: a "
                "ReLU or a Dropout, which the file does not tell. If it is a ReLU: --relu-in-gaps."
            )
        if gap > _RELU_AND_DROPOUT:
            raise SourceError(f"Between layers {before.index} and {after.index} of {path.name} lie too many modules.")
        if gap == 1:
            run.append(after)
        else:
            yield run
            run = [after]
    yield run


def _fold(run: Sequence[_Linear]) -> tuple[Floats, Floats]:
    """Make one layer of several without anything between: `W2 (W1 x + b1) + b2`."""
    weight, bias = run[0].weight, run[0].bias
    for layer in run[1:]:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
    return weight, bias


def _fold_norm(
    layer: tuple[Floats, Floats], tensors: Mapping[str, NDArray[np.float32]], path: Path
) -> tuple[Floats, Floats]:
    """Put `(x - mean) / (sqrt(variance) + epsilon)` into the first layer."""
    weight, bias = layer
    width = (weight.shape[1],)
    mean, variance = (tensors.get(name, np.empty(0)).astype(np.float64).reshape(-1) for name in _NORM)
    if mean.shape != width or variance.shape != width or not np.isfinite(mean).all() or not (variance > 0).all():
        raise SourceError(f"{path.name} must have {' and '.join(_NORM)} of {width[0]} numbers, variances above 0.")
    scaled = weight / (np.sqrt(variance) + EPSILON)
    return scaled, bias - scaled @ mean
