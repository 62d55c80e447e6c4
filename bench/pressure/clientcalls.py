"""Calls through our own retrying client, as an application makes them; its retries are counted by its pauses."""

import asyncio
import itertools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Self

from bench.pressure.loads import Answer, Load
from clipwarden.client import AsyncClient, ClientError, DeadlineExceededError, ServerOverloadedError

_RETRIES: ContextVar[list[float]] = ContextVar("_RETRIES")


async def _pause(seconds: float) -> None:
    """Wait before a retry, as the client does, and count it: it waits once before each."""
    _RETRIES.get().append(seconds)
    await asyncio.sleep(seconds)


class ClientCaller:
    """Several clients of one process, each with a connection of its own; they share one budget of retries.

    Args:
        load: What to send.
        next_image: Gives an image file.
    """

    def __init__(self, load: Load, next_image: Callable[[], bytes]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._clients = [
            AsyncClient(load.target, sleep=_pause, channel_options=options) for _ in range(load.connections)
        ]
        self._next = next_image
        self._count = itertools.count()

    @classmethod
    async def connect(cls, load: Load, next_image: Callable[[], bytes]) -> Self:
        """Connect all clients before the first call."""
        caller = cls(load, next_image)
        for client in caller._clients:
            await client.wait_until_ready()
        return caller

    async def call(self, connection: int, seconds: float) -> Answer:
        """Judge one image."""
        retries: list[float] = []
        _RETRIES.set(retries)  # each call is a task, and so has a context of its own
        outcome = await self._outcome(self._clients[connection % len(self._clients)], seconds)
        return Answer(outcome=outcome, advised=True, retries=len(retries))

    async def _outcome(self, client: AsyncClient, seconds: float) -> str:
        try:
            await client.moderate(self._next(), timeout=seconds)
        except ServerOverloadedError:
            return "refused"
        except DeadlineExceededError:
            return "late"
        except ClientError as exc:
            return type(exc).__name__
        return "verdict"

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.close()
