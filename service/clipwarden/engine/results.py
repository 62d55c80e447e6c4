"""What comes out of the engine: an image's embeddings, and a verdict with what it was made from; frozen values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.engine.settings import Source
from clipwarden.modelfolder.load import ModelIdentity
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
        timings: None for embeddings that were kept, or made for another request.
        source: What gave them to the request that asked; None for embeddings that the request brought along.
    """

    embeddings: NDArray[np.float32]
    views: Sequence[ViewRef]
    facts: ImageFacts
    fingerprint: str
    plan: ViewPlan = WHOLE
    timings: EmbedTimings | None = None
    source: Source | None = None

    @property
    def from_cache(self) -> bool:
        """Whether they were kept, or made for another request of the same bytes: no encoder ran for this one."""
        return self.source in ("cache", "shared")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """A verdict and what it was made from.

    Attributes:
        judgement: The verdict and its numbers, and the policy that gave it, by id and digest.
        image: What was judged.
        model: What saw it, and where that ran.
        judge_seconds: Time of judging alone.
        total_seconds: From admission to verdict.
    """

    judgement: Judgement
    image: EmbeddedImage
    model: ModelIdentity
    judge_seconds: float
    total_seconds: float

    def __repr__(self) -> str:
        """Say it in a line; the parts say the rest."""
        by = f" by {', '.join(self.decided_by)}" if self.decided_by else ""
        return f"<Judged {self.verdict.name}{by}, policy {self.judgement.policy_id}, model {self.model.name}>"

    @property
    def verdict(self) -> Verdict:
        """The verdict itself."""
        return self.judgement.verdict

    @property
    def partial(self) -> bool:
        """Whether something of the image was not looked at, or too little of it for a floor of the policy."""
        return self.image.facts.partial or bool(self.judgement.missed)

    @property
    def unseen(self) -> tuple[str, ...]:
        """What of the image was not looked at, and which floors of the policy were missed, by name."""
        return (*self.image.facts.unseen, *self.judgement.missed)

    @property
    def decided_by(self) -> tuple[str, ...]:
        """Ids of the categories behind it; empty on ALLOW."""
        return self.judgement.decided_by

    @property
    def categories(self) -> tuple[CategoryResult, ...]:
        """Each category's part in it, in the policy file's order."""
        return self.judgement.categories
