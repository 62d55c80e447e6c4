"""Every test of the server keeps the event loop's budget."""

from collections.abc import Iterator

import pytest

from kit.loopguard import guarded_loops


@pytest.fixture(autouse=True)
def _event_loop_keeps_its_budget() -> Iterator[None]:
    with guarded_loops():
        yield
