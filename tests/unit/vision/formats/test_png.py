"""Chunks doubled, damaged or out of place: what is drawn is what Chromium 150 draws, and so is what is judged."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DEFAULT_LIMITS
from kit.containers import PNG_SIGNATURE, png_chunk, png_file, png_header, png_rows
from kit.movingfiles import Drawn, flat, png_animation, png_part
from kit.pictures import encode, natural_picture

SIDE = 8
MODEL = Preprocessing(side=SIDE, fit="squash", decode_scale=0)
PICTURE = natural_picture(1, (SIDE, SIDE))
HEADER = png_header((SIDE, SIDE))


def rows_of(image: Image.Image) -> bytes:
    return png_rows([row.tobytes() for row in np.asarray(image)])


PIXELS = png_chunk(b"IDAT", rows_of(PICTURE))
PLAIN = png_file(HEADER, PIXELS)


def decode(data: bytes) -> DecodedImage:
    return decode_image(data, preprocessing=MODEL)


def views(data: bytes) -> np.ndarray:
    return decode(data).pixels


def assert_same(data: bytes, reference: bytes) -> None:
    assert np.array_equal(views(data), views(reference))


BESIDE = {
    "wrong checksum in pHYs": png_file(HEADER, png_chunk(b"pHYs", bytes(9), wrong=1), PIXELS),
    "wrong checksum in a profile": png_file(HEADER, png_chunk(b"iCCP", b"x\0\0x", wrong=1), PIXELS),
    "profile of an unknown method": png_file(HEADER, png_chunk(b"iCCP", b"x\0\1x"), PIXELS),
    "short pHYs": png_file(HEADER, png_chunk(b"pHYs", b"\0"), PIXELS),
    "much text": png_file(HEADER, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000))), PIXELS),
    "text of an unknown method": png_file(HEADER, png_chunk(b"zTXt", b"a\0\7" + b"x"), PIXELS),
    "unknown chunk": png_file(HEADER, png_chunk(b"abCd", b"x"), PIXELS),
    "wrong checksum in the pixels": png_file(HEADER, PIXELS[:-4] + bytes(4)),
    "a chunk behind the pixels that ends beyond the file": PLAIN[:-12] + struct.pack(">I", 2**31 - 1) + b"tEXtx",
    "a header behind the pixels": png_file(HEADER, PIXELS, png_header((2, 2))),
    "no end": PLAIN[:-12],
    "more behind the end": PLAIN + PLAIN,
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_the_pixels_does_not_refuse_them(name: str) -> None:
    assert_same(BESIDE[name], PLAIN)


def test_nothing_is_copied_where_there_is_nothing_to_drop() -> None:
    assert read_structure(PLAIN, "PNG", DEFAULT_LIMITS).data is PLAIN
    palette = encode(natural_picture(1).quantize(256), "PNG", transparency=0)
    assert read_structure(palette, "PNG", DEFAULT_LIMITS).data is palette


@pytest.mark.parametrize(
    ("chunks", "sentence"),
    [
        ((png_chunk(b"tEXt", b"a\0b"), HEADER, PIXELS), "does not begin with a whole header"),
        ((png_header((SIDE, SIDE), wrong=1), PIXELS), "does not begin with a whole header"),
        ((png_chunk(b"IHDR", bytes(14)), PIXELS), "header has a wrong length"),
        ((png_header((SIDE, SIDE), kind=3), *[png_chunk(b"PLTE", bytes(3))] * 2, PIXELS), "palette is damaged, or"),
        ((png_header((SIDE, SIDE), kind=3), png_chunk(b"PLTE", bytes(6), wrong=1), PIXELS), "palette is damaged, or"),
        ((png_header((SIDE, SIDE), kind=3), png_chunk(b"PLTE", bytes(3 * 257)), PIXELS), "palette is damaged, or"),
    ],
)
def test_what_no_viewer_shows_is_corrupt_and_the_sentence_says_what(chunks: tuple[bytes, ...], sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence) as caught:
        decode(png_file(*chunks))
    assert caught.value.reason is Reason.IMAGE_CORRUPT


COLOURS = np.array([[9, 60, 200], [200, 30, 9], [250, 250, 20], [60, 160, 90]], np.uint8)
PALETTE = png_chunk(b"PLTE", COLOURS.tobytes())
INDICES = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 8


def trns(*values: int, wrong: int = 0) -> bytes:
    return png_chunk(b"tRNS", bytes(values), wrong=wrong)


def indexed(*chunks: bytes) -> bytes:
    pixels = png_chunk(b"IDAT", png_rows([bytes(row) for row in INDICES.tolist()]))
    return png_file(png_header((SIDE, SIDE), kind=3), *chunks, pixels)


def drawn(alphas: list[int]) -> bytes:
    """Draw what `indexed` shows under alphas of four colours: the last stands for all indices beyond."""
    rgba = np.dstack([COLOURS[INDICES.clip(0, 3)], np.array(alphas, np.uint8)[INDICES.clip(0, 3)]])
    return encode(Image.fromarray(rgba), "PNG")


@pytest.mark.parametrize(
    ("chunks", "alphas"),
    [
        ((PALETTE,), [255] * 4),
        ((PALETTE, trns(0, 128)), [0, 128, 255, 255]),
        ((PALETTE, trns(*[128] * 9)), [128] * 4),
        ((PALETTE, trns()), [255] * 4),
        ((PALETTE, trns(*[0] * 257)), [255] * 4),
        ((PALETTE, trns(*[0] * 257), trns(0)), [0, 255, 255, 255]),
        ((PALETTE, trns(0, 0, wrong=1)), [255] * 4),
        ((PALETTE, trns(0), trns(255, 0)), [0, 255, 255, 255]),
        ((trns(0, 0), PALETTE), [255] * 4),
        ((trns(0, 0), PALETTE, trns(128)), [128, 255, 255, 255]),
    ],
)
def test_transparency_of_a_palette_is_that_of_the_first_good_chunk_behind_it(
    chunks: tuple[bytes, ...], alphas: list[int]
) -> None:
    assert_same(indexed(*chunks), drawn(alphas))


def grey(depth: int, *values: int) -> tuple[bytes, np.ndarray]:
    """Spell rows of grey samples, and say which they are."""
    samples = np.resize(np.array(values), (SIDE, SIDE))
    if depth == 16:
        return samples.astype(">u2").tobytes(), samples
    bits = (samples[..., None] >> np.arange(depth)[::-1]) & 1
    return np.packbits(bits.reshape(SIDE, -1).astype(np.uint8), axis=1).tobytes(), samples


@pytest.mark.parametrize(
    ("depth", "values", "key", "transparent"),
    [
        (1, (0, 1), 1, 1),
        (1, (0, 1), 0, 0),
        (1, (0, 1), 255, None),
        (1, (0, 1), 0x101, 1),
        (2, (0, 1, 2, 3), 2, 2),
        (2, (0, 1, 2, 3), 170, None),
        (4, (0, 5, 9, 15), 5, 5),
        (4, (0, 5, 9, 15), 85, None),
        (8, (0, 20, 40, 255), 20, 20),
        (8, (0, 20, 40, 255), 0x714, 20),
        (16, (0x1234, 0x1235, 0x1334, 0x34), 0x1234, 0x1234),
        (16, (0x1234, 0x1235, 0x1334, 0x34), 0x12, None),
    ],
)
def test_grey_key_is_compared_in_the_bits_of_a_sample(
    depth: int, values: tuple[int, ...], key: int, transparent: int | None
) -> None:
    rows, samples = grey(depth, *values)
    size = len(rows) // SIDE
    pixels = png_chunk(b"IDAT", png_rows([rows[at : at + size] for at in range(0, len(rows), size)]))
    data = png_file(png_header((SIDE, SIDE), depth=depth, kind=0), trns(*struct.pack(">H", key)), pixels)
    shades = samples >> 8 if depth == 16 else samples * 255 // ((1 << depth) - 1)
    alpha = np.where(samples == transparent, 0, 255) if transparent is not None else np.full((SIDE, SIDE), 255)
    assert_same(data, encode(Image.fromarray(np.dstack([shades, alpha]).astype(np.uint8)), "PNG"))


@pytest.mark.parametrize("key", [b"", b"\0", b"\0\x64\0\x96\0"])
def test_key_that_is_too_short_is_none(key: bytes) -> None:
    assert_same(png_file(HEADER, png_chunk(b"tRNS", key), PIXELS), PLAIN)


def test_key_of_colours_may_have_high_bytes_set_or_bytes_behind_it() -> None:
    flat = png_chunk(b"IDAT", png_rows([bytes([100, 150, 60]) * SIDE] * SIDE))
    for key in (b"\0\x64\0\x96\0\x3c", b"\7\x64\7\x96\7\x3c", b"\0\x64\0\x96\0\x3c\0"):
        names = [view.name for view in decode(png_file(HEADER, png_chunk(b"tRNS", key), flat)).views]
        assert names == ["on_white", "on_black"]


@pytest.mark.parametrize(
    ("key", "transparent"), [(0x1234, [0]), (0x1334, [2]), (0x0034, [3]), (0x12, []), (0x1200, [])]
)
def test_key_of_sixteen_bit_colours_is_compared_in_all_bits(key: int, transparent: list[int]) -> None:
    which = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 4
    samples = np.array([0x1234, 0x1235, 0x1334, 0x0034])[which]
    pixels = png_chunk(b"IDAT", png_rows([np.repeat(row, 3).astype(">u2").tobytes() for row in samples]))
    data = png_file(png_header((SIDE, SIDE), depth=16), png_chunk(b"tRNS", struct.pack(">3H", key, key, key)), pixels)
    shades = np.repeat((samples >> 8)[..., None], 3, axis=2)
    alpha = np.where(np.isin(which, transparent), 0, 255)[..., None]
    assert_same(data, encode(Image.fromarray(np.concatenate([shades, alpha], axis=2).astype(np.uint8)), "PNG"))


def test_pixels_that_have_alpha_take_no_key() -> None:
    rgba = PICTURE.convert("RGBA")
    pixels = png_chunk(b"IDAT", rows_of(rgba))
    assert_same(png_file(png_header((SIDE, SIDE), kind=6), trns(0, 1, 0, 2, 0, 3), pixels), PLAIN)


def control(frames: int, **damage: int) -> bytes:
    return png_chunk(b"acTL", struct.pack(">II", frames, 0), **damage)


def frame(number: int, size: tuple[int, int] = (SIDE, SIDE), at: tuple[int, int] = (0, 0), **damage: int) -> bytes:
    return png_chunk(b"fcTL", struct.pack(">5I2H2B", number, *size, *at, 1, 10, 0, 0), **damage)


OTHER = natural_picture(2, (SIDE, SIDE))
OTHER_ROWS = rows_of(OTHER)
OTHER_PLAIN = png_file(HEADER, png_chunk(b"IDAT", OTHER_ROWS))


def frame_data(number: int, rows: bytes = OTHER_ROWS, **damage: int) -> bytes:
    return png_chunk(b"fdAT", struct.pack(">I", number) + rows, **damage)


SHOWN_FIRST = {
    "still": ((control(2), frame(0), PIXELS, frame(1), frame_data(2)), PLAIN, 2),
    "hidden still": ((control(1), PIXELS, frame(0), frame_data(1)), OTHER_PLAIN, 2),
    "hidden still of two frames": (
        (control(2), PIXELS, frame(0), frame_data(1), frame(2), frame_data(3)),
        OTHER_PLAIN,
        3,
    ),
    "hidden still, pixels in two": (
        (control(1), PIXELS, frame(0), frame_data(1, OTHER_ROWS[:50]), frame_data(2, OTHER_ROWS[50:])),
        OTHER_PLAIN,
        2,
    ),
    "hidden still, damaged pixels": ((control(1), PIXELS, frame(0), frame_data(1, wrong=1)), OTHER_PLAIN, 2),
    "hidden still, pixels and more out of order": (
        (control(1), PIXELS, frame(0), frame_data(1), frame_data(1)),
        OTHER_PLAIN,
        2,
    ),
    "hidden still, two controls before the pixels": (
        (control(2), PIXELS, frame(0), frame(1), frame_data(2)),
        OTHER_PLAIN,
        3,
    ),
    "one frame": ((control(1), frame(0), PIXELS), PLAIN, 1),
    "more frames than announced": ((control(1), frame(0), PIXELS, frame(1), frame_data(2)), PLAIN, 2),
    "fewer": ((control(9), frame(0), PIXELS, frame(1), frame_data(2)), PLAIN, 9),
    "two announcements": ((control(1), control(5), frame(0), PIXELS), PLAIN, 5),
    "announced behind the pixels": ((PIXELS, control(1), frame(0), frame_data(1)), PLAIN, 2),
    "announced by a damaged chunk": ((control(1, wrong=1), PIXELS, frame(0), frame_data(1)), PLAIN, 2),
    "announced by a short chunk": ((png_chunk(b"acTL", bytes(7)), PIXELS, frame(0), frame_data(1)), PLAIN, 2),
    "announced with an impossible number": ((control(2**31), PIXELS, frame(0), frame_data(1)), PLAIN, 1000),
    "not announced": ((frame(0), PIXELS, frame(1), frame_data(2)), PLAIN, 1),
    "nothing else is there": ((control(1), PIXELS), PLAIN, 2),
    "numbers out of order": ((control(1), PIXELS, frame(3), frame_data(1)), PLAIN, 2),
    "damaged frame": ((control(1), PIXELS, frame(0, wrong=1), frame_data(1)), PLAIN, 2),
    "frame beyond the picture": ((control(1), PIXELS, frame(0, at=(1, 0)), frame_data(1)), PLAIN, 2),
}


@pytest.mark.parametrize("name", SHOWN_FIRST)
def test_the_first_shown_frame_is_judged_and_all_are_counted_by_the_most_animated_reading(name: str) -> None:
    chunks, shown, frames = SHOWN_FIRST[name]
    decoded = decode(png_file(HEADER, *chunks))
    assert np.array_equal(decoded.pixels, views(shown))
    assert (decoded.facts.frames_total, decoded.facts.file.width) == (frames, SIDE)


def test_frame_smaller_than_the_picture_is_drawn_where_it_belongs_on_nothing() -> None:
    small = OTHER.crop((0, 0, 4, 2))
    rows = rows_of(small)
    data = png_file(HEADER, control(1), PIXELS, frame(0, (4, 2), (3, 5)), frame_data(1, rows))
    canvas = Image.new("RGBA", (SIDE, SIDE))
    canvas.paste(small, (3, 5))
    assert_same(data, encode(canvas, "PNG"))


def test_endless_animation_is_counted_within_a_bound() -> None:
    assert decode(png_file(HEADER, control(2**32 - 1), frame(0), PIXELS)).facts.frames_total == 1000


@pytest.mark.parametrize("pixels", [b"", zlib.compress(b""), rows_of(OTHER)[:8]], ids=["none", "no rows", "cut"])
def test_without_one_row_a_png_is_cut_short_or_damaged_by_whether_its_end_is_there(pixels: bytes) -> None:
    whole = png_file(HEADER, png_chunk(b"IDAT", pixels))
    renamed = whole.replace(b"IDAT", b"IDAX")
    for data, reason in (
        (whole, Reason.IMAGE_CORRUPT),
        (renamed, Reason.IMAGE_CORRUPT),
        (whole[:-12], Reason.IMAGE_TRUNCATED),
        (renamed[:-12], Reason.IMAGE_TRUNCATED),
    ):
        with pytest.raises(ImageError) as caught:
            decode(data)
        assert caught.value.reason is reason


def test_nothing_but_a_header_is_cut_short() -> None:
    for data in (PNG_SIGNATURE, PNG_SIGNATURE + HEADER[:20], PNG_SIGNATURE + HEADER):
        with pytest.raises(ImageError, match="ends too early") as caught:
            decode(data)
        assert caught.value.reason is Reason.IMAGE_TRUNCATED


def test_pixels_of_a_frame_ahead_of_the_still_do_not_make_it_one() -> None:
    # Chromium refuses such a file; who steps over the chunk shows the still, or the frame behind it.
    data = png_animation([Drawn(picture=flat("red"))], hidden=flat("lime"))
    at = data.index(b"IDAT") - 4
    data = data[:at] + png_part(b"fdAT", bytes(4)) + data[at:]
    assert read_structure(data, "PNG", DEFAULT_LIMITS).frames_total == 2
