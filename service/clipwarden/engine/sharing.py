"""The same bytes asked for by many in, one piece of work for all of them or none at all; an embedded image out to each.

The contract
------------
- The work for one content is a task of the engine and not of whoever asked first. Each who asks waits with a deadline
  of their own, and leaves when it passes or they are cancelled; the first is no different. When the last one leaves,
  the work is cancelled, and a later call begins anew.
- It goes by the terms of those who wait (`SharedWork.terms`): the best urgency; the nearest deadline, and when that has
  passed the next, so that it ends at the latest; in the name of whoever has waited longest.
- Whoever comes while it goes on lets their own bytes go: the work's are the same.
- What is wrong with the image is told to all. What is wrong with the one who began it is not: where the work fell for
  want of room or time, or by a fault that nobody foresaw, each of the others tries in their own name.
- A policy may refuse an image for its facts, before it is encoded. Each who waits is asked as soon as these are known;
  who refuses leaves, and the work goes on for the others.
- Each is given an error of their own. One object for all would collect a traceback from each, and keep the frames and
  images of all of them until the slowest has done with it.

Lives on one event loop, without locks: state changes between awaits alone.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from clipwarden.engine.cache import EmbeddingCache, EmbeddingKey
from clipwarden.engine.line import PATIENCE_SECONDS
from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.settings import Observer
from clipwarden.engine.terms import Terms
from clipwarden.errors import ClipwardenError, DeadlineError, OverloadedError, ShuttingDownError
from clipwarden.vision.facts import ImageFacts

T = TypeVar("T")
Check = Callable[[ImageFacts], None]


def _never(_: Terms) -> bool:
    return False


class _FellError(Exception):
    """The work that was waited for fell, for a reason that is not the waiting one's own."""


@dataclass(eq=False, kw_only=True, slots=True)
class _Waiter:
    """One who waits.

    Attributes:
        terms: Theirs.
        check: Raises what they refuse an image with for its facts.
        began: Whether the work is in their name.
        answer: What they await; done as soon as they have left, too.
    """

    terms: Terms
    check: Check
    began: bool
    answer: asyncio.Future[EmbeddedImage]

    def deliver(self, image: EmbeddedImage) -> None:
        if not self.answer.done():
            self.answer.set_result(image)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SharedWork:
    """What is done for all who want one content: handed to what does it, which asks it for its terms.

    Args:
        make: Does it; and again for whoever follows, should it fall.
        clock: Seconds, that deadlines are on.

    Attributes:
        movable: Whether what waits now may be cancelled and begun again under other terms.
    """

    def __init__(self, make: "Make", *, clock: Callable[[], float]) -> None:
        self.make: Make | None = make
        self._clock = clock
        self._waiters: list[_Waiter] = []
        self._facts: ImageFacts | None = None
        self._task: asyncio.Task[None] | None = None
        self._queued = Terms()  # those under which it waits
        self._queued_at = -math.inf
        self._moves = 0
        self.movable: Callable[[Terms], bool] = _never

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""
        return not self._waiters

    @property
    def terms(self) -> Terms:
        """Those to queue under now: urgent as the most urgent, due when the first is who is not late already."""
        if len(self._waiters) == 1:
            return self._waiters[0].terms
        now = self._clock()
        first = self._waiters[0].terms
        deadlines = [waiter.terms.latest for waiter in self._waiters]
        due = min((deadline for deadline in deadlines if deadline > now), default=max(deadlines))
        return Terms(
            deadline=None if due == math.inf else due,
            priority=min(waiter.terms.priority for waiter in self._waiters),
            caller=first.caller,
            origin=first.origin,
        )

    async def patiently(self, wait: Callable[[Terms], Awaitable[T]]) -> T:
        """Do what waits in queues under the terms of those who wait, and anew when these have changed for the better.

        That is when they are over and somebody has more time; and when somebody comes who is more urgent, if it may be
        begun again (`movable`, which is False at first). What is refused under the terms of those who have the least
        time is refused to them, and begun anew for the others.

        Args:
            wait: Does it under such terms. It leaves when it is cancelled, raises DeadlineError when they are over, and
                OverloadedError when it cannot be done by then.

        Returns:
            What it returns.

        Raises:
            DeadlineError: Nobody has more time.
            OverloadedError: Likewise.
        """
        while True:
            if self.abandoned:  # by all who refused it for its facts: there are no terms to wait under
                raise asyncio.CancelledError
            terms, moves = self.terms, self._moves
            self._queued, self._queued_at, self.movable = terms, self._clock(), _never
            try:
                return await wait(terms)
            except DeadlineError:
                if self.abandoned or not terms.latest < self.terms.latest > self._clock():
                    raise
            except OverloadedError as error:
                if not self._refuse_hurried(terms, error):
                    raise
            except asyncio.CancelledError:
                if self._task is None or self._moves == moves or self._task.uncancel():
                    raise  # it was not we, or not we alone
            finally:
                self.movable = _never

    def _refuse_hurried(self, terms: Terms, error: OverloadedError) -> bool:
        """Refuse those who have no more time than what was refused; False where nobody has, and all are to be told."""
        hurried = [waiter for waiter in self._waiters if waiter.terms.latest <= terms.latest]
        if len(hurried) == len(self._waiters):
            return False
        for waiter in hurried:
            waiter.fail(copy(error))
            self.leave(waiter)
        return True

    def note_facts(self, facts: ImageFacts) -> None:
        """Ask each who waits whether they want the image, now that its facts are known.

        Args:
            facts: As decoded. When nobody wants it, the work is cancelled at its next await.
        """
        self._facts = facts
        for waiter in tuple(self._waiters):
            try:
                waiter.check(facts)
            except Exception as error:  # noqa: BLE001  whatever it is, it is theirs
                waiter.fail(error.with_traceback(None))
                self.leave(waiter)

    async def join(self, waiter: _Waiter) -> EmbeddedImage:
        """Wait for the outcome."""
        if self._facts is not None:
            waiter.check(self._facts)
        self._waiters.append(waiter)
        try:
            if not waiter.began:  # else it does not wait yet
                self._move()
            return await waiter.answer
        finally:
            self.leave(waiter)
            del waiter  # an error holds this frame, and what was waited for the error

    def leave(self, waiter: _Waiter) -> None:
        """Wait no longer; the last one to leave takes the work along."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            if self.abandoned and self._task is not None:
                self._task.cancel()

    def start(self, task: asyncio.Task[None]) -> None:
        """Be done by a task."""
        self._task = task

    def deliver(self, image: EmbeddedImage) -> None:
        """Answer all."""
        for waiter in self._end():
            waiter.deliver(image if waiter.began else replace(image, timings=None, source="shared"))

    def fail(self, error: Exception) -> None:
        """Answer all with what is wrong with the image, or have them try for themselves."""
        shared = isinstance(error, ClipwardenError) and not isinstance(error, OverloadedError | DeadlineError)
        if isinstance(error, ClipwardenError):
            error.__traceback__ = None  # whose frames hold the file; of a fault that nobody foresaw they are logged
        for number, waiter in enumerate(self._end()):
            if not shared and not waiter.began:
                waiter.fail(_FellError())
            else:
                waiter.fail(copy(error) if number and shared else error)

    def _end(self) -> list[_Waiter]:
        waiters, self._waiters = self._waiters, []
        self.make = None  # errors hold frames, these hold the work, and that the file
        return waiters

    def _move(self) -> None:
        """Wait anew if whoever has come is more urgent than those for whom it waits."""
        if self._task is None or self._task.cancelling():
            return
        ours, theirs = self.terms, self._queued
        # By then it counts as due in any case; a later deadline would only cost it the place that it has.
        due = min(theirs.latest, self._queued_at + PATIENCE_SECONDS)
        if (ours.priority < theirs.priority or ours.latest < due) and self.movable(ours):
            self._moves += 1
            self._task.cancel()


Make = Callable[[SharedWork], Awaitable[EmbeddedImage]]


class Sharing:
    """Gives embeddings of contents: those that are kept, those that are being made, or new ones.

    Args:
        cache: What is kept; it may outlive this.
        observer: Told where each image's embeddings came from.
        clock: Seconds, that deadlines are on.
    """

    def __init__(
        self, cache: EmbeddingCache, observer: Observer, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache = cache
        self._observer = observer
        self._clock = clock
        self._works: dict[EmbeddingKey, SharedWork] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, key: EmbeddingKey) -> bool:
        """Say whether a content is kept or being worked at; any thread may ask."""
        return key in self._cache or key in self._works

    def __len__(self) -> int:
        """Count the contents that are being worked at."""
        return len(self._works)

    async def get(self, key: EmbeddingKey, make: Make, terms: Terms, *, check: Check = lambda _: None) -> EmbeddedImage:
        """Give the embeddings of a content.

        Args:
            key: All that they depend on.
            make: Makes them, if they are neither kept nor being made; holds the file's bytes, and is let go otherwise.
            terms: Of the one who asks. Whether their deadline passes is theirs to watch.
            check: Raises what they refuse an image with for its facts.

        Returns:
            The image; `source` says which of the three it was, and only what was made for this call has timings.

        Raises:
            ClipwardenError: As `make` and `check`.
            ShuttingDownError: This was closed.
        """
        while (image := self._cache.get(key)) is None:
            work = self._works.get(key)
            began = work is None or work.abandoned
            if work is None or work.abandoned:
                work = self._begin(key, make)
            make = work.make or make
            answer = asyncio.get_running_loop().create_future()
            try:
                image = await work.join(_Waiter(terms=terms, check=check, began=began, answer=answer))
            except _FellError:
                if terms.deadline is not None and terms.deadline <= self._clock():
                    raise DeadlineError("the deadline passed before the image was embedded") from None
                continue
            except ClipwardenError:
                del make  # as in `join`; it holds the file
                raise
            finally:
                del work, answer
            break
        else:
            check(image.facts)
        self._observer.note_lookup(image.source or "encoder")
        return image

    async def close(self) -> None:
        """Stop; whoever still waits fails with ShuttingDownError."""
        for work in self._works.values():
            work.fail(ShuttingDownError("judging was shut down"))
        self._works.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: EmbeddingKey, make: Make) -> SharedWork:
        work = self._works[key] = SharedWork(make, clock=self._clock)
        task = asyncio.create_task(self._run(key, make, work))
        work.start(task)
        self._tasks.add(task)
        task.add_done_callback(partial(self._note_end, key, work))
        return work

    def _note_end(self, key: EmbeddingKey, work: SharedWork, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._forget(key, work)  # where it was cancelled

    async def _run(self, key: EmbeddingKey, make: Make, work: SharedWork) -> None:
        try:
            image = _own(await make(work))
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are told
            self._forget(key, work)
            work.fail(error)
        else:
            self._cache.put(key, image)
            self._forget(key, work)
            work.deliver(image)

    def _forget(self, key: EmbeddingKey, work: SharedWork) -> None:
        if self._works.get(key) is work:
            del self._works[key]


def _own(image: EmbeddedImage) -> EmbeddedImage:
    """Give an image rows of its own, and for reading: those of a batch share one array, and many are given these."""
    if image.source == "encoder" and image.embeddings.base is None and not image.embeddings.flags.writeable:
        return image  # it has
    rows = image.embeddings.copy()
    rows.flags.writeable = False
    return replace(image, embeddings=rows, source="encoder")
