"""What several parts of the suite share: which folders need more than the extra `test`, and fixtures."""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.runtime import keep_onnxruntime_silent
from clipwarden.serving.process import JsonFormatter
from kit.machine import forbid_imports, forget_the_machine
from kit.toymodel import build_toy_model, load_toy_model

TESTS = Path(__file__).parent
# Folders whose tests need torch and its kin (the extra `test-export`), an installed wheel, or most of a minute.
# `--fast` leaves them out.
HEAVY_FOLDERS = frozenset({"export", "parity", "simulation", "wheel"})
# Each needs tools of its own (`make test-browser`, `make test-image`, `make test-platform`): left out unless it is
# named on the command line.
NAMED_FOLDERS = frozenset({"browser", "image", "platform"})
HEAVY_PACKAGES = frozenset(
    {"diffusers", "onnxscript", "open_clip", "resvg_py", "sklearn", "torch", "torchvision", "transformers"}
)

# Some tests import onnxruntime themselves.
keep_onnxruntime_silent()

# Neither deadline nor speed of examples counts: a busy machine would fail tests that have nothing to do with time.
settings.register_profile("clipwarden", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clipwarden")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out the tests that need torch or a wheel")


def pytest_configure(config: pytest.Config) -> None:
    forget_the_machine(config)
    if config.getoption("--fast"):
        forbid_imports(HEAVY_PACKAGES)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.parent != TESTS:
        return None
    heavy = collection_path.name in HEAVY_FOLDERS and config.getoption("--fast")
    return True if heavy or collection_path.name in NAMED_FOLDERS else None


@pytest.fixture(autouse=True)
def _no_log_outlives_its_test() -> Iterator[None]:
    """Take back what `clipwarden serve` sets up in a test of this process: its stream closes with the test."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [each for each in root.handlers if isinstance(each.formatter, JsonFormatter)]:
        root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _no_silence_of_grpc_outlives_its_test() -> Iterator[None]:
    """Take back what commands of clients do to gRPC's own lines: servers that later tests start would inherit it."""
    yield
    os.environ.pop("GRPC_VERBOSITY", None)


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder for Unix sockets: the path of one may have 107 bytes, which `tmp_path` alone can take."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished toy model folder; read-only by convention."""
    return build_toy_model(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The toy model, loaded once."""
    model: Model = load_toy_model(tmp_path_factory.mktemp("toy") / "loaded")
    return model
