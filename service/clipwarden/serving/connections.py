"""Settings and the limit of open files in; how many connections gRPC may hold out, and a notice when that is near.

Each connection takes a descriptor. Were none left, not even a probe could be accepted, and a kubelet would restart a
server to which many have connected, by accident or on purpose, without a call or a token. So gRPC closes at once what
comes beyond a bound that leaves descriptors for everything else; those who are connected are served.
"""

import asyncio
import logging
import os
import resource
from collections.abc import Callable
from contextlib import suppress

from clipwarden.serving.config import Settings

RESERVE = 512
"""Descriptors for all but gRPC's connections: some 60 of a server at rest; for probes and for metrics 64 places each,
and 100 connections, which asyncio accepts at a turn before any of them can be driven out."""
NEAR = 0.8
"""Part of the bound from which on health has a notice."""
SECONDS = 5.0
"""Between two counts, which take a thread some 0.3 ms for each thousand descriptors."""

log = logging.getLogger(__name__)


def raise_limit(settings: Settings) -> None:
    """Let this process open the files that `max_connections` takes, as far as the hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _wanted(settings)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # the system has another bound, and the limit of before stays
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections(settings: Settings, *, limit: int | None = None) -> int:
    """Say how many connections the port of gRPC may hold, and its Unix socket as many.

    Args:
        settings: Of the server.
        limit: Descriptors; None takes those of this process.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if limit == resource.RLIM_INFINITY:
        return settings.max_connections
    room = max(limit - RESERVE, limit // 2)
    return max(1, min(settings.max_connections, room // _listeners(settings)))


def connections_warning(settings: Settings, *, limit: int | None = None) -> str | None:
    """Say that the limit of open files allows fewer connections than the settings; None where it does not.

    Args:
        settings: Of the server.
        limit: Descriptors; None takes the hard limit of this process, up to which a server goes.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if limit is None else limit
    most = most_connections(settings, limit=limit)
    if most >= settings.max_connections:
        return None
    return (
        f"the limit of open files is {limit}, which leaves gRPC {most} connections where max_connections says "
        f"{settings.max_connections}: raise the limit to {_wanted(settings)} (ulimit -Hn, LimitNOFILE), or lower the "
        "setting"
    )


async def watch_connections(most: int, note: Callable[[str | None], None], *, seconds: float = SECONDS) -> None:
    """Tell, until cancelled, when connections come near their bound, and when they no longer are.

    Args:
        most: The bound.
        note: Told a sentence, then None once it no longer holds.
        seconds: Between looks.
    """
    at_rest = await asyncio.to_thread(_open_descriptors)
    near = False
    while True:
        await asyncio.sleep(seconds)
        with suppress(RuntimeError):  # there is no thread for it just now
            connections = await asyncio.to_thread(_open_descriptors) - at_rest
            if near != (connections >= NEAR * most):
                near = not near
                note(_near(connections, most) if near else None)


def _near(connections: int, most: int) -> str:
    bound = "max_connections, or what the limit of open files leaves"
    return f"some {connections} are open; gRPC closes further ones beyond {most} ({bound})"


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  thousands of names, and no use for paths
    except FileNotFoundError:
        return 0  # not Linux
    except OSError:  # there is none left to look with
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _wanted(settings: Settings) -> int:
    return settings.max_connections * _listeners(settings) + RESERVE


def _listeners(settings: Settings) -> int:
    return sum(where is not None for where in (settings.listen, settings.unix_socket)) or 1
