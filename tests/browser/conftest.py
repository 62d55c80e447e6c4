"""One Chromium for all; without one its tests fail, and with another than the tables' they are skipped.

A browser's next version shows some odd file otherwise, which nobody here has broken: ANY_CHROMIUM=1 runs the tests all
the same, to take the tables again.
"""

import os
from collections.abc import Iterator

import pytest
from tests.browser.kit import Chromium, open_chromium, version_note

NOTE = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Chromium]:
    with open_chromium() as opened:
        note = request.config.stash[NOTE] = version_note(opened.version)
        if note and not os.environ.get("ANY_CHROMIUM"):
            pytest.skip(note)
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if note := config.stash.get(NOTE, ""):
        terminalreporter.section("another Chromium")
        terminalreporter.write_line(note)
