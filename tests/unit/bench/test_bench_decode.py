"""Reading is measured on files that are what they are called, against a plain reading of the same pixels."""

import io

import numpy as np
import pytest
from bench.decode import PHOTO_BAR, SIDE, files, plain, run
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image

SIZE = (640, 480)


def test_every_kind_is_timed_at_every_size_and_photographs_have_a_bar() -> None:
    ratios = run(sizes=((64, 48), SIZE), rounds=1)
    assert [ratio.bar for ratio in ratios] == [None] * 5 + [PHOTO_BAR] * 3 + [None] * 2
    assert all(ratio.of_medians > 0 for ratio in ratios)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG with EXIF and sRGB", "PNG", "WebP"])
def test_plain_reading_gives_the_pixels_that_are_judged(kind: str) -> None:
    data = files(SIZE)[kind]
    (view,) = decode_image(data, preprocessing=Preprocessing(side=SIDE)).views
    assert np.array_equal(view.pixels, plain(data))


def test_files_carry_what_they_are_called_by() -> None:
    opened = {kind: Image.open(io.BytesIO(data)) for kind, data in files(SIZE).items()}
    assert {kind for kind, image in opened.items() if "icc_profile" in image.info} == {
        "JPEG with EXIF and sRGB",
        "JPEG in Display P3",
    }
    assert opened["JPEG with EXIF and sRGB"].getexif().get_ifd(0x8769)[0xA002] == SIZE[0]
