"""Fixtures that several parts of the suite share."""

from pathlib import Path

import pytest
from hypothesis import settings

from clipwarden.vision.model import Model
from clipwarden.vision.runtime import keep_onnxruntime_silent
from toymodel import build_toy_model, load_toy_model

# Some tests import onnxruntime themselves.
keep_onnxruntime_silent()

# No deadline an example: a busy machine would fail tests that have nothing to do with time.
settings.register_profile("clipwarden", deadline=None)
settings.load_profile("clipwarden")


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished toy model folder; read-only by convention."""
    return build_toy_model(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The toy model, loaded once."""
    model: Model = load_toy_model(tmp_path_factory.mktemp("toy") / "loaded")
    return model
