"""Self-hosted image moderation that can be audited: images in, verdicts with their reasons out.

>>> from clipwarden import Client
>>> with Client("localhost:50051") as client:
...     moderation = client.moderate("upload.jpg")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipwarden.client import AsyncClient as AsyncClient
    from clipwarden.client import Client as Client
    from clipwarden.client import ClientError as ClientError
    from clipwarden.client import RetryPolicy as RetryPolicy
    from clipwarden.client import StreamItem as StreamItem

    __version__: str

_FROM_CLIENT = ("AsyncClient", "Client", "ClientError", "RetryPolicy", "StreamItem")


def __getattr__(name: str) -> object:
    """Load the client on first use, so that seeing and judging never import gRPC."""
    if name == "__version__":
        # Late as well: it reads files, and nearly nobody asks.
        from importlib.metadata import version  # noqa: PLC0415

        return version("clipwarden")
    if name in _FROM_CLIENT:
        return getattr(import_module("clipwarden.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what can be imported from here."""
    return sorted((*_FROM_CLIENT, "__version__"))
