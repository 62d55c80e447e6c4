"""Self-hosted image moderation that can be audited: images in, verdicts with their reasons out.

In this process:

>>> from clipwarden import Moderator
>>> with Moderator() as moderator:
...     judged = moderator.moderate("upload.jpg")

By a server:

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
    from clipwarden.client import ServerFile as ServerFile
    from clipwarden.client import StreamItem as StreamItem
    from clipwarden.engine.async_moderator import AsyncModerator as AsyncModerator
    from clipwarden.engine.async_moderator import ImageResult as ImageResult
    from clipwarden.engine.moderator import Moderator as Moderator
    from clipwarden.engine.results import EmbeddedImage as EmbeddedImage
    from clipwarden.engine.results import Judged as Judged
    from clipwarden.engine.settings import EngineSettings as EngineSettings
    from clipwarden.vision.limits import DecodeLimits as DecodeLimits
    from clipwarden.vision.plan import ViewPlan as ViewPlan
    from clipwarden.vision.plan import Views as Views

    __version__: str

_HOMES = {
    "AsyncClient": "clipwarden.client",
    "Client": "clipwarden.client",
    "ClientError": "clipwarden.client",
    "RetryPolicy": "clipwarden.client",
    "ServerFile": "clipwarden.client",
    "StreamItem": "clipwarden.client",
    "AsyncModerator": "clipwarden.engine.async_moderator",
    "ImageResult": "clipwarden.engine.async_moderator",
    "Moderator": "clipwarden.engine.moderator",
    "EmbeddedImage": "clipwarden.engine.results",
    "Judged": "clipwarden.engine.results",
    "DecodeLimits": "clipwarden.vision.limits",
    "EngineSettings": "clipwarden.engine.settings",
    "ViewPlan": "clipwarden.vision.plan",
    "Views": "clipwarden.vision.plan",
}


def __getattr__(name: str) -> object:
    """Load what is asked for on first use: judging in this process imports no gRPC, and a client no onnxruntime."""
    if name == "__version__":
        # Late as well: it reads files, and nearly nobody asks.
        from importlib.metadata import version  # noqa: PLC0415

        return version("clipwarden")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what can be imported from here."""
    return sorted((*_HOMES, "__version__"))
