"""Settings in, the most memory that a server may take by them out, and a warning where its cgroup allows less."""

from collections.abc import Mapping

from clipwarden.engine.encoderplan import plan_for
from clipwarden.machine import memory_limit
from clipwarden.modelfolder.load import Model
from clipwarden.serving.config import Settings

MIB = 2**20
_PROCESS = 280 * MIB
"""The process with the embedded model, as measured; a larger model takes more."""
_COLOUR_TABLES = 64 * MIB
_UNREAD_CALL = 64 * 1024
_CONNECTION = 12 * 1024
"""One that is idle, without TLS; measured on 2,000 of them."""
_LEAST_A_DECODE = 24 * MIB
_SMALL = 32
"""Decodes that take no more than this part of `max_decode_bytes` do not wait for their share of it."""


def memory_bounds(settings: Settings, *, decode_threads: int) -> Mapping[str, int]:
    """Count the most that a server may hold, as docs/operate.md sums it up under "Memory".

    What it holds as a rule is far less: each bound is for the worst that callers may send, all at the same time.

    Args:
        settings: Of the server.
        decode_threads: That it has.

    Returns:
        Bytes by what bounds them: a setting's name, or "process" for what no setting bounds.
    """
    beside = decode_threads * max(settings.max_decode_bytes // _SMALL, _LEAST_A_DECODE)
    return {
        "process": _PROCESS + _COLOUR_TABLES,
        "max_decode_bytes": settings.max_decode_bytes + beside,
        "queue_bytes": settings.queue_bytes,
        "max_message_bytes": 2 * settings.max_message_bytes,
        "queue_items": settings.queue_items * _UNREAD_CALL,
        "max_connections": settings.max_connections * _CONNECTION,
        "cache_bytes": settings.cache_bytes,
        "max_streams": settings.max_streams * settings.max_message_bytes,
    }


def memory_warning(settings: Settings, model: Model, *, limit: int | None = None) -> str | None:
    """Say that the cgroup's limit is below what the settings let a server take; None where it is not.

    A warning and no refusal: a server that is sent ordinary images stays far below its bounds.

    Args:
        settings: Of the server.
        model: That it has loaded.
        limit: Bytes; None reads the cgroup's.
    """
    limit = memory_limit() if limit is None else limit
    bounds = memory_bounds(settings, decode_threads=plan_for(settings.engine, model).decode_threads)
    total = sum(bounds.values())
    if limit is None or total <= limit:
        return None
    largest = sorted((name for name in bounds if name != "process"), key=bounds.__getitem__, reverse=True)[:3]
    parts = ", ".join(f"{name} ({bounds[name] / MIB:,.0f} MiB)" for name in largest)
    return (
        f"memory may reach {total / MIB:,.0f} MiB by these settings, and the cgroup allows {limit / MIB:,.0f} MiB: "
        f"lower {parts}, or raise the limit"
    )
