"""HEIC, as the extra `heif` decodes it, and as it is refused where the extra is missing."""

import io
import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import opening
from clipwarden.vision.decode import DecodedImage, decode_image, read_header
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DecodeLimits
from kit.isobmff import ALPHA, Item, box, clap, coded, heif, imir, irot, ispe, pixi
from kit.pictures import encode_heic, natural_picture

needs_heif = pytest.mark.skipif(find_spec("pillow_heif") is None, reason="the extra heif is not installed")

MODEL = Preprocessing(side=48, fit="squash")
SIZE = (96, 64)
BRANDS = (b"heic", b"mif1", b"heic")
# Quarters of the picture from left to right and from top to bottom.
COLOURS = ((230, 40, 40), (40, 200, 60), (50, 60, 220), (240, 220, 60))


@cache
def still() -> tuple[bytes, bytes]:
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for index, colour in enumerate(COLOURS):
        pixels[index // 2 * 32 :, index % 2 * 48 :] = colour
    return coded(encode_heic(Image.fromarray(pixels)))[1:]


def item(*properties: bytes, size: tuple[int, int] = SIZE) -> Item:
    settings, written = still()
    return Item(kind=b"hvc1", body=written, properties=(ispe(*size), settings, pixi(8, 8, 8), *properties))


def heic(*properties: bytes, brands: tuple[bytes, ...] = BRANDS) -> bytes:
    return heif([item(*properties)], brands=brands)


def decode(data: bytes) -> DecodedImage:
    return decode_image(data, preprocessing=MODEL)


def corners(decoded: DecodedImage, view: int = 0) -> list[int | None]:
    """Name what each quarter shows, by its place in `COLOURS`."""
    pixels = decoded.views[view].pixels.astype(int)
    seen = [pixels[y, x] for y in (6, -7) for x in (6, -7)]
    return [
        next((index for index, colour in enumerate(COLOURS) if np.abs(each - colour).max() < 12), None) for each in seen
    ]


def reason_for(data: bytes, limits: DecodeLimits | None = None) -> Reason | None:
    try:
        decode_image(data, preprocessing=MODEL, limits=limits or DecodeLimits())
    except ImageError as error:
        return error.reason
    return None


@needs_heif
@pytest.mark.parametrize("brands", [BRANDS, (b"mif1", b"miaf", b"heic"), (b"mif1", b"miaf"), (b"heix", b"heix")])
def test_heic_is_decoded_whatever_its_brands(brands: tuple[bytes, ...]) -> None:
    decoded = decode(heic(brands=brands))
    assert (decoded.facts.file.format, decoded.facts.file.width, decoded.facts.file.height) == ("HEIC", *SIZE)
    assert decoded.facts.frames_total == 1
    assert corners(decoded) == [0, 1, 2, 3]


@needs_heif
def test_size_is_known_by_the_header() -> None:
    header = read_header(heic(), preprocessing=MODEL)
    assert (header.format, header.width, header.height) == ("HEIC", *SIZE)
    assert reason_for(heic(), DecodeLimits(max_decode_bytes=header.held_bytes - 1)) is Reason.IMAGE_TOO_MANY_PIXELS


@needs_heif
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_applied_once_and_exif_does_not_turn_again(orientation: int) -> None:
    exif = struct.pack("<4x2sHIHHHIHHI", b"II", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)
    described = Item(number=2, kind=b"Exif", body=exif, refers=((b"cdsc", (1,)),))
    plain = decode(heif([item(), described], brands=BRANDS))
    assert corners(plain) == [0, 1, 2, 3]
    turned = decode(heif([item(irot(1)), described], brands=BRANDS))
    assert (turned.facts.file.width, turned.facts.file.height) == (64, 96)
    assert corners(turned) == [1, 3, 0, 2]


@needs_heif
@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ((irot(2),), [3, 2, 1, 0]),
        ((irot(3),), [2, 0, 3, 1]),
        ((imir(0),), [2, 3, 0, 1]),
        ((imir(1),), [1, 0, 3, 2]),
        ((irot(1), imir(0)), [0, 2, 1, 3]),
        ((imir(0), irot(1)), [3, 1, 2, 0]),  # in the order in which they stand
        ((clap(48, 32, 48, 32, of=SIZE),), [3, 3, 3, 3]),
        ((clap(48, 32, 0, 32, of=SIZE), irot(1)), [2, 2, 2, 2]),
    ],
)
def test_turns_mirrors_and_crops_are_applied_as_they_stand(properties: tuple[bytes, ...], expected: list[int]) -> None:
    assert corners(decode(heic(*properties))) == expected


def tiled(size: tuple[int, int] = (192, 64), count: int = 2) -> bytes:
    settings, written = still()
    numbers = tuple(range(2, 2 + count))
    tiles = [
        Item(number=number, kind=b"hvc1", body=written, properties=(ispe(*SIZE), settings, pixi(8, 8, 8)), hidden=True)
        for number in numbers
    ]
    layout = struct.pack(">BBBBHH", 0, 0, 0, count - 1, *size)
    whole = Item(kind=b"grid", body=layout, properties=(ispe(*size), pixi(8, 8, 8)), refers=((b"dimg", numbers),))
    return heif([whole, *tiles], brands=BRANDS)


@needs_heif
def test_tiles_are_put_together() -> None:
    decoded = decode(tiled())
    assert (decoded.facts.file.width, decoded.facts.file.height) == (192, 64)
    pixels = decoded.views[0].pixels.astype(int)
    assert np.abs(pixels[:, 2:22] - pixels[:, 26:46]).max() < 12
    assert np.abs(pixels[6, 6] - COLOURS[0]).max() < 12


@needs_heif
def test_tiles_are_counted_by_what_is_decoded_and_not_by_what_is_shown() -> None:
    coded_pixels = [read_structure(data, "HEIC", DecodeLimits()).coded_pixels for data in (tiled(), heic())]
    assert coded_pixels == [192 * 64, 96 * 64]
    over = tiled((100, 32), count=5)
    assert read_structure(over, "HEIC", DecodeLimits()).coded_pixels == 5 * 96 * 64
    grown = decode(over).held_bytes - decode(heic()).held_bytes
    assert grown > 8 * 3 * 96 * 64


@needs_heif
@pytest.mark.parametrize("premultiplied", [False, True])
def test_transparency_is_shown_on_white_and_on_black(premultiplied: bool) -> None:  # noqa: FBT001
    settings, written = coded(encode_heic(Image.new("L", SIZE, 128)))[1:]
    clear = Item(
        number=2,
        kind=b"hvc1",
        body=written,
        properties=(ispe(*SIZE), settings, pixi(8), ALPHA),
        refers=((b"auxl", (1,)),),
        hidden=True,
    )
    shown = item()
    refers = ((b"prem", (2,)),) if premultiplied else ()
    data = heif([Item(kind=b"hvc1", body=shown.body, properties=shown.properties, refers=refers), clear], brands=BRANDS)
    decoded = decode(data)
    assert [view.name for view in decoded.views] == ["on_white", "on_black"]
    white, black = (view.pixels[6, 6].astype(int) for view in decoded.views)
    opaque = np.array(COLOURS[0]) if not premultiplied else np.minimum(255, np.array(COLOURS[0]) * 255 / 128)
    assert np.abs(black - opaque * 128 / 255).max() < 12
    assert np.abs(white - black - 127).max() < 3


@needs_heif
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB;16"])
def test_grey_and_deep_pictures_keep_their_range(mode: str) -> None:
    from pillow_heif import from_bytes  # noqa: PLC0415

    ramp = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    if mode == "RGB;16":
        with io.BytesIO() as buffer:
            deep = np.repeat(ramp[..., None], 3, axis=2).astype("<u2") * 257
            from_bytes("RGB;16", SIZE, deep.tobytes()).save(buffer, quality=95)
            data = buffer.getvalue()
    else:
        data = encode_heic(Image.fromarray(ramp if mode == "L" else ramp.astype(np.uint16) * 257), quality=95)
    pixels = decode(data).views[0].pixels[24, :, 0].astype(int)
    assert np.abs(pixels - np.linspace(0, 255, 48)).max() < 12


@needs_heif
def test_colours_of_a_heic_are_read() -> None:
    from clipwarden.vision.formats.structures import read_structure  # noqa: PLC0415

    whole = encode_heic(natural_picture(1, SIZE), icc_profile=b"\0" * 200)
    colour = read_structure(whole, "HEIC", DecodeLimits()).colour
    assert colour.icc == b"\0" * 200
    hdr = encode_heic(natural_picture(1, SIZE), color_primaries=9, transfer_characteristics=16)
    cicp = read_structure(hdr, "HEIC", DecodeLimits()).colour.cicp
    assert (cicp.primaries, cicp.transfer) == (9, 16)


@needs_heif
def test_the_primary_picture_of_a_heic_is_judged_and_further_ones_are_not_seen() -> None:
    settings, written = coded(encode_heic(Image.new("RGB", SIZE, "white")))[1:]
    other = Item(number=2, kind=b"hvc1", body=written, properties=(ispe(*SIZE), settings, pixi(8, 8, 8)))
    for order in ([item(), other], [other, item()]):
        decoded = decode(heif(order, brands=BRANDS))
        assert corners(decoded) == [0, 1, 2, 3]
        assert (decoded.facts.frames_total, decoded.facts.partial) == (2, True)
    beside = replace(other, refers=((b"thmb", (1,)),))
    assert decode(heif([item(), beside], brands=BRANDS)).facts.frames_total == 1


@needs_heif
def test_another_picture_is_never_judged_instead_of_the_primary_one() -> None:
    shown = item()
    unreadable = Item(kind=b"hvc1", body=shown.body, properties=(ispe(*SIZE), pixi(8, 8, 8)))
    other = Item(number=2, kind=b"hvc1", body=shown.body, properties=shown.properties)
    assert reason_for(heif([unreadable, other], brands=BRANDS)) is Reason.IMAGE_CORRUPT


@needs_heif
def test_damaged_metadata_do_not_stop_the_picture() -> None:
    for kind in (b"Exif", b"mime"):
        junk = Item(number=2, kind=kind, body=b"junk" * 99, refers=((b"cdsc", (1,)),))
        assert corners(decode(heif([item(), junk], brands=BRANDS))) == [0, 1, 2, 3]


@needs_heif
def test_cut_files_are_truncated_and_lying_ones_corrupt() -> None:
    whole = heic()
    cuts = [reason_for(whole[:cut]) for cut in range(40, len(whole), 17)]
    assert set(cuts) == {Reason.IMAGE_TRUNCATED}
    for size in ((48, 32), (960, 640)):
        assert reason_for(heif([item(size=size)], brands=BRANDS)) is Reason.IMAGE_CORRUPT
    unknown = Item(kind=b"xxxx", body=b"x", properties=(ispe(*SIZE),))
    assert reason_for(heif([unknown], brands=BRANDS)) is Reason.IMAGE_CORRUPT


@needs_heif
def test_mutated_files_raise_nothing_but_image_errors() -> None:
    dice = random.Random(10)  # noqa: S311
    seeds = [heic(irot(1), clap(48, 32, 0, 0, of=SIZE)), tiled(), encode_heic(natural_picture(1, SIZE).convert("RGBA"))]
    reasons = set()
    for _ in range(150):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 4)):
            at = int(dice.random() ** 2 * len(data))
            data[at : at + dice.randrange(1, 5)] = dice.randbytes(dice.randrange(0, 5))
        reasons.add(reason_for(bytes(data)))
    assert {None, Reason.IMAGE_CORRUPT} <= reasons


@needs_heif
def test_pillow_is_left_as_it_was() -> None:
    decode(heic())
    assert "HEIF" not in Image.OPEN
    assert ".heic" not in Image.EXTENSION


@pytest.fixture
def without_the_extra() -> Iterator[None]:
    opening.readable_formats.cache_clear()
    with (
        mock.patch.dict(sys.modules, {"pillow_heif": None}),
        mock.patch.object(opening, "find_spec", return_value=None),
    ):
        yield
    opening.readable_formats.cache_clear()


@pytest.mark.usefixtures("without_the_extra")
def test_heic_is_named_with_what_it_needs_where_the_extra_is_missing() -> None:
    named = box(b"ftyp", b"heic", bytes(4), b"mif1heic") + box(b"meta", bytes(99))
    for data in (named, named[:24]):
        with pytest.raises(
            ImageError, match=r"is HEIC, which needs the extra heif: pip install 'clipwarden\[heif\]'"
        ) as caught:
            decode(data)
        assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED
    with pytest.raises(ImageError, match=r"\(JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF\)"):
        decode(b"something else")
