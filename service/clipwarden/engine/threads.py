"""Run blocking work in a bounded pool of threads, and notice when it never comes back.

The event loop has a budget
---------------------------
It answers health checks, takes requests and forms batches, so nothing that takes more than about a millisecond runs on
it. Reading headers, hashing and decoding always go to a thread (`run`). What is short for most requests and long for
some, such as judging a few views against thousands of texts, says what it will cost and goes through `run_if_long`.

Waiting happens here, on the event loop, and not in the pool's own queue: a call that is cancelled while it waits leaves
at once and frees its bytes. What waits for memory does so first, so that it keeps no thread idle. Work that
has begun cannot be stopped; its call fails after `stall_seconds`, and its thread is only lent again once it really
returns. When all threads are stuck, waiting and new calls fail at once, until one comes back.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from clipwarden.engine.memory import ByteBudget
from clipwarden.errors import EncoderError, ShuttingDownError

LOOP_BUDGET_MICROSECONDS = 1000.0
"""Longest piece of work on the event loop. Handing it to a thread and back takes some 100 (CPython 3.11, a Xeon), so
that shorter work is quicker where it is."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Done(Generic[T]):
    """What some work returned, and where its time went, in seconds."""

    value: T
    wait_seconds: float
    run_seconds: float


class WorkThreads:
    """A pool of threads. Lives on one event loop.

    Args:
        name: What they do, as a verb.
        threads: Pieces of work at the same time.
        stall_seconds: Work longer than this counts as stuck.
        memory: What all work together may hold; None where it holds nothing to speak of.
        on_health: Told True or False whenever that changes.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        stall_seconds: float,
        memory: ByteBudget | None = None,
        on_health: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._threads = threads
        self._stall_seconds = stall_seconds
        self._memory = memory or ByteBudget(max_bytes=0, small_bytes=0)
        self._on_health = on_health
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=f"clipwarden-{name}")
        self._free = asyncio.Semaphore(threads)
        self._closed = False
        self._stuck: set[int] = set()  # identities: futures of different results share no type

    @property
    def healthy(self) -> bool:
        """Whether at least one thread is not stuck."""
        return len(self._stuck) < self._threads

    @property
    def stuck(self) -> bool:
        """Whether some thread may never come back."""
        return bool(self._stuck)

    def close(self) -> None:
        """Stop; waiting and new calls fail with ShuttingDownError, and stuck threads are left behind."""
        self._closed = True
        self._free.release()  # wakes the first waiting call, which passes it on and fails; and so down the line
        self._memory.fail_all(_shut_down())
        # What a thread has not picked up yet is not cancelled: there is a thread for each piece, and it will be soon.
        self._pool.shutdown(wait=False)

    async def run_if_long(self, work: Callable[[], T], *, microseconds: float) -> T:
        """Run a function here if it is short, and in a thread if it is not.

        Args:
            work: What it raises is raised here.
            microseconds: What it will take, by a measured rate; on another machine it may be a few times that.

        Raises:
            EncoderError: As `run`.
        """
        if microseconds <= LOOP_BUDGET_MICROSECONDS:
            return work()
        return (await self.run(work)).value

    async def run(self, work: Callable[[], T], *, holds: int = 0) -> Done[T]:
        """Run a blocking function in a thread.

        Args:
            work: What it raises is raised here.
            holds: Most bytes that it holds, of the pool's memory; 0 where the pool has none.

        Returns:
            Its value and timings.

        Raises:
            EncoderError: The work, or every thread, is stuck.
            ShuttingDownError: The pool was closed.
        """
        arrived = time.perf_counter()
        self._require_able()
        waits = 0 if self._memory.is_small(holds) else holds
        await self._memory.borrow(waits)
        try:
            await self._take_thread()
        except BaseException:
            self._memory.give_back(waits)
            raise
        # What is small waits for no memory, so none is lent to it before it has a thread.
        await self._memory.borrow(holds - waits)
        started = time.perf_counter()
        try:
            submitted = self._submit(work, holds)
        except BaseException:
            self._memory.give_back(holds)
            raise
        value = await self._watched(submitted, holds)
        return Done(value=value, wait_seconds=started - arrived, run_seconds=time.perf_counter() - started)

    async def _take_thread(self) -> None:
        await self._free.acquire()
        try:
            self._require_able()
        except BaseException:
            self._free.release()
            raise

    def _require_able(self) -> None:
        if self._closed:
            raise _shut_down()
        if not self.healthy:
            raise self._all_stuck()

    def _all_stuck(self) -> EncoderError:
        return EncoderError(f"all {self._name} threads are stuck")

    def _submit(self, call: Callable[[], T], holds: int) -> Future[T]:
        loop = asyncio.get_running_loop()
        try:
            work = self._pool.submit(call)
        except BaseException:  # no thread could be started
            self._free.release()
            raise

        def give_back(done: Future[T]) -> None:
            # The loop is gone when a stuck thread outlives the server; nobody waits for it then.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._give_back, done, holds)

        work.add_done_callback(give_back)
        return work

    async def _watched(self, work: Future[T], holds: int) -> T:
        answer = asyncio.wrap_future(work)
        try:
            done, _ = await asyncio.wait({answer}, timeout=self._stall_seconds)
            if done:
                return answer.result()
        finally:
            answer.cancel()  # does nothing once done; otherwise nobody is left to hear the outcome
        self._note_stuck(work, holds)
        raise EncoderError(f"this takes too long to {self._name}")

    def _note_stuck(self, work: Future[T], holds: int) -> None:
        self._stuck.add(id(work))
        self._memory.note_stuck(holds)
        if not self.healthy:
            # One permit too many wakes the first waiting call, which passes it on and fails; and so down the line.
            self._free.release()
            self._memory.fail_all(self._all_stuck())
            self._on_health(False)  # noqa: FBT003  the callback's one argument

    def _give_back(self, work: Future[T], holds: int) -> None:
        was_healthy = self.healthy
        if id(work) in self._stuck:
            self._stuck.discard(id(work))
            self._memory.note_unstuck(holds)
        self._memory.give_back(holds)
        if was_healthy:
            self._free.release()
        else:
            # The permit that woke the waiting calls takes the place of this thread's own.
            self._on_health(True)  # noqa: FBT003


def _shut_down() -> ShuttingDownError:
    return ShuttingDownError("judging was shut down")
