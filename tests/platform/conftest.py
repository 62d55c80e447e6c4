"""What the tests of the charts share: the tools that have to be there, and the example with its dependency."""

import os
from pathlib import Path

import pytest
from tests.platform.kit import HELM, HELM3, with_dependency
from tests.platform.tools import FOLDER


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    assert Path(HELM).exists() and Path(HELM3).exists(), "no Helm here: `make test-platform` fetches it"  # noqa: PT018


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example application's chart, with the chart of the sidecar in it."""
    return with_dependency(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker."""
    return _debian("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Prometheus itself."""
    return _debian("prometheus")


def _debian(name: str) -> str:
    program = FOLDER / name
    if not program.exists():
        assert not os.environ.get("CI"), f"no {name} here, and without it half of these tests would show nothing"
        pytest.skip(f"no {name}: it comes out of Debian's package, and there is no apt here")
    return str(program)
