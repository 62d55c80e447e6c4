"""What comes out of the engine: an image's embeddings, and a verdict with what it was made from; frozen values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.engine.snapshot import Selection
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.verdict import CategoryResult, Judgement, ViewRef
from clipwarden.vision.facts import ImageFacts
from clipwarden.vision.plan import WHOLE, ViewPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedTimings:
    """Where the time between bytes and embeddings went, in seconds, and with how many views the image was encoded."""

    decode_wait: float
    decode: float
    queue: float
    encode: float
    total: float
    batch_size: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmbeddedImage:
    """One image as a model sees it: all that any policy for that model needs in order to judge it, now or later.

    Attributes:
        embeddings: `[V,D]` float32, unit rows.
        views: V names, in row order.
        facts: About the image; its file is None where only embeddings were kept.
        fingerprint: Of the model.
        plan: Which views were looked at.
        timings: None for embeddings that were kept.
    """

    embeddings: NDArray[np.float32]
    views: Sequence[ViewRef]
    facts: ImageFacts
    fingerprint: str
    plan: ViewPlan = WHOLE
    timings: EmbedTimings | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """A verdict and what it was made from.

    Attributes:
        judgement: The verdict and its numbers.
        image: What was judged.
        selection: What it was judged with.
        judge_seconds: Time of judging alone.
        total_seconds: From admission to verdict.
    """

    judgement: Judgement
    image: EmbeddedImage
    selection: Selection
    judge_seconds: float
    total_seconds: float

    @property
    def verdict(self) -> Verdict:
        """The verdict itself."""
        return self.judgement.verdict

    @property
    def decided_by(self) -> tuple[str, ...]:
        """Ids of the categories behind it; empty on ALLOW."""
        return self.judgement.decided_by

    @property
    def categories(self) -> tuple[CategoryResult, ...]:
        """Each category's part in it, in the policy file's order."""
        return self.judgement.categories
