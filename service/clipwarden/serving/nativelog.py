"""What native libraries write to descriptor 2 in, log lines out: gRPC writes there what it tells nobody else.

Above all the handshakes of TLS: whoever is turned away in one never becomes a call, so no code of ours is asked.
Descriptor 2 becomes a pipe that a thread reads, and whatever is Python's (the log, tracebacks, faulthandler) goes to
the real stderr past it. Native code never waits: once the pipe is full, what does not fit is lost, and counts as left
out by nobody. The log has a bounded number of such lines a second, so that no flood of connections fills a disk.

What a library wrote before an end in order is in the log. What it writes in the moment in which it aborts the process
is still in the pipe, and the thread has no longer than faulthandler takes, which writes all stacks to the real stderr:
mostly enough, and never where the thread that dies holds the interpreter's lock. The stacks themselves always come.
Rejected: a handler of SIGABRT that empties the pipe, since Python in a process whose heap is broken may hang, and a
server that hangs is worse than a last word lost; a second process that reads, since a container's ends with its first.
"""

import faulthandler
import fcntl
import logging
import os
import re
import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

MOST_LINES = 20
"""Lines a second."""
SECONDS = 1.0
"""What is summed up, and the span of that bound."""
MOST_LINE_BYTES = 4096
"""What of a line is kept."""
PIPE_BYTES = 2**20
"""Room for some 5,000 lines while the thread is kept waiting; what any process may ask for. Source: pipe(7)."""
END_SECONDS = 5.0
"""How long the end waits for the thread, which has nothing but the pipe's rest to do."""

_LEVELS: Final = {
    "V": logging.DEBUG,
    "I": logging.INFO,
    "W": logging.WARNING,
    "E": logging.ERROR,
    "F": logging.CRITICAL,
}
# Source: absl/log/internal/log_format.cc; onnxruntime/core/platform/posix/logging.
_ABSL = re.compile(r"(?P<level>[IWEF])\d{4} [\d:.]+ +\d+ (?P<source>[\w./-]+:\d+)\] (?P<text>.*)")
_ONNXRUNTIME = re.compile(
    r"(?:\x1b\[[\d;]*m)?\S+ \S+ \[(?P<level>[VIWEF]):(?P<source>onnxruntime)[^\]]*\] (?P<text>.*)"
)
_HANDSHAKE = re.compile(r"Handshake failed with error (?P<error>.*)")
_TOKEN = re.compile(r"(?i)(bearer\s+)\S+")
_OURS = ("add_port.cc", "chttp2_server.cc", "ssl_security_connector.cc", "ssl_transport_security.cc")
"""Where gRPC says that it cannot listen, or not with some pair: a sentence of ours says the same, and why."""

# Source of the names: BoringSSL, crypto/err/ssl.errordata and x509/x509_txt.c, as gRPC's line has them.
_CAUSES: Final = (
    ("certificate has expired", "expired", "the client's certificate has expired"),
    ("certificate is not yet valid", "not_yet_valid", "the client's certificate is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", "untrusted", "the client's certificate is not signed by tls_client_ca"),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "missing", "the client showed no certificate, which tls_client_ca asks for"),
    ("ALERT_UNKNOWN_CA", "rejected", "the client does not trust this server's certificate"),
    ("ALERT_CERTIFICATE", "rejected", "the client does not accept this server's certificate"),
    ("ALERT_BAD_CERTIFICATE", "rejected", "the client does not accept this server's certificate"),
    ("WRONG_VERSION_NUMBER", "no_tls", "the client speaks no TLS"),
    ("HTTP_REQUEST", "no_tls", "the client speaks no TLS"),
    ("UNSUPPORTED_PROTOCOL", "too_old", "the client speaks no TLS as new as 1.2"),
)
CAUSES: Final = (*dict.fromkeys(cause for _, cause, _ in _CAUSES), "other")
"""Why a handshake fails, as it is counted."""

log = logging.getLogger("clipwarden.native")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of native code.

    Attributes:
        level: Of the log.
        source: Library, or file and line of it; empty where it does not say.
        text: What it says.
    """

    level: int
    source: str
    text: str


def parse_line(raw: bytes) -> Line:
    """Read a line, whoever wrote it; what might be a token is left out."""
    text = _TOKEN.sub(r"\1...", raw[:MOST_LINE_BYTES].decode(errors="replace"))
    found = _ABSL.match(text) or _ONNXRUNTIME.match(text)
    if not found:
        return Line(level=logging.WARNING, source="", text=text)
    level = logging.DEBUG if found["source"].startswith(_OURS) else _LEVELS[found["level"]]
    return Line(level=level, source=found["source"], text=found["text"])


def handshake_failure(text: str) -> tuple[str, str] | None:
    """Tell why a handshake failed, as it is counted and in words; None where a line is about something else."""
    found = _HANDSHAKE.search(text)
    if not found:
        return None
    for mark, cause, words in _CAUSES:
        if mark in found["error"]:
            return cause, words
    return "other", "the TLS handshake failed"


@dataclass(kw_only=True, slots=True)
class NativeLog:
    """Writes lines of native code to the log, few a second. Lives in the thread that reads them.

    Attributes:
        clock: Seconds that never go back.
    """

    clock: Callable[[], float] = time.monotonic
    _note: Callable[[str], None] | None = None
    _unnoted: list[str] = field(default_factory=list)
    _failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    _samples: dict[tuple[str, str], str] = field(default_factory=dict)
    _until: float = 0.0
    _written: int = 0
    _left_out: int = 0

    @property
    def waiting(self) -> bool:
        """Whether something is to be written once the second is over."""
        return bool(self._failures or self._left_out)

    def count_failures(self, note: Callable[[str], None]) -> None:
        """Tell somebody the cause of each handshake that fails, of those before as well. Safe from any thread."""
        self._note = note
        while self._unnoted:
            note(self._unnoted.pop())

    def take(self, raw: bytes) -> None:
        """Write a line, or count it."""
        if not raw.strip():
            return
        self.tick()
        line = parse_line(raw)
        failure = handshake_failure(line.text)
        if failure:
            self._note_failure(failure, line.text)
        elif self._written < MOST_LINES:
            self._written += 1
            log.log(line.level, "%s", line.text, extra={"source": line.source} if line.source else {})
        else:
            self._left_out += 1

    def tick(self) -> None:
        """Begin the next second if this one is over."""
        if self.clock() >= self._until:
            self.flush()
            self._until = self.clock() + SECONDS

    def flush(self) -> None:
        """Write what was counted."""
        for failure, count in self._failures.items():
            cause, words = failure
            extra = {"count": count, "cause": cause, "grpc": self._samples[failure]}
            log.warning("refused %d connection%s: %s", count, "" if count == 1 else "s", words, extra=extra)
        if self._left_out:
            log.warning("left out %d lines of native code", self._left_out, extra={"count": self._left_out})
        self._failures.clear()
        self._samples.clear()
        self._left_out = self._written = 0

    def _note_failure(self, failure: tuple[str, str], text: str) -> None:
        self._failures[failure] += 1
        self._samples.setdefault(failure, text)
        if self._note:
            self._note(failure[0])
        else:
            self._unnoted.append(failure[0])


@contextmanager
def native_lines_logged() -> Iterator[tuple[NativeLog, TextIO]]:
    """Take descriptor 2 from native code as long as the block lasts.

    Yields:
        What writes its lines to the log, and the stream of the real stderr, which the log is to be written to.
    """
    real = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    native, reading, former = NativeLog(), _pipe_in_place_of(2), sys.stderr
    thread = threading.Thread(target=_pump, args=(reading, native), name="native-log", daemon=True)
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable(file=real)
    sys.stderr = real
    thread.start()
    try:
        yield native, real
    finally:
        sys.stderr = former
        os.dup2(real.fileno(), 2)  # the pipe's only end to write to is closed by that, so the thread comes to an end
        thread.join(END_SECONDS)
        faulthandler.enable(file=2) if was_enabled else faulthandler.disable()
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is real:
                handler.setStream(former)
        real.close()


def _pipe_in_place_of(descriptor: int) -> int:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            log.debug("the pipe of native lines keeps its size")  # the user has too many pipes
    os.dup2(writing, descriptor)
    os.close(writing)
    return reading


def _pump(reading: int, native: NativeLog) -> None:
    """Read lines until nobody can write any more."""
    rest = b""
    while True:
        if not select.select([reading], [], [], SECONDS if native.waiting else None)[0]:
            native.tick()
            continue
        part = os.read(reading, PIPE_BYTES)
        *lines, rest = (rest + part).split(b"\n")
        if not part or len(rest) > MOST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            native.take(line)
        if not part:
            native.flush()
            os.close(reading)
            return
