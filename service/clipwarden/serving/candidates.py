"""A verdict in, what the policy's candidates make of the same embedding out, to the log and the metrics alone.

Every image that a live policy has judged comes through `Candidates.judge`, whichever method asked for it, because all
of them end in `Calls.note_judged`. It is here and not in the engine since log and metrics are: a pipeline judges by
what its caller selected, and knows of no second opinion.

Nothing that a candidate does reaches an answer. It is judged in a task of its own, which waits until the answer is on
its way: a call's, or in a stream the item's. So neither a fault, nor a deadline, nor the time it takes can cost that
caller anything; other callers wait for one image's candidates at most, since the loop serves them between any two. A
candidate that is long to judge has a thread of its own, so that no live image stands behind it and a stuck one leaves
health alone. Only the log line waits for it, and so does a server that drains. Rejected: judging before the answer,
which lets a slow candidate use up the caller's deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from clipwarden.engine.candidates import candidate_name
from clipwarden.engine.judging import judge_image, judging_microseconds
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.snapshot import Selection
from clipwarden.engine.threads import WorkThreads
from clipwarden.errors import ContextUnknownError, EncoderError, ImageError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.verdict import Judgement

log = logging.getLogger(__name__)


class NotCompared(StrEnum):
    """Why there is no second opinion on an image."""

    CONTEXT_UNKNOWN = "context_unknown"
    """The candidate does not declare the context that the live policy was asked for."""
    TRUNCATED = "truncated"
    """The file lacks rows, which the candidate refuses and the live policy does not."""
    FAILED = "failed"
    """Judging it raised, or takes too long."""
    OVERLOADED = "overloaded"
    """Too many images wait for their candidates already."""
    STOPPED = "stopped"
    """The server stopped before it was judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What one candidate makes of an image.

    Attributes:
        candidate: Whose it is.
        outcome: Its judgement, or why there is none.
    """

    candidate: CompiledPolicy
    outcome: Judgement | NotCompared


class Candidates:
    """Judges images again, beside the answers. Lives on one event loop.

    Args:
        max_waiting: Images that wait for their candidates once they are answered, at which further ones are not
            compared. What a batch holds until its answer is on its way does not count: it is answered at once, and a
            large batch alone is no overload.
        stall_seconds: Time after which judging counts as stuck.
    """

    def __init__(self, *, max_waiting: int, stall_seconds: float) -> None:
        self._max_waiting = max_waiting
        self._threads = WorkThreads("judge candidates", threads=1, stall_seconds=stall_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered = 0
        self._turn = asyncio.Semaphore(1)
        self._said: set[tuple[str, str, object]] = set()

    @property
    def stuck(self) -> bool:
        """Whether the thread may never come back: the end of the process leaves it where it is."""
        return self._threads.stuck

    async def wait_idle(self) -> None:
        """Wait until no image waits for its candidates."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop; what still waits is noted as not compared."""
        await asyncio.sleep(0)  # a task that is cancelled before its first step would note nothing
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.close()

    def judge(
        self,
        judged: Judged,
        selection: Selection,
        answered: asyncio.Event,
        note: Callable[[Sequence[Opinion]], None],
    ) -> None:
        """Have an image judged by the policy's candidates once it is answered; returns at once.

        Args:
            judged: By the live policy.
            selection: What it was judged with.
            answered: Set once the answer is on its way, or there will be none.
            note: Called on the loop with an opinion of each candidate, in their order; now, if there are none.
        """
        candidates = selection.candidates
        if not candidates:
            note(())
        elif self._answered >= self._max_waiting:
            note([self._not_judged(each, NotCompared.OVERLOADED) for each in candidates])
        else:
            task = asyncio.create_task(self._judge(judged, candidates, answered, note))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _judge(
        self,
        judged: Judged,
        candidates: Sequence[Selection],
        answered: asyncio.Event,
        note: Callable[[Sequence[Opinion]], None],
    ) -> None:
        opinions = [Opinion(candidate=each.compiled, outcome=NotCompared.STOPPED) for each in candidates]
        try:
            await answered.wait()
            with self._waiting():
                opinions = await self._opinions(judged.image, candidates)
        finally:
            note(opinions)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._answered += 1
        try:
            yield
        finally:
            self._answered -= 1

    async def _opinions(self, image: EmbeddedImage, candidates: Sequence[Selection]) -> list[Opinion]:
        cost = sum(judging_microseconds(len(image.views), candidate.compiled) for candidate in candidates)
        async with self._turn:
            # Held over a turn of the loop and not while judging: a batch's images come at once, and between any two of
            # them the loop serves whoever else waits.
            await asyncio.sleep(0)
        outcomes: Sequence[Judgement | Exception]
        try:
            outcomes = await self._threads.run_if_long(partial(_judge_by_all, image, candidates), microseconds=cost)
        except Exception as exc:  # noqa: BLE001  stuck, say; whatever it is, the image was answered long since
            outcomes = [exc] * len(candidates)
        return [self._opinion(*pair) for pair in zip(candidates, outcomes, strict=True)]

    def _opinion(self, candidate: Selection, outcome: Judgement | Exception) -> Opinion:
        if isinstance(outcome, Judgement):
            return Opinion(candidate=candidate.compiled, outcome=outcome)
        # Both were said when it was loaded.
        if isinstance(outcome, ContextUnknownError):
            return Opinion(candidate=candidate.compiled, outcome=NotCompared.CONTEXT_UNKNOWN)
        if isinstance(outcome, ImageError):
            return Opinion(candidate=candidate.compiled, outcome=NotCompared.TRUNCATED)
        return self._not_judged(candidate, NotCompared.FAILED, outcome)

    def _not_judged(self, candidate: Selection, why: NotCompared, fault: Exception | None = None) -> Opinion:
        """Log why a candidate did not judge, the first time that it is this or this kind of fault."""
        name, kind = candidate_name(candidate.compiled), type(fault) if fault else why
        digest = candidate.compiled.digest  # a version may be mended under its name, and fail anew
        if (name, digest, kind) not in self._said:
            self._said.add((name, digest, kind))
            log.log(
                logging.ERROR if fault else logging.WARNING,
                "candidate %s %s%s; said once, clipwarden_candidate_not_compared_total counts each image",
                name,
                why,
                f": {str(fault) or type(fault).__name__}" if fault else "",
                # Where one that is stuck was waited for says nothing.
                exc_info=None if isinstance(fault, EncoderError) else fault,
            )
        if fault:
            fault.__traceback__ = None  # its frames hold the image, and would wait for the collector
        return Opinion(candidate=candidate.compiled, outcome=why)


def _judge_by_all(image: EmbeddedImage, candidates: Sequence[Selection]) -> list[Judgement | Exception]:
    return [_judge_by(image, each) for each in candidates]


def _judge_by(image: EmbeddedImage, candidate: Selection) -> Judgement | Exception:
    try:
        return judge_image(image, candidate)[0]
    except Exception as exc:  # noqa: BLE001  the other candidates are not to blame
        return exc
