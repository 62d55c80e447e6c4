"""Blocking work in, done in a thread; its owner hears on the event loop when it ends, and when it seems never to.

What every piece of work costs is kept low, since each image takes several: one queue of the interpreter's own, one call
on the loop when it ends, and one timer for all that is under way rather than one each. (`ThreadPoolExecutor` has locks,
a semaphore and a future of its own for each, and asyncio another.)

Never queues: whoever begins a piece has seen that a thread is free. Lives on one event loop.

The end of the program
----------------------
It waits for what its threads are at: one that came back from native code while the interpreter ends is killed inside
it, and aborts the process (onnxruntime: each time). It does not wait for a thread that counts as stuck, nor for any
longer than `LEAVE_SECONDS`: these are left where they are, and end with the process. If one came back in the few
milliseconds that are left it would still abort it; rejected for that: to wait for ever, which a program that hangs
does, and `os._exit`, since what ends with the interpreter cannot know with what code the program meant to leave, and
would cut off whatever else is to run at its end. (A server does know, and leaves so.)
"""

import asyncio
import atexit
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeAlias, TypeVar
from weakref import WeakSet, finalize

from clipwarden.machine import yield_cores

LEAVE_SECONDS = 30.0
"""How long the end of the program waits for threads: as long as work takes, by default, until it counts as stuck."""
_LOOK_SECONDS = 0.1

T = TypeVar("T")


class Piece(Generic[T]):
    """A piece of work under way, and what became of it.

    Args:
        work: Blocks; called once, in a thread.

    Attributes:
        value: What it returned, once it has ended; None where it raised something.
        error: What it raised.
        stuck: Whether it has been under way for longer than it may.
    """

    __slots__ = ("_work", "error", "stuck", "value")

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self.value: T | None = None
        self.error: BaseException | None = None
        self.stuck = False

    def do(self) -> None:
        """Do the work, and let go of it."""
        try:
            if self._work is not None:
                self.value = self._work()
        except BaseException as exc:  # noqa: BLE001  it is its owner's; no thread of ours ends for it
            self.error = exc
        self._work = None


P = TypeVar("P", bound=Piece[Any])
_Task: TypeAlias = tuple[asyncio.AbstractEventLoop, Callable[[Any], None], Any, float]
_Tasks: TypeAlias = "SimpleQueue[_Task | None]"  # None ends a thread


class _Worker(Thread):
    """One thread.

    Attributes:
        tasks: What it takes its work from.
        late: When what it is at counts as stuck; infinite while it is at nothing.
    """

    def __init__(self, tasks: _Tasks, *, name: str, niceness: int) -> None:
        # A daemon, since the interpreter waits for others before it lets us end them; `_end_all` waits for these.
        super().__init__(name=name, daemon=True)
        self.tasks = tasks
        self.late = math.inf
        self._niceness = niceness

    def run(self) -> None:
        yield_cores(self._niceness)
        while (task := self.tasks.get()) is not None:
            loop, end, piece, self.late = task
            piece.do()
            self.late = math.inf
            # The loop is gone when a stuck thread outlives the server; nobody waits for it then.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, piece)
            del task, loop, end, piece  # a thread that waits for work holds none

    def wait(self, until: float) -> None:
        """Wait until it has ended, but not beyond some time, nor when what it is at counts as stuck."""
        while self.is_alive() and (left := min(self.late, until) - time.monotonic()) > 0:
            self.join(min(left, _LOOK_SECONDS))  # it may only then begin what was begun last


class ThreadPool(Generic[P]):
    """Threads, started as they are needed.

    Attributes:
        size: How many there are at most.
        stuck: How many may never come back.
        under_way: Pieces that have not ended, and when each counts as stuck, on the loop's clock (`time.monotonic`).

    Args:
        name: Of the threads.
        size: How many there are at most.
        on_end: Told of a piece that has ended, stuck or not; its thread is free by then.
        on_stuck: Told of a piece that takes longer than it may.
        niceness: Above this thread's, where pieces are to yield cores to what is short.
    """

    def __init__(
        self,
        name: str,
        *,
        size: int,
        on_end: Callable[[P], None],
        on_stuck: Callable[[P], None],
        niceness: int = 0,
    ) -> None:
        self.size = size
        self.stuck = 0
        self.under_way: dict[P, float] = {}
        self._name = name
        self._niceness = niceness
        self._on_end = on_end
        self._on_stuck = on_stuck
        self._tasks: _Tasks = SimpleQueue()
        self._threads: list[_Worker] = []
        self._watch: asyncio.TimerHandle | None = None
        # Seconds of all threads until a moment, that moment, and how many are at work since: one object, so that other
        # threads read three numbers that belong together.
        self._busy = (0.0, time.monotonic(), 0)
        # A pool that nobody closed takes its threads along.
        self._dismiss = finalize(self, _dismiss, self._tasks, self._threads)
        self._dismiss.atexit = False

    @property
    def free(self) -> int:
        """How many threads could begin a piece now."""
        return self.size - len(self.under_way)

    @property
    def busy_seconds(self) -> float:
        """How long threads have been at work, added up, until now; from any thread."""
        seconds, since, busy = self._busy
        return seconds + busy * max(0.0, time.monotonic() - since)

    def begin(self, piece: P, *, stall_seconds: float) -> None:
        """Do a piece of work in a free thread.

        Args:
            piece: New.
            stall_seconds: How long it may take until it counts as stuck.

        Where no thread can be started, the piece ends with that error.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = self.under_way[piece] = now + stall_seconds
        self._note_busy(now)
        if len(self.under_way) > len(self._threads):
            try:
                self._start_thread()
            except RuntimeError as exc:
                piece.error = exc
                loop.call_soon(self._end, piece)
                return
        if self._watch is None or late < self._watch.when():
            self._watch_until(late)
        self._tasks.put((loop, self._end, piece, late))

    def close(self) -> None:
        """End the threads when they have done what was begun; whoever is to hear of that still does."""
        self._dismiss()

    def _start_thread(self) -> None:
        thread = _Worker(self._tasks, name=f"clipwarden-{self._name}_{len(self._threads)}", niceness=self._niceness)
        thread.start()
        self._threads.append(thread)
        _end_with_the_program()
        _WORKERS.add(thread)

    def _watch_until(self, late: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        never = late == math.inf
        self._watch = None if never else asyncio.get_running_loop().call_at(late, self._look_for_stuck)

    def _look_for_stuck(self) -> None:
        """Tell of the piece that should have ended first, if it should by now; look again when the next one should.

        Each has a turn of the loop of its own, so that an error of who hears of one keeps no other from being found.
        """
        self._watch = None
        waits = {piece: late for piece, late in self.under_way.items() if not piece.stuck}
        first = min(waits, key=waits.__getitem__, default=None)
        if first is None:
            return
        found = waits[first] <= asyncio.get_running_loop().time()
        if found:
            del waits[first]
            first.stuck = True
            self.stuck += 1
        if waits:
            self._watch_until(min(waits.values()))
        if found:
            self._on_stuck(first)

    def _end(self, piece: P) -> None:
        del self.under_way[piece]
        self._note_busy(time.monotonic())
        self.stuck -= piece.stuck
        self._on_end(piece)

    def _note_busy(self, now: float) -> None:
        seconds, since, busy = self._busy
        self._busy = (seconds + busy * (now - since), now, len(self.under_way))


def _dismiss(tasks: _Tasks, threads: list[_Worker]) -> None:
    for _ in threads:
        tasks.put(None)


_WORKERS: "WeakSet[_Worker]" = WeakSet()
"""All threads there are."""


@cache
def _end_with_the_program() -> None:
    atexit.register(_end_all)


def _end_all() -> None:
    workers = list(_WORKERS)
    for worker in workers:
        worker.tasks.put(None)
    until = time.monotonic() + LEAVE_SECONDS
    for worker in workers:
        worker.wait(until)
