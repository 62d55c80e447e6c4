from collections.abc import Iterator

import pytest

from clipwarden.client.retry import history_of
from kit.faultserver import FaultServer, running_fault_server


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with running_fault_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_history_of_another_test() -> None:
    """Forget what targets have shown: a port may be taken again."""
    history_of.cache_clear()
