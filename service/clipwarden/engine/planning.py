"""A model folder and an image in, what each way of running its encoder on this machine's CPUs gives out.

Two things are asked of each way: does it leave every bit of an embedding alone, and how many images a second come out
of it while decoders work beside it, as they do in a server. A first look tries all ways for a short time; those that
looked best then take turns with the default way in rounds, so that what disturbs the machine disturbs them alike. Only
these rounds decide: what a way looked like in the choice of finalists says nothing for it.
"""

import io
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.engine.encoderplan import EncoderPlan
from clipwarden.engine.warmup import bucket_sizes
from clipwarden.errors import EncoderError
from clipwarden.machine import affinity_cpus, busy_seconds

MOST_BATCH = 8
"""Largest batch that is tried: larger ones only add latency. Source: queue simulation at 1 + 12 n ms a batch."""
LOOKS = 3
"""Slices of the first look at each way."""
FINALISTS = 2
"""Ways that go against the default one."""
ROUNDS = 9
"""Slices of each finalist. The true median lies between the second and the second last of nine ratios in 96 % of cases,
whatever their distribution, and below the second in 2 % (sign test): of two finalists that are no better than the
default, one is chosen in at most 4 %."""
LOOK_SHARE = 0.3
"""Of the time; what is left is for the rounds."""
MIN_GAIN = 0.05
"""A way that gains less than this over the default is not worth an entry in a file."""
MOST_TAKEN = 0.1
"""Share of the CPUs that others may take before nothing but the default is chosen. Where they took three quarters of
two cores, three runs of the embedded model beat two by a quarter: they were given more turns, and that was all."""
RUNS_A_SLICE = 2
"""Runs that each thread makes in a slice at least, however slow the encoder."""
PHOTO_SIZE = (1600, 1200)
"""Of the built-in image, in pixels: what a phone's photograph is scaled to before it is sent."""
MOST_SECONDS = 24 * 3600.0
"""Longest measurement that anybody can mean."""

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Encode = Callable[[Pixels], Vectors]
Advance = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A median of paired ratios, and between what bounds it lies (96 %)."""

    median: float
    low: float
    high: float


@dataclass(kw_only=True, slots=True)
class Measured:
    """One way of running the encoder, and what was measured of it.

    Attributes:
        plan: The way.
        same_bits: Whether every embedding is the one that one thread makes of the image alone; others are not timed.
        looks: Images a second with decoders beside, in the first look.
        rounds: The same, in each round; only of finalists.
        alone: Views a second of the encoder's runs with nothing beside them, in each look and round.
        lone_seconds: From the bytes of one image to its embedding, with nothing else at work.
    """

    plan: EncoderPlan
    same_bits: bool
    looks: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    lone_seconds: list[float] = field(default_factory=list)

    @property
    def images_per_second(self) -> float:
        """Median, of the rounds where there are any."""
        return statistics.median(self.rounds or self.looks)

    @property
    def views_per_second_alone(self) -> float:
        """Median, of looks and rounds."""
        return statistics.median(self.alone)

    @property
    def lone_image_seconds(self) -> float:
        """Median, of looks and rounds."""
        return statistics.median(self.lone_seconds)

    def against(self, other: "Measured") -> Interval | None:
        """Compare with another way, round by round; None where either was no finalist."""
        if not self.rounds or not other.rounds:
            return None
        ratios = sorted(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))
        return Interval(median=statistics.median(ratios), low=ratios[1], high=ratios[-2])


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """All ways, the default one first, and the one to take: the default unless another is better beyond noise.

    Attributes:
        ways: In the order in which they were given.
        taken: Share of the CPUs that this process may use that other programs took meanwhile, 0 to 1.
    """

    ways: Sequence[Measured]
    taken: float

    @property
    def default(self) -> Measured:
        """The way that a server takes unless told otherwise."""
        return self.ways[0]

    @property
    def disturbed(self) -> bool:
        """Whether nothing can be told: beside busy neighbours a way of more threads wins by taking more from them."""
        return self.taken > MOST_TAKEN

    @property
    def chosen(self) -> Measured:
        """The best of those that beat the default beyond noise and by `MIN_GAIN`; else the default."""
        if self.disturbed:
            return self.default
        better = [
            way
            for way in self.ways[1:]
            if (gain := way.against(self.default)) and gain.low > 1 and gain.median >= 1 + MIN_GAIN
        ]
        return max(better, key=lambda way: way.images_per_second, default=self.default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What the encoder is tried with.

    Attributes:
        encoders: By threads of a run.
        decode: Makes the pixels of one image, uint8 [V,S,S,3]; called in several threads.
        varied: uint8 [N,S,S,3], as different from each other as can be; N at least `MOST_BATCH`.
        max_batch: Most views of a run that the model allows.
    """

    encoders: Mapping[int, Encode]
    decode: Callable[[], Pixels]
    varied: Pixels
    max_batch: int


def built_in_photo() -> bytes:
    """Draw a JPEG that takes a decoder as long as a photograph of `PHOTO_SIZE` does: smooth shapes, edges and grain."""
    width, height = PHOTO_SIZE
    random = np.random.default_rng(11)
    shapes = Image.fromarray(random.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize(PHOTO_SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    grain = random.normal(0, 6, (height, width, 1)).astype(np.float32)
    data = io.BytesIO()
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=85)
    return data.getvalue()


def thread_counts(cpus: int) -> Sequence[int]:
    """List the threads of a run that are worth a try; each holds a copy of the weights while ways are measured."""
    return sorted({min(threads, cpus) for threads in (1, 2, 4, cpus)})


def ways_to_run(default: EncoderPlan, *, cpus: int, max_batch: int) -> Sequence[EncoderPlan]:
    """List the ways that are worth a try, the default one first.

    Args:
        default: One thread, batch of one.
        cpus: CPUs that the process may use, rounded up.
        max_batch: Most views of a run that the model allows.
    """
    one_more_or_less = [
        replace(default, **{name: getattr(default, name) + step})
        for name in ("encoder_runs", "decode_threads")
        for step in (1, -1)
        if getattr(default, name) + step > 0
    ]
    wider = [replace(default, encoder_threads=each, encoder_runs=-(-cpus // each)) for each in thread_counts(cpus)[1:]]
    batches = bucket_sizes(min(max_batch, MOST_BATCH))[1:]
    batched = [replace(way, max_batch=batch) for way in (default, *wider[-1:]) for batch in batches]
    return [default, *one_more_or_less, *wider, *batched]


def measure(
    load: Load, ways: Sequence[EncoderPlan], *, seconds: float, advance: Advance = lambda _done, _total: None
) -> Findings:
    """Measure ways of running an encoder.

    Args:
        load: The encoder, and what it is given.
        ways: From `ways_to_run`.
        seconds: About how long to measure; a slow encoder takes longer.
        advance: Told how many of how many slices are done.

    Returns:
        What was found, in the order of `ways`.

    Raises:
        EncoderError: The encoder fails, or embeds one image in two ways.
    """
    exact = {threads: exact_batch(load, threads, at_once=ways[0].encoder_runs + 1) for threads in load.encoders}
    measured = [Measured(plan=way, same_bits=way.max_batch <= exact[way.encoder_threads]) for way in ways]
    if not measured[0].same_bits:
        raise EncoderError(
            "the encoder gives one image other bits from run to run, so that no two ways can be compared"
        )
    timed = [way for way in measured if way.same_bits]
    watch = _Neighbours()
    total = 2 * (LOOKS * len(timed) + ROUNDS * min(FINALISTS + 1, len(timed)))
    tick = partial(_count, advance, iter(range(1, total + 1)), total)
    slice_seconds = seconds * LOOK_SHARE / (2 * LOOKS * len(timed))
    for way in _in_turns(timed, LOOKS):
        way.looks.append(_look(load, way, slice_seconds, tick))
    others = sorted(timed[1:], key=lambda way: way.images_per_second, reverse=True)
    finalists = [timed[0], *others[:FINALISTS]]
    slice_seconds = seconds * (1 - LOOK_SHARE) / (2 * ROUNDS * len(finalists))
    for way in _in_turns(finalists, ROUNDS):
        way.rounds.append(_look(load, way, slice_seconds, tick))
    return Findings(ways=measured, taken=watch.taken(ways[0].cpus))


def exact_batch(load: Load, threads: int, *, at_once: int) -> int:
    """Find the largest batch up to which each embedding has the bits that one thread makes of the image alone.

    Every size up to it is tried, since a batch may come out smaller than it could be; images stand at several positions
    beside several neighbours, and other runs are at work at the same time.

    Args:
        load: The encoder; `varied` is what it sees.
        threads: Of a run.
        at_once: Runs at the same time.

    Returns:
        0 where not even a batch of one has the same bits.
    """
    encode, images = load.encoders[threads], load.varied
    expected = np.concatenate([load.encoders[1](image[None]) for image in images])

    def same(rows: NDArray[np.intp]) -> bool:
        return np.array_equal(encode(images[rows]), expected[rows])

    with ThreadPoolExecutor(at_once) as pool:
        for size in range(1, min(load.max_batch, MOST_BATCH) + 1):
            if not all(pool.map(same, _neighbourhoods(len(images), size))):
                return size - 1
    return min(load.max_batch, MOST_BATCH)


def _neighbourhoods(count: int, size: int) -> Sequence[NDArray[np.intp]]:
    """Deal all images into batches of a size, twice, in other company and at other places."""
    shuffle = np.random.default_rng(size)
    orders = [np.arange(count), shuffle.permutation(count)]
    return [np.resize(np.roll(order, -start), size) for order in orders for start in range(0, count, size)]


class _Neighbours:
    """Tells what other programs take of the CPUs from now on."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        """Return the time, and that which others have had of processors."""
        return time.perf_counter(), (busy_seconds() or 0.0) - time.process_time()

    def taken(self, cpus: float) -> float:
        """Return the share of so many CPUs that others left no room for; 0 where nobody counts it."""
        (then, had), (now, have) = self._before, self._now()
        if busy_seconds() is None:
            return 0.0
        room = affinity_cpus() - (have - had) / (now - then)
        return min(1.0, max(0.0, 1 - room / cpus))


def _look(load: Load, way: Measured, seconds: float, tick: Callable[[], None]) -> float:
    """Take all figures of a way once; return the one that decides."""
    way.lone_seconds.append(_lone_seconds(load, way.plan))
    way.alone.append(views_a_second(load, way.plan, seconds))
    tick()
    rate = images_a_second(load, way.plan, seconds)
    tick()
    return rate


def images_a_second(load: Load, plan: EncoderPlan, seconds: float) -> float:
    """Decode and encode at saturation: as many decodes as the plan has are always at work or done ahead."""
    encode, batch = load.encoders[plan.encoder_threads], plan.max_batch
    with ThreadPoolExecutor(plan.decode_threads) as decoders:
        ahead = plan.encoder_runs * batch + plan.decode_threads
        decoded = deque(decoders.submit(load.decode) for _ in range(ahead))

        def run() -> int:
            taken = [decoded.popleft() for _ in range(batch)]  # one step each, so that threads may share the line
            decoded.extend(decoders.submit(load.decode) for _ in taken)
            encode(np.concatenate([pixels.result() for pixels in taken]))
            return batch

        rate = _rate(run, threads=plan.encoder_runs, seconds=seconds)
        decoders.shutdown(cancel_futures=True)
    return rate


def views_a_second(load: Load, plan: EncoderPlan, seconds: float) -> float:
    """Encode at saturation, with nothing beside it."""
    encode, pixels = (
        load.encoders[plan.encoder_threads],
        np.resize(load.varied, (plan.max_batch, *load.varied.shape[1:])),
    )

    def run() -> int:
        return len(encode(pixels))

    return _rate(run, threads=plan.encoder_runs, seconds=seconds)


def _rate(run: Callable[[], int], *, threads: int, seconds: float) -> float:
    """Add up what threads get done a second, each by its own time: none waits for the last."""
    end = time.perf_counter() + seconds

    def work(_: int) -> float:
        started, done, runs = time.perf_counter(), 0, 0
        while runs < RUNS_A_SLICE or time.perf_counter() < end:
            done += run()
            runs += 1
        return done / (time.perf_counter() - started)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


def _lone_seconds(load: Load, plan: EncoderPlan) -> float:
    started = time.perf_counter()
    load.encoders[plan.encoder_threads](load.decode())
    return time.perf_counter() - started


def _in_turns(ways: Sequence[Measured], rounds: int) -> Iterator[Measured]:
    """Yield all ways once a round, each round beginning with another."""
    for start in range(rounds):
        yield from ways[start % len(ways) :]
        yield from ways[: start % len(ways)]


def _count(advance: Advance, done: Iterator[int], total: int) -> None:
    advance(next(done), total)
