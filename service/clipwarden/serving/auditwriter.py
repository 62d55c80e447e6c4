"""What is to be recorded in, lines of the audit log out, in a thread of its own, which may hang as long as it likes.

The event loop hands over what judging left behind (`Entry`); whatever costs time is done here: rendering, hashing,
writing. Between two lines the thread lets go of the interpreter, so that the loop never waits for more than one.
Entries are taken up a tenth of a second after the first of them came: one wake-up and one write for many.

While lines cannot be written nothing is taken up, so that the queue fills, and then `audit.Audit` counts what it drops.
While they go into a file that was moved away (`Sink.astray`) they are written, and it is said as trouble all the same:
the path is tried once a second until it can be opened, whether or not there is anything to write.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import NamedTuple

from clipwarden.auditlog.lines import Json, Sealer
from clipwarden.auditlog.rendering import dropped, policy_text, time_text
from clipwarden.errors import why_of
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.serving.auditfile import LINES_A_WRITE, Sink

COMPANY_SECONDS = 0.1
RETRY_SECONDS = 1.0
"""After a write failed."""
SAID_SECONDS = 60.0
"""At most so often the log says the last hash, that lines cannot be written, and that they go astray."""
ASTRAY = "its path cannot be opened anew ({}), and lines go on into the file that was moved away"

log = logging.getLogger("clipwarden.audit")


class Entry(NamedTuple):
    """What one line is made of.

    Attributes:
        kind: Of its record.
        time: As of `time.time()`.
        render: Makes what it says beside that, in the thread.
        size: What it is counted as while it waits, in bytes.
        policies: Whose texts have to be in the same file.
    """

    kind: str
    time: float
    render: Callable[[], Json]
    size: int
    policies: Sequence[CompiledPolicy] = ()


class Writer:
    """Writes entries. `put` and `close` are the loop's, all else is the thread's.

    Args:
        sink: Takes the lines.
        sealer: Numbers and chains them.
        on_written: Told how many lines and bytes were written, on the thread.
        on_trouble: Told what is wrong when lines cannot be written, or go astray, and None once all are where they
            belong, on the thread.
    """

    def __init__(
        self,
        sink: Sink,
        sealer: Sealer,
        *,
        on_written: Callable[[int, int], None],
        on_trouble: Callable[[str | None], None],
    ) -> None:
        self._sink = sink
        self._sealer = sealer
        self._on_written = on_written
        self._on_trouble = on_trouble
        self._entries: deque[Entry] = deque()
        self._put_bytes = self._taken_bytes = 0  # each of one thread's alone: their difference is what waits
        self._wake, self._closing = Event(), Event()
        self._policies: set[str] = set()
        self.trouble: str | None = None
        """Why lines cannot be written."""
        self.behind = False
        """Set by whoever finds so; `on_trouble` hears None once all is written, and to the file at the path."""
        self._said_head = -SAID_SECONDS
        self._said: dict[str, float] = {}
        self._head = sealer.head
        # Not waited for at the end of the process: a disk that hangs must not keep it.
        self._thread = Thread(target=self._run, name="audit log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Entries that are not yet lines."""
        return len(self._entries)

    @property
    def waiting_bytes(self) -> int:
        """What they are counted as."""
        return self._put_bytes - self._taken_bytes

    def put(self, entry: Entry) -> None:
        """Hand an entry over."""
        self._put_bytes += entry.size
        self._entries.append(entry)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, *, seconds: float) -> int:
        """Write what is there and end; blocks.

        Args:
            seconds: At most so long.

        Returns:
            How many lines could not be written.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds)
        return len(self._entries) + self._sink.waiting

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception:  # a fault of ours: nothing is written any more, and whoever drops lines says so
            log.exception("the audit log ended by a fault")
            self.trouble = "a fault that the server's log has"
            self._on_trouble(self.trouble)

    def _write_until_closed(self) -> None:
        while not self._closing.is_set():
            if self._wake.wait(RETRY_SECONDS if self.behind else None):
                self._closing.wait(COMPANY_SECONDS)
            self._wake.clear()
            self._write_all()
        self._write_all()  # what came between
        self._say_head(at_once=True)
        try:
            self._sink.close()
        except OSError as exc:
            log.error("the audit log may lack its last lines on the disk: %s", why_of(exc))  # noqa: TRY400  no fault of ours

    def _write_all(self) -> None:
        again = bool(self._entries or self._sink.waiting or self.behind)
        while again:
            try:
                self._write_some()
                again = bool(self._entries or self._sink.waiting)
            except OSError as exc:
                self._note_trouble(exc)
                if self._closing.wait(RETRY_SECONDS):
                    return
        if self.behind and self._sink.astray is None:
            self.behind = False
            self._on_trouble(None)
        self._say_head()

    def _write_some(self) -> None:
        self._look_at_the_path()
        if self._sink.waiting:
            self._write([])
        if self._entries:
            self._write(self._some_lines())
        if self.trouble is not None:
            self.trouble = None
            log.info("the audit log is written again")

    def _look_at_the_path(self) -> None:
        before = self._sink.astray
        if self._sink.renew():
            self._policies.clear()
            self._say_head(at_once=True)
        astray = self._sink.astray
        if astray is not None:
            self.behind = True
            self._on_trouble(ASTRAY.format(astray))
            self._say_error("the audit log goes astray: %s; trying again every second", ASTRAY.format(astray))
        elif before is not None:
            log.info("the audit log's path could be opened again")

    def _write(self, lines: list[bytes]) -> None:
        before = self._sink.waiting + len(lines)
        size = 0
        try:
            size = self._sink.write(lines)
        finally:
            self._on_written(before - self._sink.waiting, size)

    def _some_lines(self) -> list[bytes]:
        lines: list[bytes] = []
        while self._entries and len(lines) < LINES_A_WRITE:
            entry = self._entries.popleft()
            self._taken_bytes += entry.size
            try:
                lines += self._lines_of(entry)
            except Exception:  # whatever it is, the other lines are not to blame
                log.exception("a line of the audit log could not be made")
                lost = dropped(entry.time, entry.time, 1, "it could not be rendered")
                lines.append(self._sealer.seal({"record": "dropped", "time": time_text(entry.time), **lost}))
            time.sleep(0)  # the loop's turn
        return lines

    def _lines_of(self, entry: Entry) -> list[bytes]:
        when = time_text(entry.time)
        record = {"record": entry.kind, "time": when, **entry.render()}
        lines = []
        for policy in entry.policies:
            if policy.digest not in self._policies:
                lines.append(self._sealer.seal({"record": "policy", "time": when, **policy_text(policy)}))
                self._policies.add(policy.digest)
        return [*lines, self._sealer.seal(record)]

    def _note_trouble(self, exc: OSError) -> None:
        self.trouble, self.behind = why_of(exc), True
        self._on_trouble(self.trouble)
        self._say_error("the audit log cannot be written: %s; trying again every second", self.trouble)

    def _say_error(self, message: str, why: str) -> None:
        """Log an error, unless the same was said in this minute."""
        now = time.monotonic()
        if now - self._said.get(message, -SAID_SECONDS) >= SAID_SECONDS:
            self._said[message] = now
            log.error(message, why)

    def _say_head(self, *, at_once: bool = False) -> None:
        """Log the last hash, so that who keeps that log can tell a log that was cut or written anew."""
        head = self._sealer.head
        if head is None or head.hash is None or head == self._head:
            return
        if at_once or time.monotonic() - self._said_head >= SAID_SECONDS:
            self._said_head, self._head = time.monotonic(), head
            log.info("audit head", extra={"writer": head.process, "seq": head.seq, "hash": head.hash})
