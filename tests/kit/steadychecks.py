"""What must hold of the answers under a steady load while policies change: none lost, none mixed, none out of time."""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from kit.steady import Answer


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a policy.

    Attributes:
        digest: Which answers carry.
        verdicts: Of the wire, by the picture's colour.
        text: Its file's.
    """

    digest: str
    verdicts: Mapping[str, int]
    text: str = ""


@dataclass(kw_only=True)
class Span:
    """From when to when a version could answer, in monotonic seconds."""

    version: Version
    begin: float
    end: float = math.inf


@dataclass(kw_only=True)
class Timeline:
    """Which versions of one policy could answer when, each version once. Made with the first, which always could.

    A version may answer from when it is offered, since a server may be quicker than what tells of it; the one before
    may answer whatever began before the server told of the new one.
    """

    first: Version
    clock: Callable[[], float] = time.monotonic
    spans: list[Span] = field(init=False)

    def __post_init__(self) -> None:
        self.spans = [Span(version=self.first, begin=-math.inf)]

    def offer(self, version: Version) -> None:
        """Say, before it is written, that a version may answer from now on."""
        self.spans.append(Span(version=version, begin=self.clock()))

    def told(self) -> None:
        """Say that the server has told of the latest version: what begins from now on is answered by it alone."""
        for span in self.spans[:-1]:
            span.end = min(span.end, self.clock())

    def place(self, digest: str) -> int | None:
        """Tell which version a digest is of, from 0; None for none that was ever offered."""
        return next((place for place, span in enumerate(self.spans) if span.version.digest == digest), None)


def faults(answers: Sequence[Answer], timelines: Mapping[str, Timeline]) -> list[str]:
    """Say what is wrong with answers, a sentence each; nothing when all is well.

    Args:
        answers: Of a steady load.
        timelines: Of each policy that was asked for.
    """
    found = [f"{_name(answer)} was lost: {answer.failure}" for answer in answers if answer.failure]
    judged = [answer for answer in answers if not answer.failure]
    for answer in judged:
        found += _of_one(answer, timelines[answer.policy])
    for policy, timeline in timelines.items():
        found += _backwards([answer for answer in judged if answer.policy == policy and answer.images], timeline)
    return found


def unheard(answers: Sequence[Answer], callers: Iterable[str], versions: Iterable[Version]) -> list[str]:
    """Say which callers never heard of which versions."""
    heard = {(answer.caller, image.digest) for answer in answers for image in answer.images}
    return [
        f"{caller} never heard of {version.digest}"
        for version in versions
        for caller in sorted(callers)
        if (caller, version.digest) not in heard
    ]


def _of_one(answer: Answer, timeline: Timeline) -> list[str]:
    digests = {image.digest for image in answer.images}
    if not digests:
        return [f"{_name(answer)} has neither a verdict nor an error"]
    if len(digests) > 1:
        return [f"{_name(answer)} mixes {len(digests)} versions"]
    place = timeline.place(digests.pop())
    if place is None:
        return [f"{_name(answer)} is by a version that was never good: {answer.images[0].digest}"]
    span = timeline.spans[place]
    found = []
    if answer.end < span.begin:
        found.append(f"{_name(answer)} is by a version that came {span.begin - answer.end:.3f} s later")
    if answer.start > span.end:
        found.append(f"{_name(answer)} is by a version that had gone {answer.start - span.end:.3f} s before")
    wrong = {image.colour for image in answer.images if span.version.verdicts[image.colour] != image.verdict}
    return found + [f"{_name(answer)} has not its version's verdict on {colour}" for colour in sorted(wrong)]


def _backwards(answers: Sequence[Answer], timeline: Timeline) -> list[str]:
    """Find what is by an older version than somebody had been answered by before it began."""
    ended = sorted((answer.end, _newest(answer, timeline)) for answer in answers)
    ends = [end for end, _ in ended]
    newest = list(accumulate((place for _, place in ended), max))
    found = []
    for answer in answers:
        before = bisect_left(ends, answer.start)
        if before and _newest(answer, timeline) < newest[before - 1]:
            found.append(f"{_name(answer)} is by an older version than one that had answered before it began")
    return found


def _newest(answer: Answer, timeline: Timeline) -> int:
    places = [timeline.place(image.digest) for image in answer.images]
    return max(-1 if place is None else place for place in places)


def _name(answer: Answer) -> str:
    return f"the answer to {answer.request_id}"
