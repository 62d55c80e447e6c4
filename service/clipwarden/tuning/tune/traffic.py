"""A store of uniform traffic and a policy's scores in; what its uploads say without a label, out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Bounds, Verdict
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.design.nearness import Told
from clipwarden.tuning.design.rates import Estimate, share
from clipwarden.tuning.design.sampling import chances
from clipwarden.tuning.grouping import group_store
from clipwarden.tuning.lines.capacity import CapacityLines, capacity_lines
from clipwarden.tuning.lines.path import fix_path, fixes_path
from clipwarden.tuning.lines.promises import NotMet
from clipwarden.tuning.scores import StoreScores
from clipwarden.tuning.store.info import Source
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.standing import with_numbers
from clipwarden.tuning.verdicts import judge_store

SEED: Final = "clipwarden tune traffic"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Traffic:
    """Pictures of one category that have a score, without labels; N of them.

    Attributes:
        scores: float64 `[N]`.
        group: intp `[N]`.
        u: float64 `[N]`.
        uploads: int64 `[N]`.
    """

    scores: NDArray[np.float64]
    group: NDArray[np.intp]
    u: NDArray[np.float64]
    uploads: NDArray[np.int64]

    def flagged(self, at: float, confidence: float) -> Estimate:
        """Estimate what share of uploads reaches a limit."""
        stopped, everyone = self.scores >= at, np.ones(len(self.scores), dtype=np.bool_)
        return share(
            stopped,
            everyone,
            stopped,
            np.ones(len(stopped)),
            group=self.group,
            uploads=self.uploads,
            confidence=confidence,
        )


@dataclass(frozen=True, eq=False)
class Uploads:
    """A store of uniform traffic with a policy's scores.

    Attributes:
        store: It.
        scores: By the policy.
        told: For a progress bar of grouping.
    """

    store: Store
    scores: StoreScores
    told: Told | None = None

    @cached_property
    def group(self) -> NDArray[np.intp]:
        """Numbers of near-duplicates, `[P]`."""
        return group_store(self.store, told=self.told)

    @cached_property
    def u(self) -> NDArray[np.float64]:
        """Lots of pictures, `[P]`."""
        return chances(list(self.store.pictures.sha256), SEED)

    def stopped(self, category: str, at: float) -> tuple[int, int]:
        """Count the uploads that reach a limit, and all of them: each counts, near-duplicates too.

        Args:
            category: Whose limit.
            at: The limit, before calibration.
        """
        raw = self.scores.logit[:, self.scores.concepts.index(category)]
        reached = np.isfinite(raw) & ~self.scores.refused & (raw >= at)
        return int(self.store.upload_counts[reached].sum()), len(self.store.uploads)

    def of(self, category: str) -> Traffic:
        """Take one category."""
        raw = self.scores.logit[:, self.scores.concepts.index(category)]
        kept = np.isfinite(raw) & ~self.scores.refused
        uploads = self.store.upload_counts[kept]
        return Traffic(scores=raw[kept], group=self.group[kept], u=self.u[kept], uploads=uploads)

    def stopped_by_any(self, places: Mapping[str, float], confidence: float) -> Estimate:
        """Estimate what share of uploads reaches at least one of several limits.

        Args:
            places: Raw scores by category.
            confidence: Of the interval.
        """
        kept = ~self.scores.refused
        columns = [self.scores.concepts.index(name) for name in places]
        raw = np.nan_to_num(self.scores.logit[kept][:, columns], nan=-np.inf)
        highest = (raw - np.array([*places.values()])).max(axis=1)
        everything = Traffic(
            scores=highest, group=self.group[kept], u=self.u[kept], uploads=self.store.upload_counts[kept]
        )
        return everything.flagged(0.0, confidence)


def require_traffic(store: Store, what: str) -> None:
    """Insist on uniform traffic.

    Args:
        store: The store.
        what: Needs it, as the beginning of a sentence.

    Raises:
        LabelError: It is something else.
    """
    if store.info.source is not Source.TRAFFIC:
        raise LabelError(
            f"{what} needs a store of uniform traffic, and {store.path} says that it is a {store.info.source}: embed a "
            "uniform sample of uploads, with --traffic and its days."
        )


def reviews(
    uploads: Uploads,
    compiled: CompiledPolicy,
    blocks: dict[str, tuple[Fitted | None, float | None]],
    *,
    capacity: float,
    daily_volume: float,
    delta: float,
) -> CapacityLines | NotMet:
    """Choose review limits of some categories, with which people can look at all that they get.

    What goes to people whatever these limits, or is blocked, is what the server says of the policy without them.

    Args:
        uploads: Uniform traffic.
        compiled: The policy.
        blocks: By category that gets a review limit, its calibration to be, and its block threshold.
        capacity: Reviews a day.
        daily_volume: Uploads a day.
        delta: The greatest chance of breaking the promise.

    Returns:
        The limits, in the order of `blocks`, or what is missing.
    """
    numbers = {name: (fitted, Bounds(block=block)) for name, (fitted, block) in blocks.items()}
    verdict = judge_store(uploads.store, prepare(with_numbers(compiled, numbers))).shadow_verdict
    shown, on_error = uploads.store.uploads.picture, compiled.policy.on_error
    known = shown >= 0
    given = np.where(known, verdict[shown], int(on_error))
    given = np.where(given < 0, int(on_error), given)  # refused by the policy
    columns = [uploads.scores.concepts.index(name) for name in blocks]
    table = np.where(known[:, np.newaxis], uploads.scores.logit[shown][:, columns], -np.inf)
    # What cannot be judged is like nothing else.
    alone = uploads.group.max(initial=-1) + 1 + np.arange(len(shown))
    group = np.where(known, uploads.group[shown], alone)
    u = np.where(known, uploads.u[shown], chances(list(uploads.store.uploads.sha256), SEED))
    lays = fixes_path(group, u)
    return capacity_lines(
        fix_path(table[lays]),
        table[~lays],
        always=(given == Verdict.REVIEW)[~lays],
        never=(given == Verdict.BLOCK)[~lays],
        capacity=capacity,
        daily_volume=daily_volume,
        delta=delta,
        group=group[~lays],
        day=_days(uploads.store, ~lays),
    )


def _days(store: Store, chosen: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Number the days of some uploads; None where one has none."""
    time = store.uploads.time
    if time is None or np.isnat(time[chosen]).any():
        return None
    days: NDArray[np.int64] = time[chosen].astype("datetime64[D]").astype(np.int64)
    return days
