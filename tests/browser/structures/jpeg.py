"""JPEG: segments doubled, out of order, missing or in the wrong place; CMYK and its marker."""

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image
from tests.browser.parts import (
    after_start,
    before_scan,
    encode,
    exif_block,
    exif_segment,
    exif_sized,
    icc_segment,
    jpeg_frame,
    jpeg_parts,
    jpeg_renamed,
    jpeg_segment,
    xmp,
)
from tests.browser.structures.case import NEGATIVE, SIZE, SWAPPED, Case, picture
from tests.kit.isobmff import gain_map

END = b"\xff\xd9"
ADOBE_RGB, ADOBE_YCC, ADOBE_YCCK = (
    jpeg_segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, kind)) for kind in range(3)
)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _frames()
    yield from _ends()
    yield from _profiles()
    yield from _turns()
    yield from _models()
    yield from _gain_maps()


def jpeg(name: str, **options: object) -> bytes:
    """Encode a picture almost without loss."""
    return encode(picture(name), "JPEG", quality=95, subsampling=0, **options)


def bare(name: str, **options: object) -> bytes:
    """The same without the segment that says JFIF."""
    data = jpeg(name, **options)
    return b"".join(part for part in jpeg_parts(data) if part[1] != 0xE0)


def _case(name: str, data: bytes) -> Case:
    return Case(name=f"jpeg/{name}", data=data)


def _resized(data: bytes, size: tuple[int, int]) -> bytes:
    head = jpeg_frame(data)
    return data.replace(head, head[:5] + struct.pack(">HH", size[1], size[0]) + head[9:])


def _frames() -> Iterator[Case]:
    a, b = jpeg("A"), jpeg("B")
    head = jpeg_frame(a)
    small = head[:5] + struct.pack(">HH", 24, 32) + head[9:]
    yield _case("plain", a)
    yield _case("progressive", jpeg("A", progressive=True))
    yield _case("two SOI", a[:2] + a)
    yield _case("another JPEG's start before", b[:200] + a)
    yield _case("two SOF, the first smaller", a.replace(head, small + head))
    yield _case("two SOF, the second smaller", a.replace(head, head + small))
    yield _case("SOF behind the scan", a[:-2] + small + END)
    yield _case("second JPEG behind the end", a + b)
    yield _case("second picture before the end", a[:-2] + b)
    yield _case("second scan of another picture", a[:-2] + b"".join(jpeg_parts(b)[1:-1]) + END)
    yield _case("more behind the end", a + b"more" * 99)
    yield _case("bytes before the start", b"\0" + a)
    yield _case("bytes between segments", after_start(a, b"\0\0\0"))
    yield _case("fill bytes between segments", after_start(a, b"\xff" * 9))
    yield _case("stuffing before a segment", before_scan(a, b"\1\2\3"))
    yield _case("restart markers", jpeg("A", restart_marker_blocks=2))
    yield _case("restart markers out of order", jpeg("A", restart_marker_blocks=2).replace(b"\xff\xd1", b"\xff\xd5", 1))
    yield _case(
        "tables doubled, the second of another quality",
        before_scan(a, *[part for part in jpeg_parts(encode(picture("A"), "JPEG", quality=5)) if part[1] == 0xDB]),
    )
    yield _case("thumbnail of another picture", after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + _thumbnail(jpeg("B")))))
    yield _case(
        "two pictures by MPF", encode(picture("A"), "MPO", save_all=True, append_images=[picture("B")], quality=95)
    )
    yield _case("arithmetic coding", a.replace(head, b"\xff\xc9" + head[2:]))
    yield _case("lossless", a.replace(head, b"\xff\xc3" + head[2:]))
    yield _case("12 bits", a.replace(head, head[:4] + b"\x0c" + head[5:]))
    yield _case("comment of much", after_start(a, *[jpeg_segment(0xFE, bytes(60000))] * 40))


def _thumbnail(data: bytes) -> bytes:
    directory = struct.pack(">HI", 0, 14) + struct.pack(">H", 3)
    directory += struct.pack(">HHIHH", 0x0103, 3, 1, 6, 0) + struct.pack(">HHII", 0x0201, 4, 1, 56)
    directory += struct.pack(">HHII", 0x0202, 4, 1, len(data)) + struct.pack(">I", 0)
    return (b"MM\0*" + struct.pack(">I", 8) + directory).ljust(56, b"\0") + data


def _ends() -> Iterator[Case]:
    a, progressive = jpeg("A"), jpeg("A", progressive=True)
    last = jpeg_parts(a)[-2]
    yield _case("no EOI", a[:-2])
    yield _case("no EOI, progressive", progressive[:-2])
    yield _case("half of EOI", a[:-1])
    yield _case("no EOI, other bytes there", a[:-2] + b"more" * 9)
    yield _case("no EOI, zeros there", a[:-2] + bytes(999))
    yield _case("cut at half its scan", a[: -len(last) // 2])
    yield _case("cut at half its scan, then ended", a[: -len(last) // 2] + END)
    yield _case("progressive, cut at half", progressive[: len(progressive) // 2])
    yield _case("progressive, cut at half, then ended", progressive[: len(progressive) // 2] + END)
    yield _case("no scan", b"".join(jpeg_parts(a)[:-2]) + END)
    yield _case("height 0, DNL", _resized(a, (64, 0))[:-2] + b"\xff\xdc\0\4" + struct.pack(">H", 48) + END)
    yield _case("height 0", _resized(a, (64, 0)))
    yield _case("DNL that halves", a[:-2] + b"\xff\xdc\0\4" + struct.pack(">H", 24) + END)
    yield _case("header twice as high", _resized(a, (64, 96)))
    yield _case("header half as high", _resized(a, (64, 24)))
    yield _case("damaged in the scan", a[:-120] + bytes(40) + a[-80:])


def _profiles() -> Iterator[Case]:
    a = jpeg("A")
    first, second = NEGATIVE[:900], NEGATIVE[900:]
    in_two = [icc_segment(first, 1, 2), icc_segment(second, 2, 2)]
    swapped = icc_segment(SWAPPED, 1, 1)
    yield _case("profile", after_start(a, icc_segment(NEGATIVE, 1, 1)))
    yield _case("profile in two", after_start(a, *in_two))
    yield _case("profile in two, out of order", after_start(a, *in_two[::-1]))
    yield _case("profile in two, one missing", after_start(a, in_two[0]))
    yield _case("profile in two, the first missing", after_start(a, in_two[1]))
    yield _case("profile in two, one doubled", after_start(a, in_two[0], *in_two))
    yield _case("profile in two, one doubled with other bytes", after_start(a, icc_segment(bytes(900), 1, 2), *in_two))
    yield _case("profile in two that say three", after_start(a, icc_segment(first, 1, 3), icc_segment(second, 2, 3)))
    yield _case(
        "profile in two that disagree on the count", after_start(a, icc_segment(first, 1, 2), icc_segment(second, 2, 3))
    )
    yield _case("profile in two that say one", after_start(a, icc_segment(first, 1, 1), icc_segment(second, 2, 1)))
    yield _case("profile numbered from 0", after_start(a, icc_segment(NEGATIVE, 0, 1)))
    yield _case("profile of count 0", after_start(a, icc_segment(NEGATIVE, 1, 0)))
    yield _case("two profiles", after_start(a, icc_segment(NEGATIVE, 1, 1), swapped))
    yield _case("broken profile, then another", after_start(a, icc_segment(b"nonsense" * 30, 1, 1), swapped))
    yield _case("profile behind the scan", a[:-2] + icc_segment(NEGATIVE, 1, 1) + END)
    yield _case("profile behind the end", a + icc_segment(NEGATIVE, 1, 1))
    yield _case("profile right before the scan", before_scan(a, icc_segment(NEGATIVE, 1, 1)))
    yield _case("profile behind the first of the scans", _in_progressive(icc_segment(NEGATIVE, 1, 1)))
    yield _case("profile in a wrong segment", after_start(a, jpeg_segment(0xE1, b"ICC_PROFILE\0\1\1" + NEGATIVE)))
    yield _case("profile with other letters", after_start(a, jpeg_segment(0xE2, b"icc_profile\0\1\1" + NEGATIVE)))


def _in_progressive(segment: bytes) -> bytes:
    parts = jpeg_parts(jpeg("A", progressive=True))
    at = next(index for index, part in enumerate(parts) if part[1] == 0xDA)
    return b"".join([*parts[: at + 1], segment, *parts[at + 1 :]])


def _turns() -> Iterator[Case]:
    a = jpeg("A")
    three, six = exif_segment(3), exif_segment(6)
    little = jpeg_segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0))
    yield _case("EXIF turned 6", after_start(a, six))
    yield _case("EXIF little-endian", after_start(a, little))
    yield _case("two EXIF, 3 and 6", after_start(a, three, six))
    yield _case("two EXIF, 6 and 3", after_start(a, six, three))
    yield _case(
        "two EXIF, nothing and 6",
        after_start(a, jpeg_segment(0xE1, b"Exif\0\0MM\0*" + struct.pack(">IHI", 8, 0, 0)), six),
    )
    yield _case("two EXIF, broken and 6", after_start(a, jpeg_segment(0xE1, b"Exif\0\0nonsense"), six))
    yield _case("two EXIF, 9 and 6", after_start(a, exif_segment(9), six))
    yield _case("EXIF behind JFIF", before_scan(a, six))
    yield _case("EXIF behind the scan", a[:-2] + six + END)
    yield _case("EXIF behind the end", a + six)
    yield _case("EXIF with a prefix of one zero", after_start(a, jpeg_segment(0xE1, b"Exif\0" + exif_block(6))))
    yield _case("EXIF with a prefix of 0 and 1", after_start(a, jpeg_segment(0xE1, b"Exif\0\1" + exif_block(6))))
    yield _case("EXIF without a prefix", after_start(a, jpeg_segment(0xE1, exif_block(6))))
    yield _case("EXIF in another segment", after_start(a, jpeg_segment(0xE2, b"Exif\0\0" + exif_block(6))))
    yield _case("EXIF with orientation twice", after_start(a, _entries((0x0112, 3, 1, 3), (0x0112, 3, 1, 6))))
    yield _case("EXIF with orientation as LONG", after_start(a, _long(6)))
    yield _case("EXIF with two orientations in one tag", after_start(a, _entries((0x0112, 3, 2, 6))))
    yield _case(
        "EXIF with orientation behind a later tag", after_start(a, _entries((0x0132, 3, 1, 1), (0x0112, 3, 1, 6)))
    )
    yield _case("EXIF cut behind its entry", after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + exif_block(6)[:-4])))
    yield _case(
        "EXIF that claims more entries",
        after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + exif_block(6).replace(b"\0\1\1\x12", b"\0\7\1\x12"))),
    )
    yield _case("XMP turned 6", after_start(a, jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))))
    yield _case(
        "EXIF with half the size, twice the density",
        after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + exif_sized((32, 24), (144, 144)))),
    )
    yield _case(
        "EXIF with half the height, twice the density",
        after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + exif_sized((64, 24), (72, 144)))),
    )
    yield _case(
        "EXIF with twice the height, half the density",
        after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + exif_sized((64, 96), (72, 36)))),
    )
    yield _case(
        "EXIF with another size, the same density",
        after_start(a, jpeg_segment(0xE1, b"Exif\0\0" + exif_sized((64, 24), (72, 72)))),
    )


def _entries(*entries: tuple[int, int, int, int]) -> bytes:
    body = b"".join(struct.pack(">HHIHH", *entry, 0) for entry in entries)
    return jpeg_segment(0xE1, b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + body + bytes(4))


def _long(orientation: int) -> bytes:
    return jpeg_segment(0xE1, b"Exif\0\0MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x0112, 4, 1, orientation, 0))


def _models() -> Iterator[Case]:
    rgb = encode(picture("A"), "JPEG", quality=95, keep_rgb=True)
    stripped = b"".join(part for part in jpeg_parts(rgb) if part[1] not in (0xE0, 0xEE))
    jfif = jpeg_parts(jpeg("A"))[1]
    renamed = jpeg_renamed(bare("A"), b"RGB")
    yield _case("RGB by Adobe's marker", after_start(stripped, ADOBE_RGB))
    yield _case("RGB by its letters", stripped)
    yield _case("RGB by its letters, JFIF", after_start(stripped, jfif))
    yield _case("RGB by its letters, Adobe says YCC", after_start(stripped, ADOBE_YCC))
    yield _case("RGB by its letters, JFIF, Adobe says RGB", after_start(stripped, jfif, ADOBE_RGB))
    yield _case("YCC with the letters RGB", renamed)
    yield _case("YCC with the letters RGB, Adobe says YCC", after_start(renamed, ADOBE_YCC))
    yield _case("YCC with the letters RGB, JFIF", after_start(renamed, jfif))
    yield _case("YCC, no marker", bare("A"))
    yield _case("YCC with letters 0 1 2", jpeg_renamed(bare("A"), b"\0\1\2"))
    yield _case("YCC with letters Y C c", jpeg_renamed(bare("A"), b"YCc"))
    yield _case("Adobe says RGB of YCC", after_start(bare("A"), ADOBE_RGB))
    yield _case("Adobe says RGB, JFIF", after_start(jpeg("A"), ADOBE_RGB))
    yield _case("JFIF behind Adobe's RGB", after_start(bare("A"), ADOBE_RGB, jfif))
    yield _case("two Adobe, RGB and YCC", after_start(bare("A"), ADOBE_RGB, ADOBE_YCC))
    yield _case("two Adobe, YCC and RGB", after_start(bare("A"), ADOBE_YCC, ADOBE_RGB))
    yield _case("Adobe's marker short by a byte", after_start(bare("A"), jpeg_segment(0xEE, ADOBE_RGB[4:-1])))
    yield _case("Adobe's marker behind the frame header", before_scan(bare("A"), ADOBE_RGB))
    cmyk = encode(_inks(inverted=True), "JPEG", quality=95, subsampling=0)
    yield _case("CMYK by Pillow, Adobe's marker, inverted", cmyk)
    plain = b"".join(part for part in jpeg_parts(encode(_inks(inverted=False), "JPEG", quality=95)) if part[1] != 0xEE)
    yield _case("CMYK without a marker, as it is", plain)
    flipped = b"".join(part for part in jpeg_parts(cmyk) if part[1] != 0xEE)
    yield _case("CMYK without a marker, inverted", flipped)
    yield _case("CMYK, Adobe says YCCK", after_start(flipped, ADOBE_YCCK))
    grey = encode(picture("A").convert("L"), "JPEG", quality=95)
    yield _case("grey", grey)
    yield _case("grey, Adobe says RGB", after_start(grey, ADOBE_RGB))
    yield _case("two channels", _two_channels())


def _inks(*, inverted: bool) -> Image.Image:
    """A's colours without black ink; Pillow stores CMYK inverted, so what is to lie in the file is the complement."""
    rgb = np.asarray(picture("A"))
    full = np.full((*SIZE[::-1], 1), 255, np.uint8)
    stored = np.concatenate([rgb, full], axis=2) if inverted else 255 - np.concatenate([rgb, full], axis=2)
    return Image.frombytes("CMYK", SIZE, (255 - stored).tobytes())


def _two_channels() -> bytes:
    data = io.BytesIO(jpeg("A")).getvalue()
    head = jpeg_frame(data)
    return data.replace(head, b"\xff\xc0" + struct.pack(">H", 14) + head[4:9] + b"\2" + head[10:16])


def _gain_maps() -> Iterator[Case]:
    """B, drawn over A by a gain map: as phones have it, for brighter screens, or on any."""
    usual = {"GainMapMin": -0.1, "GainMapMax": 2.5, "HDRCapacityMin": 0, "HDRCapacityMax": 2.5}
    wild = {"GainMapMin": -18, "GainMapMax": -10, "OffsetSDR": 1000, "OffsetHDR": 0}
    for name, said in (
        ("as phones have it", usual),
        ("that reaches far", {**usual, **wild}),
        ("below ordinary screens", {**usual, **wild, "HDRCapacityMin": -4, "HDRCapacityMax": 0.001}),
        ("over a brighter base", {**usual, **wild, "BaseRenditionIsHDR": "True"}),
    ):
        yield _case(f"gain map {name}", _with_gain_map(said))
        yield _case(f"gain map {name}, no index of pictures", _with_gain_map(said, index=False))
    yield _case("gain map by ISO 21496-1 as phones have it", _with_gain_map(gain_map(0, 2500)))
    odd = gain_map(1, 0, (-18_000, -10_000, 1000, 1_000_000, 0))
    yield _case("gain map by ISO 21496-1 over a brighter base", _with_gain_map(odd))


def _with_gain_map(said: dict[str, float | str] | bytes, *, index: bool = True) -> bytes:
    spaces = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    iso = b"urn:iso:std:iso:ts:21496:-1\0"
    if isinstance(said, bytes):
        own, metadata = jpeg_segment(0xE2, iso + bytes(4)), jpeg_segment(0xE2, iso + said)
    else:
        written = " ".join(f'hdrgm:{name}="{value}"' for name, value in said.items())
        metadata = _xmp(f"<rdf:Description {spaces} {written}/>")
        own = b""
    second = after_start(jpeg("B"), metadata)
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><C:Item I:Semantic="{what}" I:Mime="image/jpeg" I:Length="{size}"/></rdf:li>'
        for what, size in (("Primary", 0), ("GainMap", len(second)))
    )
    google = "http://ns.google.com/photos/1.0/container/"
    own += _xmp(
        f'<rdf:Description xmlns:C="{google}" xmlns:I="{google}item/" {spaces}>'
        f"<C:Directory><rdf:Seq>{items}</rdf:Seq></C:Directory></rdf:Description>"
    )
    first = after_start(jpeg("A"), own)
    return (_indexed(first, len(own), len(second)) if index else first) + second


def _xmp(description: str) -> bytes:
    return jpeg_segment(
        0xE1,
        b"http://ns.adobe.com/xap/1.0/\0"
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        + description.encode()
        + b"</rdf:RDF></x:xmpmeta>",
    )


def _indexed(first: bytes, after: int, second_size: int) -> bytes:
    """Put an index of two pictures (CIPA DC-007) behind the segments of a first one, `after` bytes long."""
    entries = ((0xB000, 7, 4, 0x30303130), (0xB001, 4, 1, 2), (0xB002, 7, 32, 50))
    table = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    size = 4 + 4 + 8 + len(table) + 32
    whole = len(first) + size
    pictures = struct.pack("<IIIHH", 0x030000, whole, 0, 0, 0)
    pictures += struct.pack("<IIIHH", 0, second_size, whole - (2 + after + 8), 0, 0)
    index = jpeg_segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + table + pictures)
    return first[: 2 + after] + index + first[2 + after :]
