"""2,000 damaged files: whatever Chromium shows and we do not, or the reverse, is of a kind that has its reason."""

from pathlib import Path

import pytest
from tests.browser.compare import judge, outcome
from tests.browser.kit import Chromium
from tests.browser.mutations.mutate import FILES, Mutant, mutants
from tests.browser.mutations.originals import originals
from tests.browser.mutations.table import EXPECTED, PREPROCESSING, Kind, as_markdown, find_kinds, read_table


@pytest.fixture(scope="module")
def kinds(chromium: Chromium) -> dict[Kind, list[Mutant]]:
    return find_kinds(chromium)


def test_as_many_as_were_asked_and_the_same_each_time() -> None:
    first = [mutant.data for mutant in mutants()]
    assert len(first) == FILES
    assert first == [mutant.data for mutant in mutants()]


def test_every_original_is_judged_as_it_is_shown(chromium: Chromium) -> None:
    whole = originals()
    shown = chromium.show(list(whole.values()))
    judged = [judge(data, PREPROCESSING) for data in whole.values()]
    fared = {name: outcome(*each, PREPROCESSING) for name, *each in zip(whole, shown, judged, strict=True)}
    assert {name: ours for name, ours in fared.items() if ours != "same"} == {}


def test_every_kind_is_listed(kinds: dict[Kind, list[Mutant]]) -> None:
    listed = read_table()
    new = {kind: _names(found) for kind, found in kinds.items() if kind.ours not in EXPECTED and kind not in listed}
    assert new == {}


def test_every_kind_that_is_listed_has_its_reason() -> None:
    assert [kind for kind, row in read_table().items() if kind.ours not in EXPECTED and not row.why] == []


def test_the_page_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "displayed.md").read_text(encoding="utf-8")
    assert as_markdown(list(read_table().values())) in page


def test_no_more_differ_than_are_listed(kinds: dict[Kind, list[Mutant]]) -> None:
    """Each of them could be a way round."""
    listed = read_table()
    differing = {kind: found for kind, found in kinds.items() if kind.ours.startswith("differs") and kind in listed}
    assert {kind: _names(found) for kind, found in differing.items() if len(found) > listed[kind].files} == {}


def _names(found: list[Mutant]) -> list[str]:
    return [f"{mutant.original}: {mutant.way}" for mutant in found][:9]
