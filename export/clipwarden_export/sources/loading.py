"""What the user typed in, a loaded Checkpoint out, by whichever library reads its layout."""

from importlib.util import find_spec
from pathlib import Path

from clipwarden_export.errors import SourceError
from clipwarden_export.sources.checkpoint import Checkpoint
from clipwarden_export.sources.huggingface import load_transformers, model_type
from clipwarden_export.sources.source import OPEN_CLIP_CONFIG, Download, Located, locate

_OPEN_CLIP_PREFIX = "hf-hub:"


def load_checkpoint(
    source: str, *, revision: str | None = None, pickle: str | None = None, download: Download | None = None
) -> Checkpoint:
    """Find and load a checkpoint.

    Args:
        source: A folder; a hub id; `hf-hub:` and a hub id for open_clip; or open_clip's `ARCHITECTURE/TAG`.
        revision: Branch, tag or commit on the hub.
        pickle: File name of a pickle to load in place of safetensors.
        download: As for `locate`.

    Returns:
        The checkpoint.

    Raises:
        SourceError: It cannot be found, trusted or understood.
    """
    name = _resolve(source)
    located = locate(name, revision=revision, pickle=pickle, download=download)
    wants_open_clip = source.startswith(_OPEN_CLIP_PREFIX) or name != source
    return _load(located, wants_open_clip=wants_open_clip)


def _resolve(source: str) -> str:
    if source.count("/") != 1 or Path(source).is_dir() or find_spec("open_clip") is None:
        return source
    from clipwarden_export.sources.openclip import resolve_pair  # noqa: PLC0415 - an extra of its own

    return resolve_pair(source)


def _load(located: Located, *, wants_open_clip: bool) -> Checkpoint:
    """Prefer transformers where a repository has both layouts, as LAION's do: it needs the fewer packages."""
    has_open_clip = (located.folder / OPEN_CLIP_CONFIG).is_file()
    kind = model_type(located.folder)
    if has_open_clip and (wants_open_clip or kind is None):
        from clipwarden_export.sources.openclip import load_open_clip  # noqa: PLC0415 - an extra of its own

        return load_open_clip(located)
    if kind is not None:
        return load_transformers(located)
    msg = f"{located.source} has neither config.json (transformers) nor {OPEN_CLIP_CONFIG} (open_clip)."
    raise SourceError(msg)
