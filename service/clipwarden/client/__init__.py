"""Call a clipwarden server: `Client` for threads, `AsyncClient` for asyncio; typed, with deadlines and retries."""

from clipwarden.client.aio import AsyncClient
from clipwarden.client.errors import (
    ClientError,
    DeadlineExceededError,
    ImageRefusedError,
    RequestRefusedError,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnavailableError,
)
from clipwarden.client.messages import Image, Priority, Result, ServerFile, StreamItem
from clipwarden.client.retry import RetryPolicy
from clipwarden.client.sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineExceededError",
    "Image",
    "ImageRefusedError",
    "Priority",
    "RequestRefusedError",
    "Result",
    "RetryPolicy",
    "ServerFaultError",
    "ServerFile",
    "ServerOverloadedError",
    "ServerUnavailableError",
    "StreamItem",
]
