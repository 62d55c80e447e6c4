"""Labels of one half in; the lines and the calibration that tuning chooses on them, out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bench.tuning.materials import PREVALENCE, Materials
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.calibration import Fitted, Unfit, calibrate
from clipwarden.tuning.labels.model import Design, Labels
from clipwarden.tuning.lines.promises import Line, NotMet
from clipwarden.tuning.lines.strictness import line_for_fpr
from clipwarden.tuning.scores import StoreScores, score_store
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.cases import Cases, join
from clipwarden.tuning.tune.limits import walk_standing

LIMITS: Final = (0.015, 0.002, 0.005, 0.001)
"""Greatest shares of harmless pictures stopped: those of the shipped review and block lines, and stricter ones."""
DELTA: Final = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """What was chosen on one half.

    Attributes:
        lines: By limit; or what is missing.
        fitted: The calibration; or why there is none. None keeps the one in force.
        labels: How many labels it took, by limit.
    """

    lines: Mapping[float, Line | NotMet]
    fitted: Fitted | Unfit | None
    labels: Mapping[float, int]


@dataclass(frozen=True, eq=False)
class Judged:
    """A store with a policy's scores."""

    store: Store
    compiled: CompiledPolicy

    @cached_property
    def scores(self) -> StoreScores:
        """By the policy."""
        return score_store(self.store, prepare(self.compiled))

    def cases(self, labels: Labels) -> Mapping[str, Cases]:
        """Join labels with the scores, by category."""
        return join(self.store, self.scores, labels, labels.categories)


def by_labels(cases: Cases) -> Chosen:
    """Choose as `tune` does by labels of a set, or of a sample.

    Args:
        cases: Labelled pictures of one category. A set has no prevalence, so it is stated; a sample says it itself.
    """
    tested = cases.drawn_alike
    lines = {
        limit: line_for_fpr(
            cases.scores[tested],
            limit=limit,
            delta=DELTA,
            group=cases.group[tested],
            u=cases.u[tested],
            uploads=cases.uploads[tested],
            others=cases.scores[~tested],
        )
        for limit in LIMITS
    }
    stated = PREVALENCE if cases.design is Design.SET else None
    uploads = None if cases.pi is None else cases.uploads
    fitted = calibrate(
        cases.scores, cases.positive, pi=cases.pi, groups=cases.group, uploads=uploads, prevalence=stated
    )
    return Chosen(lines=lines, fitted=fitted, labels=dict.fromkeys(LIMITS, len(cases)))


def from_the_top(materials: Materials, traffic: Judged, half: int, category: str) -> Chosen:
    """Choose by walks from the top of one half's traffic, one a limit: wrong stops per upload, and no calibration."""
    lines: dict[float, Line | NotMet] = {}
    labels = {}
    for limit in LIMITS:
        said, labels[limit] = materials.top(half, category, limit)
        walked = traffic.cases(said)[category].walked
        assert walked is not None  # noqa: S101  of labels from the top
        lines[limit] = walk_standing(walked, limit, DELTA)[0]
    return Chosen(lines=lines, fitted=None, labels=labels)
