import numpy as np
import pytest

from recipes.mini.views import VIEWS, Scene, chance_of, show


def _scene() -> Scene:
    rgba = np.zeros((96, 96, 4), np.uint8)
    rgba[20:70, 30:60] = (0, 0, 0, 255)
    others = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 4), dtype=np.uint8)
    return Scene(rgba=rgba, palette=False, others=others, chance=chance_of(1, 2))


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_never_changes(view: str) -> None:
    first, again = (np.asarray(show(view, _scene())) for _ in range(2))
    assert first.shape == (96, 96, 3)
    assert np.array_equal(first, again)


def test_a_one_colour_drawing_is_seen_on_the_dark() -> None:
    assert np.asarray(show("dark", _scene()))[40, 45].min() > 200


def test_a_small_drawing_covers_a_quarter_of_what_it_did() -> None:
    ink = [(np.asarray(show(v, _scene())).min(2) < 100).sum() for v in ("clean", "half_size", "quarter_canvas")]
    assert ink[1] / ink[0] == pytest.approx(0.25, abs=0.03)
    assert ink[2] / ink[0] == pytest.approx(0.25, abs=0.03)
