"""A vision tower without a text tower in, a verified image-only model folder out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from clipwarden.errors import ModelError
from clipwarden.machine import available_cpus
from clipwarden.modelfolder.batch_dependence import MAX_BATCH_DEPENDENCE, batch_dependence, varied_pixels
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.load import Model, load_model, write_model_folder
from clipwarden.modelfolder.manifest import IMAGE_NAME, ModelManifest, Precision, Preprocessing
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.modelfolder.session import open_session
from clipwarden.modelfolder.staging import unfinished_folder
from clipwarden_export.errors import BelowBarError
from clipwarden_export.graphs.graph import export_graph, image_signature
from clipwarden_export.verification.compare import (
    BARS,
    Figures,
    PromptFigures,
    compare,
    compare_prompts,
    prompt_shortfalls,
    shortfalls,
)
from clipwarden_export.verification.evidence import IMAGES, SEED, prepare_images
from clipwarden_export.verification.golden import make_image_golden
from clipwarden_export.verification.probes import Pictures, image_paths, probe_images
from clipwarden_export.verification.verify import present_providers

_BATCH = 16
# CLIP's own, to which its training clips it. No checkpoint of a tower alone stores one, and `method: cosine`, the only
# one such a folder can serve, never reads it.
_LOGIT_SCALE = 100.0
Embed = Callable[[Sequence[Image.Image]], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tower:
    """A vision tower, loaded and described.

    Attributes:
        name: Short name shown to people.
        architecture: Free text.
        source: Hub id or folder name, as the user gave it.
        revision: Commit or version of the source.
        license: SPDX identifier or the licence's name.
        dim: D.
        image: Preprocessing, derived from the origin's image processor.
        module: uint8 [N,S,S,3] -> float32 [N,D], unit norm; in eval mode.
        embed: The reference: RGB images of any size, by the origin's own processor and classes -> float32 [N,D].
        vectors: float32 [K,D], what its embeddings will be compared with.
    """

    name: str
    architecture: str
    source: str
    revision: str
    license: str
    dim: int
    image: Preprocessing
    module: nn.Module
    embed: Embed
    vectors: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class TowerReport:
    """How close a folder's image encoder comes to a tower.

    Attributes:
        precision: Whose bar applies.
        providers: Figures of each execution provider: of the embeddings, and of their cosines to `Tower.vectors`.
        skipped: Providers that did not start, and why.
    """

    precision: Precision
    providers: Mapping[str, tuple[Figures, PromptFigures]]
    skipped: Mapping[str, str]

    @property
    def shortfalls(self) -> list[str]:
        """One sentence for each figure below the bar."""
        bar = BARS[self.precision]
        return [
            sentence
            for name, (images, vectors) in self.providers.items()
            for sentence in (
                *shortfalls(f"images on {name}", images, bar),
                *prompt_shortfalls(f"the moderator's vectors on {name}", vectors, bar),
            )
        ]

    def as_dict(self) -> dict[str, object]:
        """Return plain values for model.json and `--json`."""
        return {
            "passed": not self.shortfalls,
            "bar": asdict(BARS[self.precision]),
            "providers": {
                name: {"images": images.as_dict(), "vectors": asdict(vectors)}
                for name, (images, vectors) in self.providers.items()
            },
            "skipped": dict(self.skipped),
        }


def export_tower(tower: Tower, destination: Path, *, images_folder: Path | None = None) -> tuple[Model, TowerReport]:
    """Export, verify and publish a tower in fp32.

    Args:
        tower: Loaded.
        destination: The folder to create; appears whole and verified, or not at all.
        images_folder: The user's own pictures, taken beside the generated ones.

    Returns:
        The model, as a server loads it, and the report it passed.

    Raises:
        BelowBarError: The graph is not the tower; nothing was published.
        ExportError: The graph cannot be exported, or the destination cannot be written.
        ModelError: onnxruntime cannot run it.
    """
    with unfinished_folder(destination.resolve()) as work:
        graph = work / IMAGE_NAME
        export_graph(tower.module, image_signature(tower.image.side), graph)
        max_batch = _find_max_batch(tower, graph)

        def open_on(provider: str) -> ImageEncoder:
            return _open(tower, graph, provider, max_batch)

        report = _compare(tower, open_on, tower.image, "fp32", images_folder)
        manifest = _describe(tower, open_on(CPU_PROVIDER), report, max_batch)
        loaded: list[Model] = []
        write_model_folder(
            destination,
            manifest,
            files={IMAGE_NAME: graph},
            before_publish=lambda staging: loaded.append(load_model(staging)),
        )
    return loaded[0], report


def compare_with_tower(folder: Path, tower: Tower, *, images_folder: Path | None = None) -> tuple[Model, TowerReport]:
    """Prove that an existing folder's image encoder is this tower.

    Args:
        folder: A model folder.
        tower: What it should compute.
        images_folder: The user's own pictures, taken beside the generated ones.

    Returns:
        The model and the report it passed.

    Raises:
        ModelError: The folder cannot be loaded, or is of another width.
        BelowBarError: It is another model.
    """
    model = load_model(folder, threads=available_cpus())
    manifest = model.manifest

    def open_on(provider: str) -> ImageEncoder:
        return model.image if provider == CPU_PROVIDER else load_model(folder, provider=provider).image

    if manifest.dim != tower.dim:
        raise ModelError(
            f"{folder} embeds in {manifest.dim} values and {tower.source} in {tower.dim}: not the same model."
        )
    return model, _compare(tower, open_on, manifest.image, manifest.precision, images_folder)


def _compare(
    tower: Tower,
    open_on: Callable[[str], ImageEncoder],
    preprocessing: Preprocessing,
    precision: Precision,
    images_folder: Path | None,
) -> TowerReport:
    images = Pictures([*probe_images(IMAGES, seed=SEED), *(image_paths(images_folder) if images_folder else [])])
    reference, pixels = tower.embed(images), prepare_images(images, preprocessing)
    found: dict[str, tuple[Figures, PromptFigures]] = {}
    skipped: dict[str, str] = {}
    for name in present_providers():
        try:
            encoder = open_on(name)
        except ModelError as exc:
            if name == CPU_PROVIDER:
                raise
            skipped[name] = str(exc)
            continue
        found[name] = _measure(tower, encoder, pixels, reference)
    report = TowerReport(precision=precision, providers=found, skipped=skipped)
    if report.shortfalls:
        raise BelowBarError(report.shortfalls)
    return report


def _measure(
    tower: Tower, encoder: ImageEncoder, pixels: NDArray[np.uint8], reference: NDArray[np.float32]
) -> tuple[Figures, PromptFigures]:
    # As many at a time as the encoder takes, so that large ones fit into memory.
    size = encoder.max_batch or _BATCH
    parts = [encoder.encode(part) for part in np.split(pixels, range(size, len(pixels), size))]
    found = np.concatenate(parts)
    return compare(reference, found), compare_prompts((reference, found), (tower.vectors, tower.vectors))


def _open(tower: Tower, graph: Path, provider: str, max_batch: int | None) -> ImageEncoder:
    session = open_session(graph, provider=provider)
    return ImageEncoder(session, side=tower.image.side, dim=tower.dim, max_batch=max_batch)


def _find_max_batch(tower: Tower, graph: Path) -> int | None:
    """Keep a graph whose embeddings depend on their neighbours from ever having any."""
    dependence = batch_dependence(_open(tower, graph, CPU_PROVIDER, None), varied_pixels(tower.image.side))
    return None if dependence <= MAX_BATCH_DEPENDENCE else 1


def _describe(tower: Tower, encoder: ImageEncoder, report: TowerReport, max_batch: int | None) -> ModelManifest:
    return ModelManifest(
        name=tower.name,
        architecture=tower.architecture,
        source=tower.source,
        revision=tower.revision,
        license=tower.license,
        precision="fp32",
        dim=tower.dim,
        logit_scale=_LOGIT_SCALE,
        logit_bias=None,
        max_batch=max_batch,
        image=tower.image,
        text=None,
        background=(),
        golden=make_image_golden(encoder, side=tower.image.side, precision="fp32"),
        verification=report.as_dict(),
    )
