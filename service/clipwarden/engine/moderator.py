"""Judge images in this process, with typed results: for notebooks, workers and scripts that need no server.

>>> from clipwarden import Moderator
>>> with Moderator() as moderator:
...     for result in moderator.moderate_many(Path("uploads").iterdir()):
...         print(result.name, result.judged.verdict.name if result.judged else result.error)
"""

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet, finalize

from clipwarden.engine.async_moderator import AsyncModerator, ImageResult
from clipwarden.engine.forks import forget_in_children
from clipwarden.engine.images import ImageSource, require_several
from clipwarden.engine.moderator_options import ModeratorOptions, moderator_options
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.settings import AT_ONCE, EngineSettings
from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import ShuttingDownError
from clipwarden.modelfolder.load import EMBEDDED_MODEL
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.vision.plan import WHOLE, ViewPlan

T = TypeVar("T")


class Moderator:
    """Judges images in this process; arguments, results and errors as for `AsyncModerator`.

    Its event loop runs in a thread of its own. Safe to share between threads. The model is loaded at first use, or by
    `with`; a copy in another process, forked or unpickled, loads its own.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        policies: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        *,
        provider: str = CPU_PROVIDER,
        encoder_threads: int | None = None,
        vector_cache: bool = True,
        settings: EngineSettings | None = None,
    ) -> None:
        self.__setstate__(
            moderator_options(
                model,
                policies,
                provider=provider,
                encoder_threads=encoder_threads,
                vector_cache=vector_cache,
                settings=settings,
            )
        )

    def __getstate__(self) -> ModeratorOptions:
        """Leave the thread and all that it has opened behind; they belong to this process."""
        return self._options

    def __setstate__(self, options: ModeratorOptions) -> None:
        """Start unopened."""
        self._options = options
        self._lock = threading.Lock()
        self._running: _LoopThread | None = None
        forget_in_children(self)

    def forget(self) -> None:
        """Start unopened in a forked child, where the thread is missing and nobody would ever free the lock."""
        self._lock = threading.Lock()
        self._running = None

    def __enter__(self) -> Self:
        """Load the model and the policies now."""
        self.snapshot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Stop; what is at work, or loading, fails with ShuttingDownError. The next use opens it again.

        Not for handlers of signals, which interrupt who holds the locks that this takes.
        """
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def snapshot(self) -> Snapshot:
        """Return the model and the policies, loading them if need be."""
        return self._run(lambda inner: inner.snapshot())

    def moderate(self, image: ImageSource, *, policy: str | None = None, context: str | None = None) -> Judged:
        """Judge one image; see `AsyncModerator.moderate`."""
        return self._run(lambda inner: inner.moderate(image, policy=policy, context=context))

    def moderate_many(
        self,
        images: Iterable[ImageSource],
        *,
        policy: str | None = None,
        context: str | None = None,
        at_once: int = AT_ONCE,
    ) -> Iterator[ImageResult]:
        """Judge images as they come, several at a time; see `AsyncModerator.moderate_many`.

        The images are taken in the thread that takes the results.
        """
        require_several(images)
        if at_once < 1:
            raise ValueError("at_once must be at least 1")
        self.snapshot().select(policy, context)
        return self._results(images, policy, context, at_once)

    def _results(
        self, images: Iterable[ImageSource], policy: str | None, context: str | None, at_once: int
    ) -> Iterator[ImageResult]:
        running = self._open()
        window: deque[Future[ImageResult]] = deque()
        try:
            for image in images:
                if len(window) >= at_once:
                    yield running.wait(window[0])
                    window.popleft()
                window.append(running.submit(running.inner.result(image, policy=policy, context=context)))
            while window:
                yield running.wait(window[0])
                window.popleft()
        finally:
            for future in window:
                future.cancel()

    def embed(self, image: ImageSource, *, plan: ViewPlan = WHOLE) -> EmbeddedImage:
        """Embed one image, to be judged later; see `AsyncModerator.embed`."""
        return self._run(lambda inner: inner.embed(image, plan=plan))

    def judge(self, image: EmbeddedImage, *, policy: str | None = None, context: str | None = None) -> Judged:
        """Judge an image that was embedded before; see `AsyncModerator.judge`."""
        return self._run(lambda inner: inner.judge(image, policy=policy, context=context))

    def _run(self, call: Callable[[AsyncModerator], Coroutine[Any, Any, T]]) -> T:
        running = self._open()
        future = running.submit(call(running.inner))
        try:
            return running.wait(future)
        finally:
            future.cancel()  # Ctrl-C: nobody waits for it any more

    def _open(self) -> "_LoopThread":
        with self._lock:
            if self._running is None:
                self._running = _LoopThread(self._options)
            return self._running


class _LoopThread:
    """An event loop in a thread of its own, and what judges on it; ends with `stop`, its owner, or the program."""

    def __init__(self, options: ModeratorOptions) -> None:
        self.inner = AsyncModerator.made_with(options)
        self._end = _End(self.inner)
        # Signals only: whatever thread the garbage collector runs in, under whatever locks, must not wait for another.
        finalize(self, self._end.begin)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start some work on the loop.

        Raises:
            ShuttingDownError: It has been stopped, or stayed in the process that this one was forked from.
        """
        return self._end.submit(work)

    def wait(self, future: Future[T]) -> T:
        """Wait for some work; what `stop` cut off fails with ShuttingDownError."""
        self._end.require_own_process()
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ShuttingDownError("the moderator was closed") from None

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self._end.begin()
        self._end.join()


class _End:
    """The thread and its loop, without the owner that they must not keep alive."""

    def __init__(self, inner: AsyncModerator) -> None:
        self._inner = inner
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._begun = False
        _remember(self)
        self._loop = asyncio.new_event_loop()
        # A daemon, since the interpreter waits for others before it lets us stop them.
        self._thread = threading.Thread(target=self._run, name="clipwarden-moderator", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        refusal = self._why_not_here()
        if refusal is None:  # else the lock may be held by a thread that is not here
            with self._lock:
                if not self._begun:
                    return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise ShuttingDownError(refusal or "the moderator was closed")

    def require_own_process(self) -> None:
        if refusal := self._why_not_here():
            raise ShuttingDownError(refusal)

    def _why_not_here(self) -> str | None:
        if self._process == os.getpid():
            return None
        return "the moderator's thread stayed in the process that this one was forked from"

    def begin(self) -> None:
        """Have everything fail and the loop stop; returns at once."""
        if self._process != os.getpid():
            return
        with self._lock:
            if not self._begun:
                self._begun = True
                asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop)

    def join(self) -> None:
        """Wait until the thread has ended; does nothing on that thread, or in another process."""
        if self._process == os.getpid() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _wind_up(self) -> None:
        try:
            await self._inner.close()
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            # One turn later: whoever ended in this one has yet to tell its caller.
            self._loop.call_soon(self._loop.stop)


_ENDS: "WeakSet[_End]" = WeakSet()
_ENDS_LOCK = threading.Lock()
_program_ends = threading.Event()


def _remember(end: _End) -> None:
    """Have a thread end with the program.

    Raises:
        ShuttingDownError: The program ends already.
    """
    try:
        _watch_the_end()
    except RuntimeError as exc:
        raise ShuttingDownError("the program ends") from exc
    with _ENDS_LOCK:
        if _program_ends.is_set():
            raise ShuttingDownError("the program ends")
        _ENDS.add(end)


@cache
def _watch_the_end() -> None:
    # Before the interpreter shuts the pools of threads, which `atexit` comes after: an image that is at work then would
    # look like a broken encoder. What pools themselves use; where Python no longer has it, `atexit` has to do.
    getattr(threading, "_register_atexit", atexit.register)(_stop_all)
    os.register_at_fork(after_in_child=_renew_lock)


def _renew_lock() -> None:
    global _ENDS_LOCK  # noqa: PLW0603  whoever held it stayed in the parent
    _ENDS_LOCK = threading.Lock()


def _stop_all() -> None:
    with _ENDS_LOCK:
        _program_ends.set()
        ends = list(_ENDS)
    for end in ends:
        end.begin()
        end.join()
