"""Run blocking work in a bounded pool of threads, and notice when it never comes back.

The event loop has a budget
---------------------------
It answers health checks, takes requests and forms batches, so nothing that takes more than about a millisecond runs on
it. Reading headers, hashing and decoding always go to a thread (`run`). What is short for most requests and long for
some, such as judging a few views against thousands of texts, says what it will cost and goes through `run_if_long`.

Waiting happens here, on the event loop, and not in the pool's own queue: in a `FairQueue`, from which a call that is
cancelled leaves at once and frees its bytes. What waits for memory does so first, so that it keeps no thread idle. Work
that has begun cannot be stopped; its call fails after `stall_seconds`, and its thread is only lent again once it really
returns. When all threads are stuck, waiting and new calls fail at once, until one comes back.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from clipwarden.engine.line import FairQueue
from clipwarden.engine.memory import ByteBudget
from clipwarden.engine.pool import Piece, ThreadPool
from clipwarden.engine.terms import UNBOUND, Terms
from clipwarden.errors import ClipwardenError, DeadlineError, EncoderError, ShuttingDownError

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


class Turn(Protocol):
    """What waits in line, and is told of it."""

    @property
    def terms(self) -> Terms:
        """By which it goes before or after others."""

    @property
    def cost(self) -> float:
        """Seconds, likewise."""

    def wait(self) -> None:
        """Hear that it has to wait."""

    def leave(self) -> None:
        """Hear that it waits no longer, without having had its turn."""

    def start(self) -> None:
        """Hear that its turn has come; an error that this raises has it leave without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """Short work, which waits in line and has nothing to hear of it."""

    terms: Terms = UNBOUND
    cost: float = 1.0

    def wait(self) -> None:
        """Let it pass."""

    def leave(self) -> None:
        """Let it pass."""

    def start(self) -> None:
        """Let it pass."""


ANY_TIME = Errand()
"""Work of nobody's."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class _Waiting:
    """A call in line.

    Attributes:
        turn: What it waits for.
        come: Done when that has come, or is not going to.
    """

    turn: Turn
    come: asyncio.Future[None]


class _Held(Piece[T]):
    """Work under way.

    Attributes:
        holds: Bytes that it was lent.
        answer: What its caller awaits; done as soon as the caller has left, too.
    """

    __slots__ = ("answer", "holds")

    def __init__(self, work: Callable[[], T], *, holds: int, answer: asyncio.Future[T]) -> None:
        super().__init__(work)
        self.holds = holds
        self.answer = answer


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadStatistics:
    """A pool at one moment.

    Attributes:
        waiting: Pieces of work in line.
        oldest_seconds: How long the first of them has waited.
        busy: Threads at work, the stuck among them.
        stuck: Threads that have been at one piece for longer than `stall_seconds`.
        threads: How many there are.
        busy_seconds: How long they have been at work so far, added up.
    """

    waiting: int
    oldest_seconds: float
    busy: int
    stuck: int
    threads: int
    busy_seconds: float


class WorkThreads:
    """A pool of threads. Lives on one event loop.

    Args:
        name: What they do, as a verb.
        threads: Pieces of work at the same time.
        stall_seconds: Work longer than this counts as stuck.
        memory: What all work together may hold; None where it holds nothing to speak of.
        may_start: Whether anything may, beside there being a thread; `lend` is to be called when that changes.
        on_health: Told True or False whenever that changes.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        stall_seconds: float,
        memory: ByteBudget | None = None,
        may_start: Callable[[], bool] = lambda: True,
        on_health: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._threads = threads
        self._stall_seconds = stall_seconds
        self._memory = memory or ByteBudget(max_bytes=0, small_bytes=0)
        self._on_health = on_health
        self._pool = ThreadPool[_Held[Any]](name, size=threads, on_end=self._end, on_stuck=self._note_stuck)
        self._free = threads
        self._may_start = may_start
        self._line = FairQueue[_Waiting](on_expired=_expire)
        self._closed = False

    @property
    def healthy(self) -> bool:
        """Whether at least one thread is not stuck."""
        return self._pool.stuck < self._threads

    @property
    def stuck(self) -> bool:
        """Whether some thread may never come back."""
        return self._pool.stuck > 0

    def statistics(self) -> ThreadStatistics:
        """Describe this moment; read from another thread, its numbers may lie a moment apart."""
        return ThreadStatistics(
            waiting=len(self._line),
            oldest_seconds=self._line.oldest_seconds(time.monotonic()),
            busy=self._threads - self._free,
            stuck=self._pool.stuck,
            threads=self._threads,
            busy_seconds=self._pool.busy_seconds,
        )

    def close(self) -> None:
        """Stop; waiting and new calls fail with ShuttingDownError, and stuck threads are left behind."""
        self._closed = True
        self._fail_waiting(_shut_down())
        self._pool.close()

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

    async def run(self, work: Callable[[], T], *, holds: int = 0, turn: Turn = ANY_TIME) -> Done[T]:
        """Run a blocking function in a thread.

        Args:
            work: What it raises is raised here; as the cause of a RuntimeError where no task would survive it.
            holds: Most bytes that it holds, of the pool's memory; 0 where the pool has none.
            turn: What it waits for in line, once it has its memory.

        Returns:
            Its value and timings.

        Raises:
            DeadlineError: Its deadline passed before its turn came.
            EncoderError: The work, or every thread, is stuck.
            ShuttingDownError: The pool was closed.
        """
        arrived = time.perf_counter()
        self._require_able()
        small = self._memory.is_small(holds)
        if not small:
            await self._memory.borrow(holds)
        try:
            if not self._take_thread(turn):
                await self._wait_for_thread(turn)
        except BaseException:
            if not small:
                self._memory.give_back(holds)
            raise
        if small:  # it waits for no memory, so none is lent to it before it has a thread
            self._memory.lend_small(holds)
        started = time.perf_counter()
        value = await self._do(work, holds)
        return Done(value=value, wait_seconds=started - arrived, run_seconds=time.perf_counter() - started)

    def _take_thread(self, turn: Turn) -> bool:
        """Take a free thread at once, if nobody waits for one."""
        if not self._free or len(self._line) or not self._may_start():
            return False
        self._require_able()
        turn.start()
        self._free -= 1
        return True

    async def _wait_for_thread(self, turn: Turn) -> None:
        self._require_able()
        waiting = _Waiting(turn=turn, come=asyncio.get_running_loop().create_future())
        turn.wait()  # first: who fails here must not be left in line
        entry = self._line.put(waiting, terms=turn.terms, cost=turn.cost, arrived=time.monotonic())
        self.lend()
        try:
            await waiting.come
        except asyncio.CancelledError:
            self._line.drop(entry)
            if waiting.come.cancelled():
                turn.leave()
            elif waiting.come.exception() is None:  # its turn had come
                self._put_back()
            raise

    def lend(self) -> None:
        """Lend free threads to who waits, as far as they may start."""
        while self._free and self._may_start():
            entry = self._line.pop(time.monotonic())
            if entry is None:
                return
            waiting = entry.item
            if waiting.come.done():  # it was cancelled, and has not heard of it yet
                continue
            try:
                waiting.turn.start()
            except Exception as error:  # noqa: BLE001  whatever it is, it is this caller's, and others wait behind it
                waiting.come.set_exception(_raisable(error))
            else:
                self._free -= 1
                waiting.come.set_result(None)

    def _put_back(self) -> None:
        self._free += 1
        self.lend()

    def _fail_waiting(self, error: ClipwardenError) -> None:
        self._memory.fail_all(error)
        while entry := self._line.pop(-math.inf):
            _fail(entry.item, error)

    def _require_open(self) -> None:
        if self._closed:
            raise _shut_down()

    def _require_able(self) -> None:
        self._require_open()
        if not self.healthy:
            raise self._all_stuck()

    def _all_stuck(self) -> EncoderError:
        return EncoderError(f"all {self._name} threads are stuck")

    def _do(self, work: Callable[[], T], holds: int) -> asyncio.Future[T]:
        """Begin work in a thread that was taken for it.

        It is watched to its end, whoever leaves before: a thread that hangs is one less for everybody.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._require_open()  # it may have closed since the turn came
        except ShuttingDownError:
            self._memory.give_back(holds)
            self._put_back()
            raise
        self._pool.begin(_Held(work, holds=holds, answer=answer), stall_seconds=self._stall_seconds)
        return answer

    # In both of these callers are answered first: whatever fails in what follows keeps none of them waiting.

    def _note_stuck(self, piece: _Held[Any]) -> None:
        if not piece.answer.done():
            piece.answer.set_exception(EncoderError(f"this takes too long to {self._name}"))
        self._memory.note_stuck(piece.holds)
        if not self.healthy:
            self._fail_waiting(self._all_stuck())
            self._on_health(False)  # noqa: FBT003  the callback's one argument

    def _end(self, piece: _Held[Any]) -> None:
        _answer(piece)
        if piece.stuck:
            self._memory.note_unstuck(piece.holds)
        self._memory.give_back(piece.holds)
        self._put_back()
        if piece.stuck and self._pool.stuck == self._threads - 1:
            self._on_health(True)  # noqa: FBT003


def _answer(piece: _Held[Any]) -> None:
    if piece.answer.done():  # nobody is left to hear the outcome
        return
    if piece.error is None:
        piece.answer.set_result(piece.value)
    else:
        error, piece.error = piece.error, None  # its traceback holds the piece
        piece.answer.set_exception(_raisable(error))


def _raisable(error: BaseException) -> Exception:
    """Make an error one that a future takes, and that ends neither the loop nor, in silence, its caller's task."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    ours = RuntimeError(f"work in a thread raised {type(error).__name__}")
    ours.__cause__ = error
    return ours


def _shut_down() -> ShuttingDownError:
    return ShuttingDownError("judging was shut down")


def _expire(waiting: _Waiting) -> None:
    _fail(waiting, DeadlineError("the deadline passed before the image had its turn"))


def _fail(waiting: _Waiting, error: ClipwardenError) -> None:
    if not waiting.come.done():
        waiting.turn.leave()
        waiting.come.set_exception(error)
