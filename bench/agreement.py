"""Model folders of one checkpoint in, how far their embeddings, prompts and decisions agree out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.modelfolder.encoder import TextEncoder
from clipwarden.modelfolder.load import load_model
from clipwarden.modelfolder.manifest import ModelManifest
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Bounds, Category, Mode, Policy, Thresholds
from clipwarden_export.verification.compare import Figures, PromptFigures, compare, compare_prompts
from clipwarden_export.verification.decisions import TextVectors, category_scores, decide, policy_texts
from clipwarden_export.verification.evidence import prepare_images

_BATCH = 16
Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """What one folder makes of the pictures and of a policy's texts.

    Attributes:
        folder: Which.
        manifest: Its own.
        images: float32 [N,D].
        side: Vectors of the policy's texts and of the background; None without a policy.
    """

    folder: Path
    manifest: ModelManifest
    images: NDArray[np.float32]
    side: TextVectors | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionFigures:
    """On how many pictures decisions are the same, each category's threshold at the reference's median score.

    That is the hardest place for a threshold: half of the pictures lie on either side, and most lie near.

    Attributes:
        mean: Share of pictures with the same verdict, the mean over policies of one category each.
        worst: The least of these shares.
        worst_category: Whose.
        whole: Share of pictures on which every category agrees.
    """

    mean: float
    worst: float
    worst_category: str
    whole: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far one folder agrees with the reference.

    Attributes:
        images: Closeness of embeddings.
        prompts: Movement of cosines to the policy's texts; None without a policy, or without a text in it.
        decisions: None without a policy.
    """

    images: Figures
    prompts: PromptFigures | None
    decisions: DecisionFigures | None


def ask(folder: Path, pictures: Sequence[Image.Image], policy: Policy | None, advance: Advance) -> Answers:
    """Embed the pictures, and a policy's texts, with one folder.

    Args:
        folder: A model folder; with a text encoder and a background where a policy is given.
        pictures: RGB, of any size.
        policy: Unbound; None embeds pictures alone.
        advance: Called with the number of items done since the last call.

    Returns:
        The answers.

    Raises:
        ModelError: The folder cannot be loaded, or lacks what the policy needs.
    """
    model = load_model(folder)
    rows = []
    for start in range(0, len(pictures), _BATCH):
        part = pictures[start : start + _BATCH]
        rows.append(model.image.encode(prepare_images(part, model.manifest.image)))
        advance(len(part))
    side = None
    if policy is not None:
        if model.text is None or model.background is None:
            raise SystemExit(f"{folder} has no text encoder or no background; decisions need both.")
        texts = policy_texts(policy)
        side = TextVectors(
            facts=model.manifest,
            tokenizer=model.text.tokenizer,
            texts=texts,
            vectors=_embed(model.text, texts, advance) if texts else np.empty((0, model.manifest.dim), np.float32),
            background=model.background,
        )
    return Answers(folder=folder, manifest=model.manifest, images=np.concatenate(rows), side=side)


def agree(reference: Answers, other: Answers, policy: Policy | None) -> Agreement:
    """Compare a folder's answers with the reference's.

    Args:
        reference: Of the first folder.
        other: Of any folder, the first among them.
        policy: As for `ask`.

    Returns:
        The figures.
    """
    images = compare(reference.images, other.images)
    if policy is None or reference.side is None or other.side is None:
        return Agreement(images=images, prompts=None, decisions=None)
    prompts = None  # a policy of learned vectors or heads has no text
    if reference.side.texts:
        prompts = compare_prompts((reference.images, other.images), (reference.side.vectors, other.side.vectors))
    return Agreement(images=images, prompts=prompts, decisions=_decisions(reference, other, policy))


def at_medians(policy: Policy, scores: NDArray[np.float64]) -> Policy:
    """Enforce every scored category, and review at its median.

    Args:
        policy: Unbound.
        scores: float64 [N,C] of the reference; a column of NaN leaves its category out.

    Returns:
        The policy; exemptions and contexts dropped, which would hide what the scores do.
    """
    medians = np.median(scores, axis=0)
    kept = [
        _enforced(category, float(median))
        for category, median in zip(policy.categories, medians, strict=True)
        if np.isfinite(median)
    ]
    return replace(policy, categories=tuple(kept))


def _enforced(category: Category, median: float) -> Category:
    unit = METHODS[category.method].unit
    thresholds = Thresholds(unit=unit, bounds=Bounds(review=median))
    return replace(category, mode=Mode.ENFORCE, thresholds=thresholds, exemptions=(), contexts={})


def _decisions(reference: Answers, other: Answers, policy: Policy) -> DecisionFigures:
    if reference.side is None or other.side is None:
        raise AssertionError("both sides embed the policy's texts")
    strict = at_medians(policy, category_scores(policy, reference.side, reference.images))
    theirs, ours = (
        np.asarray([decision.bands for decision in decide(strict, side, images)])
        for side, images in ((reference.side, reference.images), (other.side, other.images))
    )
    same = theirs == ours
    shares = same.mean(axis=0)
    return DecisionFigures(
        mean=float(shares.mean()),
        worst=float(shares.min()),
        worst_category=strict.categories[int(shares.argmin())].id,
        whole=float(same.all(axis=1).mean()),
    )


def _embed(encoder: TextEncoder, texts: Sequence[str], advance: Advance) -> NDArray[np.float32]:
    rows = []
    for text in texts:
        rows.append(encoder.embed([text]))
        advance(1)
    return np.concatenate(rows)
