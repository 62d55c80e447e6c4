"""A loaded checkpoint in, a verified model folder out, or BelowBarError and no folder at all."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipwarden.modelfolder.batch_dependence import MAX_BATCH_DEPENDENCE, batch_dependence, varied_pixels
from clipwarden.modelfolder.encoder import ImageEncoder, TextEncoder
from clipwarden.modelfolder.files import require_replaceable
from clipwarden.modelfolder.load import Model, load_model, write_model_folder
from clipwarden.modelfolder.manifest import IMAGE_NAME, TEXT_NAME, TOKENIZER_NAME, ModelManifest, Precision
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.modelfolder.session import open_session
from clipwarden.modelfolder.staging import unfinished_folder
from clipwarden.modelfolder.tokenizer import Tokenizer
from clipwarden.policy.schema import Policy
from clipwarden_export.errors import BelowBarError, ExportError
from clipwarden_export.graphs.graph import DEFAULT_OPSET, export_graph, image_signature, text_signature
from clipwarden_export.graphs.precision import Calibration, convert
from clipwarden_export.sources.checkpoint import Checkpoint
from clipwarden_export.verification.background import background_texts
from clipwarden_export.verification.evidence import gather_evidence
from clipwarden_export.verification.golden import make_golden
from clipwarden_export.verification.probes import image_paths
from clipwarden_export.verification.verify import Candidate, Encoders, Report, verify_candidate

STEPS = ("image graph", "text graph", "precision", "reference", "verification", "background", "publication")
Step = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings:
    """What the user chose.

    Attributes:
        precision: Of the weights.
        opset: ONNX operator set.
        calibration: How int8 scales activations; ignored in other precisions.
        images_folder: The user's own pictures, added to the generated ones for verification.
        policy: Whose prompts and decisions are compared; None compares with the background texts alone.
        refit: Thresholds will be fitted again for this model, so moved cosines do not stop the publication.
        overwrite: Whether an existing folder may be replaced.
    """

    precision: Precision = "fp32"
    opset: int = DEFAULT_OPSET
    calibration: Calibration | None = None
    images_folder: Path | None = None
    policy: Policy | None = None
    refit: bool = False
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A published model folder.

    Attributes:
        folder: Where.
        fingerprint: Of the model.
        manifest: What model.json says.
        report: The verification it passed.
    """

    folder: Path
    fingerprint: str
    manifest: ModelManifest
    report: Report


def export_model(
    checkpoint: Checkpoint, destination: Path, settings: ExportSettings, *, step: Step | None = None
) -> Exported:
    """Export, convert, verify and publish a checkpoint.

    Args:
        checkpoint: Loaded.
        destination: The folder to create; appears whole and verified, or not at all.
        settings: What the user chose.
        step: Called with each of `STEPS` as it begins.

    Returns:
        The published folder.

    Raises:
        BelowBarError: The candidate is not the checkpoint; nothing was published.
        ExportError: The graph cannot be exported or converted, or the destination cannot be written.
        ModelError: onnxruntime cannot run the candidate, or what lies at the destination is no model folder.
    """
    begin = step or (lambda _name: None)
    check_before_work(destination, settings)
    # No model.json in it, and a name that no server loads.
    with unfinished_folder(destination.resolve()) as work:
        _write_graphs(checkpoint, work, settings, begin)
        begin("reference")
        evidence = gather_evidence(checkpoint, images_folder=settings.images_folder, policy=settings.policy)
        begin("verification")
        max_batch = _find_max_batch(checkpoint, work)
        candidate = _candidate(checkpoint, work, max_batch, settings)
        report = verify_candidate(candidate, evidence)
        if not report.passed:
            raise BelowBarError(report.shortfalls)
        begin("background")
        encoders = candidate.open(CPU_PROVIDER)
        manifest = _describe(checkpoint, settings, encoders, report, max_batch)
        background = encoders.background
        begin("publication")
        finished, fingerprint = _publish(manifest, work, destination, background, overwrite=settings.overwrite)
    return Exported(folder=destination, fingerprint=fingerprint, manifest=finished, report=report)


def open_candidate(checkpoint: Checkpoint, work: Path, max_batch: int | None, provider: str) -> Encoders:
    """Open a candidate's graphs, which have no model.json yet and so cannot be loaded as a model.

    Args:
        checkpoint: Whose settings apply.
        work: Holds image.onnx, text.onnx and tokenizer.json.
        max_batch: Largest batch the image graph is run with.
        provider: onnxruntime execution provider.

    Returns:
        The encoders.

    Raises:
        ModelError: onnxruntime cannot run them there.
    """
    side, dim, text = checkpoint.image.side, checkpoint.dim, checkpoint.text
    image_session = open_session(work / IMAGE_NAME, provider=provider)
    text_session = open_session(work / TEXT_NAME, provider=provider)
    tokenizer = Tokenizer(work / TOKENIZER_NAME, text)
    return Encoders(
        image=ImageEncoder(image_session, side=side, dim=dim, max_batch=max_batch),
        text=TextEncoder(text_session, tokenizer, context_length=text.context_length, dim=dim),
    )


def check_before_work(destination: Path, settings: ExportSettings) -> None:
    """Refuse at once what would otherwise fail after a download and minutes of work.

    Args:
        destination: The folder to create.
        settings: What the user chose.

    Raises:
        ExportError: The destination exists or cannot be made, or a folder that should hold pictures holds none.
        ModelError: It would be overwritten, and is no model folder.
    """
    if destination.exists() and not settings.overwrite:
        msg = f"{destination} exists; remove it, choose another folder, or pass --overwrite."
        raise ExportError(msg)
    parent = destination.resolve().parent
    if not parent.is_dir():
        msg = f"{parent} does not exist; make it first."
        raise ExportError(msg)
    if not os.access(parent, os.W_OK | os.X_OK):
        msg = f"{parent} cannot be written to by this user; choose another folder."
        raise ExportError(msg)
    require_replaceable(destination.resolve())
    for folder in (settings.images_folder, settings.calibration.images_folder if settings.calibration else None):
        if folder is not None:
            image_paths(folder)


def _write_graphs(checkpoint: Checkpoint, work: Path, settings: ExportSettings, begin: Step) -> None:
    begin("image graph")
    image, text = work / IMAGE_NAME, work / TEXT_NAME
    export_graph(checkpoint.image_tower, image_signature(checkpoint.image.side), image, opset=settings.opset)
    begin("text graph")
    samples = checkpoint.origin.token_ids(background_texts()[:2])
    export_graph(checkpoint.text_tower, text_signature(samples), text, opset=settings.opset)
    (work / TOKENIZER_NAME).write_bytes(checkpoint.tokenizer)
    begin("precision")
    convert(image, text, settings.precision, calibration=settings.calibration, preprocessing=checkpoint.image)


def _find_max_batch(checkpoint: Checkpoint, work: Path) -> int | None:
    """Keep a graph whose embeddings depend on their neighbours from ever having any."""
    image = open_candidate(checkpoint, work, None, CPU_PROVIDER).image
    dependence = batch_dependence(image, varied_pixels(checkpoint.image.side))
    return None if dependence <= MAX_BATCH_DEPENDENCE else 1


def _candidate(checkpoint: Checkpoint, work: Path, max_batch: int | None, settings: ExportSettings) -> Candidate:
    return Candidate(
        # Opening takes seconds, and the background is embedded by the same encoders that were verified.
        open=cache(partial(open_candidate, checkpoint, work, max_batch)),
        preprocessing=checkpoint.image,
        precision=settings.precision,
        facts=checkpoint,
        refit=settings.refit,
    )


def _describe(
    checkpoint: Checkpoint, settings: ExportSettings, encoders: Encoders, report: Report, max_batch: int | None
) -> ModelManifest:
    return ModelManifest(
        name=checkpoint.name,
        architecture=checkpoint.architecture,
        source=checkpoint.source,
        revision=checkpoint.revision,
        license=checkpoint.license,
        precision=settings.precision,
        dim=checkpoint.dim,
        logit_scale=checkpoint.logit_scale,
        logit_bias=checkpoint.logit_bias,
        max_batch=max_batch,
        image=checkpoint.image,
        text=checkpoint.text,
        background=background_texts(),
        golden=make_golden(encoders, side=checkpoint.image.side, precision=settings.precision),
        verification=report.as_dict(),
    )


def _publish(
    manifest: ModelManifest, work: Path, destination: Path, background: NDArray[np.float32], *, overwrite: bool
) -> tuple[ModelManifest, str]:
    loaded: list[Model] = []

    def load_as_a_server_would(staging: Path) -> None:
        loaded.append(load_model(staging))

    finished = write_model_folder(
        destination,
        manifest,
        files={name: work / name for name in (IMAGE_NAME, TEXT_NAME, TOKENIZER_NAME)},
        background=background,
        overwrite=overwrite,
        before_publish=load_as_a_server_would,
    )
    return finished, loaded[0].fingerprint
