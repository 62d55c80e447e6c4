import random
import resource
import struct
import sys
import threading
import zlib
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import decode as decode_module
from clipwarden.vision.decode import decode_image, read_header
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_FRAMES_COUNTED
from kit.pictures import FORMATS, drawing, encode, natural_picture

MODEL = Preprocessing(side=32)
# What prepare_process does in every command; pytest resets filters before each test.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")


def reason_for(data: bytes, limits: DecodeLimits | None = None) -> Reason | None:
    """Return why an image is refused; None if it is not. Anything but ImageError fails the test."""
    try:
        decode_image(data, preprocessing=MODEL, limits=limits or DecodeLimits())
    except ImageError as error:
        return error.reason
    return None


@cache
def valid_files() -> dict[str, bytes]:
    """Encode one small picture in every way whose parser differs."""
    picture = natural_picture(1, (48, 36))
    second = natural_picture(2, (48, 36))
    clear = drawing(48, see_through=True)
    exif = Image.Exif()
    exif[0x112] = 6
    exif[0x11A] = 72.0
    return {
        "jpeg": encode(picture, "JPEG", exif=exif, icc_profile=b"profile" * 9, comment=b"hello"),
        "progressive": encode(picture, "JPEG", progressive=True),
        "cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "mpo": encode(picture, "MPO", save_all=True, append_images=[second]),
        "png": encode(clear, "PNG", exif=exif, icc_profile=b"profile"),
        "palette": encode(picture.quantize(16), "PNG", transparency=3),
        "interlaced16": encode(Image.fromarray(np.arange(48 * 36, dtype=np.uint16).reshape(36, 48)), "PNG"),
        "apng": encode(clear, "PNG", save_all=True, append_images=[clear.rotate(30)], default_image=True),
        "gif": encode(picture, "GIF", save_all=True, append_images=[second], comment="hello", disposal=2),
        "webp": encode(clear, "WEBP", exif=exif, icc_profile=b"profile"),
        "lossless": encode(picture, "WEBP", lossless=True),
        "animated": encode(clear, "WEBP", save_all=True, append_images=[clear.rotate(30)]),
        "bmp": encode(picture, "BMP"),
        "bmp-palette": encode(picture.quantize(8), "BMP"),
        "tiff": encode(picture, "TIFF", save_all=True, append_images=[second]),
        "bigtiff": encode(picture, "TIFF", big_tiff=True),
        "lzw": encode(picture, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": encode(picture, "TIFF", compression="jpeg"),
        "deflate": encode(picture, "TIFF", compression="tiff_deflate"),
        "float": encode(picture.convert("F"), "TIFF"),
        "avif": encode(clear, "AVIF", exif=exif),
        "avif-animated": encode(picture, "AVIF", save_all=True, append_images=[second]),
    }


VALID = sorted(valid_files())


_WHOLE_JPEG = encode(drawing(64), "JPEG")
_FRAME = _WHOLE_JPEG.index(b"\xff\xc0")


@pytest.mark.parametrize("place", [2, _FRAME, _FRAME + 2 + 17], ids=["start", "before the frame", "after the frame"])
@pytest.mark.parametrize("padding", [b"\xff" * 2_000_000, b"\xff\xfe\0\2" * 500_000], ids=["fill", "comments"])
def test_jpeg_padded_without_end_is_refused_before_it_is_opened(
    place: int, padding: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    data = _WHOLE_JPEG[:place] + padding + _WHOLE_JPEG[place:]
    assert reason_for(data) is Reason.IMAGE_CORRUPT


def test_jpeg_with_some_fill_and_many_segments_is_judged() -> None:
    padding = (b"\xff" * 10 + b"\xff\xfe\0\2") * 1000
    data = _WHOLE_JPEG[:_FRAME] + padding + _WHOLE_JPEG[_FRAME:]
    assert reason_for(data) is None


@pytest.mark.parametrize("kind", VALID)
def test_the_seeds_of_the_fuzzing_are_valid(kind: str) -> None:
    assert reason_for(valid_files()[kind]) is None


@pytest.mark.parametrize("kind", VALID)
def test_every_truncation_is_called_truncated_or_still_holds_the_first_frame(kind: str) -> None:
    whole = valid_files()[kind]
    cuts = sorted({1, 2, 5, 13, 30, *range(40, len(whole) - 1, max(1, len(whole) // 40))})
    reasons = [reason_for(whole[:cut]) for cut in cuts]
    assert set(reasons) <= {None, Reason.IMAGE_TRUNCATED, Reason.IMAGE_FORMAT_UNSUPPORTED, Reason.IMAGE_CORRUPT}
    # A prefix of a few bytes names no format.
    named = {reason for cut, reason in zip(cuts, reasons, strict=True) if cut >= 40}
    assert named <= {None, Reason.IMAGE_TRUNCATED}


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])),
    ),
    min_size=1,
    max_size=6,
)


def mutate(data: bytes, mutations: list[tuple[str, float, bytes]]) -> bytes:
    mutated = bytearray(data)
    for kind, place, patch in mutations:
        # Squared, because headers, where a byte matters most, come first.
        at = int(place * place * len(mutated))
        if kind == "set":
            mutated[at : at + len(patch)] = patch
        elif kind == "insert":
            mutated[at:at] = patch
        elif kind == "delete":
            del mutated[at : at + len(patch)]
        elif kind == "repeat":
            mutated[at:at] = mutated[at : at + 40]
        else:
            del mutated[at:]
    return bytes(mutated)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(VALID), mutations=MUTATIONS)
def test_only_image_errors_escape_from_mutated_files(kind: str, mutations: list[tuple[str, float, bytes]]) -> None:
    reason_for(mutate(valid_files()[kind], mutations))


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(VALID), body=st.binary(max_size=300), keep=st.integers(2, 40))
def test_only_image_errors_escape_from_a_valid_start_and_a_random_body(kind: str, body: bytes, keep: int) -> None:
    reason_for(valid_files()[kind][:keep] + body)


@given(st.binary(max_size=200))
def test_only_image_errors_escape_from_random_bytes(data: bytes) -> None:
    reason_for(data)


def test_empty_input_is_empty() -> None:
    assert reason_for(b"") is Reason.IMAGE_EMPTY


@pytest.mark.parametrize(
    "data",
    [b"hello world", b"%PDF-1.7", b"<svg/>", b"\x00" * 64, b"8BPS\0\1"],
)
def test_other_formats_are_unsupported_and_the_sentence_lists_the_supported_ones(data: bytes) -> None:
    with pytest.raises(
        ImageError, match=r"supported format \(JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF(, HEIC)?\)"
    ) as caught:
        decode_image(data, preprocessing=MODEL)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


def test_formats_that_pillow_knows_but_we_do_not_list_are_unsupported() -> None:
    for image_format in ("PPM", "TGA", "ICO", "PCX", "SGI", "IM", "JPEG2000"):
        assert reason_for(encode(natural_picture(1, (32, 32)), image_format)) is Reason.IMAGE_FORMAT_UNSUPPORTED


@pytest.mark.parametrize("image_format", FORMATS)
def test_junk_behind_the_magic_bytes_is_corrupt_or_truncated(image_format: str) -> None:
    start = encode(natural_picture(1, (32, 32)), image_format)[:12]
    assert reason_for(start + b"\x07" * 500) in {Reason.IMAGE_CORRUPT, Reason.IMAGE_TRUNCATED}


def test_too_many_bytes_are_refused_before_anything_else() -> None:
    assert reason_for(b"x" * 101, DecodeLimits(max_image_bytes=100)) is Reason.IMAGE_TOO_LARGE


def held_when_opened(data: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return what decoding is found to hold once Pillow has opened the file; the header may have allowed for more."""
    found = []

    def check_held(held: int, *_: object) -> None:
        found.append(held)

    with monkeypatch.context() as patched:
        patched.setattr(decode_module, "check_held", check_held)
        assert reason_for(data) is None
    in_header, _, opened = found
    return max(in_header, opened)


@pytest.mark.parametrize("image_format", [*FORMATS, "WEBP lossless"])
def test_memory_and_side_limits_hold_for_every_format(image_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, lossless = image_format.partition(" ")
    data = encode(natural_picture(1, (64, 48)), name, **({"lossless": True} if lossless else {}))
    held = held_when_opened(data, monkeypatch)
    assert reason_for(data, DecodeLimits(max_decode_bytes=held)) is None
    assert reason_for(data, DecodeLimits(max_decode_bytes=held - 1)) is Reason.IMAGE_TOO_MANY_PIXELS
    assert reason_for(data, DecodeLimits(max_side=63)) is Reason.IMAGE_TOO_MANY_PIXELS


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *extra: bytes, rows: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    tail = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + tail


def gif(canvas: tuple[int, int], *blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + b"".join(blocks) + b";"


def gif_frame(left: int, top: int, width: int, height: int) -> bytes:
    # One code of "clear, end": a frame without pixels.
    return b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02\x02\x4c\x01\x00"


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"", following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", following) + tail


HUGE_HEADERS = {
    "png": png(60_000, 60_000),
    "gif": gif((65_535, 65_535)),
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, 60_000, -60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "webp": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff\xff\xff\x00" + b"VP8L\0\0\0\0",
    "lossless webp": b"RIFF\x1e\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + struct.pack("<I", 0x0FFFFFFF) + b"\0" * 12,
    "lossy webp": b"RIFF\x1e\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + b"\0" * 12,
    "jpeg": b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc0\0\x11\x08" + struct.pack(">HH", 65_000, 65_000) + b"\3\1\x22\0" * 3,
    "tiff": tiff((256, 4, 1, 100_000), (257, 3, 1, 60_000)),
}


@pytest.mark.parametrize("kind", sorted(HUGE_HEADERS))
def test_huge_header_with_a_tiny_body_is_refused_on_the_header_alone(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    with pytest.raises(ImageError, match=r"the limit is (32768 a side|1024 MiB)") as caught:
        read_header(HUGE_HEADERS[kind], preprocessing=MODEL)
    assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS
    assert reason_for(HUGE_HEADERS[kind]) is Reason.IMAGE_TOO_MANY_PIXELS


def test_avif_that_claims_a_huge_size_is_refused_before_its_pixels_are_decoded() -> None:
    data = bytearray(encode(natural_picture(1, (64, 48)), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 30_000, 30_000)
    before = peak_megabytes()
    assert reason_for(bytes(data)) in {Reason.IMAGE_TOO_MANY_PIXELS, Reason.IMAGE_CORRUPT}
    assert peak_megabytes() - before < 100


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def test_decoder_has_the_last_word_when_the_sniffed_size_was_a_lie() -> None:
    # Pillow believes the last frame header before the scan, the sniffer the first.
    real = encode(natural_picture(1, (64, 48)), "JPEG")
    at = real.index(b"\xff\xc0")
    liar = real[:at] + b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 8, 8) + b"\3\1\x22\0\2\x11\1\3\x11\1" + real[at:]
    assert read_header(liar, preprocessing=MODEL).width == 8
    assert reason_for(liar, DecodeLimits(max_side=40)) is Reason.IMAGE_TOO_MANY_PIXELS


def test_gif_frame_larger_than_its_canvas_counts_against_the_limit_before_pillow_opens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = gif((4, 4), gif_frame(0, 0, 60_000, 60_000))
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    assert reason_for(data) is Reason.IMAGE_TOO_MANY_PIXELS


def test_gif_frame_a_little_larger_than_its_canvas_is_judged_whole() -> None:
    frame = encode(natural_picture(1, (64, 48)), "GIF")
    shrunk = frame[:6] + struct.pack("<HH", 8, 8) + frame[10:]
    facts = decode_image(shrunk, preprocessing=MODEL).facts
    assert (facts.file.width, facts.file.height) == (64, 48)


def test_gif_with_endless_frames_or_blocks_is_counted_within_a_bound() -> None:
    first = encode(natural_picture(1, (32, 32)), "GIF")[:-1]
    frames = decode_image(first + gif_frame(0, 0, 1, 1) * 500_000 + b";", preprocessing=MODEL).facts.frames_total
    assert frames == MAX_FRAMES_COUNTED
    # One-byte blocks spend the budget before the second frame is seen: then there may be more, so never "one".
    padded = first + b"!\xfe" + b"\x01a" * 1_000_000 + b"\0" + gif_frame(0, 0, 1, 1) + b";"
    assert decode_image(padded, preprocessing=MODEL).facts.frames_total == 2


def test_gif_comment_of_a_million_blocks_before_its_first_frame_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gif((4, 4), b"!\xfe" + b"\x01a" * 1_000_000 + b"\0", gif_frame(0, 0, 4, 4))
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    assert reason_for(data) is Reason.IMAGE_CORRUPT


def test_gif_frames_behind_stray_bytes_are_counted() -> None:
    one = encode(natural_picture(1, (32, 32)), "GIF")[:-1]
    facts = decode_image(one + b"\0\0\x01" + gif_frame(0, 0, 1, 1) + b";", preprocessing=MODEL).facts
    assert facts.frames_total == 2


def test_tiff_pages_are_counted_within_a_bound_and_loops_end() -> None:
    pages = encode(natural_picture(1, (32, 32)), "TIFF", save_all=True, append_images=[natural_picture(2, (32, 32))])
    assert decode_image(pages, preprocessing=MODEL).facts.frames_total == 2
    page = encode(natural_picture(1, (32, 32)), "TIFF")
    (entries,) = struct.unpack_from("<H", page, 8)
    link = 8 + 2 + 12 * entries
    chain = b"".join(struct.pack("<HI", 0, len(page) + 6 * (index + 1)) for index in range(5000))
    linked = page[:link] + struct.pack("<I", len(page)) + page[link + 4 :] + chain
    assert decode_image(linked, preprocessing=MODEL).facts.frames_total == MAX_FRAMES_COUNTED
    loop = page[:link] + struct.pack("<I", 8) + page[link + 4 :]
    assert decode_image(loop, preprocessing=MODEL).facts.frames_total == 1


def test_tiff_whose_tags_claim_more_than_the_file_is_refused_without_reading_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    entries = [(256, 3, 1, 8), (257, 3, 1, 8), *((40_000 + index, 7, 4000, 8) for index in range(200))]
    with pytest.raises(ImageError, match="its tags claim more data than the file has"):
        decode_image(tiff(*entries, tail=b"\0" * 5000), preprocessing=MODEL)


def test_tiff_with_a_million_strips_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    data = tiff((256, 3, 1, 8), (257, 3, 1, 8), (273, 4, 1_000_000, 8), tail=b"\0" * 4_000_100)
    with pytest.raises(ImageError, match="it claims too many strips or tiles"):
        decode_image(data, preprocessing=MODEL)


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt"])
def test_text_chunk_bombs_are_passed_over_without_expanding(name: bytes) -> None:
    bomb = zlib.compress(b"A" * 30_000_000, 9)
    body = b"key\0\0" + bomb if name == b"zTXt" else b"key\0\1\0\0\0" + bomb
    before = peak_megabytes()
    rows = (b"\0" + b"\x80" * 24) * 8
    assert reason_for(png(8, 8, png_chunk(name, body), rows=rows)) is None
    assert peak_megabytes() - before < 20


def test_png_of_endless_chunks_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(natural_picture(1, (48, 36)), "PNG")
    empty = struct.pack(">I4sI", 0, b"teXt", zlib.crc32(b"teXt"))
    header_end = whole.index(b"IDAT") - 4
    assert reason_for(whole[:header_end] + empty * 1000 + whole[header_end:]) is None
    monkeypatch.setattr(decode_module, "open_image", lambda *_: pytest.fail("Pillow must not see it"))
    assert reason_for(whole[:header_end] + empty * 50_000 + whole[header_end:]) is Reason.IMAGE_CORRUPT


def test_profile_bombs_and_profile_junk_are_ignored_without_expanding() -> None:
    rows = (b"\0" + b"\x80" * 24) * 8
    bomb = png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"A" * 30_000_000, 9))
    before = peak_megabytes()
    assert reason_for(png(8, 8, bomb, rows=rows)) is None
    assert peak_megabytes() - before < 30  # as much as the largest profile that is looked at, and its copy
    assert reason_for(png(8, 8, png_chunk(b"iCCP", b"icc\0\0not zlib"), rows=rows)) is None
    assert reason_for(encode(natural_picture(1, (32, 32)), "JPEG", icc_profile=b"\xff" * 100_000)) is None


def test_png_data_longer_than_its_header_says_is_not_expanded() -> None:
    before = peak_megabytes()
    reason_for(png(8, 8, rows=b"\0" * 40_000_000))
    assert peak_megabytes() - before < 60  # the test's own rows


def test_tables_of_an_unknown_type_say_nothing_about_the_end_of_a_tiff() -> None:
    data = tiff((256, 3, 1, 8), (257, 3, 1, 8), (273, 11, 1, 8), (279, 4, 1, 9))
    assert reason_for(data) is Reason.IMAGE_CORRUPT


def test_exif_junk_neither_turns_nor_stops_the_picture() -> None:
    picture = natural_picture(1, (40, 30))
    entries = b"".join(struct.pack(">HHII", 0x9000 + index, 7, 60_000, 8) for index in range(4000))
    bomb = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 4000) + entries
    for exif in (b"\xff" * 500, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0", bomb):
        facts = decode_image(encode(picture, "JPEG", exif=exif), preprocessing=MODEL).facts
        assert (facts.file.width, facts.file.height) == (40, 30)


def test_jpeg_of_endless_segments_ends_the_sniffing() -> None:
    assert read_header(b"\xff\xd8" + b"\xff\xe1\0\x02" * 10_000, preprocessing=MODEL).width is None
    assert read_header(b"\xff\xd8\xff\xda\0\x02", preprocessing=MODEL).width is None
    assert read_header(b"\xff\xd8\xff", preprocessing=MODEL).width is None
    assert read_header(b"\xff\xd8\xff\x01\xff\xd0" + HUGE_HEADERS["jpeg"][8:9], preprocessing=MODEL).width is None


def scans_of(data: bytes) -> list[int]:
    return [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]


def test_progressive_jpeg_that_asks_for_endless_scans_is_refused_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = encode(Image.new("L", (800, 800), 128), "JPEG", progressive=True)
    last = whole[scans_of(whole)[-1] : -2]
    assert reason_for(whole[:-2] + last * 50 + whole[-2:]) is None
    assert reason_for(whole[:-2] + b"\xff\x01" + last * 80 + whole[-2:]) is Reason.IMAGE_CORRUPT
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    with pytest.raises(ImageError, match="asks for more than 64 scans"):
        decode_image(whole[:-2] + last * 80 + whole[-2:], preprocessing=MODEL)


def test_marks_of_scans_in_profiles_or_behind_the_end_are_not_counted() -> None:
    marks = b"\xff\xda" * 500
    assert reason_for(encode(natural_picture(1, (32, 32)), "JPEG", icc_profile=marks, comment=marks)) is None
    assert reason_for(encode(natural_picture(1, (32, 32)), "JPEG") + marks) is None


def test_strip_of_one_pixel_by_thousands_needs_no_memory_for_its_enlargement() -> None:
    for size in ((1, 30_000), (30_000, 1), (2, 20_000)):
        before = peak_megabytes()
        assert reason_for(encode(Image.new("RGB", size, "red"), "PNG")) is None
        assert peak_megabytes() - before < 60


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (MemoryError(), Reason.IMAGE_TOO_MANY_PIXELS),
        (Image.DecompressionBombError("x"), Reason.IMAGE_TOO_MANY_PIXELS),
        (OSError("image file is truncated"), Reason.IMAGE_TRUNCATED),
        (OSError("broken data stream"), Reason.IMAGE_CORRUPT),
        *((error("x"), Reason.IMAGE_CORRUPT) for error in (SyntaxError, ValueError, EOFError, struct.error)),
        *((error("x"), Reason.IMAGE_CORRUPT) for error in (TypeError, KeyError, AttributeError, zlib.error)),
        *((error("x"), Reason.IMAGE_CORRUPT) for error in (OverflowError, RecursionError, AssertionError)),
    ],
)
def test_whatever_the_codec_raises_becomes_an_image_error_with_its_cause(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, reason: Reason
) -> None:
    def fail(_self: object) -> None:
        raise raised

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ImageError) as caught:
        decode_image(valid_files()["bmp"], preprocessing=MODEL)
    assert caught.value.reason is reason
    assert caught.value.__cause__ is raised


def sentence_for(data: bytes) -> str:
    try:
        decode_image(data, preprocessing=MODEL)
    except ImageError as error:
        return str(error)
    return ""


def test_messages_never_quote_the_file() -> None:
    secret = b"SECRETSECRET"
    for kind in VALID:
        data = valid_files()[kind]
        for at in (4, 20, len(data) // 2):
            broken = data[:at] + secret + data[at + len(secret) :]
            assert "SECRET" not in sentence_for(broken)


def test_hostile_files_decode_side_by_side_without_disturbing_good_ones() -> None:
    good = valid_files()["png"]
    expected = decode_image(good, preprocessing=MODEL).views[0].pixels
    wrong = []

    def work(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        for _ in range(15):
            data = bytearray(valid_files()[dice.choice(VALID)])
            data[dice.randrange(len(data))] ^= 0xFF
            reason_for(bytes(data))
            if not np.array_equal(decode_image(good, preprocessing=MODEL).views[0].pixels, expected):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_tiff_with_more_tags_than_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + b"\0" * 60_010
    with pytest.raises(ImageError, match="it claims too many tags"):
        decode_image(data, preprocessing=MODEL)
