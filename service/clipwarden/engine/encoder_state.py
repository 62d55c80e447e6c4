"""How the encoder fares, what waits for it and what it did, at one moment."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How the encoder fares, as the end of a sentence."""

    RUNNING = "is running"
    STALLED = "is stuck in every run"
    BROKEN = "fails on every image"
    CLOSED = "is shut down"


@dataclass(frozen=True, kw_only=True, slots=True)
class BatcherStatistics:
    """What the batcher did and holds, at one moment.

    Attributes:
        state: How the encoder fares.
        waiting_items: Images of which no run has had a view yet.
        waiting_views: Views that no run has, those of images that have begun among them.
        waiting_callers: Whose they are.
        oldest_seconds: How long the first of these views has waited.
        runs: Most runs at the same time.
        busy_runs: Runs under way, the stuck among them.
        stuck_runs: Runs that have been under way for longer than `stall_seconds`.
        busy_seconds: How long runs have been under way so far, added up.
        batches: Runs that answered.
        views: Views that these had.
        batch_fill: Of the views that they could have had, 0 to 1; 0 before the first.
        failed_items: Images that the encoder failed on.
        expired_items: Images whose deadline passed here.
        seconds_per_view: Of a run, moving average.
    """

    state: State
    waiting_items: int
    waiting_views: int
    waiting_callers: int
    oldest_seconds: float
    runs: int
    busy_runs: int
    stuck_runs: int
    busy_seconds: float
    batches: int
    views: int
    batch_fill: float
    failed_items: int
    expired_items: int
    seconds_per_view: float
