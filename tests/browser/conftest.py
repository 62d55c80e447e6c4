"""One Chromium for all; where there is none, its tests fail, and where it is another than the tables', that is said."""

from collections.abc import Iterator

import pytest
from tests.browser.kit import Chromium, open_chromium, version_note

NOTE = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Chromium]:
    with open_chromium() as opened:
        request.config.stash[NOTE] = version_note(opened.version)
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if note := config.stash.get(NOTE, ""):
        terminalreporter.section("another Chromium")
        terminalreporter.write_line(note)
