"""Judgements in, a histogram of each category's scores out: what shows that traffic, or the model's view of it, drifts.

Observing one by one would take a microsecond a category on the event loop. So an image leaves its scores in a list,
some of which are counted at once, by numpy, and the rest when Prometheus asks. Only policies that are loaded have
series, each under its digest: a changed policy begins at nothing, and is compared with the one before, not mixed.
"""

from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from clipwarden.engine.snapshot import Snapshot
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Policy, Unit
from clipwarden.scoring.verdict import Judgement

SCORES = (0.0003, 0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 0.999)
"""Upper ends for scores in [0, 1]: calibrated at a usual prevalence nearly all are small, and limits lie between 0.008
and 0.105 in the shipped sticker policy. Even in logits at both ends, and denser there."""
COSINES = (-0.1, 0.0, 0.05, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25, 0.275, 0.3, 0.325, 0.35, 0.4, 0.5, 0.7, 0.9)
"""Upper ends for cosines: of CLIP models, images and texts that fit have 0.2 to 0.35. Some are negative, so that their
sum could fall, and Prometheus' client leaves it out."""
_UPPER_ENDS = {Unit.SCORE: SCORES, Unit.COSINE: COSINES}
_NAMES = {
    Unit.SCORE: ("clipwarden_category_score", "Scores in [0, 1] of images judged, by category."),
    Unit.COSINE: ("clipwarden_category_cosine", "Cosines of images judged, by category that is compared by cosine."),
}
MOST_WAITING = 2000
"""Scores counted at once; a third of a millisecond, on the loop."""


class _Counts:
    """What was counted of one policy; C categories, B upper ends and one for infinity."""

    def __init__(self, policy: Policy) -> None:
        self.categories = [(each.id, METHODS[each.method].unit) for each in policy.categories]
        self.waiting: list[list[float]] = []
        count = len(self.categories)
        self.counts = np.zeros((count, len(SCORES) + 1), dtype=np.int64)
        self.sums = np.zeros(count)
        self._columns = {
            unit: np.array([index for index, (_, its) in enumerate(self.categories) if its is unit], dtype=np.intp)
            for unit in _UPPER_ENDS
        }

    def settle(self) -> None:
        """Count what waits; NaN stands for a category that was not evaluated."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        scores = np.array(waiting)  # [N,C]
        for unit, columns in self._columns.items():
            found = scores[:, columns]
            known = ~np.isnan(found)
            # Upper ends are inclusive.
            places = np.searchsorted(_UPPER_ENDS[unit], found, side="left")
            np.add.at(self.counts, (np.broadcast_to(columns, found.shape)[known], places[known]), 1)
        self.sums += np.nansum(scores, axis=0)


class ScoreHistograms(Collector):
    """The histograms of all policies that are loaded. Safe to use from any thread.

    Args:
        registry: Where they are collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = Lock()
        self._policies: dict[tuple[str, str], _Counts] = {}
        registry.register(self)

    def describe_policies(self, snapshot: Snapshot) -> None:
        """Keep the series of what is loaded, and of nothing else."""
        loaded = {(name, tables.compiled.digest): tables.compiled.policy for name, tables in snapshot.tables.items()}
        with self._lock:
            kept = self._policies
            self._policies = {key: kept.get(key) or _Counts(policy) for key, policy in loaded.items()}

    def note(self, judgement: Judgement) -> None:
        """Count an image's scores, unless its policy is loaded no more."""
        nan = np.nan
        scores = [nan if each.scored is None else each.scored.score for each in judgement.categories]
        with self._lock:
            counts = self._policies.get((judgement.policy_id, judgement.policy_digest))
            if counts is None:
                return
            counts.waiting.append(scores)
            if len(counts.waiting) * len(scores) >= MOST_WAITING:
                counts.settle()

    def describe(self) -> Iterable[Metric]:
        """Name what is collected, without collecting."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Render what was counted; for Prometheus."""
        families = dict(zip(_NAMES, self._families(), strict=True))
        with self._lock:
            for key, counts in self._policies.items():
                counts.settle()
                for index, (category, unit) in enumerate(counts.categories):
                    buckets = _buckets(_UPPER_ENDS[unit], counts.counts[index])
                    families[unit].add_metric([*key, category], buckets, float(counts.sums[index]))
        return list(families.values())

    def _families(self) -> list[HistogramMetricFamily]:
        labels = ["policy", "digest", "category"]
        return [HistogramMetricFamily(name, text, labels=labels) for name, text in _NAMES.values()]


def _buckets(
    upper_ends: Sequence[float], counts: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> list[tuple[str, float]]:
    """Add counts up, as Prometheus has them: [B+1] -> by upper end, how many are at most that."""
    names = [*(repr(end) for end in upper_ends), "+Inf"]
    return list(zip(names, map(float, counts.cumsum()), strict=True))
