"""How the user wants images judged."""

import os
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from clipwarden.cli.serveroptions import DIRECT, ServerOptions
from clipwarden.engine.settings import AT_ONCE
from clipwarden.serving.config import SETTING_DOCS
from clipwarden.serving.sources import read_flags, read_variables
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits

TIMEOUT_SECONDS = 30.0
"""As long as the client's own default."""


def _as_of_servers(name: str) -> Any:  # noqa: ANN401  typer's own
    """Make an option that reads like the server's setting of that name, and is told about in the same words."""
    docs = SETTING_DOCS[name]
    text = f"{docs.help} Default: {docs.default_text}."
    return typer.Option(docs.flag, metavar=docs.unit, help=text, show_default=False)


MaxImageBytes = Annotated[str | None, _as_of_servers("max_image_bytes")]
MaxDecodeBytes = Annotated[str | None, _as_of_servers("max_decode_bytes")]


def read_limits(max_image_bytes: str | None, max_decode_bytes: str | None) -> DecodeLimits:
    """Read what a command is to refuse, by its flags, else by a server's variables, else as servers do by default.

    Raises:
        ConfigError: One of them is no size.
    """
    flags = {"max_image_bytes": max_image_bytes, "max_decode_bytes": max_decode_bytes}
    given: dict[str, Any] = {**read_variables(os.environ, flags), **read_flags(flags)}
    return DecodeLimits(**given)


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeOptions:
    """What to judge with, and how.

    Attributes:
        server: Address of a server; None judges in this process.
        policy: Id of a policy that the server has loaded, or the policy's file or name in this process.
        model: Model folder or name; this process only.
        context: A context the policy declares, or None.
        limits: Images that are refused; this process only.
        concurrency: Images at work at the same time.
        timeout_seconds: Longest wait for one image.
        return_embeddings: Whether to return embeddings.
        bulk: Whether nobody waits for the answers, so that a server lets others go first.
        reach: How to reach the server.
    """

    server: str | None = None
    policy: str | None = None
    model: str | None = None
    context: str | None = None
    limits: DecodeLimits = DEFAULT_LIMITS
    concurrency: int = AT_ONCE
    timeout_seconds: float = TIMEOUT_SECONDS
    return_embeddings: bool = False
    bulk: bool = False
    reach: ServerOptions = DIRECT
