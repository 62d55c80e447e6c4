"""Files whose structure has two readings: Chromium shows what the table says, and so do we, or it says why not."""

import pytest
from tests.browser.kit import Chromium, version_note
from tests.browser.structures.table import Row, cases, find_rows, read_table


@pytest.fixture(scope="module")
def found(chromium: Chromium) -> dict[str, Row]:
    return {row.name: row for row in find_rows(chromium)}


def test_the_table_has_each_case_once_and_in_order() -> None:
    assert list(read_table()) == [case.name for case in cases()]


def test_chromium_shows_what_the_table_says(chromium: Chromium, found: dict[str, Row]) -> None:
    table = read_table()
    other = {name: (table[name].shows, row.shows) for name, row in found.items() if row.shows != table[name].shows}
    assert other == {}, version_note(chromium.version)


def test_another_chromium_than_the_tables_is_named_with_what_to_do() -> None:
    assert version_note("150.0.1") == ""
    assert "This is Chromium 151.0.2; the tables, and what is judged, are of Chromium 150." in version_note("151.0.2")
    assert "python -m tests.browser.show --structures --mutations" in version_note("151.0.2")


def test_what_we_judge_is_what_the_table_says(found: dict[str, Row]) -> None:
    table = read_table()
    other = {name: (table[name].ours, row.ours) for name, row in found.items() if row.ours != table[name].ours}
    assert other == {}


def test_nothing_else_than_what_is_shown_is_judged_without_a_flag() -> None:
    assert [row.name for row in read_table().values() if row.ours == "differs"] == []


def test_whatever_is_not_the_same_has_its_reason() -> None:
    assert [row.name for row in read_table().values() if row.ours not in ("same", "none") and not row.why] == []
