"""A published model folder in, the outcome of verifying it again out."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from clipwarden.errors import ModelError
from clipwarden.machine import available_cpus
from clipwarden.modelfolder.load import Model, load_manifest, load_model
from clipwarden.modelfolder.manifest import MANIFEST_NAME, ModelManifest
from clipwarden.modelfolder.modeljson import dump_manifest
from clipwarden.policy.schema import Policy
from clipwarden.textfiles.atomic import write_atomically
from clipwarden_export.sources.checkpoint import Checkpoint
from clipwarden_export.verification.evidence import gather_evidence
from clipwarden_export.verification.verify import Candidate, Encoders, Report, verify_candidate


def compare_folder(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    images_folder: Path | None = None,
    policy: Policy | None = None,
    providers: tuple[str, ...] = (),
) -> Report:
    """Compare a published folder with a checkpoint.

    Args:
        folder: The model folder, with a text encoder.
        checkpoint: What it should compute.
        images_folder: The user's own pictures.
        policy: Whose prompts and decisions are compared.
        providers: Execution providers; empty takes those present.

    Returns:
        The report, passed or not.

    Raises:
        ModelError: The folder cannot be loaded, has no text encoder, or is of another width than the checkpoint.
    """
    require_text_encoder(folder)
    manifest = load_model(folder).manifest
    if manifest.dim != checkpoint.dim:
        msg = (
            f"{folder} embeds in {manifest.dim} values and {checkpoint.source} in {checkpoint.dim}: not the same model."
        )
        raise ModelError(msg)
    candidate = Candidate(
        open=partial(_open, folder),
        preprocessing=manifest.image,
        precision=manifest.precision,
        facts=manifest,
        refit=_accepted(manifest),
    )
    evidence = gather_evidence(checkpoint, images_folder=images_folder, policy=policy)
    return verify_candidate(candidate, evidence, providers=providers)


def require_text_encoder(folder: Path) -> None:
    """Refuse a folder that no checkpoint of two towers can be compared with, before such a one is fetched.

    Args:
        folder: A model folder.

    Raises:
        ModelError: It has no text encoder, or is no model folder.
    """
    manifest = load_manifest(folder)
    if manifest.text is not None and not manifest.omitted:
        return
    raise ModelError(
        f"{folder} has no text encoder, so it cannot be compared with a checkpoint; verify the full folder. "
        "For a safety checker's tower: `clipwarden-export import safety-checker SOURCE --model FOLDER -o NEW`."
    )


def record(folder: Path, report: Report) -> None:
    """Write a report into model.json, which no fingerprint covers.

    Args:
        folder: The model folder.
        report: What to write.

    Raises:
        ModelError: The figures cannot be written as JSON.
        OSError: The folder cannot be written.
    """
    manifest = load_model(folder, check_golden=False).manifest
    write_atomically(folder / MANIFEST_NAME, dump_manifest(replace(manifest, verification=report.as_dict())))


def _open(folder: Path, provider: str) -> Encoders:
    # One batch after the other here, unlike on a server, so that all CPUs share in each; the bits are the same.
    model: Model = load_model(folder, provider=provider, threads=available_cpus(), check_golden=False)
    if model.text is None:
        raise AssertionError("asked beforehand")
    return Encoders(image=model.image, text=model.text)


def _accepted(manifest: ModelManifest) -> bool:
    """Say whether the folder was published with `--refit`: what was accepted then is accepted again."""
    return bool((manifest.verification or {}).get("notes"))
