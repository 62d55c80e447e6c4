"""Layouts put the drawing where they say; lines keep their limit on the half that they are fitted on."""

import numpy as np
import pytest
from bench.layouts.judging import LIMITS, Judged, Scored
from bench.layouts.material import CELL, Material
from bench.tuning.labelled import Drawings

from clipwarden.vision.plan import Views
from recipes.mini.layouts import LAYOUTS, Layout
from recipes.mini.render import Pixels

DRAWINGS = 4000


def plain(colour: tuple[int, int, int]) -> Pixels:
    return np.full((CELL, CELL, 4), (*colour, 255), np.uint8)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_drawing_is_whole_in_each_place_and_its_company_too(layout: Layout) -> None:
    others = [plain((0, 0, 255))] * layout.others
    boxes = set()
    for place in range(layout.places):
        picture = layout.compose(plain((255, 0, 0)), others, place, np.random.default_rng(place))
        pixels = np.asarray(picture)
        red = (pixels == (255, 0, 0)).all(2)
        assert red.sum() == CELL * CELL
        assert (pixels == (0, 0, 255)).all(2).sum() == layout.others * CELL * CELL
        boxes.add(tuple(np.argwhere(red).min(0)))
    assert len(boxes) == layout.places


def test_the_mix_is_all_of_the_uploads() -> None:
    assert sum(layout.share for layout in LAYOUTS) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def judged() -> Judged:
    """Four thousand harmless drawings and two harmful ones of one word, in two halves; all layouts score alike."""
    chance = np.random.default_rng(1)
    marks = np.zeros((DRAWINGS + 2, 1), np.int8)
    marks[DRAWINGS:] = 1
    names = ("gun-1", "gun-2")
    drawings = Drawings(
        categories=("weapons",),
        paths=(),
        sha256=tuple(map(str, range(DRAWINGS + 2))),
        sets=("house",) * (DRAWINGS + 2),
        icons=(*(f"x{number}-1" for number in range(DRAWINGS)), *names),
        marks=marks,
    )
    half = np.arange(DRAWINGS + 2) % 2
    rows = {"harmless": np.arange(DRAWINGS), "harmful": np.arange(DRAWINGS, DRAWINGS + 2)}
    material = Material(drawings=drawings, half=half, rows=rows, pixels=plain((0, 0, 0))[np.newaxis])
    harmless = Scored(drawing=np.arange(DRAWINGS), best=dict.fromkeys(Views, chance.random((DRAWINGS, 1))), views={})
    harmful = Scored(drawing=np.arange(2), best=dict.fromkeys(Views, np.array([[0.0], [2.0]])), views={})
    scores = {
        (layout.name, name): own for layout in LAYOUTS for name, own in (("harmless", harmless), ("harmful", harmful))
    }
    return Judged(material=material, categories=("weapons",), scores=scores, shipped={})


@pytest.mark.parametrize("kind", ["single", "mix"])
def test_a_line_stops_as_many_as_it_may_where_it_was_fitted(judged: Judged, kind: str) -> None:
    scores = judged.scores["single", "harmless"].best[Views.AUTO]
    for half, lines in enumerate(judged.lines(Views.AUTO, kind)):
        for band, limit in LIMITS.items():
            stopped = (scores[half::2] >= lines[band]).sum()
            assert stopped == round(limit * DRAWINGS / 2)


def test_each_half_is_judged_by_the_line_of_the_other(judged: Judged) -> None:
    lines = [{"block": np.array([0.5])}, {"block": np.array([np.inf])}]
    stopped = judged.stopped("2x2", "harmless", Views.AUTO, lines, "block")
    assert not stopped[::2].any()
    assert stopped[1::2].mean() == pytest.approx(0.5, abs=0.05)


def test_drawings_of_one_word_count_as_one(judged: Judged) -> None:
    stopped = {"single": np.array([[False], [True]])}
    found = judged.found(stopped, 0, {"single": 1.0})
    assert (found.hits, found.of) == (0.5, 1)
    wrong = judged.wrong({"single": np.arange(DRAWINGS)[:, np.newaxis] < 40}, None, {"single": 1.0})
    assert (wrong.hits, wrong.of) == (40, DRAWINGS)
    assert wrong.interval.low < 0.01 < wrong.interval.high
