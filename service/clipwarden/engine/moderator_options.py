"""What moderators are made with: what callers write in, plain values that another process can load by out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwarden.engine.settings import EngineSettings
from clipwarden.engine.snapshot import Snapshot, load_snapshot, user_cache_folder
from clipwarden.machine import quiet_pillow
from clipwarden.policy.bundle.cache import VectorCache


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeratorOptions:
    """What a moderator is made with; all of it is plain, so that a moderator may be sent to another process.

    Attributes:
        model: Model folder, or "mini" for the embedded model.
        policies: Policy files, bundles, or names of shipped policies; the first is the default.
        provider: onnxruntime execution provider.
        encoder_threads: Of a run of the image encoder; None takes 1.
        vector_cache: Whether to keep the vectors of policy texts in the user's cache folder, as servers do.
        settings: Limits and threads. Not its queue: what waits here is the caller's to bound.
    """

    model: str
    policies: tuple[str, ...]
    provider: str
    encoder_threads: int | None
    vector_cache: bool
    settings: EngineSettings

    def load(self) -> Snapshot:
        """Load the model and the policies; takes seconds."""
        # Not all of `prepare_process`: threads of BLAS are the program's business, but warnings would decide verdicts.
        quiet_pillow()
        return load_snapshot(
            self.model,
            self.policies,
            provider=self.provider,
            threads=self.encoder_threads,
            cache=VectorCache(user_cache_folder() if self.vector_cache else None),
        )


def moderator_options(
    model: str | os.PathLike[str],
    policies: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    provider: str,
    encoder_threads: int | None,
    vector_cache: bool,
    settings: EngineSettings | None,
) -> ModeratorOptions:
    """Tidy what the makers of moderators accept; see `AsyncModerator`."""
    listed = [policies] if isinstance(policies, str | os.PathLike) else policies
    return ModeratorOptions(
        # A path object is a folder even when it is called "mini".
        model=model if isinstance(model, str) else str(Path(model).absolute()),
        policies=tuple(os.fspath(policy) for policy in listed),
        provider=provider,
        encoder_threads=encoder_threads,
        vector_cache=vector_cache,
        settings=(settings or EngineSettings()).without_queue_limits(),
    )
