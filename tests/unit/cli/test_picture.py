import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwarden.cli.exits import Exit
from clipwarden.cli.picture import draw_places
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.vision.displayed import MOST_SIDE, displayed
from clipwarden.vision.limits import DEFAULT_LIMITS
from kit.cli import Run
from kit.pictures import encode

BLOCK_RED, REVIEW_BROWN, PLAIN_BLUE = (192, 0, 0), (179, 107, 0), (0, 80, 176)


def category(name: str, band: v1.Verdict.ValueType, box: tuple[int, int, int, int] | None = None) -> v1.CategoryResult:
    view = v1.View(name="full")
    if box is not None:
        left, top, right, bottom = box
        view = v1.View(name="part", box=v1.Box(left=left, top=top, right=right, bottom=bottom))
    return v1.CategoryResult(
        id=name, status=v1.EVALUATION_STATUS_EVALUATED, score=0.8, block_threshold=0.7, band=band, winning_view=view
    )


def moderation(size: tuple[int, int], *categories: v1.CategoryResult) -> v1.Moderation:
    return v1.Moderation(
        verdict=v1.VERDICT_BLOCK, categories=categories, image=v1.ImageFacts(width=size[0], height=size[1])
    )


def frames_of_colour(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return what the pixels of a colour span: left, top, right, bottom."""
    rows, columns = np.nonzero((np.asarray(picture) == colour).all(axis=-1))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_what_fired_is_framed_where_it_was_found_and_in_its_colour() -> None:
    data = encode(Image.new("RGB", (900, 300), "white"), "PNG")
    told = moderation(
        (900, 300),
        category("weapons", v1.VERDICT_BLOCK, (600, 0, 900, 300)),
        category("alcohol", v1.VERDICT_REVIEW, (0, 0, 300, 300)),
        category("gambling", v1.VERDICT_ALLOW, (300, 0, 600, 300)),
    )
    drawn = draw_places(data, told, DEFAULT_LIMITS)
    assert drawn.width == 900
    drawn = drawn.crop((0, 0, 900, 300))  # below are the words
    assert frames_of_colour(drawn, BLOCK_RED) == (600, 0, 900, 300)
    assert frames_of_colour(drawn, REVIEW_BROWN) == (0, 0, 300, 300)
    assert not (np.asarray(drawn) == PLAIN_BLUE).all(axis=-1).any()


def test_where_nothing_fired_the_nearest_category_is_shown() -> None:
    data = encode(Image.new("RGB", (300, 300), "white"), "PNG")
    drawn = draw_places(data, moderation((300, 300), category("weapons", v1.VERDICT_ALLOW)), DEFAULT_LIMITS)
    assert frames_of_colour(drawn.crop((0, 0, 300, 300)), PLAIN_BLUE) == (0, 0, 300, 300)


def test_a_picture_without_a_judged_category_is_drawn_as_it_is() -> None:
    data = encode(Image.new("RGB", (30, 20), "white"), "PNG")
    drawn = draw_places(data, v1.Moderation(verdict=v1.VERDICT_ALLOW), DEFAULT_LIMITS)
    assert drawn.size == (30, 20)
    assert np.asarray(drawn).min() == 255


def test_boxes_follow_a_long_picture_that_is_drawn_smaller() -> None:
    data = encode(Image.new("RGB", (400, 6400), "white"), "PNG")
    told = moderation((400, 6400), category("weapons", v1.VERDICT_BLOCK, (0, 3200, 400, 3600)))
    drawn = draw_places(data, told, DEFAULT_LIMITS)
    drawn = drawn.crop((0, 0, 100, MOST_SIDE))
    left, top, right, bottom = frames_of_colour(drawn, BLOCK_RED)
    assert (top, bottom) == (800, 900)
    assert (left, right) == (0, 100)


@pytest.mark.parametrize(("view", "shade"), [("on_white", 255), ("part_on_black", 0)])
def test_what_is_see_through_has_the_background_of_the_view(view: str, shade: int) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (40, 20), (0, 0, 0, 0)).save(file, "PNG")
    assert np.unique(np.asarray(displayed(file.getvalue(), view=view))).tolist() == [shade]


def test_the_picture_is_upright() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(file, "JPEG", exif=exif)
    assert displayed(file.getvalue(), view="full").size == (20, 40)


def test_the_command_writes_it(run: Run, toy_folder: Path, policy_file: Path, pictures: Path, tmp_path: Path) -> None:
    where = tmp_path / "where.png"
    judged = ("moderate", pictures / "red.png", "--model", toy_folder, "--policy", policy_file)
    result = run(*judged, "--explain", "--picture", where)
    assert "Verdict BLOCK" in result.stdout
    with Image.open(where) as drawn:
        assert frames_of_colour(drawn.convert("RGB").crop((0, 0, 64, 64)), BLOCK_RED) == (0, 0, 64, 64)
    same = tmp_path / "by-another-name.png"
    same.symlink_to(pictures / "red.png")
    upload = same.read_bytes()
    wrong = {
        "--picture makes sense with --explain only": (*judged, "--picture", where),
        "write a name that ends in .png": (*judged, "--explain", "--picture", tmp_path / "where.jpg"),
        "the folder": (*judged, "--explain", "--picture", tmp_path / "nowhere" / "where.png"),
        "would be lost: write another name": (*judged, "--explain", "--picture", same),
        "shows one image, and 2 are named": (*judged, pictures / "blue.png", "--explain", "--picture", where),
    }
    for sentence, command in wrong.items():
        result = run(*command)
        assert result.exit_code == Exit.USAGE, sentence
        assert sentence in " ".join(result.stderr.split())
    assert same.read_bytes() == upload


def test_each_frame_in_which_something_was_found_has_its_panel() -> None:
    file = io.BytesIO()
    shades = [Image.new("RGB", (400, 32), colour) for colour in ("white", "lime", "yellow")]
    shades[0].save(file, "GIF", save_all=True, append_images=shades[1:], duration=100)
    weapons, alcohol = category("weapons", v1.VERDICT_BLOCK), category("alcohol", v1.VERDICT_REVIEW)
    weapons.winning_view.frame, alcohol.winning_view.frame = 1, 2
    weapons.winning_view.time.FromMilliseconds(100)
    drawn = draw_places(file.getvalue(), moderation((400, 32), alcohol, weapons), DEFAULT_LIMITS)
    assert drawn.width == 800
    # The strictest comes first, whatever its place in the file.
    assert [drawn.getpixel((at, 16)) for at in (200, 600)] == [(0, 255, 0), (255, 255, 0)]
    assert frames_of_colour(drawn.crop((0, 0, 400, 32)), BLOCK_RED) == (0, 0, 400, 32)
    assert frames_of_colour(drawn.crop((400, 0, 800, 32)), REVIEW_BROWN) == (0, 0, 400, 32)
