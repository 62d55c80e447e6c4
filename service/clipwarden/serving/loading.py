"""Settings in, a snapshot out: at the start with its model, and later what its policy files hold by then."""

import asyncio
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import cast

import numpy as np
from numpy.typing import NDArray

from clipwarden.engine.candidates import load_candidates, with_candidates
from clipwarden.engine.origin import MOST_LOADS, Origin, look_at, settled
from clipwarden.engine.snapshot import (
    ShowProgress,
    Snapshot,
    find_policies,
    find_policy,
    load_policies,
    load_seeing_model,
    log_findings,
    user_cache_folder,
)
from clipwarden.errors import ClipwardenError, ConfigError, PolicyError, Problem, Severity
from clipwarden.machine import yield_cores
from clipwarden.modelfolder.encoder import TextEncoder
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.embedding import Tokens
from clipwarden.policy.bundle.vectors import Progress, embedded_texts
from clipwarden.serving.access import check_access
from clipwarden.serving.config import AUTO, Settings
from clipwarden.serving.policylog import Line, lines_of_exchange, log_fault

SAY_PROGRESS_SECONDS = 3.0
"""How often the log says how far the embedding of texts is: a start that takes longer than this looks like a hang."""
UNSETTLED = (
    f"Policy files changed each time while they were read, {MOST_LOADS} times in a row, so that they may hold parts of "
    "two releases. Write beside them and rename, and only when a release is complete."
)

log = logging.getLogger(__name__)


class ReloadStoppedError(Exception):
    """The server ends before its policies are loaded again; nobody waits for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What became of loading policies again.

    Attributes:
        origin: What was loaded, or was to be.
        snapshot: To judge with from now on; None where a live policy cannot be used, and all stays as it is.
        problems: Why that is so, or why the candidates are those of before; a sentence each.
        news: Lines of the log for when the snapshot is taken; none where it judges as the one of before.
    """

    origin: Origin
    snapshot: Snapshot | None
    problems: tuple[str, ...]
    news: tuple[Line, ...] = ()


async def load_beside(settings: Settings) -> Snapshot:
    """Load in a thread that nobody waits for when the server is told to leave meanwhile; raises as `load` does."""
    loaded: Future[Snapshot] = Future()

    def work() -> None:
        try:
            snapshot = load(settings)
        except BaseException as exc:  # noqa: BLE001  whoever waits for it gets it
            outcome = partial(loaded.set_exception, exc)
        else:
            outcome = partial(loaded.set_result, snapshot)
        if loaded.set_running_or_notify_cancel():
            outcome()

    Thread(target=work, name="clipwarden-load", daemon=True).start()
    return await asyncio.wrap_future(loaded)


def load(settings: Settings) -> Snapshot:
    """Load what the settings say; takes seconds. Raises as `load_snapshot` and `load_candidates` do."""
    check_access(settings)  # what fails is told before a model is loaded
    candidates = tuple(find_policy(name) for name in settings.candidates)  # first, as the snapshot's own
    policies = tuple(find_policies(settings.model, settings.policies))
    origin, cache = Origin(policies=policies, candidates=candidates), VectorCache(cache_folder(settings))
    model = load_seeing_model(settings.model, provider=settings.provider, threads=settings.encoder_threads or None)

    def load_all() -> Snapshot:
        live = load_policies(model, policies, settings.default_policy, cache=cache, progress=logged_progress)
        return load_candidates(live, candidates, cache=cache, progress=logged_progress)

    snapshot, files = settled(origin.paths, load_all)
    if snapshot is None:
        raise ConfigError(UNSETTLED)
    return replace(snapshot, origin=replace(origin, files=files, vectors=_vectors_in_use(snapshot, cache)))


def cache_folder(settings: Settings) -> Path | None:
    """Tell where vectors of texts are kept; None for nowhere."""
    if settings.vector_cache == AUTO:
        return user_cache_folder()
    return Path(settings.vector_cache) if settings.vector_cache else None


def origin_of(settings: Settings, snapshot: Snapshot) -> Origin | None:
    """Tell what a snapshot was loaded from, or, of one that does not say, what the settings name; None for nothing."""
    if snapshot.origin or not settings.policies:
        return snapshot.origin
    origin = Origin(
        policies=tuple(map(find_policy, settings.policies)), candidates=tuple(map(find_policy, settings.candidates))
    )
    return replace(origin, files=look_at(origin.paths))


def load_again(old: Snapshot, origin: Origin, cache: VectorCache, *, niceness: int, progress: ShowProgress) -> Attempt:
    """Load policies and candidates for a model that is at work; takes as long as their new texts take to embed.

    It is for a thread of its own, which computes in Python and so keeps the urgency of the others: one that is less
    urgent would hold the interpreter's lock while it waits for a core. The text encoder, which lets go of that lock,
    runs in another thread, one text at a time, and takes no more of the cores than one run of the image encoder.

    Args:
        old: What judges now.
        origin: What to load.
        cache: Vectors of texts; `origin.vectors` are put in.
        niceness: Of the image encoder's threads.
        progress: Told of texts that are embedded; what it raises ends this.

    Returns:
        What became of it; policies that cannot be used are no error here.
    """
    for text, vector in origin.vectors.items():
        cache.put(old.model.fingerprint, text, vector)

    def load_all() -> Attempt:
        with ThreadPoolExecutor(1, "clipwarden-texts", yield_cores, (niceness,)) as runs:
            model = _with_text_runs_in(runs, old.model)
            return _Again(model=model, old=old, origin=origin, cache=cache, progress=progress).attempt()

    attempt, files = settled(origin.paths, load_all)
    attempt = attempt or Attempt(origin=origin, snapshot=None, problems=(UNSETTLED,))
    origin = replace(attempt.origin, files=files)
    return replace(attempt, origin=origin, snapshot=attempt.snapshot and replace(attempt.snapshot, origin=origin))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Again:
    """One load of policies beside those that judge.

    Attributes:
        model: That of `old`, whose texts are embedded elsewhere.
        old: What judges.
        origin: What to load.
        cache: Vectors of texts.
        progress: Told of texts that are embedded.
        findings: What lint warns of, of each policy.
    """

    model: Model
    old: Snapshot
    origin: Origin
    cache: VectorCache
    progress: ShowProgress
    findings: list[Sequence[Problem]] = field(default_factory=list)

    def attempt(self) -> Attempt:
        """Load all once; a fault of ours is an outcome as well, so that what the files hold by then is known."""
        try:
            return self._loaded()
        except ReloadStoppedError:
            raise
        except ClipwardenError as exc:
            problems = _sentences(exc)
        except Exception as exc:  # noqa: BLE001  logged, with where it came from
            problems = (log_fault(exc),)
        return Attempt(origin=self.origin, snapshot=None, problems=problems)

    def _loaded(self) -> Attempt:
        new, problems = self.watched(self.live())
        for found in self.findings:
            log_findings(found)
        origin = replace(self.origin, vectors=_vectors_in_use(new, self.cache))
        snapshot, news = replace(new, model=self.old.model), lines_of_exchange(self.old, new)
        return Attempt(origin=origin, snapshot=snapshot, problems=problems, news=news)

    def live(self) -> Snapshot:
        """Load the live policies, all or none.

        Raises:
            ClipwardenError: One cannot be used, or their ids are not those of before.
        """
        paths, old = self.origin.policies, self.old
        _require_files(paths)
        live = load_policies(
            self.model, paths, cache=self.cache, progress=self.progress, on_findings=self.findings.append
        )
        gone, come = sorted(old.tables.keys() - live.tables.keys()), sorted(live.tables.keys() - old.tables.keys())
        if gone or come:
            raise ConfigError(
                f"No file holds the policy {', '.join(gone)} any more, which callers may name; there is "
                f"{', '.join(come) or 'none'} in its place. Put metadata.id back; other ids are for a new start."
            )
        return replace(live, default_policy_id=old.default_policy_id)

    def watched(self, live: Snapshot) -> tuple[Snapshot, tuple[str, ...]]:
        """Load the candidates, or keep those of before and say why."""
        paths = self.origin.candidates
        try:
            _require_files(paths)
            new = load_candidates(
                live, paths, cache=self.cache, progress=self.progress, on_findings=self.findings.append
            )
        except ClipwardenError as exc:
            before = [tables.compiled for tables in self.old.candidates.values()]
            return with_candidates(live, before), _sentences(exc)
        return new, ()


def _require_files(paths: Sequence[Path]) -> None:
    """Refuse what would block whoever opens it, as `find_policy` does at the start."""
    for path in paths:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is a folder, a pipe or a device. Write the policy into a file.")


def _sentences(error: ClipwardenError) -> tuple[str, ...]:
    if not isinstance(error, PolicyError):
        return (str(error),)
    return tuple(str(problem) for problem in error.problems if problem.severity is Severity.ERROR)


def _vectors_in_use(snapshot: Snapshot, cache: VectorCache) -> Mapping[str, NDArray[np.float32]]:
    """Look up the vectors of the texts that policies and candidates have now."""
    policies = [tables.compiled.policy for tables in (*snapshot.tables.values(), *snapshot.candidates.values())]
    texts = dict.fromkeys(text for policy in policies for text in embedded_texts(policy))
    found = {text: cache.get(snapshot.model.fingerprint, text) for text in texts}
    return {text: vector for text, vector in found.items() if vector is not None}


class _TextRuns:
    """A text encoder whose runs take place in other threads."""

    at_once = 1

    def __init__(self, tower: TextEncoder, runs: Executor) -> None:
        self._tower = tower
        self._runs = runs

    @property
    def tokenizer(self) -> Tokens:
        return self._tower.tokenizer

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._runs.submit(self._tower.embed, texts).result()


def _with_text_runs_in(runs: Executor, model: Model) -> Model:
    return replace(model, text=cast("TextEncoder", _TextRuns(model.text, runs))) if model.text else model


@contextmanager
def logged_progress(label: str) -> Generator[Progress]:
    """Log how far something is, every few seconds and at the end, unless it takes less than that.

    Args:
        label: What is under way, such as "Embedding the texts of shop.yaml".
    """
    begun = said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= SAY_PROGRESS_SECONDS or (done == total and said > begun):
            said = now
            extra = {"done": done, "total": total, "seconds": round(now - begun, 1)}
            log.info("%s: %d of %d", label, done, total, extra=extra)

    yield tell
