"""Q16's two learned prompt vectors in, a policy that gives its verdict at any probability out.

Q16 reads an image as inappropriate with the probability `softmax(100 * cos(v, p_0), 100 * cos(v, p_1))[1]`, where `p_0`
stands for "non inappropriate" and `p_1` for "inappropriate". A softmax over two is a sigmoid of the difference: with
`d = p_1/|p_1| - p_0/|p_0|` the probability is `sigmoid(100 * v.d)`, and `v.d = |d| * cos(v, d)`. So the probability
reaches `t` exactly where `cos(v, d)` reaches `logit(t) / (100 * |d|)`: one vector and one bound on its cosine.

Source: Schramowski, Tauchmann, Kersting 2022, FAccT, arXiv 2202.06675; github.com/ml-research/Q16, main/models/clip.py
(`ClipSimModel_Infer`: unit vectors, factor 100) and main/paper_experiments/experiments.py (`labels`, the softmax, and
0.90 as the least probability it lists an image at). Its prompts are for OpenAI's ViT-B/16, ViT-B/32 and ViT-L/14.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ConfigError
from clipwarden.policy.schema import Mode
from clipwarden_export.errors import SourceError
from clipwarden_export.importers.imported import header
from clipwarden_export.importers.tensors import read_tensors

POLICY_ID = "q16"
VECTORS_NAME = "q16.safetensors"
SCALE = 100.0
"""The factor in front of its cosines."""
SEVERITY = 2
"""One class stands for everything its raters found inappropriate, from the disturbing to the violent."""

_VECTOR = "inappropriate"
_CLASSES = 2
# Below this the two prompts are one, and the bound divides by the distance between them.
_LEAST_DISTANCE = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Direction:
    """Where Q16 looks.

    Attributes:
        vector: float32 [D], unit norm: from the one prompt to the other.
        length: `|d|`, the distance between the unit prompts, at most 2.
    """

    vector: NDArray[np.float32]
    length: float


def load_q16(path: Path, *, pickle: str | None = None) -> Direction:
    """Read the prompts.

    Args:
        path: One [2,D] array: `prompts.p` as Q16 ships it, or .npy, .npz, .safetensors.
        pickle: File name of a pickle that the user insists on.

    Returns:
        The direction from "non inappropriate" to "inappropriate".

    Raises:
        SourceError: Unreadable, a pickle that was not named, or not two different vectors.
    """
    arrays = read_tensors(path, pickle_named=pickle)
    if len(arrays) != 1:
        raise SourceError(f"{path.name} holds {len(arrays)} arrays; Q16's prompts are one, of shape [2,D].")
    prompts = next(iter(arrays.values())).astype(np.float64)
    if prompts.ndim != _CLASSES or len(prompts) != _CLASSES:
        raise SourceError(f"{path.name} holds an array of shape {list(prompts.shape)}; Q16's prompts are [2,D].")
    lengths = np.linalg.norm(prompts, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise SourceError(f"{path.name} holds a vector that is zero or not finite.")
    fine, inappropriate = prompts / lengths
    difference = inappropriate - fine
    length = float(np.linalg.norm(difference))
    if length < _LEAST_DISTANCE:
        raise SourceError(f"Both vectors of {path.name} point the same way, so they tell nothing apart.")
    return Direction(vector=(difference / length).astype(np.float32), length=length)


def cosine_bound(probability: float, length: float) -> float:
    """Turn a probability into the cosine to the direction at which Q16 gives it.

    Args:
        probability: In (0, 1).
        length: Of `Direction`.

    Returns:
        The bound, in [-1, 1].

    Raises:
        ConfigError: No such probability, or one that no image can reach, or every image does.
    """
    if not 0.0 < probability < 1.0:
        raise ConfigError(f"--threshold is a probability between 0 and 1, ends excluded, not {probability:g}.")
    bound = (math.log(probability) - math.log1p(-probability)) / (SCALE * length)
    if not -1.0 <= bound <= 1.0:
        side = "no image reaches" if bound > 0 else "every image reaches"
        least = 1.0 / (1.0 + math.exp(SCALE * length))
        raise ConfigError(
            f"With these prompts {side} the probability {probability:g}; choose --threshold between "
            f"{least:.4g} and {1.0 - least:.4g}."
        )
    return bound


def policy_document(
    direction: Direction, *, threshold: float, fingerprint: str, source: str, mode: Mode
) -> dict[str, object]:
    """Write Q16 as a policy.

    Args:
        direction: Of its prompts.
        threshold: Probability from which an image is blocked, inclusive.
        fingerprint: Of the model it is bound to.
        source: For the reason.
        mode: Of the category.

    Returns:
        The policy's document; its vector is that of `policy_arrays`.

    Raises:
        ConfigError: The threshold cannot be reached.
    """
    factor = SCALE * direction.length
    return {
        **header(POLICY_ID, f"imported from {source}", fingerprint, mode),
        "categories": [
            {
                "id": _VECTOR,
                "severity": SEVERITY,
                "definition": f"Q16: inappropriate with probability sigmoid({factor:.6g} * cosine), "
                f"blocked from {threshold:g}.",
                "prompts": [{"vector": _VECTOR, "file": VECTORS_NAME}],
                "scoring": {"method": "cosine"},
                "thresholds": {"unit": "cosine", "block": cosine_bound(threshold, direction.length)},
            }
        ],
    }


def policy_arrays(direction: Direction) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Name the vector as `policy_document` does: file name to tensor name to float32 [D]."""
    return {VECTORS_NAME: {_VECTOR: direction.vector}}
