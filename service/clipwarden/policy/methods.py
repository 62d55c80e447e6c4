"""A scoring method in, everything that sets it apart out: the table that readers, rules, pages and scoring ask."""

from collections.abc import Mapping
from dataclasses import dataclass

from clipwarden.policy.schema import Method, Unit

LOWEST: Mapping[Unit, float] = {Unit.COSINE: -1.0, Unit.SCORE: 0.0}
"""Lower end of each unit's range; the upper end of both is 1."""

_TEXTS = frozenset({"prompts", "negatives", "templates", "pool"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodFacts:
    """What one method needs and gives.

    Attributes:
        help: Its number, in words.
        unit: What thresholds on its number are compared in.
        takes: Keys of a concept, and of its `scoring`, that mean something under it, though not under all.
        needs_background: Whether its number is measured from the model's background texts.
        scale_is_open: Whether nothing but a calibration says how high a score is high.
    """

    help: str
    unit: Unit
    takes: frozenset[str]
    needs_background: bool = False
    scale_is_open: bool = False

    @property
    def lowest(self) -> float:
        """Lower end of the number's range; the upper end is 1."""
        return LOWEST[self.unit]

    @property
    def has_head(self) -> bool:
        """Whether a trained network gives the number."""
        return "file" in self.takes


METHODS: Mapping[Method, MethodFacts] = {
    Method.MARGIN: MethodFacts(
        help="how far the prompts stand out from about 300 neutral texts, less a penalty for better-matching "
        "negatives, through a sigmoid",
        unit=Unit.SCORE,
        takes=_TEXTS | {"calibration"},
        needs_background=True,
        scale_is_open=True,
    ),
    Method.COSINE: MethodFacts(
        help="the plain similarity of image and prompts, and what an adjustment adds; no negatives, no calibration",
        unit=Unit.COSINE,
        takes=_TEXTS - {"negatives"} | {"adjustments"},
    ),
    Method.HEAD: MethodFacts(
        help="a small network trained on the model's image vectors, through a sigmoid; no prompts, negatives, "
        "templates or pool",
        unit=Unit.SCORE,
        takes=frozenset({"file", "calibration"}),
    ),
}
