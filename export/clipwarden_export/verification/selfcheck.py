"""A model folder in, what it shows without its checkpoint out; needs no torch, so a serving machine can run it."""

from dataclasses import dataclass
from pathlib import Path

from clipwarden.errors import ModelError
from clipwarden.modelfolder.batch_dependence import MAX_BATCH_DEPENDENCE, batch_dependence, varied_pixels
from clipwarden.modelfolder.load import load_model
from clipwarden.modelfolder.runtime import CPU_PROVIDER


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfCheck:
    """What a folder shows without its checkpoint.

    Attributes:
        fingerprint: Of the model.
        golden_drift: Largest L2 distance to the golden vectors; within the tolerance, or loading would have failed.
        golden_tolerance: The most that is allowed.
        batch_dependence: Largest L2 distance between a vector computed alone and in company.
    """

    fingerprint: str
    golden_drift: float
    golden_tolerance: float
    batch_dependence: float


def check_folder(folder: Path, *, provider: str = CPU_PROVIDER) -> SelfCheck:
    """Load a folder as a server would, recompute its golden vectors, and test that batches do not mix.

    Args:
        folder: The model folder.
        provider: onnxruntime execution provider.

    Returns:
        The figures.

    Raises:
        ModelError: The folder is damaged, its golden vectors drifted, or an embedding depends on its neighbours.
    """
    model = load_model(folder, provider=provider)
    dependence = batch_dependence(model.image, varied_pixels(model.manifest.image.side))
    if dependence > MAX_BATCH_DEPENDENCE:
        msg = (
            f"An embedding moves by {dependence:.2g} with its neighbours in a batch, more than the "
            f"{MAX_BATCH_DEPENDENCE:g} allowed; export the model again, so that it carries max_batch: 1."
        )
        raise ModelError(msg)
    drift = model.runtime.golden_drift
    return SelfCheck(
        fingerprint=model.fingerprint,
        golden_drift=0.0 if drift is None else drift,
        golden_tolerance=model.manifest.golden.tolerance,
        batch_dependence=dependence,
    )
