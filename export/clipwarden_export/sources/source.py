"""What the user typed in, a local folder with a checkpoint's files out, its revision and licence known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from clipwarden_export.errors import SourceError

# Everything a checkpoint folder needs, and no pickle: those are fetched only when asked for by name.
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors", "README.md", "LICENSE*")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
UNKNOWN = "unknown"
LOCAL = "local"
OPEN_CLIP_CONFIG = "open_clip_config.json"

Download = Callable[..., str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """A checkpoint's files on this disk.

    Attributes:
        folder: Where they lie.
        source: Hub id or folder name.
        revision: Commit of the hub repository, or `local`.
        license: From the model card; `unknown` where it says nothing.
        pickle: File name of the pickle the user insists on, else None.
    """

    folder: Path
    source: str
    revision: str
    license: str
    pickle: str | None = None


def locate(
    source: str,
    *,
    revision: str | None = None,
    pickle: str | None = None,
    download: Download | None = None,
    wanted: Sequence[str] = _WANTED,
    part: str | None = None,
) -> Located:
    """Find a checkpoint on this disk, or fetch it from the Hugging Face hub.

    Args:
        source: A local folder, or a hub id `owner/name`, with or without `hf-hub:` in front.
        revision: Branch, tag or commit on the hub; None takes the default branch.
        pickle: File name of a pickle to load in place of safetensors.
        download: Fetches a repository and returns its folder; None takes `huggingface_hub.snapshot_download`.
        wanted: Patterns of the files to fetch; a pipeline's other parts are gigabytes.
        part: Subfolder that holds the checkpoint where the repository is a pipeline of several.

    Returns:
        Where the files are.

    Raises:
        SourceError: Neither such a folder nor such a repository, or it has no safetensors and no pickle was named.
    """
    name = source.removeprefix("hf-hub:")
    if Path(name).is_dir():
        located = _local(Path(name), pickle)
    else:
        pickles = [pickle, *([f"{part}/{pickle}"] if part else [])] if pickle else []
        located = _remote(name, revision, pickle, download or _hub_download, [*wanted, *pickles])
    if part is not None and (located.folder / part).is_dir():
        located = replace(located, folder=located.folder / part)
    _require_weights(located)
    return located


def _local(folder: Path, pickle: str | None) -> Located:
    resolved = folder.resolve()
    # The folder's name and never its path: model.json travels, and a path tells of the machine it was made on.
    return Located(folder=resolved, source=resolved.name, revision=LOCAL, license=read_license(resolved), pickle=pickle)


def _remote(
    name: str, revision: str | None, pickle: str | None, download: Download, patterns: Sequence[str]
) -> Located:
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        msg = f'There is no folder "{name}", and a hub id has the form owner/name.'
        raise SourceError(msg)
    try:
        folder = Path(download(name, revision=revision, allow_patterns=list(patterns)))
    except Exception as exc:  # the hub's client raises its own, the network's and OSError
        msg = f'"{name}" is not a folder and could not be fetched from the hub: {_first_line(exc)}'
        raise SourceError(msg) from exc
    # A snapshot's folder is named after its commit.
    return Located(folder=folder, source=name, revision=folder.name, license=read_license(folder), pickle=pickle)


def read_license(folder: Path) -> str:
    """Read the licence from a model card's front matter.

    Args:
        folder: A checkpoint's folder.

    Returns:
        What `license_name` or `license` says, or `unknown`.
    """
    card = folder / "README.md"
    if not card.is_file():
        return UNKNOWN
    head, separator, rest = card.read_text(encoding="utf-8", errors="replace").partition("---\n")
    if head.strip() or not separator:
        return UNKNOWN
    try:
        matter = yaml.safe_load(rest.partition("\n---")[0])
    except yaml.YAMLError:
        return UNKNOWN
    if not isinstance(matter, dict):
        return UNKNOWN
    return str(matter.get("license_name") or matter.get("license") or UNKNOWN)


def _require_weights(located: Located) -> None:
    has_safetensors = any(located.folder.glob("*.safetensors"))
    if located.pickle is not None:
        if has_safetensors:
            msg = f"{located.source} has safetensors, so no pickle is needed; leave --allow-pickle out."
            raise SourceError(msg)
        if not (located.folder / located.pickle).is_file():
            msg = f"{located.source} has no {located.pickle}, which --allow-pickle names."
            raise SourceError(msg)
        return
    if has_safetensors:
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in located.folder.glob(pattern))
    if pickles:
        msg = (
            f"{located.source} has no safetensors, only the pickle {pickles[0]}, which could run code on loading. "
            f"If you trust who made it: --allow-pickle {pickles[0]}."
        )
        raise SourceError(msg)
    # Of a hub repository nothing but what is wanted was fetched, so what else it holds cannot be seen here.
    hint = (
        ""
        if located.revision == LOCAL
        else (
            " Where the hub has only a pickle, name it if you trust who made it (--allow-pickle pytorch_model.bin), "
            "or give the --revision of a conversion."
        )
    )
    msg = f"{located.source} has no *.safetensors file, so there are no weights to export.{hint}"
    raise SourceError(msg)


def _hub_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - a local folder needs no hub client

    return str(snapshot_download(name, revision=revision, allow_patterns=allow_patterns))


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
