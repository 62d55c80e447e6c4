"""Run one server as this process's business, from start to the signal that ends it; its log is JSON lines."""

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TextIO

from prometheus_client import disable_created_metrics

from clipwarden.machine import prepare_process
from clipwarden.policy.contexts import modes_line
from clipwarden.scoring.tables import Tables
from clipwarden.serving.access import check_access
from clipwarden.serving.audit import check_audit
from clipwarden.serving.config import Settings
from clipwarden.serving.connections import raise_limit
from clipwarden.serving.loading import load
from clipwarden.serving.misfits import misfits
from clipwarden.serving.nativelog import NativeLog, native_lines_logged
from clipwarden.serving.server import Server, running_server
from clipwarden.serving.sharedfiles import SharedRoot
from clipwarden.serving.socketaccess import access_of
from clipwarden.serving.sockets import check_unix
from clipwarden.terminal import notice

log = logging.getLogger(__name__)


def serve_until_signal(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the drain. SIGHUP loads the policies again.

    Args:
        settings: Checked.

    Raises:
        ConfigError: An address cannot be bound, or a policy not be found.
        ModelError: The model folder cannot be trusted.
        PolicyError: A policy cannot be used.
    """
    prepare_process()
    raise_limit(settings)
    # They double the series, and tell nothing that the process's start does not.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    with native_lines_logged() as (native, stderr):
        configure_logging(settings.log_level, stderr)
        end = asyncio.run(_serve(settings, native))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the interpreter's end takes our own handler back
        if end is _End.STUCK:
            log.error("a stage was stuck at shutdown; leaving without it")
        if end is _End.NOT_BEGUN:
            log.info("stopped before it served")
    if end is not _End.DONE:
        logging.shutdown()
        os._exit(1 if end is _End.STUCK else 0)


def check_loads(settings: Settings) -> str:
    """Load what a server would load, and nothing more; raises as `serve_until_signal` does.

    Args:
        settings: Checked.

    Returns:
        What was loaded, a line each, for people.

    Nothing is bound, so that it runs beside a server with the same settings; names for the Unix socket are looked up.
    """
    prepare_process()
    access_of(settings)
    if settings.unix_socket is not None:
        check_unix(Path(settings.unix_socket))
    check_audit(settings)
    if settings.path_root is not None:
        SharedRoot(Path(settings.path_root))
    snapshot = load(settings)
    model = snapshot.model
    for warning in misfits(settings, model):
        notice(f"Warning: {warning}.", style="bold yellow")
    lines = [f"model {model.manifest.name} {model.fingerprint} on {model.runtime.provider}"]
    for policy_id, tables in snapshot.tables.items():
        default = " (default)" if policy_id == snapshot.default_policy_id else ""
        lines.append(f"policy {policy_id}{default} {_digest_and_modes(tables)}")
    for name, tables in snapshot.candidates.items():
        lines.append(f"candidate {name} {_digest_and_modes(tables)}")
    return "\n".join([*lines, *check_access(settings)])


def _digest_and_modes(tables: Tables) -> str:
    unbound = f"; without a band: {', '.join(tables.unbound)}" if tables.unbound else ""
    return f"{tables.compiled.digest}: {modes_line(tables.compiled.policy)}{unbound}"


class _End(Enum):
    """How a server came to its end."""

    DONE = auto()
    STUCK = auto()
    """A thread was left behind that may never come back."""
    NOT_BEGUN = auto()
    """It was told to leave before it served; what loads the model may still be at it."""


async def _serve(settings: Settings, native: NativeLog) -> _End:
    """Serve until told to stop."""
    leave, hurry = asyncio.Event(), asyncio.Event()

    def note_signal() -> None:
        (hurry if leave.is_set() else leave).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, note_signal)
    hangups = _heed_hangups(loop)
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(running_server(settings)))
        leaving = asyncio.create_task(leave.wait())
        await asyncio.wait({starting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            if starting.cancelled():
                return _End.NOT_BEGUN
        server = await starting
        native.count_failures(server.metrics.note_handshake_failure)
        reloading = asyncio.create_task(_reload_at(hangups, server))
        await leaving
        await server.drain(hurry)
        reloading.cancel()
    return _End.STUCK if server.stuck else _End.DONE


def _heed_hangups(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Have SIGHUP set an event, for as long as the process lives.

    Not by the loop's own handlers, which it takes back when it closes: a signal in the last moments would kill.
    """
    hangups = asyncio.Event()

    def note(*_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(hangups.set)

    signal.signal(signal.SIGHUP, note)
    return hangups


async def _reload_at(hangups: asyncio.Event, server: Server) -> None:
    """Pass on every SIGHUP, the first of which may have come while the server started."""
    while True:
        await hangups.wait()
        hangups.clear()
        log.info("SIGHUP")
        try:
            server.reloader.request()
            await server.access.look(at_once=True)
        except Exception:  # whatever it is, the next signal is heeded
            log.exception("SIGHUP was not heeded in full")


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_ENCODER = json.JSONEncoder(default=str)


class JsonFormatter(logging.Formatter):
    """Renders time, level, logger, message, whatever `extra` holds, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # ASCII only: callers choose ids, and U+009B or U+2028 would steer a terminal or split the line elsewhere.
        return _ENCODER.encode(line)


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send the whole process's log to one stream, as JSON lines.

    Args:
        level: debug, info, warning or error.
        stream: None takes stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    # No line says where in the code it comes from, or which thread or process; that is a quarter of what one takes.
    logging._srcfile = None  # noqa: SLF001  as the logging HOWTO has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It says how many changes it saw, of whatever files lie beside ours.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
