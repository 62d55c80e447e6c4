"""A model folder in, a copy with the newest preprocessing and a fingerprint of its own out; what is encoded stays."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from clipwarden.errors import ConfigError, ModelError
from clipwarden.modelfolder.files import verify_files, write_model_folder
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import Runtime, load_model
from clipwarden.modelfolder.manifest import COLOUR, MANIFEST_NAME, Colour, ModelManifest, is_companion
from clipwarden.modelfolder.modeljson import MAX_DECODE_SCALE, load_manifest
from clipwarden.modelfolder.staging import require_finished

STEPS = 3
"""Each reads every byte: the old files are checked, then copied, then loaded where they are now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgrade:
    """What an upgrade changes, or would.

    Attributes:
        folder: What is upgraded.
        old: Its manifest.
        new: The manifest of the copy.
    """

    folder: Path
    old: ModelManifest
    new: ModelManifest

    @property
    def needed(self) -> bool:
        """Whether anything changes."""
        return self.old != self.new

    @property
    def before(self) -> str:
        """The old fingerprint."""
        return fingerprint(self.old)

    @property
    def after(self) -> str:
        """The new fingerprint."""
        return fingerprint(self.new)


def plan_upgrade(folder: Path, *, full_decode: bool = False) -> Upgrade:
    """Say what an upgrade of a folder changes; reads model.json alone.

    Args:
        folder: A model folder.
        full_decode: Whether JPEGs shall be decoded in full from then on.

    Raises:
        ModelError: It is none, or was never published.
    """
    require_finished(folder)
    old = load_manifest(folder)
    scale = 0 if full_decode else old.image.decode_scale
    new = replace(old, image=replace(old.image, colour=COLOUR, decode_scale=scale))
    return Upgrade(folder=folder, old=old, new=new)


def fingerprint_before(manifest: ModelManifest, bound: str | None = None) -> str | None:
    """Name the model that a folder was upgraded from, or might have been.

    Args:
        manifest: With `files` filled in.
        bound: The fingerprint that somebody names: it is the one, where it may be.

    Returns:
        The fingerprint of the same files under an older preprocessing, of the same scale of decoding unless `bound`
        says otherwise; None where the folder is of the older one.
    """
    image = manifest.image
    if image.colour != COLOUR:
        return None
    scales = range(MAX_DECODE_SCALE + 1) if image.decode_scale == 0 else (image.decode_scale,)
    older = [replace(image, colour=colour, decode_scale=scale) for colour in get_args(Colour) for scale in scales]
    before = [fingerprint(replace(manifest, image=each)) for each in older if each != image]
    return bound if bound in before else before[0]


def write_upgrade(plan: Upgrade, destination: Path, *, done: Callable[[int], None] = lambda _steps: None) -> Runtime:
    """Write the upgraded copy: it appears whole, loads, and answers its golden vectors, or not at all.

    Files stay byte for byte what they are but for model.json; hidden ones and folders below are left behind.

    Args:
        plan: What to write.
        destination: A new folder, whose parent exists.
        done: Called with the number of `STEPS` that are done.

    Returns:
        Where the golden vectors were computed, and how far they lie from those of the export.

    Raises:
        ConfigError: The destination exists, lies in the old folder, or has no parent.
        ModelError: The old folder is damaged, its golden vectors drifted, or it changed while it was copied.
        RuntimeMissingError: Neither or both onnxruntime packages are installed.
        OSError: The copy cannot be written.
    """
    require_new(plan.folder, destination)
    verify_files(plan.folder, plan.old)
    done(1)
    loaded: list[Runtime] = []

    def load_as_a_server_would(staging: Path) -> None:
        done(2)
        model = load_model(staging)
        if model.fingerprint != plan.after:
            raise ModelError(f"{plan.folder} changed while it was copied; run it again.")
        loaded.append(model.runtime)

    files = {path.name: path for path in plan.folder.iterdir() if path.is_file() and _goes_along(path.name, plan.old)}
    write_model_folder(destination, plan.new, files=files, before_publish=load_as_a_server_would)
    done(STEPS)
    return loaded[0]


def require_new(folder: Path, destination: Path) -> None:
    """Refuse to write into a folder that exists, above all into the one that is read.

    Args:
        folder: What is upgraded.
        destination: Where the copy is to be.

    Raises:
        ConfigError: Something is there, or its parent is not; says what to write instead.
    """
    source, target = folder.resolve(), destination.resolve()
    instead = f"Name a new folder, such as ./{source.name}-srgb."
    if source in target.parents:
        raise ConfigError(f"{destination} lies in {folder}, which stays as it is. {instead}")
    if target.exists() or destination.is_symlink():
        raise ConfigError(f"{destination} exists, and an upgrade replaces nothing. {instead}")
    if not target.parent.is_dir():
        raise ConfigError(f"{target.parent} is no folder; make it first.")


def _goes_along(name: str, manifest: ModelManifest) -> bool:
    return name in manifest.files or (is_companion(name) and name != MANIFEST_NAME and not name.startswith("."))
