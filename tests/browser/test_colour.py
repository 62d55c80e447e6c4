"""The colour corpus: we judge what Chromium shows, and who ignores a carrier of colours does not."""

import numpy as np
import pytest
from tests.browser.corpus.entry import patches
from tests.browser.corpus.figures import Figures, every_entry, find_figures, find_hidden, find_oddities, is_within
from tests.browser.corpus.spaces import rgb_profiles
from tests.browser.kit import Chromium
from tests.browser.parts import encode, iccp, with_chunks
from tests.browser.structures.case import picture


@pytest.fixture(scope="module")
def figures(chromium: Chromium) -> list[Figures]:
    return list(find_figures(chromium))


def test_the_corpus_is_as_large_as_was_asked(figures: list[Figures]) -> None:
    assert len([each for each in figures if not each.entry.control]) >= 60


def test_what_we_judge_is_what_is_shown(figures: list[Figures]) -> None:
    beyond = {each.entry.name: each.ours for each in figures if not each.holds}
    assert beyond == {}


def test_a_build_that_ignores_the_carrier_fails_each_file(figures: list[Figures]) -> None:
    assert [each.entry.name for each in figures if not each.is_seen and not each.entry.control] == []


def test_what_is_beyond_an_ordinary_screen_says_so(figures: list[Figures]) -> None:
    high = [each for each in figures if each.entry.name.endswith((" PQ", " HLG"))]
    assert [each.flagged for each in high] == [True] * 4


def test_a_profile_that_readers_take_differently_is_shown_as_in_chromium_or_flagged(chromium: Chromium) -> None:
    odd = list(find_oddities(chromium))
    assert [each.name for each in odd if not each.flagged and not is_within(each.ours)] == []


def test_no_random_profile_shows_another_picture_unflagged(chromium: Chromium) -> None:
    hidden, same = find_hidden(chromium, seed=10, count=300)
    assert hidden == []
    assert same >= 20  # flags are not thrown at everything


def test_what_has_a_twin_is_not_shown_itself(chromium: Chromium) -> None:
    shown = chromium.show([entry.data for entry in every_entry() if entry.twin is not None])
    assert [each.refused for each in shown] == [True] * len(shown)


def test_no_name_stands_twice(figures: list[Figures]) -> None:
    names = [each.entry.name for each in figures]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("profile", ["Display P3 v4", "falling curve", "ProPhoto"])
def test_the_canvas_tells_what_the_screen_shows(chromium: Chromium, profile: str) -> None:
    """Colour management on the way to the screen would be lost in a canvas; there is none."""
    data = with_chunks(encode(patches(), "PNG"), iccp(rgb_profiles()[profile]))
    photographed = np.asarray(chromium.screenshot(data)).astype(int)
    shown = chromium.show([data])[0].pixels
    assert shown is not None
    assert abs(photographed - shown).max() <= 1


def test_what_stands_first_of_an_animation_is_what_the_canvas_tells(chromium: Chromium) -> None:
    data = encode(picture("A"), "GIF", save_all=True, append_images=[picture("B")], duration=60_000)
    shown = chromium.show([data])[0].pixels
    assert shown is not None
    assert abs(np.asarray(chromium.screenshot(data)).astype(int) - shown).max() <= 1
