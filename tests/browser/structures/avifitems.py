"""AVIF: what grids, several items, tracks and the coded picture itself say, with honest boxes and without."""

import struct
from collections.abc import Iterator
from functools import cache

from PIL import Image
from tests.browser.parts import encode, exif_block
from tests.browser.structures.case import NEGATIVE, SIZE, Case, half_seen, picture
from tests.kit.isobmff import (
    ALPHA,
    Item,
    box,
    clap,
    coded,
    full_box,
    gain_map,
    grid,
    heif,
    irot,
    ispe,
    nclx,
    pixi,
    profile,
    with_code_points,
    with_track_property,
)

TILE = (128, 96)
"""In pixels; a grid's tiles have at least 64 a side."""


def cases() -> Iterator[Case]:
    """All of them."""
    for name, data in {**_colours(), **_turns(), **_parts(), **_sequences(), **_damage(), **_gain_maps()}.items():
        yield Case(name=f"avif/{name}", data=data)


@cache
def _coded(name: str) -> tuple[bytes, bytes]:
    return coded(encode(picture(name), "AVIF", quality=95, subsampling="4:4:4"))[1:]


def _item(
    *properties: bytes, name: str = "A", body: bytes | None = None, size: tuple[int, int] = SIZE, **rest: object
) -> Item:
    settings, written = _coded(name)
    shown = (ispe(*size), settings, pixi(8, 8, 8), *properties)
    return Item(kind=b"av01", body=written if body is None else body, properties=shown, **rest)  # type: ignore[arg-type]


def _still(*properties: bytes, body: bytes | None = None, size: tuple[int, int] = SIZE) -> bytes:
    return heif([_item(*properties, body=body, size=size)])


def _tiles(*properties: bytes) -> list[Item]:
    image = encode(picture("A").resize(TILE), "AVIF", quality=95, subsampling="4:4:4")
    settings, written = coded(image)[1:]
    shown = (ispe(*TILE), settings, pixi(8, 8, 8), *properties)
    return [Item(number=number, kind=b"av01", body=written, properties=shown, hidden=True) for number in (2, 3)]


def _colours() -> dict[str, bytes]:
    negative = profile(NEGATIVE)
    linear = with_code_points(_coded("A")[1], 1, 8)
    return {
        "profile that is none": _still(profile(b"junk" * 50)),
        "empty profile": _still(profile(b"")),
        "linear by the coded picture": _still(body=linear),
        "linear by the coded picture, sRGB by the box": _still(nclx(1, 13), body=linear),
        "linear by the coded picture, profile": _still(negative, body=linear),
        "code points cut short": _still(box(b"colr", b"nclx", bytes(3))),
        "logarithmic code points": _still(nclx(1, 9)),
    }


def _turns() -> dict[str, bytes]:
    turned = Item(number=2, kind=b"Exif", body=bytes(4) + exif_block(6), refers=((b"cdsc", (1,)),))
    junk = Item(number=2, kind=b"Exif", body=b"no EXIF at all", refers=((b"cdsc", (1,)),))
    return {
        "turned by half": _still(irot(2)),
        "EXIF turned 6, turned by half": heif([_item(irot(2)), turned]),
        "EXIF that is none": heif([_item(), junk]),
        "cropped at the top left": _still(clap(40, 32, 0, 0, of=SIZE)),
        "cropped at the top left, profile": _still(clap(40, 32, 0, 0, of=SIZE), profile(NEGATIVE)),
        "cropped at the top left, turned": _still(irot(3), clap(40, 32, 0, 0, of=SIZE)),
        "cropped beyond itself": _still(clap(40, 32, 40, 0, of=SIZE)),
        "cropped by halves": _still(box(b"clap", struct.pack(">8i", 81, 2, 32, 1, -47, 4, -8, 1))),
    }


def _alpha(alpha: Image.Image) -> Item:
    settings, written = coded(encode(alpha, "AVIF", quality=95))[1:]
    shown = (ispe(*SIZE), settings, pixi(8), ALPHA)
    return Item(number=2, kind=b"av01", body=written, properties=shown, refers=((b"auxl", (1,)),), hidden=True)


def _parts() -> dict[str, bytes]:
    clear, shades = _alpha(half_seen().getchannel("A")), _alpha(Image.linear_gradient("L").resize(SIZE))
    premultiplied = ((b"prem", (2,)),)
    tiles, coloured = _tiles(), _tiles(profile(NEGATIVE))

    def whole(*properties: bytes) -> Item:
        size = 2 * TILE[0], TILE[1]
        shown = (ispe(*size), pixi(8, 8, 8), *properties)
        return Item(kind=b"grid", body=grid(1, 2, *size), properties=shown, refers=((b"dimg", (2, 3)),))

    return {
        "premultiplied alpha": heif([_item(refers=premultiplied), clear]),
        "premultiplied alpha, profile": heif([_item(profile(NEGATIVE), refers=premultiplied), shades]),
        "premultiplied alpha, linear": heif([_item(nclx(1, 8), refers=premultiplied), shades]),
        "premultiplied shades of alpha": heif([_item(refers=premultiplied), shades]),
        "premultiplied by what is no alpha": heif([_item(refers=((b"prem", (3,)),)), shades]),
        "grid": heif([whole(), *tiles]),
        "grid, profile on it": heif([whole(profile(NEGATIVE)), *tiles]),
        "grid, profile on its tiles": heif([whole(), *coloured]),
        "grid of linear code points, profile on its tiles": heif([whole(nclx(1, 8)), *coloured]),
        "grid cropped": heif([whole(clap(40, 32, 0, 0, of=(2 * TILE[0], TILE[1]))), *tiles]),
        "boxes say twice the size": _still(size=(SIZE[0] * 2, SIZE[1] * 2)),
        "another picture as it is": heif(
            [
                Item(kind=b"iden", body=b"", properties=(ispe(*SIZE),), refers=((b"dimg", (2,)),)),
                _item(number=2),
            ]
        ),
        "two pictures": heif([_item(), _item(name="B", number=2)]),
        "two pictures, the second primary": heif([_item(name="B"), _item(number=2)], primary=2),
    }


def _sequences() -> dict[str, bytes]:
    moving = encode(picture("A"), "AVIF", quality=95, save_all=True, append_images=[picture("B")])
    on_track = moving.index(b"nclx\0\x01\0\x0d", moving.index(b"moov"))
    linear = moving[:on_track] + b"nclx\0\x01\0\x08" + moving[on_track + 8 :]
    return {
        "sequence that says it is a still": moving.replace(b"ftypavis", b"ftypavif"),
        "sequence, linear on its track": linear,
        "sequence that says it is a still, linear on its track": linear.replace(b"ftypavis", b"ftypavif"),
        "sequence cropped": with_track_property(moving, clap(40, 32, 0, 0, of=SIZE)),
    }


def _damage() -> dict[str, bytes]:
    whole = _still(profile(NEGATIVE))
    return {
        "cut in half": whole[: -len(_coded("A")[1]) // 2],
        "a box before the items": heif([_item()], before=box(b"free", bytes(8))),
    }


def _gain_maps() -> dict[str, bytes]:
    """B, drawn over A by a gain map: as if A were made for the brighter screen, or as phones have it."""
    settings, body = _coded("B")
    brighter = Item(
        number=3, kind=b"av01", body=body, properties=(ispe(*SIZE), settings, pixi(8, 8, 8), nclx(1, 13)), hidden=True
    )
    groups = box(b"grpl", full_box(b"altr", struct.pack(">IIII", 1, 2, 2, 1)))

    def case(*said: object) -> bytes:
        shown = (ispe(*SIZE), pixi(8, 8, 8), nclx(1, 13))
        refers = ((b"dimg", (1, 3)),)
        tones = Item(number=2, kind=b"tmap", body=b"\0" + gain_map(*said), properties=shown, refers=refers)  # type: ignore[arg-type]
        brands = (b"avif", b"mif1", b"miaf", b"tmap")
        return heif([_item(nclx(1, 13)), tones, brighter], brands=brands, inside=groups)

    return {
        "gain map for brighter screens": case(0, 2000),
        "gain map that reaches far": case(0, 1000, (-9000, 9000, 1000, 64_000, 0)),
        "gain map for darker screens": case(1000, 0, (-2000, 6000, 1000, 16, 16)),
    }
