"""Export each kind of checkpoint once."""

from functools import cache
from pathlib import Path

import pytest

import kit.torchvisionschemas  # noqa: F401 - before open_clip
from clipwarden_export.export import ExportSettings, export_model
from clipwarden_export.sources.loading import load_checkpoint
from kit.checkpoints import KINDS, Folders, save_tiny_clip


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
