"""What the server judged, failed and refused in, entries of the audit log out; never waits, and counts what it drops.

Everything here runs on the event loop and takes microseconds: an entry holds what judging left behind, and a thread
(`auditwriter`) makes lines of it. An image's line does not wait for the policy's candidates, which nobody is answered
by; the ordinary log has what they said.

What waits is bounded, in entries and in bytes as estimated. Beyond that entries are dropped, and the next line that is
written says how many and when, in their place. Nothing is refused for it: an answer that waited for a disk would make
every upload wait for it.
"""

import asyncio
import errno
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from uuid import uuid4

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Total

from clipwarden.auditlog import rendering
from clipwarden.auditlog.lines import NO_HASH, Json, Place, Sealer
from clipwarden.engine.results import Judged
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.errors import ClipwardenError, ConfigError, ImageError, why_of
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.serving.auditfile import open_sink, try_sink, unfollowed_folder
from clipwarden.serving.auditwriter import SAID_SECONDS, Entry, Writer
from clipwarden.serving.config import Settings
from clipwarden.serving.health import Health
from clipwarden.serving.status import code_of, reason_of

MOST_ENTRIES = 50_000
"""However small they are."""
CLOSE_SECONDS = 5.0
"""What is still to be written at shutdown gets so long."""
REFUSED_SECONDS = 1.0
"""What one record of calls refused unread sums up."""
SIZES = (2048, 640)
"""What an entry is counted as in bytes: in any case, and for each category and attribute. The line with scores of an
image under the default policy, of 16 of them, has 7 KB; the judgement that it is made of holds less than this."""

SUBJECT = "audit"
"""Of the notice in health."""

log = logging.getLogger("clipwarden.audit")


@dataclass(slots=True)
class _Gap:
    """Entries that were dropped one after the other."""

    since: float
    until: float
    count: int
    why: str


class Audit:
    """The audit log of one server. Lives on one event loop.

    Args:
        settings: Name the log.
        registry: Of the server's metrics.
        health: Hears while lines cannot be written, or go into a file that was moved away.
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._writer: Writer | None = None
        self._gap: _Gap | None = None
        self._dropped = 0
        self._said = -SAID_SECONDS
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._refused_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._lines = Total("clipwarden_audit_lines", "Lines of the audit log that were written.", registry=registry)
        self._bytes = Total("clipwarden_audit_bytes", "Bytes of the audit log that were written.", registry=registry)
        self._lost = Total("clipwarden_audit_dropped", "Lines that the audit log lacks.", registry=registry)
        waiting = Gauge("clipwarden_audit_queue_bytes", "What waits to be written, as estimated.", registry=registry)
        waiting.set_function(self._waiting_bytes)
        failing = Gauge(
            "clipwarden_audit_failing",
            "1 while the audit log cannot keep up, or its path cannot be opened.",
            registry=registry,
        )
        failing.set_function(lambda: SUBJECT in health.notices)

    def start(self, snapshot: Snapshot) -> None:
        """Open the log, and record what images are judged with.

        Raises:
            ConfigError: It cannot be opened.
        """
        settings, where = self._settings, self._settings.audit_log or ""
        try:
            sink = open_sink(where)
        except OSError as exc:
            raise ConfigError(_unusable(where, exc)) from exc
        before = sink.last.hash if sink.last and settings.audit_chain else None
        sealer = Sealer(uuid4().hex[:16], chain=settings.audit_chain, before=before or NO_HASH)
        hear = partial(self._hear_trouble, asyncio.get_running_loop())
        self._writer = Writer(sink, sealer, on_written=self._note_written, on_trouble=hear)
        self._put(Entry("started", time.time(), partial(_started, settings, sink.last), SIZES[0]))
        self.note_loaded(snapshot)
        self._writer.start()

    def note_loaded(self, snapshot: Snapshot) -> None:
        """Record what images are judged with from now on."""
        policies = [tables.compiled for tables in snapshot.tables.values()]
        self._put(Entry("loaded", time.time(), partial(rendering.loaded, snapshot), SIZES[0], policies))

    def note_judged(self, judged: Judged, selection: Selection, *, request_id: str, method: str, caller: str) -> None:
        """Record a verdict."""
        judgement, image = judged.judgement, judged.image
        render = partial(
            rendering.judged,
            request_id,
            method,
            caller,
            judgement,
            image.facts,  # not the image itself, which holds its embeddings
            judged.model,
            image.source,
            judged.total_seconds,
            self._settings.audit_scores,
        )
        size = SIZES[0] + SIZES[1] * (len(judgement.categories) + len(judgement.attributes))
        self._put(Entry("judged", time.time(), render, size, (selection.compiled,)))

    def note_failed(
        self, error: Exception, selection: Selection | None, *, request_id: str, method: str, caller: str
    ) -> None:
        """Record an image, or a call, that ended without a verdict; one that was refused unread is summed up."""
        code, reason = code_of(error), reason_of(error)
        if not request_id:
            self._note_refused(method, code, reason)
            return
        message = str(error) if isinstance(error, ClipwardenError) else None
        about_image = selection is not None and isinstance(error, ImageError)
        policy_verdict = selection.compiled.policy.on_error if selection and about_image else None
        render = partial(rendering.failed, request_id, method, caller, code, reason, message, selection, policy_verdict)
        self._put(Entry("failed", time.time(), render, SIZES[0], _policies(selection)))

    def note_cancelled(
        self,
        code: str,
        reason: str | None,
        selection: Selection | None,
        *,
        request_id: str,
        method: str,
        caller: str,
    ) -> None:
        """Record a call that its caller gave up, or whose deadline passed."""
        render = partial(rendering.failed, request_id, method, caller, code, reason, None, selection, None)
        self._put(Entry("failed", time.time(), render, SIZES[0], _policies(selection)))

    async def close(self) -> None:
        """Write what is there, within a bound, and say what could not be."""
        self._flush_refused()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._fill_gap(writer)
        writer.put(Entry("stopped", time.time(), partial(dict, dropped=self._dropped), SIZES[0]))
        left = await asyncio.to_thread(writer.close, seconds=CLOSE_SECONDS)
        if left:
            self._lost.inc(left)
            log.error("%d lines of the audit log could not be written, and are lost", left)

    def _put(self, entry: Entry) -> None:
        writer = self._writer
        if writer is None:
            return
        if writer.waiting_bytes + entry.size > self._settings.audit_queue_bytes or writer.waiting >= MOST_ENTRIES:
            self._drop(entry, writer)
            return
        if self._gap:
            self._fill_gap(writer)
        writer.put(entry)

    def _drop(self, entry: Entry, writer: Writer) -> None:
        why = writer.trouble or "it is written more slowly than it grows"
        self._gap = self._gap or _Gap(entry.time, entry.time, 0, why)
        self._gap.until, self._gap.count = entry.time, self._gap.count + 1
        self._dropped += 1
        self._lost.inc()
        writer.behind = True
        self._note_trouble(why)
        if time.monotonic() - self._said >= SAID_SECONDS:
            self._said = time.monotonic()
            log.error("the audit log drops lines, %d so far: %s", self._dropped, why)

    def _fill_gap(self, writer: Writer) -> None:
        """Say what was dropped, where it would stand; there is always room for that."""
        gap, self._gap = self._gap, None
        if gap:
            render = partial(rendering.dropped, gap.since, gap.until, gap.count, gap.why)
            writer.put(Entry("dropped", time.time(), render, SIZES[0]))

    def _note_refused(self, method: str, code: str, reason: str) -> None:
        if self._timer is None:
            self._refused_since = time.time()
            self._timer = asyncio.get_running_loop().call_later(REFUSED_SECONDS, self._flush_refused)
        self._refused[method, code, reason] += 1

    def _flush_refused(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        since = rendering.time_text(self._refused_since)
        for (method, code, reason), count in self._refused.items():
            said: Json = {"method": method, "code": code, "reason": reason, "count": count, "since": since}
            self._put(Entry("refused", time.time(), partial(dict, said), SIZES[0]))
        self._refused.clear()

    def _note_written(self, lines: int, size: int) -> None:
        self._lines.inc(lines)
        self._bytes.inc(size)

    def _waiting_bytes(self) -> int:
        writer = self._writer
        return writer.waiting_bytes if writer else 0

    def _hear_trouble(self, loop: asyncio.AbstractEventLoop, why: str | None) -> None:
        """Hear of the writer's trouble, on its thread."""
        with suppress(RuntimeError):  # the loop is closed, and nobody asks any more
            loop.call_soon_threadsafe(self._note_trouble, why)

    def _note_trouble(self, why: str | None) -> None:
        said = why and f"The audit log lacks lines, or will: {why}. Images are judged all the same."
        self._health.note(SUBJECT, said)
        writer = self._writer
        if writer is not None and (why is None or not writer.waiting):
            self._fill_gap(writer)


def check_audit(settings: Settings) -> None:
    """Tell whether the audit log could be opened, and make and write nothing.

    Raises:
        ConfigError: It could not.
    """
    if settings.audit_log is None:
        return
    try:
        try_sink(settings.audit_log)
    except OSError as exc:
        raise ConfigError(_unusable(settings.audit_log, exc)) from exc


def rotation_warning(settings: Settings) -> str | None:
    """Say so where a log that is rotated by renaming it could not be begun anew; a sentence without its full stop."""
    folder = unfollowed_folder(settings.audit_log) if settings.audit_log is not None else None
    if folder is None:
        return None
    return (
        f"this user may not make files in {folder}: where the audit log is rotated by a new name and nobody makes the "
        "next file, lines go on into the old one; let this user write there, or have the rotation make the file"
    )


def audit_of(settings: Settings, registry: CollectorRegistry, health: Health) -> Audit | None:
    """Make the audit log that settings ask for, if they do."""
    return Audit(settings, registry, health) if settings.audit_log is not None else None


def _policies(selection: Selection | None) -> Sequence[CompiledPolicy]:
    return () if selection is None else (selection.compiled,)


def _started(settings: Settings, follows: Place | None) -> Json:
    return {
        "version": metadata.version("clipwarden"),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "scores": settings.audit_scores,
        "chain": settings.audit_chain,
        "follows": asdict(follows) if follows else None,
    }


def _unusable(where: str, exc: OSError) -> str:
    missing = exc.errno == errno.ENOENT
    why = "its folder does not exist" if missing else why_of(exc)
    mend = "Make the folder" if missing else "Let this user write there"
    if exc.errno in (errno.ELOOP, errno.EINVAL, errno.EISDIR):
        mend = "Name a file itself"
    return f"Cannot write the audit log {where}: {why}. {mend}, or choose another file with --audit-log."
