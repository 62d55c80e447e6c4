"""A model folder and an image in, what each way of running its encoder on this machine's CPUs gives out.

Two things are asked of each way: does it leave every bit of an embedding alone, and how many images a second come out
of it while decoders work beside it, as they do in a server. A first look tries all ways for a short time; those that
looked best then take turns with the default way in rounds, so that what disturbs the machine disturbs them alike. Only
these rounds decide: what a way looked like in the choice of finalists says nothing for it.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from clipwarden.engine.encoderplan import EncoderPlan
from clipwarden.engine.saturation import (
    MOST_BATCH,
    Load,
    Neighbours,
    exact_batch,
    images_a_second,
    lone_seconds,
    views_a_second,
)
from clipwarden.engine.warmup import bucket_sizes
from clipwarden.errors import EncoderError

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
MOST_SECONDS = 24 * 3600.0
"""Longest measurement that anybody can mean."""

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
        ratios = sorted(_ratios(self.rounds, other.rounds))
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
    watch = Neighbours()
    total = 2 * (LOOKS * len(timed) + ROUNDS * min(FINALISTS + 1, len(timed)))
    tick = partial(_count, advance, iter(range(1, total + 1)), total)
    slice_seconds = seconds * LOOK_SHARE / (2 * LOOKS * len(timed))
    for way in _in_turns(timed, LOOKS):
        way.looks.append(_look(load, way, slice_seconds, tick))
    finalists = [timed[0], *sorted(timed[1:], key=partial(_looks_better_by, timed[0]), reverse=True)[:FINALISTS]]
    slice_seconds = seconds * (1 - LOOK_SHARE) / (2 * ROUNDS * len(finalists))
    for way in _in_turns(finalists, ROUNDS):
        way.rounds.append(_look(load, way, slice_seconds, tick))
    return Findings(ways=measured, taken=watch.taken(ways[0].cpus))


def _looks_better_by(default: Measured, way: Measured) -> float:
    """Compare look by look, as rounds are: what disturbed one disturbed its neighbour too."""
    return statistics.median(_ratios(way.looks, default.looks))


def _ratios(these: Sequence[float], those: Sequence[float]) -> list[float]:
    return [this / that for this, that in zip(these, those, strict=True)]


def _look(load: Load, way: Measured, seconds: float, tick: Callable[[], None]) -> float:
    """Take all figures of a way once; return the one that decides."""
    way.lone_seconds.append(lone_seconds(load, way.plan))
    way.alone.append(views_a_second(load, way.plan, seconds))
    tick()
    rate = images_a_second(load, way.plan, seconds)
    tick()
    return rate


def _in_turns(ways: Sequence[Measured], rounds: int) -> Iterator[Measured]:
    """Yield all ways once a round, each round beginning with another."""
    for start in range(rounds):
        yield from ways[start % len(ways) :]
        yield from ways[: start % len(ways)]


def _count(advance: Advance, done: Iterator[int], total: int) -> None:
    advance(next(done), total)
