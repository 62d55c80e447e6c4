from collections.abc import Iterator

import pytest

from kit.faultserver import FaultServer, running_fault_server


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with running_fault_server() as running:
        yield running
