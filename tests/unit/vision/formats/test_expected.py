"""How many frames a file seems to have, before anything is walked."""

import numpy as np
import pytest

from clipwarden.vision.formats.expected import frames_expected
from clipwarden.vision.structure import MAX_FRAMES_COUNTED
from kit.animations import ORDINARY, Animation
from kit.pictures import FORMATS, encode, natural_picture


@pytest.mark.parametrize("animation", ORDINARY, ids=lambda animation: animation.name)
def test_frames_of_animations_are_guessed_right(animation: Animation) -> None:
    guessed = frames_expected(animation.encoded(), animation.format)
    assert animation.count / 2 < guessed <= animation.count


def test_a_still_has_one_frame() -> None:
    for image_format in FORMATS:
        assert frames_expected(encode(natural_picture(1), image_format), image_format) == 1


@pytest.mark.parametrize("image_format", [*FORMATS, "HEIC"])
def test_a_guess_is_bounded_whatever_the_bytes(image_format: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, 2**20, dtype=np.uint8).tobytes()
    assert frames_expected(noise, image_format) == 1
    flood = (b"\0," + bytes(8) + b"fcTLANMF") * 5000
    assert 1 <= frames_expected(flood, image_format) <= MAX_FRAMES_COUNTED
    assert 1 <= frames_expected(b"stsz" + b"\xff" * 12, image_format) <= MAX_FRAMES_COUNTED
    assert frames_expected(b"stsz", image_format) == 1
    assert frames_expected(b"", image_format) == 1
