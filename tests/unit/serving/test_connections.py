"""How many connections a limit of open files takes, and who is told when they come near."""

import asyncio
import os
import resource
from collections.abc import Iterator

import pytest

from clipwarden.serving import connections
from clipwarden.serving.config import Settings
from clipwarden.serving.connections import (
    RESERVE,
    connections_warning,
    most_connections,
    raise_limit,
    watch_connections,
)

BOTH = Settings(unix_socket="/run/s")


@pytest.fixture(autouse=True)
def _limit_of_before() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("settings", "limit", "most"),
    [
        (Settings(), resource.RLIM_INFINITY, 4096),
        (Settings(), 4096 + RESERVE, 4096),
        (Settings(), 4095 + RESERVE, 4095),
        (BOTH, 4096 + RESERVE, 2048),
        (Settings(), 1024, 512),
        (BOTH, 1024, 256),
        (Settings(), 256, 128),
        (BOTH, 1, 1),
        (Settings(max_connections=3), 1024, 3),
    ],
)
def test_limit_leaves_descriptors_for_everything_else(settings: Settings, limit: int, most: int) -> None:
    assert most_connections(settings, limit=limit) == most
    warning = connections_warning(settings, limit=limit)
    assert bool(warning) == (most < settings.max_connections)
    assert not warning or f"{limit}, which leaves gRPC {most} connections" in warning


def test_soft_limit_is_raised_as_far_as_it_may_be_and_never_lowered() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    raise_limit(Settings(max_connections=88))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (88 + RESERVE, hard)
    raise_limit(Settings(max_connections=1))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (88 + RESERVE, hard)
    raise_limit(Settings(max_connections=1_000_000))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 1_000_000 + RESERVE), hard)


async def test_those_that_come_near_the_bound_are_told_once_and_so_is_their_going() -> None:
    told = asyncio.Queue[str | None]()
    watch = asyncio.create_task(watch_connections(10, told.put_nowait, seconds=0.01))
    held = list[int]()
    for _ in range(2):
        while told.empty():  # the watch has begun to count, whenever that is
            held.append(os.open(os.devnull, os.O_RDONLY))
            await asyncio.sleep(0.02)
        said = await told.get()
        assert said
        assert "gRPC closes further ones beyond 10" in said
        while held:
            os.close(held.pop())
        assert await told.get() is None
    watch.cancel()


async def test_none_left_to_count_with_counts_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: str) -> list[str]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(connections.os, "listdir", none_left)
    assert connections._open_descriptors() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
