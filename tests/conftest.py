"""Fixtures that several parts of the suite share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.runtime import keep_onnxruntime_silent
from clipwarden.serving.process import JsonFormatter
from kit.toymodel import build_toy_model, load_toy_model

# Some tests import onnxruntime themselves.
keep_onnxruntime_silent()

# No deadline an example: a busy machine would fail tests that have nothing to do with time.
settings.register_profile("clipwarden", deadline=None)
settings.load_profile("clipwarden")


@pytest.fixture(autouse=True)
def _no_log_outlives_its_test() -> Iterator[None]:
    """Take back what `clipwarden serve` sets up in a test of this process: its stream closes with the test."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [each for each in root.handlers if isinstance(each.formatter, JsonFormatter)]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished toy model folder; read-only by convention."""
    return build_toy_model(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The toy model, loaded once."""
    model: Model = load_toy_model(tmp_path_factory.mktemp("toy") / "loaded")
    return model
