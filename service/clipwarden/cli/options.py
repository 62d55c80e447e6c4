"""How the user wants images judged."""

from dataclasses import dataclass
from pathlib import Path

from clipwarden.engine.settings import AT_ONCE

TIMEOUT_SECONDS = 30.0
"""As long as the client's own default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeOptions:
    """What to judge with, and how.

    Attributes:
        server: Address of a server; None judges in this process.
        policy: Id of a policy that the server has loaded, or the policy's file or name in this process.
        model: Model folder or name; this process only.
        context: A context the policy declares, or None.
        concurrency: Images at work at the same time.
        timeout_seconds: Longest wait for one image.
        return_embeddings: Whether to return embeddings.
        root_certificates: Makes the connection TLS, trusting these; None connects in plain text.
    """

    server: str | None = None
    policy: str | None = None
    model: str | None = None
    context: str | None = None
    concurrency: int = AT_ONCE
    timeout_seconds: float = TIMEOUT_SECONDS
    return_embeddings: bool = False
    root_certificates: Path | None = None
