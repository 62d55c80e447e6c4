"""The page's text, and its pictures: blurred in their pixels, without metadata, and of the stored file only."""

import base64
import hashlib
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipwarden.errors import ImageError
from clipwarden.tuning.labels.model import Design, Labels, no_marks
from clipwarden.tuning.sheet.page import Rendition, SheetText, sheet_html
from clipwarden.tuning.sheet.renditions import BLURRED_SIDE, MOST_FRAMES, find_file, render, renditions
from kit.pictures import encode, natural_picture

TEXT = SheetText(definitions={}, escalate_to="them", stem="sample")


def one(uri: str = "a.png", category: str = "red") -> Labels:
    return Labels(
        design=Design.SAMPLE,
        categories=(category,),
        sha256=("a" * 64,),
        uri=(uri,),
        pi=np.array([0.5]),
        group=(None,),
        marks=no_marks(1, [category]),
    )


def opened(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), dtype=np.float64)


def detail(pixels: np.ndarray, side: int) -> float:
    """Measure what is left of a picture that no picture of `side` pixels could hold."""
    picture = Image.fromarray(pixels.astype(np.uint8))
    coarse = picture.resize((side, side), Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)
    return float(np.abs(np.asarray(coarse, dtype=np.float64) - pixels).mean())


def test_a_blurred_picture_holds_no_more_than_a_few_pixels() -> None:
    made = render(encode(natural_picture(3, (300, 300)), "PNG"), clear=True)
    assert made.clear is not None
    blurred, clear = opened(made.blurred), opened(made.clear)
    assert max(blurred.shape) <= 32
    enlarged = np.asarray(Image.fromarray(blurred.astype(np.uint8)).resize((320, 320)), dtype=np.float64)
    assert detail(enlarged, BLURRED_SIDE) < detail(clear, BLURRED_SIDE) / 4
    assert np.abs(blurred.mean(axis=(0, 1)) - clear.mean(axis=(0, 1))).max() < 8
    assert render(encode(natural_picture(3, (300, 300)), "PNG"), clear=False).clear is None


def test_two_texts_cannot_be_told_apart_once_blurred() -> None:
    """Stripes as fine as those of a face or a word leave what plain grey leaves."""
    stripes = np.zeros((240, 240, 3), dtype=np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    upright = render(encode(Image.fromarray(stripes), "PNG"), clear=False).blurred
    across = render(encode(Image.fromarray(stripes.transpose(1, 0, 2)), "PNG"), clear=False).blurred
    assert np.abs(opened(upright) - opened(across)).max() < 12


def test_pictures_leave_their_metadata_behind() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a street and a name"
    file = io.BytesIO()
    natural_picture(1, (60, 60)).save(file, "JPEG", exif=exif)
    assert b"street" in file.getvalue()
    made = render(file.getvalue(), clear=True)
    assert b"street" not in made.blurred + (made.clear or b"")
    assert not Image.open(io.BytesIO(made.blurred)).getexif()


def test_see_through_pictures_are_shown_on_white_and_on_black() -> None:
    picture = Image.new("RGBA", (50, 50), (255, 255, 255, 0))
    made = render(encode(picture, "PNG"), clear=True)
    assert made.clear is not None
    shown = opened(made.clear)
    height, width = shown.shape[:2]
    assert width == 2 * height
    assert shown[height // 2, width // 4].mean() > 250
    assert shown[height // 2, 3 * width // 4].mean() < 5


COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200), (200, 30, 200), (240, 240, 240))


def moving(*colours: tuple[int, ...]) -> bytes:
    """Draw an animation of plain frames, after a harmless grey one."""
    frames = [Image.new("RGBA", (60, 60), colour) for colour in ((90, 90, 90), *colours)]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=100, disposal=1)
    return file.getvalue()


def cells(jpeg: bytes, columns: int, rows: int) -> list[list[int]]:
    """Read the colour in the middle of each part of a grid, row by row."""
    shown = opened(jpeg)
    high, wide = shown.shape[0] // rows, shown.shape[1] // columns
    places = [(row, column) for row in range(rows) for column in range(columns)]
    return [
        shown[row * high + high // 2, column * wide + wide // 2].round().astype(int).tolist() for row, column in places
    ]


def test_an_animation_is_shown_by_the_frames_that_were_judged() -> None:
    made = render(moving(*COLOURS), clear=True, judged=(0, 2, 5, 6))
    assert (made.frames_shown, made.frames_total) == (4, 8)
    assert made.clear is not None
    judged = [(90, 90, 90), COLOURS[1], COLOURS[4], COLOURS[5]]
    assert np.abs(np.subtract(cells(made.clear, 2, 2), judged)).max() < 8
    assert opened(made.blurred).shape == (2 * BLURRED_SIDE, 2 * BLURRED_SIDE, 3)
    assert np.abs(np.subtract(cells(made.blurred, 2, 2), judged)).max() < 60
    first = render(moving(*COLOURS), clear=True, judged=(0,))
    assert (first.frames_shown, first.frames_total) == (1, 8)


def test_at_most_six_frames_of_an_animation_are_shown() -> None:
    for judged in ((), range(8)):
        made = render(moving(*COLOURS), clear=True, judged=judged)
        assert (made.frames_shown, made.frames_total) == (MOST_FRAMES, 8)
        assert made.clear is not None
        assert Image.open(io.BytesIO(made.clear)).size[0] == 640
        assert np.abs(np.subtract(cells(made.clear, 3, 2)[0], 90)).max() < 8
    alike = render(moving(*[(90, 90, 91)] * 3), clear=True)
    assert alike.frames_shown == 1
    assert render(moving(*[(90, 90, 91)] * 3), clear=True, judged=(0, 2, 3)).frames_shown == 3


def test_a_frame_that_the_file_lacks_leaves_the_first() -> None:
    made = render(moving(*COLOURS), clear=True, judged=(30,))
    assert made.frames_shown == 1
    assert made.clear is not None
    assert np.abs(np.subtract(cells(made.clear, 1, 1), 90)).max() < 8


def test_see_through_frames_have_their_backgrounds_beside_each_other() -> None:
    made = render(moving((0, 0, 255, 0), (255, 0, 0, 255), (0, 255, 0, 0)), clear=True, judged=(1,))
    assert made.clear is not None
    assert np.abs(np.subtract(cells(made.clear, 2, 1), [[255] * 3, [0] * 3])).max() < 8


def test_the_page_holds_how_many_frames_are_shown() -> None:
    page = sheet_html(one(), TEXT, {"a" * 64: Rendition(blurred=b"jpeg", frames_shown=6, frames_total=40)})
    assert '"frames":[6,40]' in page
    assert '"frames":' not in sheet_html(one(), TEXT, {"a" * 64: Rendition(blurred=b"jpeg")})


def test_only_the_file_that_was_stored_is_shown(tmp_path: Path) -> None:
    data = encode(natural_picture(1, (20, 20)), "PNG")
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "other.png").write_bytes(data + b"\n")
    uris = [
        "a.png",
        "./a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").as_uri(),
        "https://cdn.example/x/a.png",
        "b/a.png",
    ]
    assert [find_file(digest, uri, tmp_path) for uri in uris] == [data] * len(uris)
    os.mkfifo(tmp_path / "pipe.png")
    for uri in (
        "other.png",
        "pipe.png",
        "",
        None,
        "\0",
        "../../../etc/passwd",
        "https://server.invalid/gone.png",
        "x" * 5000,
    ):
        assert find_file(digest, uri, tmp_path) is None


def test_what_cannot_be_shown_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    digest = hashlib.sha256(b"no picture").hexdigest()
    assert list(renditions([(digest, "no.png"), ("0" * 64, "gone.png")], tmp_path, clear=False)) == [
        (digest, None),
        ("0" * 64, None),
    ]
    with pytest.raises(ImageError):
        render(b"no picture", clear=False)


def test_the_rule_of_the_page_names_its_own_scripts_and_forbids_the_rest() -> None:
    page = sheet_html(one(), TEXT, {"a" * 64: Rendition(blurred=b"jpeg")})
    rule = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert rule
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(scripts) == 3
    assert all(f"'sha256-{digest}'" in rule[1] for digest in digests)
    assert "default-src 'none'" in rule[1]
    assert "unsafe" not in rule[1]
    assert not re.search(r'(?:src|href|action)="(?!data:)', page)
    assert base64.b64encode(b"jpeg").decode() in page


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_of_a_sample_ends_the_block_that_holds_it(uri: str, category: str) -> None:
    page = sheet_html(one(uri or "x", category or "x"), TEXT, {})
    assert page.count("<script") == page.count("</script>") == 4
    assert page.count("<!--") == 0
    start = page.index('id="data">') + len('id="data">')
    block = page[start : page.index("</script>", start)]
    assert not set(block) & set("<>&\u2028\u2029")
    assert block.isascii()


def test_the_same_sample_gives_the_same_page() -> None:
    assert sheet_html(one(), TEXT, {}) == sheet_html(one(), TEXT, {})
