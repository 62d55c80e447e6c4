"""Changed policy files in, another snapshot for new requests out; or what is wrong, to log, metrics and health.

One load at a time, in a thread of its own, beside what judges; its last act is to exchange one attribute on the loop.
Requests keep the snapshot that they were admitted with, and the cache of embeddings does not know of policies.

**All or nothing, twice.** The live policies are exchanged together or not at all: what runs is always one set that
somebody checked as a whole, and what a new start would run; files that change while they are loaded are loaded once
more (`origin.settled`). Candidates are a set of their own: one that cannot be used keeps those of before watching, and
holds back no mend of a live policy. Live policies that cannot be used keep candidates back as well, since those are
there to be compared with them.

Rejected: every policy by itself, by which a set is half of one release and half of another for as long as nobody reads
the log; and a load that the next change breaks off, by which a folder that changes all the time is never loaded.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from clipwarden.engine.snapshot import Snapshot
from clipwarden.engine.threads import WorkThreads
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.vectors import Progress
from clipwarden.policy.shipped import shipped_policies
from clipwarden.serving.config import Settings
from clipwarden.serving.enforcement import IdlePolicies
from clipwarden.serving.filewatch import FileWatch
from clipwarden.serving.health import Health
from clipwarden.serving.loading import (
    Attempt,
    ReloadStoppedError,
    cache_folder,
    load_again,
    logged_progress,
    origin_of,
)
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.policylog import log_fault, log_refused, write_lines
from clipwarden.serving.reusedversions import ReusedVersions

SUBJECT = "policies"
"""What health's notice is about."""

MOST_END_SECONDS = 5.0
"""How long a load may take to end: as long as the largest file takes to be parsed, which nothing breaks off."""

log = logging.getLogger(__name__)


class Reloader:
    """Loads policies again when their files change, and when it is asked to. Lives on one event loop.

    Attributes:
        attempts: How many loads have ended, well or badly.
        stuck: Whether a load did not end when it was told to, once this is closed.

    Args:
        settings: Which files, and whether they are watched.
        snapshot: What judges at the start.
        exchange: Has new requests judged by another snapshot; where it raises, by the one of before.
        metrics: Hear of every load.
        health: Is told while what the files hold is not what judges, or enforces nothing any more.
    """

    def __init__(
        self,
        settings: Settings,
        snapshot: Snapshot,
        *,
        exchange: Callable[[Snapshot], None],
        metrics: Metrics,
        health: Health,
    ) -> None:
        self.attempts = 0
        self.stuck = False
        self._settings = settings
        self._snapshot = snapshot
        self._origin = origin_of(settings, snapshot)
        self._cache: VectorCache | None = None
        self._refused_since: str | None = None
        self._idle = IdlePolicies()
        self._reused = ReusedVersions(snapshot)
        self._exchange = exchange
        self._metrics = metrics
        self._health = health
        self._asked = asyncio.Event()
        self._stopped = threading.Event()
        self._threads = WorkThreads("reload policies", threads=1, stall_seconds=math.inf)
        self._task: asyncio.Task[None] | None = None
        self._watch: FileWatch | None = None

    def start(self) -> None:
        """Begin to watch, where the settings want it and there is something to watch."""
        self._metrics.note_policies_loaded(time.time())
        if self._origin is None:
            return
        self._task = asyncio.create_task(self._run())
        if self._settings.watch_policies and not _all_shipped(self._origin.paths):
            loop = asyncio.get_running_loop()

            def note_change() -> None:
                with suppress(RuntimeError):  # the loop is gone
                    loop.call_soon_threadsafe(self._asked.set)

            self._watch = FileWatch(self._origin.files, note_change)
            self._watch.start()

    def request(self) -> None:
        """Load the policies again soon, whether or not a file has changed."""
        if self._stopped.is_set():
            log.info("policies are not reloaded any more: the server drains")
        elif self._origin is None:
            log.info("policies are not reloaded: they were loaded from no file")
        else:
            self._asked.set()

    def stop(self) -> None:
        """Load nothing from now on; one that is under way ends after the text that it is at, and changes nothing."""
        self._stopped.set()
        if self._watch:
            self._watch.close()

    async def close(self) -> None:
        """Stop, and wait for what is under way, but not for long."""
        self.stop()
        self._asked.set()
        if self._task:
            await asyncio.wait({self._task}, timeout=MOST_END_SECONDS)
            self.stuck = not self._task.done()
            self._task.cancel()
        self._threads.close()

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            if self._stopped.is_set():
                return
            self._asked.clear()
            await self._reload()

    async def _reload(self) -> None:
        assert self._origin is not None  # noqa: S101  or nothing was started
        self._cache = self._cache or VectorCache(cache_folder(self._settings))
        niceness = self._settings.engine.niceness
        work = partial(
            load_again, self._snapshot, self._origin, self._cache, niceness=niceness, progress=self._progress
        )
        try:
            attempt = (await self._threads.run(work)).value
            if not self._stopped.is_set():
                self._take(attempt)
        except ReloadStoppedError:
            return
        except Exception as exc:  # noqa: BLE001  logged, with where it came from
            self._note_refused([log_fault(exc)], candidates_only=False)
        self.attempts += 1

    def _take(self, attempt: Attempt) -> None:
        """Let new requests be judged by what was loaded, and say so; or say why not."""
        self._origin = attempt.origin
        if self._watch:
            self._watch.expect(attempt.origin.files)
        if attempt.snapshot is None:
            self._note_refused(attempt.problems, candidates_only=False)
            return
        self._cache = None  # what is in use is kept by its origin; what was in the file is on disk
        if attempt.news:
            self._exchange(attempt.snapshot)
            self._idle.note_exchange(self._snapshot, attempt.snapshot)
            self._reused.note_exchange(attempt.snapshot)
            self._snapshot = attempt.snapshot
            write_lines(attempt.news)
        if attempt.problems:
            self._note_refused(attempt.problems, candidates_only=True)
            return
        if not attempt.news:
            log.info("policies unchanged")
        self._metrics.note_reload("changed" if attempt.news else "unchanged")
        self._metrics.note_policies_loaded(time.time())
        self._refused_since = None
        self._note_health(None)

    def _note_refused(self, problems: "list[str] | tuple[str, ...]", *, candidates_only: bool) -> None:
        log_refused(problems, candidates_only=candidates_only)
        self._metrics.note_reload("candidates_failed" if candidates_only else "failed")
        what = "candidates" if candidates_only else "policies"
        self._refused_since = self._refused_since or time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        # Anybody may read it, so it says how many problems there are and not what the policies hold.
        many = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
        sentence = f"Since {self._refused_since} UTC the files hold {what} that cannot be used, with {many}"
        self._note_health(f"{sentence}; those of before are in use. The log says more.")

    def _note_health(self, refused: str | None) -> None:
        said = [sentence for sentence in (refused, self._idle.sentence, self._reused.sentence) if sentence]
        self._health.note(SUBJECT, " ".join(said) or None)

    @contextmanager
    def _progress(self, label: str) -> Generator[Progress]:
        with logged_progress(label) as tell:

            def tell_or_stop(done: int, total: int) -> None:
                if self._stopped.is_set():
                    raise ReloadStoppedError
                tell(done, total)

            yield tell_or_stop


def _all_shipped(paths: tuple[Path, ...]) -> bool:
    """Tell whether all policies came with the package, which changes by a rollout."""
    shipped = frozenset(shipped_policies())
    return all(path in shipped for path in paths)
