"""One Chromium for all; where there is none, its tests fail."""

from collections.abc import Iterator

import pytest
from tests.browser.kit import Chromium, open_chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    with open_chromium() as opened:
        yield opened
