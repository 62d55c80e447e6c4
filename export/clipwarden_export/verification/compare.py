"""Reference and candidate vectors in, figures and a verdict on them out; pure numpy."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.modelfolder.manifest import Precision

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """The worst that may be published.

    Attributes:
        relative_error: Largest (1 - cosine to the reference) / (median 1 - cosine between different inputs).
        cosine: Least cosine of an output to its reference.
        prompt_change: Largest 99th percentile of the change of a cosine between an image and a prompt; None: no bar.
    """

    relative_error: float
    cosine: float
    prompt_change: float | None = None


# 1 - cosine of two float32 unit vectors that are one but for rounding: about 1e-12 for a distance of 1e-6, and a
# hundred times that for deep towers. The closest different inputs of seeded ViTs are a million times further apart.
_SAME = 1e-10
# fp32: rounding alone; fp16: 11 bits; int8: what a threshold window of 0.03 (LAION's 0.19 to 0.22) can bear.
BARS: Mapping[Precision, Bar] = {
    "fp32": Bar(relative_error=1e-3, cosine=0.99999),
    "fp16": Bar(relative_error=0.02, cosine=0.9995),
    "int8": Bar(relative_error=0.1, cosine=0.99, prompt_change=0.003),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """How close a candidate's vectors are to the reference's.

    Attributes:
        samples: N.
        worst_cosine: Least cosine of an output to its own reference.
        mean_cosine: Mean of the same.
        spread: Median of 1 - cosine between references of different inputs.
        relative_error: Largest 1 - cosine to the own reference, over `spread`; infinite when the spread is 0.
        nearest_own: Share of outputs whose nearest reference is their own.
    """

    samples: int
    worst_cosine: float
    mean_cosine: float
    spread: float
    relative_error: float
    nearest_own: float

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON; an infinite error becomes the largest float."""
        return {name: float(np.nan_to_num(value)) for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptFigures:
    """How far image-prompt cosines move, which is what thresholds see.

    Attributes:
        prompts: P.
        change_p99: 99th percentile of |change of a cosine| over all images and prompts.
        top_prompt_agreement: Share of images whose best prompt is the same one.
    """

    prompts: int
    change_p99: float
    top_prompt_agreement: float


def compare(reference: Vectors, candidate: Vectors) -> Figures:
    """Compare vectors of the same inputs.

    Args:
        reference: float32 [N,D], unit norm, N >= 2.
        candidate: float32 [N,D], unit norm.

    Returns:
        The figures. Random weights give every image nearly the same vector, so a bare cosine would prove little:
        the error is also set against the spread between different inputs.
    """
    own, theirs = _unit(reference), _unit(candidate)
    # 1 - cos of unit vectors is half the squared distance; the difference form keeps digits that 1 - dot loses.
    gaps = 0.5 * np.square(own - theirs).sum(axis=1)
    spread = _spread(own)
    crossed = _gaps(theirs, own)
    return Figures(
        samples=len(own),
        worst_cosine=float(1.0 - gaps.max()),
        mean_cosine=float(1.0 - gaps.mean()),
        spread=spread,
        relative_error=float(gaps.max() / spread) if spread > 0 else float("inf"),
        nearest_own=float(np.mean(_is_nearest_own(crossed, own))),
    )


def compare_prompts(images: tuple[Vectors, Vectors], prompts: tuple[Vectors, Vectors]) -> PromptFigures:
    """Compare cosines between images and prompts.

    Args:
        images: Reference and candidate, float32 [N,D] each.
        prompts: Reference and candidate, float32 [P,D] each.

    Returns:
        The figures.
    """
    reference = _unit(images[0]) @ _unit(prompts[0]).T
    candidate = _unit(images[1]) @ _unit(prompts[1]).T
    return PromptFigures(
        prompts=reference.shape[1],
        change_p99=float(np.quantile(np.abs(candidate - reference), 0.99)),
        top_prompt_agreement=float(np.mean(reference.argmax(axis=1) == candidate.argmax(axis=1))),
    )


def shortfalls(what: str, figures: Figures, bar: Bar) -> list[str]:
    """Say which figures miss the bar, and by how much.

    Args:
        what: Which encoder and provider, such as `images on CPUExecutionProvider`.
        figures: Measured.
        bar: The worst allowed.

    Returns:
        One sentence a miss; empty when all is well. Written so that NaN misses too.
    """
    found = []
    if not figures.spread > 0:
        found.append(f"{what}: the checkpoint gives every input the same vector, so nothing can be told from it.")
    elif not figures.relative_error <= bar.relative_error:
        found.append(
            f"{what}: the error is {figures.relative_error:.3g} of the spread between different inputs, "
            f"{figures.relative_error / bar.relative_error:.3g} times the {bar.relative_error:g} allowed."
        )
    if not figures.worst_cosine >= bar.cosine:
        short = bar.cosine - figures.worst_cosine
        found.append(f"{what}: the worst cosine is {figures.worst_cosine:.6f}, {short:.3g} short of {bar.cosine}.")
    if not figures.nearest_own >= 1.0:
        share = 1.0 - figures.nearest_own
        found.append(f"{what}: {share:.1%} of the outputs are nearer to another input's reference than to their own.")
    return found


def prompt_shortfalls(what: str, figures: PromptFigures, bar: Bar) -> list[str]:
    """Say whether image-prompt cosines move too far.

    Args:
        what: Which provider.
        figures: Measured.
        bar: The worst allowed; without `prompt_change` nothing can be missed.

    Returns:
        At most one sentence.
    """
    if bar.prompt_change is None or figures.change_p99 <= bar.prompt_change:
        return []
    sentence = (
        f"{what}: cosines to prompts move by {figures.change_p99:.4f} (99th percentile), "
        f"{figures.change_p99 / bar.prompt_change:.3g} times the {bar.prompt_change} allowed; "
        "thresholds would have to be fitted again for this model."
    )
    return [sentence]


def _is_nearest_own(crossed: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of every output [N] whether its nearest reference is its own, or one that is the same but for rounding.

    Texts that differ in case alone are one text to many tokenizers, and a matrix product rounds its rows differently.
    """
    nearest = crossed.argmin(axis=1)
    apart = 0.5 * np.square(own - own[nearest]).sum(axis=1)
    return np.asarray((crossed.diagonal() <= crossed.min(axis=1)) | (apart <= _SAME))


def _unit(vectors: Vectors) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def _gaps(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the squared distance of every pair, [N,M]; exact differences, one row at a time to save memory."""
    return np.stack([0.5 * np.square(right - row).sum(axis=1) for row in left])


def _spread(vectors: NDArray[np.float64]) -> float:
    upper = np.triu_indices(len(vectors), k=1)
    return float(np.median(_gaps(vectors, vectors)[upper]))
