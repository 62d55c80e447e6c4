"""A verdict in, what the policy's candidates make of the same embedding out, to the log and the metrics alone.

Every image that a live policy has judged comes through `Candidates.judge`, whichever method asked for it, because all
of them end in `Calls.note_judged`. It is here and not in the engine since log and metrics are: a pipeline judges by
what its caller selected, and knows of no second opinion.

Nothing that a candidate does reaches an answer. It is judged once the answer is made, in a task of its own, so that
neither a fault, nor a deadline, nor the time it takes can cost a caller anything; a candidate that is long to judge has
a thread of its own, so that no live image stands behind it and a stuck one leaves health alone. Only the log line waits
for it, and so does a server that drains. Rejected: judging before the answer, which lets a slow candidate use up the
caller's deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from clipwarden.engine.judging import judge_image, judging_microseconds
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.snapshot import Selection
from clipwarden.engine.threads import WorkThreads
from clipwarden.errors import ContextUnknownError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.decide import require_context
from clipwarden.scoring.verdict import Judgement

log = logging.getLogger(__name__)


class NotCompared(StrEnum):
    """Why there is no second opinion on an image."""

    CONTEXT_UNKNOWN = "context_unknown"
    """The candidate does not declare the context that the live policy was asked for."""
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
        max_waiting: Most images that wait for their candidates; more are not compared.
        stall_seconds: Time after which judging counts as stuck.
    """

    def __init__(self, *, max_waiting: int, stall_seconds: float) -> None:
        self._max_waiting = max_waiting
        self._threads = WorkThreads("judge candidates", threads=1, stall_seconds=stall_seconds)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def stuck(self) -> bool:
        """Whether the thread may never come back, for which the interpreter would wait at its end."""
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

    def judge(self, judged: Judged, selection: Selection, note: Callable[[Sequence[Opinion]], None]) -> None:
        """Have an image judged by the policy's candidates, soon; returns at once.

        Args:
            judged: By the live policy; its answer is made.
            selection: What it was judged with.
            note: Called on the loop with an opinion of each candidate, in their order; now, if there are none.
        """
        candidates = selection.candidates
        if not candidates:
            note(())
        elif len(self._tasks) >= self._max_waiting:
            note(_none_of(candidates, NotCompared.OVERLOADED))
        else:
            task = asyncio.create_task(self._judge(judged, candidates, note))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _judge(
        self, judged: Judged, candidates: Sequence[Selection], note: Callable[[Sequence[Opinion]], None]
    ) -> None:
        opinions = _none_of(candidates, NotCompared.STOPPED)
        views = len(judged.image.views)
        cost = sum(judging_microseconds(views, candidate.compiled) for candidate in candidates)
        work = partial(_judge_by_all, judged.image, candidates)
        try:
            opinions = await self._threads.run_if_long(work, microseconds=cost)
        except Exception as exc:  # noqa: BLE001  stuck, say; whatever it is, the image was answered long since
            log.error("candidates failed: %s", exc)  # noqa: TRY400  where it waited says nothing
            opinions = _none_of(candidates, NotCompared.FAILED)
        finally:
            note(opinions)


def _judge_by_all(image: EmbeddedImage, candidates: Sequence[Selection]) -> list[Opinion]:
    return [Opinion(candidate=each.compiled, outcome=_judge_by(image, each)) for each in candidates]


def _judge_by(image: EmbeddedImage, candidate: Selection) -> Judgement | NotCompared:
    try:
        require_context(candidate.tables, candidate.context)
        return judge_image(image, candidate)[0]
    except ContextUnknownError:
        return NotCompared.CONTEXT_UNKNOWN
    except Exception:
        metadata = candidate.compiled.policy.metadata
        log.exception("candidate failed", extra={"policy": metadata.id, "version": metadata.version})
        return NotCompared.FAILED


def _none_of(candidates: Sequence[Selection], why: NotCompared) -> list[Opinion]:
    return [Opinion(candidate=each.compiled, outcome=why) for each in candidates]
