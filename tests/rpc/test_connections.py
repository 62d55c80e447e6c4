"""More connections than a server takes, from somebody who says nothing: everybody else is served, and told."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.serving import connections
from kit.serverprocess import talk
from kit.serving import Rig, connected, eventually, picture, serving

FLOOD = """
import resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for _ in range(int(sys.argv[2])):
    held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
print("there", flush=True)
sys.stdin.readline()
"""


@asynccontextmanager
async def flooded(rig: Rig, count: int) -> AsyncIterator[None]:
    """Have another process hold connections that say nothing."""
    port = str(rig.server.address).rpartition(":")[2]
    pipe = asyncio.subprocess.PIPE
    flood = await asyncio.create_subprocess_exec(sys.executable, "-c", FLOOD, port, str(count), stdin=pipe, stdout=pipe)
    assert flood.stdin
    assert flood.stdout
    try:
        assert await flood.stdout.readline() == b"there\n"
        yield
    finally:
        flood.stdin.close()
        await flood.wait()


@contextmanager
def soft_limit(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def get(address: str | None, path: str) -> str:
    assert address
    return (await talk(address, f"GET {path} HTTP/1.1\r\n\r\n".encode())).decode()


async def test_connections_without_end_leave_descriptors_to_probes_and_metrics(toy_model: Model) -> None:
    with soft_limit(400):
        async with serving(toy_model, probe_listen="127.0.0.1:0", metrics_listen="127.0.0.1:0") as rig:
            await rig.moderate(picture("red"))
            async with flooded(rig, 600):
                for path in ("/livez", "/readyz", "/livez"):
                    assert (await get(rig.server.listeners.probe_address, path)).startswith("HTTP/1.1 200")
                metrics = await get(rig.server.metrics_address, "/metrics")
                assert "process_max_fds 400.0\n" in metrics
                assert "process_open_fds" in metrics
                await rig.moderate(picture("red", number=1))  # who is connected is served


async def test_those_beyond_the_bound_are_turned_away_and_health_says_so_until_there_is_room(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections.watch_connections, "__kwdefaults__", {"seconds": 0.05})
    async with serving(toy_model, max_connections=20) as rig:
        await rig.moderate(picture("red"))
        async with flooded(rig, 100):
            await eventually(lambda: "beyond 20" in rig.server.health.notices.get("connections", ""))
            async with connected(str(rig.server.address)) as other:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await other.moderate(picture("red"))
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        await eventually(lambda: not rig.server.health.notices)
        async with connected(str(rig.server.address)) as other:
            await other.moderate(picture("red"))
