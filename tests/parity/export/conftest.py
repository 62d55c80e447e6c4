"""Let torchvision import on the CPU build of torch, and export each kind of checkpoint once.

open_clip imports torchvision, and transformers does so wherever it is installed. torchvision's compiled operators
belong to the CUDA build, so on the CPU build their schemas are missing, and torchvision 0.28's
`_meta_registrations.py` fails on the two that it names outright. Declaring them is enough: nothing calls them.
Nothing of this reaches the product.
"""

from functools import cache
from pathlib import Path

import pytest
import torch

_SCHEMAS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# A CUDA build's torchvision declares them itself when it loads; declaring twice would be an error.
if torch.version.cuda is None:
    for _name, _schema in _SCHEMAS.items():
        torch.library.define(_name, _schema)

from clipwarden_export.export import ExportSettings, export_model  # noqa: E402 - after the schemas
from clipwarden_export.loading import load_checkpoint  # noqa: E402
from exportkit import KINDS, Folders, save_tiny_clip  # noqa: E402


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Save a checkpoint of a kind, once a session."""
    return cache(lambda kind: KINDS[kind].save(tmp_path_factory.mktemp("checkpoints") / kind))


@pytest.fixture(scope="session")
def model_of(checkpoint_of: Folders, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Export a checkpoint of a kind in fp32, once a session."""

    def export(kind: str) -> Path:
        destination = tmp_path_factory.mktemp("models") / kind
        return export_model(load_checkpoint(str(checkpoint_of(kind))), destination, ExportSettings()).folder

    return cache(export)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP checkpoint of 64 pixels and 64 values."""
    return save_tiny_clip(tmp_path_factory.mktemp("tiny") / "tiny-clip")


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, exported in fp32."""
    destination = tmp_path_factory.mktemp("tiny-model") / "tiny"
    return export_model(load_checkpoint(str(tiny_checkpoint)), destination, ExportSettings()).folder
