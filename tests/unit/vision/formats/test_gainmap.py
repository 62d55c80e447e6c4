"""Gain maps, which repaint a picture on some screens: flagged unless they are as phones write them."""

import struct
from functools import cache

import pytest

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.formats.gainmap import is_usual
from clipwarden.vision.formats.heif import avif_structure
from clipwarden.vision.limits import DEFAULT_LIMITS
from kit.containers import jpeg_segment
from kit.isobmff import Item, box, coded, full_box, gain_map, heif, ispe, nclx, pixi
from kit.pictures import encode, natural_picture

AS_SHOWN = Preprocessing(side=32, fit="squash", colour="srgb")
XMP, ISO = b"http://ns.adobe.com/xap/1.0/\0", b"urn:iso:std:iso:ts:21496:-1\0"
NAMESPACE = "http://ns.adobe.com/hdr-gain-map/1.0/"
# As Android writes it.
PHONE = {
    "GainMapMin": "-0.1",
    "GainMapMax": "2.6",
    "Gamma": "1",
    "OffsetSDR": "0.015625",
    "OffsetHDR": "0.015625",
    "HDRCapacityMin": "0",
    "HDRCapacityMax": "2.6",
    "BaseRenditionIsHDR": "False",
}


@cache
def picture(seed: int) -> bytes:
    return encode(natural_picture(seed, (48, 32)), "JPEG")


def packet(values: dict[str, str], *, prefix: str = "hdrgm", namespace: str = NAMESPACE, elements: bool = False) -> str:
    attributes = "" if elements else " ".join(f'{prefix}:{name}="{value}"' for name, value in values.items())
    inside = (
        "".join(f"<{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in values.items()) if elements else ""
    )
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:{prefix}="{namespace}" {prefix}:Version="1.0" {attributes}>{inside}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    )


def with_flags(metadata: bytes, flags: int) -> bytes:
    return metadata[:4] + bytes([flags]) + metadata[5:]


def with_map(*segments: bytes, header: bytes = b"") -> bytes:
    first, second = picture(1), picture(2)
    index = jpeg_segment(0xE2, b"MPF\0II*\0" + bytes(40))
    return first[:2] + header + index + first[2:] + second[:2] + b"".join(segments) + second[2:]


def in_xmp(**values: str) -> bytes:
    return jpeg_segment(0xE1, XMP + packet(PHONE | values).encode())


def is_flagged(data: bytes) -> bool:
    return "COLOUR_UNCERTAIN" in decode_image(data, preprocessing=AS_SHOWN).facts.degraded


def test_what_phones_write_passes() -> None:
    main = jpeg_segment(0xE1, XMP + packet({}).encode())
    for data in (
        with_map(in_xmp(), header=main),
        with_map(jpeg_segment(0xE1, XMP + packet(PHONE, elements=True).encode())),
        with_map(in_xmp(), jpeg_segment(0xE2, ISO + gain_map(0, 2600))),
        with_map(jpeg_segment(0xE2, ISO + gain_map(0, 2600)), header=jpeg_segment(0xE2, ISO + bytes(4))),
        with_map(),
        with_map(jpeg_segment(0xE1, XMP + b"<unreadable")),
    ):
        assert not is_flagged(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HDRCapacityMin", "-4"),
        ("HDRCapacityMin", "-0.001"),
        ("HDRCapacityMax", "nan"),
        ("BaseRenditionIsHDR", "True"),
        ("BaseRenditionIsHDR", "1"),
        ("OffsetSDR", "1000"),
        ("GainMapMax", "60"),
        ("GainMapMin", "-17"),
        ("Gamma", "inf"),
        ("GainMapMax", "two"),
    ],
)
def test_what_no_phone_writes_is_flagged(name: str, value: str) -> None:
    assert is_flagged(with_map(in_xmp(**{name: value})))
    assert is_flagged(with_map(jpeg_segment(0xE1, XMP + packet(PHONE | {name: value}, elements=True).encode())))
    if name != "BaseRenditionIsHDR":
        three = f"<rdf:Seq><rdf:li>0</rdf:li><rdf:li>{value}</rdf:li></rdf:Seq>"
        assert is_flagged(with_map(jpeg_segment(0xE1, XMP + packet(PHONE | {name: three}, elements=True).encode())))


def test_wherever_and_however_it_is_written_a_gain_map_is_found() -> None:
    turned = PHONE | {"HDRCapacityMin": "-4"}
    plain = packet(turned)
    first = picture(1)
    for body in (
        plain.encode(),
        plain.encode("utf-16"),
        packet(turned, prefix="q").encode(),
        packet(turned, namespace=NAMESPACE.replace("-", "&#45;")).encode(),
        plain.replace('"-4"', '"&#45;4"').encode(),
        b'<!DOCTYPE a [<!ENTITY n "4">]>' + plain.replace('"-4"', '"-&n;"').encode(),
    ):
        segment = jpeg_segment(0xE1, XMP + body)
        assert is_flagged(with_map(segment))
        # The gain map itself may stand in a segment ahead of the scan.
        assert is_flagged(first[:2] + jpeg_segment(0xE1, XMP) + jpeg_segment(0xE9, segment) + first[2:])
    assert is_flagged(with_map(jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + plain.encode())))


def test_several_gain_maps_are_flagged() -> None:
    assert is_flagged(with_map(in_xmp(), in_xmp()))
    binary = jpeg_segment(0xE2, ISO + gain_map(0, 2600))
    assert is_flagged(with_map(binary, binary))
    assert is_flagged(with_map(*[jpeg_segment(0xE1, XMP)] * 1100))


def test_depth_maps_of_many_segments_are_no_gain_maps() -> None:
    depth = jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60)) * 100
    assert not is_flagged(with_map(header=depth))


def test_binary_metadata_are_usual_or_flagged() -> None:
    shared = struct.pack(">HHBI", 0, 0, 0x08, 1000) + struct.pack(">7i", 0, 2600, 0, 2600, 1000, 15, 15)
    usual = gain_map(0, 2600)
    for each in (usual, with_flags(gain_map(0, 2600, (0, 2600, 1000, 15, 15) * 3), 0xC0), shared):
        assert is_usual(each)
    for odd in (
        gain_map(1000, 0),
        gain_map(1, 2600),
        gain_map(0, 0),
        gain_map(0, 7000),
        gain_map(0, 2600, (-17_000, 2600, 1000, 15, 15)),
        gain_map(0, 2600, (0, 2600, 1000, 10**6, 15)),
        with_flags(gain_map(0, 2600), 1),
        with_flags(gain_map(0, 2600), 0x80),
        usual[:9] + bytes(4) + usual[13:],
        gain_map(0, 2600)[:-1],
        shared[:5] + bytes(4) + shared[9:],
        b"",
    ):
        assert not is_usual(odd)
        if len(odd) > 4:
            assert is_flagged(with_map(jpeg_segment(0xE2, ISO + odd)))


def avif(*metadata: bytes) -> bytes:
    """A picture with a gain map for each of the given metadata."""
    size = (48, 32)
    settings, body = coded(encode(natural_picture(1, size), "AVIF"))[1:]
    shown = (ispe(*size), settings, pixi(8, 8, 8), nclx(1, 13))
    items = [Item(kind=b"av01", body=body, properties=shown)]
    items += [Item(number=2, kind=b"av01", body=body, properties=shown, hidden=True)]
    for number, each in enumerate(metadata, 3):
        refers = ((b"dimg", (1, 2)),)
        items.append(
            Item(number=number, kind=b"tmap", body=b"\0" + each, properties=(shown[0], *shown[2:]), refers=refers)
        )
    groups = full_box(b"altr", struct.pack(">IIII", 1, 2, 3, 1))
    return heif(items, brands=(b"avif", b"mif1", b"miaf", b"tmap"), inside=box(b"grpl", groups))


def test_gain_maps_of_avif_are_usual_or_flagged() -> None:
    usual = gain_map(0, 2600)
    assert not is_flagged(avif(usual))
    for odd in (gain_map(1000, 0), gain_map(1, 2600), gain_map(0, 2600, (0, 2600, 1000, 16_000, 0))):
        assert is_flagged(avif(odd))
    for several in (avif(usual, usual), avif(usual + bytes(2000))):  # which the decoder refuses
        assert avif_structure(several, DEFAULT_LIMITS).colour.broken
