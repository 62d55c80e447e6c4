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
def any_chromium() -> Iterator[Chromium]:
    """For pages of ours, which every version has to show alike."""
    with open_chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest, any_chromium: Chromium) -> Chromium:
    note = request.config.stash[NOTE] = version_note(any_chromium.version)
    if note and not os.environ.get("ANY_CHROMIUM"):
        pytest.skip(note)
    return any_chromium


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if note := config.stash.get(NOTE, ""):
        terminalreporter.section("another Chromium")
        terminalreporter.write_line(note)
