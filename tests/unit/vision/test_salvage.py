"""Files cut short: what they hold of their picture is judged, and how much that is is said."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageFile

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import decode as decode_module
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.formats import salvage as salvage_module
from clipwarden.vision.formats.jpeg import Segment
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.memory import FIXED_BYTES
from clipwarden.vision.opening import open_image
from kit.containers import jpeg_segment, png_chunk, png_file, png_header, png_rows
from kit.pictures import encode, natural_picture

WIDTH, HEIGHT = 160, 96
FULL = Preprocessing(side=48, fit="squash", decode_scale=0)
REDUCED = Preprocessing(side=16, fit="squash", decode_scale=2)
PICTURE = natural_picture(1, (WIDTH, HEIGHT))
END = b"\xff\xd9"
WAYS = {
    "plain": {},
    "optimised": {"optimize": True},
    "coarse": {"quality": 5},
    "full colour": {"subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
    "restarts each row": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    "grey": {},
    "inks": {},
}


@cache
def jpeg(way: str) -> bytes:
    mode = {"grey": "L", "inks": "CMYK"}.get(way, "RGB")
    return encode(PICTURE.convert(mode), "JPEG", **{"quality": 85, **WAYS[way]})


def decode(data: bytes, preprocessing: Preprocessing = FULL) -> DecodedImage:
    return decode_image(data, preprocessing=preprocessing)


@pytest.mark.parametrize("preprocessing", [FULL, REDUCED], ids=["full", "reduced"])
@pytest.mark.parametrize("way", WAYS)
def test_jpeg_without_its_end_marker_has_the_very_pixels_of_the_whole(way: str, preprocessing: Preprocessing) -> None:
    whole = decode(jpeg(way), preprocessing)
    for data in (jpeg(way)[:-2], jpeg(way)[:-1], jpeg(way)[:-2] + b"\xff" * 5):
        cut = decode(data, preprocessing)
        assert np.array_equal(cut.pixels, whole.pixels)
        assert (cut.facts.share_shown, cut.facts.partial) == (1.0, False)


def test_cut_jpeg_of_more_scans_than_can_be_decoded_four_times_is_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = jpeg("progressive")[:-2]
    scans = cut.count(b"\xff\xda")
    monkeypatch.setattr(salvage_module, "_MOST_SCANNED_PIXELS", scans * WIDTH * HEIGHT)
    assert decode(cut).facts.share_shown == 1.0
    looks: list[bytes] = []
    monkeypatch.setattr(salvage_module, "_MOST_SCANNED_PIXELS", scans * WIDTH * HEIGHT - 1)
    monkeypatch.setattr(salvage_module, "_row_sums", looks.append)
    with pytest.raises(ImageError, match="ends too early") as caught:
        decode(cut)
    assert caught.value.reason is Reason.IMAGE_TRUNCATED
    assert not looks


IN_ROWS = [way for way in WAYS if not way.startswith("progressive")]


@pytest.mark.parametrize("way", IN_ROWS)
def test_rows_that_a_cut_jpeg_holds_are_those_of_the_whole_and_it_says_how_many(way: str) -> None:
    whole = jpeg(way)
    scan = whole.index(b"\xff\xda")
    shares = []
    for kept in (0.3, 0.6, 0.9):
        cut = decode(whole[: scan + int(kept * (len(whole) - scan))])
        rows = cut.facts.file.height
        assert (cut.facts.share_shown, cut.facts.file.width) == (rows / HEIGHT, WIDTH)
        with Image.open(io.BytesIO(whole)) as opened:
            there = opened.convert("RGB").crop((0, 0, WIDTH, rows))
        reference = decode(encode(there, "PNG")).pixels.astype(int)
        # The last row mixes its colours with those of the one below.
        assert np.abs(cut.pixels.astype(int) - reference)[:, :-3].max() <= 2
        shares.append(cut.facts.share_shown)
    assert 0 < shares[0] < shares[1] < shares[2] < 1
    assert all(cut - kept < 0.2 for cut, kept in zip(shares, (0.3, 0.6, 0.9), strict=True))


def test_a_byte_that_is_missing_from_the_coded_data_is_noticed() -> None:
    for way in IN_ROWS:
        assert decode(jpeg(way)[:-4]).facts.share_shown < 1, way


def test_cut_right_before_a_restart_is_noticed() -> None:
    whole = jpeg("restarts each row")
    restarts = [at for at in range(len(whole)) if whole[at : at + 2] in {bytes([255, 0xD0 + n]) for n in range(8)}]
    assert len(restarts) == HEIGHT // 16 - 1
    for number, at in enumerate(restarts):
        for data in (whole[:at], whole[: at + 2]):
            rows = decode(data).facts.file.height
            assert (number + 1) * 16 - 2 <= rows <= (number + 1) * 16


@pytest.mark.parametrize("way", ["progressive", "progressive with restarts"])
def test_progressive_jpeg_that_lacks_scans_is_judged_whole_as_it_is_shown_and_counts_as_partial(way: str) -> None:
    whole = jpeg(way)
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    for cut in (scans[1] + 20, scans[3], (scans[-1] + len(whole)) // 2):
        decoded = decode(whole[:cut])
        assert decoded.facts.file.height == HEIGHT
        assert 0 < decoded.facts.share_shown < 1
        assert np.array_equal(decoded.pixels, decode(whole[:cut] + END).pixels)


def test_second_picture_within_a_jpeg_neither_shows_nor_refuses_the_first() -> None:
    first, second = jpeg("plain"), encode(natural_picture(2, (64, 64)), "JPEG")
    frame = second.index(b"\xff\xc0")
    for more in (second, second[frame:], second[2:], first[first.index(b"\xff\xda") :]):
        decoded = decode(first[:-2] + more)
        assert np.array_equal(decoded.pixels, decode(first).pixels)
        assert decoded.facts.share_shown == 1


def test_damaged_segments_beside_the_picture_do_not_refuse_it() -> None:
    whole = jpeg("plain")
    jfif = whole[2:20]
    for segment in (
        jpeg_segment(0xE0, b"JFIF\0\1"),
        jpeg_segment(0xE0, b"JFIF\0"),
        jpeg_segment(0xE2, b"MPF\0II*\0\xff"),
    ):
        for data in (
            whole[:2] + segment + whole[2:],
            whole.replace(jfif, segment),
            whole.replace(jfif, jfif + b"\1\0\2"),
        ):
            assert np.array_equal(decode(data).pixels, decode(whole).pixels)


def test_unknown_marker_in_the_coded_data_ends_the_picture_as_libjpeg_has_it() -> None:
    whole = jpeg("plain")
    middle = (whole.index(b"\xff\xda") + len(whole)) // 2
    for marker in (b"\xff\x5e", b"\xff\x14\0\7", b"\xff\xc2", b"\xff\xd8"):
        decoded = decode(whole[:middle] + marker + whole[middle:])
        assert np.array_equal(decoded.pixels, decode(whole[:middle] + END).pixels)


def test_jpeg_that_holds_not_one_row_is_truncated() -> None:
    whole = jpeg("plain")
    scan = whole.index(b"\xff\xda")
    for cut in (scan, scan + 5, scan + 14, scan + 20):
        with pytest.raises(ImageError, match="ends too early") as caught:
            decode(whole[:cut])
        assert caught.value.reason is Reason.IMAGE_TRUNCATED


def test_cut_jpeg_is_decoded_four_times_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def count(data: bytes, image_format: str, segments: Sequence[Segment]) -> ImageFile.ImageFile:
        opened.append(image_format)
        return open_image(data, image_format, segments)

    monkeypatch.setattr(decode_module, "open_image", count)
    for data, times in ((jpeg("plain"), 1), (jpeg("plain")[:-2], 4), (jpeg("plain")[:-900], 4)):
        opened.clear()
        decode(data)
        assert len(opened) == times


@pytest.mark.parametrize("damage", ["cut", "fill", "end", "junk", "metadata"])
def test_no_more_copies_of_a_damaged_jpeg_are_made_than_its_decode_is_charged_for(damage: str) -> None:
    whole, padding = jpeg("plain"), jpeg_segment(0xFE, bytes(65_000)) * 60
    large = whole[:2] + padding + whole[2:-900]
    data = {
        "cut": large,
        "fill": large + b"\xff" * 100_000,
        "end": large + END,
        "junk": large + b"\xff\x5e",
        "metadata": whole[:2] + jpeg_segment(0xE0, b"JFIF\0\1") + padding + whole[2:],
    }[damage]
    decode(data)
    tracemalloc.start()
    try:
        decoded = decode(data)
        # Pillow keeps copies of comments and application segments.
        assert tracemalloc.get_traced_memory()[1] <= decoded.held_bytes < 2 * len(data) + 2 * FIXED_BYTES
    finally:
        tracemalloc.stop()


def test_cut_jpeg_with_odd_scans_is_refused_or_partial() -> None:
    whole = jpeg("progressive")
    scan = whole.index(b"\xff\xda")
    for data in (
        whole[:scan] + jpeg_segment(0xDA, b""),
        whole[:scan] + jpeg_segment(0xDA, b"\xff"),
        whole[: scan + 30] + jpeg_segment(0xDA, bytes([1, 1, 0, 255, 255, 0])) + b"\1\2",
        whole[: scan + 30] + b"\xff\xda\xff\xff",
    ):
        try:
            assert decode(data[:-1]).facts.partial
        except ImageError as error:
            assert error.reason in (Reason.IMAGE_TRUNCATED, Reason.IMAGE_CORRUPT)  # noqa: PT017  either is right


KINDS = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}


@pytest.mark.parametrize("mode", [*KINDS, "P", "1"])
def test_rows_that_a_cut_png_holds_are_judged(mode: str) -> None:
    picture = PICTURE.quantize(256) if mode == "P" else PICTURE.convert(mode)
    whole = encode(picture, "PNG")
    kept = decode(whole[: len(whole) * 2 // 3])
    rows = kept.facts.file.height
    assert 0.3 < kept.facts.share_shown == rows / HEIGHT < 1
    there = decode(encode(picture.crop((0, 0, WIDTH, rows)), "PNG"))
    assert np.array_equal(kept.pixels, there.pixels)


def rows_of(picture: Image.Image) -> bytes:
    return png_rows([row.tobytes() for row in np.asarray(picture)])


def test_png_whose_rows_are_all_there_is_whole_whatever_stands_behind_them() -> None:
    rows, header = rows_of(PICTURE), png_header((WIDTH, HEIGHT))
    whole = decode(png_file(header, png_chunk(b"IDAT", rows)))
    for damaged in (rows[:-4] + b"sum!", rows[:-4], rows[:-1], rows[:-4] + bytes(99), rows + rows):
        for data in (
            png_file(header, png_chunk(b"IDAT", damaged)),
            png_file(header, png_chunk(b"IDAT", damaged))[:-13],
        ):
            decoded = decode(data)
            assert decoded.facts.share_shown == 1
            assert np.array_equal(decoded.pixels, whole.pixels)


def test_interlaced_png_is_whole_or_refused() -> None:
    passes = [PICTURE.convert("L")]
    rows = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for row in np.asarray(passes[0])[y::dy, x::dx]:
            rows += b"\0" + row.tobytes()
    coded, header = zlib.compress(rows), png_header((WIDTH, HEIGHT), kind=0, interlaced=1)
    whole = decode(png_file(header, png_chunk(b"IDAT", coded)))
    assert np.array_equal(whole.pixels, decode(encode(passes[0], "PNG")).pixels)
    assert np.array_equal(decode(png_file(header, png_chunk(b"IDAT", coded[:-4] + b"sum!"))).pixels, whole.pixels)
    cut = png_file(header, png_chunk(b"IDAT", coded))[:-400]
    ended = png_file(header, png_chunk(b"IDAT", zlib.compress(rows[: len(rows) // 2])))
    for data, reason in ((cut, Reason.IMAGE_TRUNCATED), (ended, Reason.IMAGE_CORRUPT)):
        with pytest.raises(ImageError) as caught:
            decode(data)
        assert caught.value.reason is reason


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1", "P"])
def test_png_that_says_more_rows_than_it_holds_is_cut_though_pillow_fills_it_up(mode: str) -> None:
    picture = PICTURE.quantize(256) if mode == "P" else PICTURE.convert(mode)
    whole = encode(picture, "PNG")
    header = png_chunk(b"IHDR", struct.pack(">II", WIDTH, 4 * HEIGHT) + whole[24:29])
    decoded = decode(whole[:8] + header + whole[33:])
    assert (decoded.facts.share_shown, decoded.facts.file.height) == (0.25, HEIGHT)
    assert np.array_equal(decoded.pixels, decode(whole).pixels)


def test_black_bottom_of_a_png_is_whole() -> None:
    picture = PICTURE.copy()
    picture.paste(0, (0, HEIGHT // 2, WIDTH, HEIGHT))
    assert decode(encode(picture, "PNG")).facts.share_shown == 1


def test_png_whose_rows_are_damaged_in_the_middle_is_corrupt_not_cut() -> None:
    rows = bytearray(rows_of(PICTURE))
    rows[len(rows) // 2 : len(rows) // 2 + 40] = b"\xff" * 40
    with pytest.raises(ImageError) as caught:
        decode(png_file(png_header((WIDTH, HEIGHT)), png_chunk(b"IDAT", bytes(rows))))
    assert caught.value.reason is Reason.IMAGE_CORRUPT


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
@pytest.mark.parametrize("upside_down", [True, False])
def test_rows_that_a_cut_bmp_holds_are_judged(mode: str, upside_down: bool) -> None:  # noqa: FBT001
    picture = PICTURE.quantize(16) if mode == "P" else PICTURE.convert(mode)
    whole = encode(picture, "BMP")
    if not upside_down:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        whole = whole[:22] + struct.pack("<i", -HEIGHT) + whole[26:]
    (start,) = struct.unpack_from("<I", whole, 10)
    cut = decode(whole[: start + (len(whole) - start) * 5 // 8 - 1])
    rows = HEIGHT * 5 // 8 - 1
    assert (cut.facts.share_shown, cut.facts.file.height) == (rows / HEIGHT, rows)
    box = (0, HEIGHT - rows, WIDTH, HEIGHT) if upside_down else (0, 0, WIDTH, rows)
    assert np.array_equal(cut.pixels, decode(encode(picture.crop(box), "PNG")).pixels)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_formats_whose_rows_cannot_be_counted_cheaply_are_refused_when_cut(image_format: str) -> None:
    whole = encode(PICTURE, image_format)
    with pytest.raises(ImageError) as caught:
        decode(whole[: len(whole) * 2 // 3])
    assert caught.value.reason is Reason.IMAGE_TRUNCATED


def test_whole_files_are_taken_as_they_are() -> None:
    for image_format in ("JPEG", "PNG", "BMP"):
        data = encode(PICTURE, image_format)
        structure = read_structure(data, image_format, DEFAULT_LIMITS)
        assert (structure.data, structure.share_shown) == (data, 1.0)


@pytest.mark.parametrize("preprocessing", [FULL, REDUCED], ids=["full", "reduced"])
@pytest.mark.parametrize("way", ["plain", "progressive"])
def test_the_share_of_a_cut_jpeg_grows_with_what_is_there(way: str, preprocessing: Preprocessing) -> None:
    whole = jpeg(way)
    shares = [
        decode(whole[: len(whole) * cut // 100], preprocessing).facts.share_shown for cut in (40, 55, 70, 85, 92, 98)
    ]
    assert shares == sorted(shares)
    if preprocessing is FULL:
        assert shares[-1] < 1
    assert decode(whole[:-2], preprocessing).facts.share_shown == 1
