"""What a store says of itself: what its uploads are, and what saw its pictures."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from clipwarden.vision.plan import ViewPlan


class Source(StrEnum):
    """What the uploads of a store are: what may be concluded from them."""

    TRAFFIC = "traffic"
    """All uploads of a time, or a uniform sample of them: the only ones whose shares are shares of traffic."""
    SET = "set"
    """Chosen by somebody."""
    QUEUE = "queue"
    """What came to reviewers, or back from appeals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What saw the pictures of a store; vectors of two sights have nothing to do with one another.

    Attributes:
        model: Its name, for people.
        fingerprint: `sha256:...` of everything of the model that shapes a vector.
        provider: onnxruntime execution provider.
        precision: Of the model's weights, as its manifest writes it.
        plan: Which views were looked at.
        width: D, the numbers of a vector.
    """

    model: str
    fingerprint: str
    provider: str
    precision: str
    plan: ViewPlan
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreInfo:
    """What a store is, in short.

    Attributes:
        source: What its uploads are.
        since: First day of the uploads (UTC); None unless `source` is traffic.
        until: Last day of them, inclusive; None likewise.
        sight: What saw the pictures.
        digest: `sha256:...` of all that figures rest on: what is above, each upload's picture, time and slices, and
            which pictures cannot be judged, whatever the order; not of names, nor of the vectors, which picture and
            sight determine.
    """

    source: Source
    since: date | None
    until: date | None
    sight: Sight
    digest: str

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self.sight.fingerprint

    @property
    def provider(self) -> str:
        """What onnxruntime ran on."""
        return self.sight.provider

    @property
    def precision(self) -> str:
        """Of the model's weights."""
        return self.sight.precision

    @property
    def plan(self) -> ViewPlan:
        """Which views were looked at."""
        return self.sight.plan
