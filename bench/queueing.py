"""Simulate ways to queue for an encoder, and print the latency of each: `python -m bench.queueing`.

Images come at random (Poisson), and a run takes a fixed time and some more a view. No model runs: the figures are the
same on every machine. Four questions, four tables: what a batch holds, on a GPU; what a run holds on two cores, where a
batch gains nothing, and where it does; and who goes next, when one of ten callers asks for more than there is.
"""

import heapq
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipwarden.engine.line import FairQueue
from clipwarden.engine.terms import Terms

Seconds = NDArray[np.float64]

# On a GPU.
IMAGES_PER_SECOND = 1000
FIXED_SECONDS = 0.003
SECONDS_PER_IMAGE = 0.00015
"""With `FIXED_SECONDS`: what a small image encoder takes on a GPU."""
LARGEST_BATCH = 32
IMAGES = 200_000

# On two cores. Source: ViT-B/32 in int8, medians of six interleaved runs: 59 images/s and 40.
CORES = 2
ONE_THREAD_SECONDS = CORES / 59
"""A view in a run of one thread, when as many such runs as cores are under way."""
ALL_THREADS_SECONDS = 1 / 40
"""A view in the only run, which has all cores."""
VIEWS_PER_SECOND = 36
"""Six tenths of what two runs of one thread can do, and nine of what one run of two can."""
BATCHED_FIXED_SECONDS = 0.0227
BATCHED_SECONDS_PER_VIEW = 0.0343
"""Of one of two runs, where batches gain something. Source: bf16; 35.1 images/s at batch 1, 53.9 at 8."""
BATCHED_PER_SECOND = 30
CPU_BATCH = 8
TILES = 5
"""Views of an image that is also looked at in quarters."""
CPU_IMAGES = 10_000

# One caller in ten.
LOUD_PER_SECOND = 90.0
LIGHT_PER_SECOND = 2.0
LIGHT_CALLERS = 9
LOUD_PATIENCE = 1.0
LIGHT_PATIENCE = 2.0


def main() -> int:
    """Print three Markdown tables.

    Returns:
        Exit status.
    """
    print("| a batch holds | p50 | p99 |\n|---|---|---|")
    for name, form in FORMS.items():
        print(f"| {name} | {_percentiles(latencies(form))} |")
    for title, ways in (("a run holds", WAYS), ("a run holds, where batches gain", BATCHED_WAYS)):
        print(f"\n| {title} | mean, p99 | mean, p99 of {TILES} views |\n|---|---|---|")
        for name, way in ways.items():
            columns = " | ".join(_mean_and_p99(cpu_latencies(way, views=views)) for views in (1, TILES))
            print(f"| {name} | {columns} |")
    print("\n| next goes | in time, the loud one | in time, the others | p99 of these |\n|---|---|---|---|")
    for name, make in ORDERS.items():
        loud, light, waited = shares(make())
        print(f"| {name} | {loud:.0%} | {light:.0%} | {np.percentile(waited, 99):.2f} s |")
    return 0


def _percentiles(waited: Seconds) -> str:
    p50, p99 = np.percentile(waited, [50, 99]) * 1000
    return f"{p50:.1f} ms | {p99:.1f} ms"


def _mean_and_p99(waited: Seconds) -> str:
    return f"{waited.mean() * 1000:.0f}, {np.percentile(waited, 99) * 1000:.0f} ms"


# What a batch holds, on a GPU ---------------------------------------------------------------------------------------

Form = Callable[[float, float, float], float]
"""From when the first image of a batch came, the encoder is free, and the last run began: when the batch closes."""


def latencies(form: Form, *, images: int = IMAGES) -> Seconds:
    """Simulate one way to form batches.

    Args:
        form: The way.
        images: How many come.

    Returns:
        `[images]`, seconds from arrival to answer.
    """
    arrivals = np.cumsum(np.random.default_rng(1).exponential(1 / IMAGES_PER_SECOND, images))
    waited = np.empty(images)
    first, free, began = 0, 0.0, 0.0
    while first < images:
        closes = form(arrivals[first], free, began)
        came = int(np.searchsorted(arrivals, closes, side="right"))
        end = max(first + 1, min(came, first + LARGEST_BATCH))
        # A full batch need not wait for its window to close.
        began = max(free, arrivals[end - 1] if end - first == LARGEST_BATCH else closes)
        free = began + FIXED_SECONDS + SECONDS_PER_IMAGE * (end - first)
        waited[first:end] = free - arrivals[first:end]
        first = end
    return waited


FORMS: Mapping[str, Form] = {
    "what waits when the encoder is free (ours)": lambda came, free, _: max(came, free),
    "what waited when the run before it began": lambda came, _, began: max(came, began),
    "what comes within 5 ms of the encoder being free": lambda came, free, _: max(came, free) + 0.005,
    "what comes within 10 ms of the encoder being free": lambda came, free, _: max(came, free) + 0.010,
}


# Several runs at once -----------------------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True, slots=True)
class Image:
    """One image that comes.

    Attributes:
        arrived: Seconds.
        left: Views that are not answered yet.
        caller: Whose it is.
        deadline: After which it is not encoded any more.
        answered: Seconds; infinite until then.
    """

    arrived: float
    left: int = 1
    caller: str = ""
    deadline: float = math.inf
    answered: float = field(default=math.inf)


class Queue(Protocol):
    """What waits, and what goes next."""

    def put(self, image: Image) -> None:
        """Let all views of an image wait."""

    def take(self, run: int, now: float, free: int) -> Sequence[Image]:
        """Take what a free run, one of so many, encodes: an image for each view; empty for nothing."""


def simulate(images: Iterable[Image], queue: Queue, *, runs: int, seconds: Callable[[int], float]) -> None:
    """Let images come, and note when each is answered.

    Args:
        images: By arrival.
        queue: Says what goes next.
        runs: At the same time.
        seconds: Of a run, by its views.
    """
    coming = deque(images)
    free = set(range(runs))
    under_way: list[tuple[float, int, Sequence[Image]]] = []
    while coming or under_way:
        if under_way and (not coming or under_way[0][0] <= coming[0].arrived):
            now, run, done = heapq.heappop(under_way)
            free.add(run)
            for image in done:
                image.left -= 1
                image.answered = now
        else:
            now = coming[0].arrived
            queue.put(coming.popleft())
        for run in sorted(free):
            if taken := queue.take(run, now, len(free)):
                free.remove(run)
                heapq.heappush(under_way, (now + seconds(len(taken)), run, taken))


# What a run holds, on two cores -------------------------------------------------------------------------------------


class Waiting:
    """One queue for all runs, first come, first served.

    Args:
        most: Views of a run.
        evenly: Whether what waits is shared out among all free runs, or the first takes all it can.
    """

    def __init__(self, *, most: int = 1, evenly: bool = True) -> None:
        self._views = deque[Image]()
        self._most = most
        self._evenly = evenly

    def put(self, image: Image) -> None:
        """Let all views of an image wait."""
        self._views.extend([image] * image.left)

    def take(self, run: int, now: float, free: int) -> Sequence[Image]:  # noqa: ARG002
        """Take the first views."""
        share = math.ceil(len(self._views) / free) if self._evenly else len(self._views)
        return [self._views.popleft() for _ in range(min(self._most, share))]


class Together:
    """One queue for all runs, and an image's views stay together."""

    def __init__(self) -> None:
        self._images = deque[Image]()

    def put(self, image: Image) -> None:
        """Let an image wait."""
        self._images.append(image)

    def take(self, run: int, now: float, free: int) -> Sequence[Image]:  # noqa: ARG002
        """Take the first image."""
        if not self._images:
            return []
        image = self._images.popleft()
        return [image] * image.left


class Dealt:
    """A queue for each run, which images are dealt out to by chance as they come: workers that pull for themselves."""

    def __init__(self) -> None:
        self._queues = [Waiting() for _ in range(CORES)]
        self._draw = np.random.default_rng(2)

    def put(self, image: Image) -> None:
        """Let all views of an image wait for the same run."""
        self._queues[self._draw.integers(CORES)].put(image)

    def take(self, run: int, now: float, free: int) -> Sequence[Image]:  # noqa: ARG002
        """Take the first view of the run's own."""
        return self._queues[run].take(run, now, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way to use two cores: how many runs at once, what one holds, and how long it takes by its views."""

    queue: Callable[[], Queue]
    runs: int = CORES
    seconds: Callable[[int], float] = lambda views: views * ONE_THREAD_SECONDS
    views_per_second: float = VIEWS_PER_SECOND


WAYS: Mapping[str, Way] = {
    "one view; two runs of one thread, whichever is free (ours)": Way(queue=Waiting),
    "the same, dealt out to the runs as they came": Way(queue=Dealt),
    "all views of one image": Way(queue=Together),
    f"up to {CPU_BATCH} views": Way(queue=lambda: Waiting(most=CPU_BATCH)),
    "one view; one run of two threads": Way(queue=Waiting, runs=1, seconds=lambda views: views * ALL_THREADS_SECONDS),
}


def _batched(queue: Callable[[], Queue]) -> Way:
    return Way(
        queue=queue,
        seconds=lambda views: BATCHED_FIXED_SECONDS + views * BATCHED_SECONDS_PER_VIEW,
        views_per_second=BATCHED_PER_SECOND,
    )


BATCHED_WAYS: Mapping[str, Way] = {
    f"up to {CPU_BATCH} views, shared out among the free runs (ours)": _batched(lambda: Waiting(most=CPU_BATCH)),
    f"up to {CPU_BATCH} views, as many as wait": _batched(lambda: Waiting(most=CPU_BATCH, evenly=False)),
    "one view": _batched(Waiting),
}


def cpu_latencies(way: Way, *, views: int, images: int = CPU_IMAGES) -> Seconds:
    """Simulate one way to use two cores.

    Args:
        way: The way.
        views: Of each image.
        images: How many come.

    Returns:
        `[images]`, seconds from arrival to answer.
    """
    arrivals = np.cumsum(np.random.default_rng(1).exponential(views / way.views_per_second, images))
    coming = [Image(arrived=float(arrived), left=views) for arrived in arrivals]
    simulate(coming, way.queue(), runs=way.runs, seconds=way.seconds)
    return np.array([image.answered - image.arrived for image in coming])


# Who goes next, when one of ten callers asks for more than there is -------------------------------------------------


class Ranked:
    """One queue, in which the lowest rank goes first.

    Args:
        rank: Of an image.
    """

    def __init__(self, rank: Callable[[Image], float]) -> None:
        self._rank = rank
        self._heap: list[tuple[float, float, Image]] = []

    def put(self, image: Image) -> None:
        """Let an image wait."""
        heapq.heappush(self._heap, (self._rank(image), image.arrived, image))

    def take(self, run: int, now: float, free: int) -> Sequence[Image]:  # noqa: ARG002
        """Take the first that has not expired."""
        while self._heap:
            image = heapq.heappop(self._heap)[-1]
            if image.deadline > now:
                return [image]
        return []


class Fair:
    """The engine's own queue.

    Args:
        ahead: How long before its deadline an image counts as expired.
    """

    def __init__(self, *, ahead: float = 0.0) -> None:
        self._queue = FairQueue[Image]()
        self._ahead = ahead

    def put(self, image: Image) -> None:
        """Let an image wait."""
        terms = Terms(caller=image.caller, deadline=image.deadline)
        self._queue.put(image, terms=terms, cost=1.0, arrived=image.arrived)

    def take(self, run: int, now: float, free: int) -> Sequence[Image]:  # noqa: ARG002
        """Take the next one."""
        entry = self._queue.pop(now + self._ahead)
        return [] if entry is None else [entry.item]


ORDERS: Mapping[str, Callable[[], Queue]] = {
    "callers in turn, and of each what is due first (ours)": Fair,
    "the same, of what can still be answered in time": lambda: Fair(ahead=ONE_THREAD_SECONDS),
    "what is due first, whoever asks": lambda: Ranked(lambda image: image.deadline),
    "what came first": lambda: Ranked(lambda image: image.arrived),
}


def shares(queue: Queue, *, images: int = CPU_IMAGES) -> tuple[float, float, Seconds]:
    """Simulate one loud and impatient caller among light ones, on two cores, with nobody refused.

    Args:
        queue: Says who goes next.
        images: How many come.

    Returns:
        The share of the loud caller's images that are answered in time; that of the others'; and the seconds that
        those which were answered waited.
    """
    draw = np.random.default_rng(1)
    rates = [LOUD_PER_SECOND, *[LIGHT_PER_SECOND] * LIGHT_CALLERS]
    arrivals = np.cumsum(draw.exponential(1 / sum(rates), images))
    callers = draw.choice(len(rates), size=images, p=np.array(rates) / sum(rates))
    coming = [
        Image(arrived=came, caller=str(who), deadline=came + (LIGHT_PATIENCE if who else LOUD_PATIENCE))
        for came, who in zip(arrivals.tolist(), callers.tolist(), strict=True)
    ]
    simulate(coming, queue, runs=CORES, seconds=lambda views: views * ONE_THREAD_SECONDS)
    loud, light = ([image for image in coming if (image.caller == "0") is wanted] for wanted in (True, False))
    waited = np.array([image.answered - image.arrived for image in light if not math.isinf(image.answered)])
    return _in_time(loud), _in_time(light), waited


def _in_time(images: Sequence[Image]) -> float:
    return sum(image.answered <= image.deadline for image in images) / len(images)


if __name__ == "__main__":
    sys.exit(main())
