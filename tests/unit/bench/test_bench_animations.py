"""Figures of animations are taken of animations, and what is said to count as seen does."""

import numpy as np
from bench.animations import MODEL, TIMED, Base, largest, run, strongest

from clipwarden.vision.frames.distance import is_near, seen
from kit.animations import ORDINARY
from kit.pictures import drawing, natural_picture


def test_kinds_are_timed_that_there_are() -> None:
    assert set(TIMED) < {animation.name for animation in ORDINARY}
    (ratio,) = run(names=("flashing",), rounds=1)
    assert ratio.of_medians > 0
    assert "GIF of 2 frames (flashing)" in ratio.name


def test_what_is_as_strong_or_as_large_as_counts_as_seen_does_and_no_more_would() -> None:
    scene = np.asarray(natural_picture(1, (MODEL.side, MODEL.side)))
    bad = np.asarray(drawing(MODEL.side))
    base = Base(scene, (0, 0, MODEL.side))
    for pixels, most in (strongest(base, bad), largest(base, bad)):
        assert most > 0
        assert is_near(seen(scene[np.newaxis]), seen(pixels[np.newaxis]))
    faint, share = strongest(base, bad)
    assert share < 1
    assert not is_near(seen(scene[np.newaxis]), seen((2.0 * faint - scene).clip(0, 255).astype(np.uint8)[np.newaxis]))
