"""A model folder in, a verified Model ready to encode out, or ModelError saying what is wrong with it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import EncoderError, ModelError
from clipwarden.machine import available_cpus
from clipwarden.modelfolder.encoder import ImageEncoder, TextEncoder
from clipwarden.modelfolder.files import load_background, verify_files, write_image_only_copy, write_model_folder
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.golden import check_golden
from clipwarden.modelfolder.manifest import (
    IMAGE_NAME,
    TEXT_NAME,
    TOKENIZER_NAME,
    Golden,
    GoldenImage,
    GoldenText,
    ModelManifest,
    Preprocessing,
    TextSettings,
)
from clipwarden.modelfolder.modeljson import load_manifest
from clipwarden.modelfolder.runtime import CPU_PROVIDER, import_onnxruntime
from clipwarden.modelfolder.session import open_session
from clipwarden.modelfolder.staging import require_finished
from clipwarden.modelfolder.tokenizer import Tokenizer

__all__ = [
    "Golden",
    "GoldenImage",
    "GoldenText",
    "Model",
    "ModelIdentity",
    "ModelManifest",
    "Preprocessing",
    "Runtime",
    "TextSettings",
    "embedded_model_path",
    "load_manifest",
    "load_model",
    "resolve_model",
    "write_image_only_copy",
    "write_model_folder",
]

EMBEDDED_MODEL = "mini"
ENCODER_THREADS = 1
"""Threads of a run of the image encoder, unless told otherwise. As many runs at once as there are CPUs, of one thread
each, give 1.4 times what one run of all threads gives: no part waits for the slowest (ViT-B/32 int8 on two cores,
interleaved, medians of six). Elsewhere than on CPUs these threads have next to nothing to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """Where a model runs, reported with every result.

    Attributes:
        provider: onnxruntime execution provider.
        onnxruntime: Its version.
        golden_drift: Largest L2 distance to the golden vectors; None when the check was skipped.
        encoder_threads: Threads that one run of the image encoder computes with.
    """

    provider: str
    onnxruntime: str
    golden_drift: float | None
    encoder_threads: int = ENCODER_THREADS


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelIdentity:
    """Which model saw an image, and how it ran: what results carry in the place of the model itself.

    Attributes:
        name: For people.
        fingerprint: `sha256:...` of everything that shapes a judgement.
        runtime: Provider, version, measured drift.
    """

    name: str
    fingerprint: str
    runtime: Runtime


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Model:
    """A loaded model; immutable and safe to share between threads.

    Attributes:
        manifest: What model.json says.
        fingerprint: `sha256:...` of everything that shapes a judgement.
        image: Embeds pixels.
        text: Embeds prompts; None when the folder has no text encoder.
        background: float32 [K,D] unit rows of neutral texts; None when the folder has none.
        runtime: Provider, version, measured drift.
    """

    manifest: ModelManifest
    fingerprint: str
    image: ImageEncoder
    text: TextEncoder | None
    background: NDArray[np.float32] | None
    runtime: Runtime

    @property
    def identity(self) -> ModelIdentity:
        """What results say of it."""
        return ModelIdentity(name=self.manifest.name, fingerprint=self.fingerprint, runtime=self.runtime)


def load_model(
    path: Path, *, provider: str = CPU_PROVIDER, threads: int | None = None, check_golden: bool = True
) -> Model:
    """Load a model folder, trusting nothing in it that its manifest does not vouch for.

    Takes seconds and holds the GIL for parts of it: keep it off the event loop.

    Args:
        path: The model folder.
        provider: onnxruntime execution provider that must run every node.
        threads: Of a run of the image encoder; None takes `ENCODER_THREADS`. A run of the text encoder has one: as many
            texts as there are CPUs are embedded at the same time while somebody waits for a start, and one beside a
            server's images. No number of threads changes a bit of either: onnxruntime splits rows and columns among
            threads, never a sum.
        check_golden: Whether golden vectors are recomputed and compared.

    Returns:
        The model.

    Raises:
        ModelError: The folder is incomplete, damaged, of another format, was never published, or its golden vectors
            drifted.
        RuntimeMissingError: Neither or both runtime packages are installed.
    """
    version = str(import_onnxruntime().__version__)
    require_finished(path)
    manifest = load_manifest(path)
    verify_files(path, manifest)
    background = load_background(path, manifest)
    threads = threads or ENCODER_THREADS
    image = open_image_encoder(path, manifest, provider=provider, threads=threads)
    text = _open_text_encoder(path, manifest, provider)
    drift = _measure_drift(manifest, image, text) if check_golden else None
    return Model(
        manifest=manifest,
        fingerprint=fingerprint(manifest),
        image=image,
        text=text,
        background=background,
        runtime=Runtime(provider=provider, onnxruntime=version, golden_drift=drift, encoder_threads=threads),
    )


def embedded_model_path() -> Path:
    """Return the folder of the small model that ships with the package."""
    return Path(__file__).parent.parent / "models" / EMBEDDED_MODEL


def resolve_model(name_or_path: str | Path) -> Path:
    """Turn what a user typed into a model folder.

    Args:
        name_or_path: `mini` for the embedded model, or a path (`./mini` for a folder of that name).

    Returns:
        An existing folder; whether it holds a model is `load_model`'s to say.

    Raises:
        ModelError: There is no such folder.
    """
    if str(name_or_path) == EMBEDDED_MODEL and not isinstance(name_or_path, Path):
        return embedded_model_path()
    path = Path(name_or_path).expanduser()
    if not path.is_dir():
        raise ModelError(
            f'There is no model folder at {path}; give a folder, or "{EMBEDDED_MODEL}" for the embedded model.'
        )
    return path


def open_image_encoder(
    path: Path, manifest: ModelManifest, *, provider: str = CPU_PROVIDER, threads: int = ENCODER_THREADS
) -> ImageEncoder:
    """Open the image encoder of a folder that was verified before; arguments and errors as for `load_model`."""
    session = open_session(path / IMAGE_NAME, provider=provider, threads=threads)
    return ImageEncoder(session, side=manifest.image.side, dim=manifest.dim, max_batch=manifest.max_batch)


def _open_text_encoder(path: Path, manifest: ModelManifest, provider: str) -> TextEncoder | None:
    if manifest.text is None or manifest.omitted:
        return None
    tokenizer = Tokenizer(path / TOKENIZER_NAME, manifest.text)
    session = open_session(path / TEXT_NAME, provider=provider, threads=1)
    at_once = available_cpus() if provider == CPU_PROVIDER else 1
    length = manifest.text.context_length
    return TextEncoder(session, tokenizer, context_length=length, dim=manifest.dim, at_once=at_once)


def _measure_drift(manifest: ModelManifest, image: ImageEncoder, text: TextEncoder | None) -> float:
    try:
        return check_golden(manifest.golden, image, text, side=manifest.image.side)
    except EncoderError as exc:
        raise ModelError(f"The model fails on its own golden images or texts: {exc}") from exc
