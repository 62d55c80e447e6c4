"""GIF, WebP and BMP: what Chromium 150 draws of the first frame, what it leaves see-through, what it counts."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from bench import profiles
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import decode as decode_module
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits
from kit.containers import riff_chunk, webp_file, webp_header, webp_picture
from kit.pictures import encode, natural_picture

SIDE = 16
MODEL = Preprocessing(side=SIDE, fit="squash", decode_scale=0)
# A GIF of one frame, whose table of 16 colours stands in front.
_WHOLE = encode(natural_picture(1, (SIDE, SIDE)).quantize(16), "GIF", interlace=0)
PICTURE = Image.open(io.BytesIO(_WHOLE)).convert("RGB")
OTHER = natural_picture(2, (SIDE, SIDE))


def decode(data: bytes, limits: DecodeLimits = DEFAULT_LIMITS) -> DecodedImage:
    return decode_image(data, preprocessing=MODEL, limits=limits)


def assert_shows(data: bytes, picture: Image.Image, *, frames: int = 1) -> None:
    decoded = decode(data)
    assert np.array_equal(decoded.pixels, decode(encode(picture, "PNG")).pixels)
    assert (decoded.facts.file.width, decoded.facts.file.height) == picture.size
    assert decoded.facts.frames_total == frames


def on_nothing(size: tuple[int, int], at: tuple[int, int], picture: Image.Image = PICTURE) -> Image.Image:
    canvas = Image.new("RGBA", size)
    canvas.paste(picture, at)
    return canvas


def control(*, clear: int | None, size: int = 4) -> bytes:
    return b"!\xf9" + bytes([size, clear is not None, 0, 0, clear or 0]) + bytes(size - 4) + b"\0"


_TABLE = _WHOLE[13 : 13 + 48]
_CODED = _WHOLE[_WHOLE.index(b",", 61) + 10 : -1]


def frame(at: tuple[int, int] = (0, 0)) -> bytes:
    return b"," + struct.pack("<4HB", *at, SIDE, SIDE, 0x83) + _TABLE + _CODED


def gif(*blocks: bytes, screen: tuple[int, int] = (SIDE, SIDE), background: int = 0, end: bytes = b";") -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0x83, background, 0) + _TABLE + b"".join(blocks) + end


@pytest.mark.parametrize("background", [0, 5])
def test_gif_frame_that_leaves_parts_of_the_screen_empty_leaves_them_see_through(background: int) -> None:
    assert_shows(gif(frame((4, 6)), screen=(32, 40), background=background), on_nothing((32, 40), (4, 6)))


@pytest.mark.parametrize("screen", [(SIDE, SIDE), (0, 0), (20, 2)])
def test_gif_screen_grows_with_a_first_frame_that_reaches_beyond_it(screen: tuple[int, int]) -> None:
    size = max(screen[0], SIDE + 8), SIDE + 3
    assert_shows(gif(frame((8, 3)), screen=screen), on_nothing(size, (8, 3)))


def test_gif_screen_grows_no_further_than_the_limit() -> None:
    data = gif(frame((300, 0)), screen=(1, 300))
    assert_shows(data, on_nothing((300 + SIDE, 300), (300, 0)))
    for limits in (DecodeLimits(max_side=310), DecodeLimits(max_decode_bytes=300 * 300)):
        with pytest.raises(ImageError) as caught:
            decode(data, limits)
        assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS


def test_gif_frame_that_covers_the_screen_is_not_copied() -> None:
    data = gif(control(clear=None), frame())
    assert read_structure(data, "GIF", DEFAULT_LIMITS).data is data


def test_last_control_block_of_a_gif_counts() -> None:
    plain, keyed = gif(frame()), gif(control(clear=3), frame())
    assert not np.array_equal(decode(plain).pixels, decode(keyed).pixels[:1])
    comment = b"!\xfe\x01x\0"
    for blocks, shown in (
        ((control(clear=3), control(clear=None)), plain),
        ((control(clear=None), control(clear=3)), keyed),
        ((control(clear=3), comment), keyed),
        ((control(clear=3), comment, control(clear=None), comment), plain),
    ):
        assert np.array_equal(decode(gif(*blocks, frame())).pixels, decode(shown).pixels)


def test_gif_frames_are_counted_up_to_its_end() -> None:
    assert_shows(gif(frame(), frame((99, 99))), PICTURE, frames=2)
    assert_shows(gif(frame(), frame(), end=b""), PICTURE, frames=2)
    assert_shows(gif(frame()) + frame() + b";", PICTURE)
    assert_shows(gif(frame()) + gif(frame(), frame()), PICTURE)


def webp_frame(picture: bytes, at: tuple[int, int] = (0, 0)) -> bytes:
    numbers = (at[0] // 2, at[1] // 2, SIDE - 1, SIDE - 1, 100)
    return riff_chunk(b"ANMF", b"".join(struct.pack("<I", number)[:3] for number in numbers) + b"\0" + picture)


STILL = webp_picture(encode(PICTURE, "WEBP", lossless=True))
SECOND = webp_picture(encode(OTHER, "WEBP", lossless=True))
ANIMATED, ANIM = 0x02, riff_chunk(b"ANIM", b"\0\0\xff\xff\0\0")


def test_webp_frame_that_leaves_parts_of_the_canvas_empty_leaves_them_see_through() -> None:
    data = webp_file(webp_header((32, 40), ANIMATED), ANIM, webp_frame(STILL, (4, 6)), webp_frame(SECOND))
    assert_shows(data, on_nothing((32, 40), (4, 6)), frames=2)


def half_seen() -> Image.Image:
    half = PICTURE.convert("RGBA")
    half.putalpha(Image.linear_gradient("L").resize((SIDE, SIDE)))
    return half


def denied_alpha() -> dict[str, bytes]:
    still = webp_picture(encode(half_seen(), "WEBP", lossless=True, exact=True))
    assert still[12] & 0x10
    denied = still[:12] + bytes([still[12] & ~0x10]) + still[13:]
    return {
        "by its stream": webp_file(denied),
        "by its header": webp_file(webp_header((SIDE, SIDE)), still),
        "by both": webp_file(webp_header((SIDE, SIDE)), denied),
        "of a frame": webp_file(webp_header((SIDE, SIDE), ANIMATED), ANIM, webp_frame(denied)),
        "of a frame whose stream tells": webp_file(webp_header((SIDE, SIDE), ANIMATED), ANIM, webp_frame(still)),
    }


@pytest.mark.parametrize("name", denied_alpha())
def test_webp_that_denies_its_alpha_has_its_colours_added_to_the_page(name: str) -> None:
    white, black = decode(denied_alpha()[name]).views
    pixels = np.asarray(half_seen())
    page = 255 - pixels[..., 3:].astype(int)
    assert np.array_equal(black.pixels, pixels[..., :3])
    assert np.array_equal(white.pixels, np.minimum(255, pixels[..., :3] + page))


@pytest.mark.parametrize("name", denied_alpha())
def test_webp_that_denies_its_alpha_is_flagged_since_viewers_differ(name: str) -> None:
    assert "COLOUR_UNCERTAIN" in decode(denied_alpha()[name]).facts.degraded


def test_webp_whose_header_alone_tells_its_alpha_is_laid_over_the_page() -> None:
    denied = denied_alpha()["by its stream"][12:]
    assert_shows(webp_file(webp_header((SIDE, SIDE), 0x10), denied), half_seen())


def test_denied_alpha_counts_where_colours_are_converted() -> None:
    denied, icc = denied_alpha()["by its stream"][12:], profiles.display_p3()
    header = webp_header((SIDE, SIDE), 0x20)
    displayed = replace(MODEL, colour="srgb")
    decoded = decode_image(webp_file(header, riff_chunk(b"ICCP", icc), denied), preprocessing=displayed)
    straight = decode_image(encode(half_seen(), "PNG", icc_profile=icc), preprocessing=displayed)
    assert np.array_equal(decoded.pixels, straight.pixels)
    assert not np.array_equal(decoded.pixels, decode(encode(half_seen(), "PNG")).pixels)
    assert "COLOUR_UNCERTAIN" in decoded.facts.degraded


def test_opaque_webp_makes_one_view() -> None:
    for lossless in (False, True):
        assert [view.name for view in decode(encode(OTHER, "WEBP", lossless=lossless)).views] == ["full"]


def test_webp_frames_are_counted_by_the_most_animated_reading() -> None:
    header = webp_header((SIDE, SIDE))
    assert_shows(webp_file(header, STILL, ANIM, webp_frame(SECOND)), PICTURE, frames=2)
    assert_shows(webp_file(webp_header((SIDE, SIDE), ANIMATED), ANIM, webp_frame(STILL)), PICTURE)
    assert_shows(webp_file(STILL, SECOND), PICTURE)


def test_webp_of_endless_chunks_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "open_image", pytest.fail)
    with pytest.raises(ImageError, match="more than 100000 chunks") as caught:
        decode(webp_file(webp_header((SIDE, SIDE)), b"abcd\0\0\0\0" * 100_000, STILL))
    assert caught.value.reason is Reason.IMAGE_CORRUPT


def bmp_with_alpha(alphas: np.ndarray, version: int) -> bytes:
    """Spell a BMP with an alpha mask: 56 bytes of header for version 3, 108 for 4, 124 for 5."""
    rgba = np.dstack([np.asarray(OTHER), alphas])
    fields = struct.pack("<IiiHHIIiiII", version, SIDE, SIDE, 1, 32, 3, 0, 0, 0, 0, 0)
    header = (fields + struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)).ljust(version, b"\0")
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + version) + header + rgba[::-1, :, [2, 1, 0, 3]].tobytes()


@pytest.mark.parametrize("version", [56, 108, 124])
def test_bmp_whose_alpha_is_nought_throughout_is_opaque(version: int) -> None:
    assert_shows(bmp_with_alpha(np.zeros((SIDE, SIDE), np.uint8), version), OTHER)
    one = np.zeros((SIDE, SIDE), np.uint8)
    one[3, 4] = 1
    seen = OTHER.convert("RGBA")
    seen.putalpha(Image.fromarray(one))
    assert_shows(bmp_with_alpha(one, version), seen)


def test_bmp_that_announces_more_colours_than_there_can_be_is_judged() -> None:
    whole = encode(PICTURE.quantize(256), "BMP")
    assert_shows(whole[:46] + struct.pack("<I", 2**31) + whole[50:], PICTURE.quantize(256).convert("RGB"))
