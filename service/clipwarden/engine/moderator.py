"""Judge images in this process, with typed results: for notebooks, workers and scripts that need no server.

>>> from clipwarden import Moderator
>>> with Moderator() as moderator:
...     for result in moderator.moderate_many(Path("uploads").iterdir()):
...         print(result.name, result.judged.verdict.name if result.judged else result.error)
"""

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

from clipwarden.engine.async_moderator import AsyncModerator, ImageResult
from clipwarden.engine.images import ImageSource, require_several
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.settings import AT_ONCE, EngineSettings
from clipwarden.engine.snapshot import Snapshot
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
        self._inner = AsyncModerator(
            model,
            policies,
            provider=provider,
            encoder_threads=encoder_threads,
            vector_cache=vector_cache,
            settings=settings,
        )
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None

    def __getstate__(self) -> AsyncModerator:
        """Leave the thread behind; it belongs to this process."""
        return self._inner

    def __setstate__(self, inner: AsyncModerator) -> None:
        """Start unopened."""
        self._inner = inner
        self._forget()

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
        """Stop, and end the thread; the next use opens it again."""
        thread = self._thread if self._process == os.getpid() else None
        self._forget()
        if thread is not None:
            thread.run(self._inner.close())
            thread.stop()

    def snapshot(self) -> Snapshot:
        """Return the model and the policies, loading them if need be."""
        return self._run(self._inner.snapshot)

    def moderate(self, image: ImageSource, *, policy: str | None = None, context: str | None = None) -> Judged:
        """Judge one image; see `AsyncModerator.moderate`."""
        return self._run(lambda: self._inner.moderate(image, policy=policy, context=context))

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
        self.snapshot().select(policy, context)
        return self._results(images, policy, context, at_once)

    def _results(
        self, images: Iterable[ImageSource], policy: str | None, context: str | None, at_once: int
    ) -> Iterator[ImageResult]:
        thread = self._own_thread()
        window: deque[Future[ImageResult]] = deque()
        try:
            for image in images:
                if len(window) >= at_once:
                    yield window.popleft().result()
                window.append(thread.submit(self._inner.result(image, policy=policy, context=context)))
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()

    def embed(self, image: ImageSource, *, plan: ViewPlan = WHOLE) -> EmbeddedImage:
        """Embed one image, to be judged later; see `AsyncModerator.embed`."""
        return self._run(lambda: self._inner.embed(image, plan=plan))

    def judge(self, image: EmbeddedImage, *, policy: str | None = None, context: str | None = None) -> Judged:
        """Judge an image that was embedded before; see `AsyncModerator.judge`."""
        return self._run(lambda: self._inner.judge(image, policy=policy, context=context))

    def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._own_thread().run(call())

    def _own_thread(self) -> "_LoopThread":
        if self._process != os.getpid():
            self._forget()  # forked: the thread stayed in the parent
        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread()
            return self._thread


class _LoopThread:
    """An event loop in a thread of its own, which ends with the program or with whoever forgot to close it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, since the interpreter waits for others before it lets us stop them.
        thread = threading.Thread(target=self._loop.run_forever, name="clipwarden-moderator", daemon=True)
        thread.start()
        self.stop = weakref.finalize(self, _stop, self._loop, thread, os.getpid())
        _end_with_the_program(self)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = self.submit(work)
        try:
            return future.result()
        finally:
            future.cancel()  # Ctrl-C: nobody waits for it any more


_RUNNING: "weakref.WeakSet[_LoopThread]" = weakref.WeakSet()


def _end_with_the_program(thread: _LoopThread) -> None:
    _watch_the_end()
    _RUNNING.add(thread)


@cache
def _watch_the_end() -> None:
    # Before the interpreter shuts the pools of threads, which `atexit` comes after: an image that is at work then would
    # look like a broken encoder. What pools themselves use; where Python no longer has it, `finalize` has to do.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        register(_stop_all)


def _stop_all() -> None:
    for thread in list(_RUNNING):
        thread.stop()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    if process != os.getpid():
        return  # forked: the thread is the parent's

    async def cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        loop.stop()

    asyncio.run_coroutine_threadsafe(cancel_all(), loop)
    if threading.current_thread() is not thread:  # as it is when the garbage collector happens to run there
        thread.join()
        loop.close()
