import numpy as np

from recipes.mini.signatures import find_twins, signature


def _square(left: int, side: int, colour: int = 0) -> np.ndarray:
    rgba = np.zeros((96, 96, 4), np.uint8)
    rgba[left : left + side, left : left + side] = (colour, 0, 0, 255)
    rgba[left : left + side // 2, left : left + side // 2, 3] = 0
    return rgba


def test_a_copy_with_another_margin_is_a_twin_and_another_drawing_is_not() -> None:
    held_out = np.stack([signature(_square(8, 48))])
    candidates = np.stack([signature(p) for p in (_square(30, 60), _square(8, 48)[::-1], _square(8, 48, 255))])
    assert find_twins(candidates, held_out).tolist() == [True, False, False]


def test_a_blank_drawing_has_no_signature() -> None:
    assert np.isnan(signature(np.zeros((96, 96, 4), np.uint8))).all()
