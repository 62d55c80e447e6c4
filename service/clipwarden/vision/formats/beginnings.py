"""A file's first bytes in; what kind of picture or video it begins like out, be it one that nobody here can judge.

For choosing among files of unknown kind, where what is passed over must be no picture: a kind that is not decoded is
named, so that its file is reported and not taken for a text. Reads nothing but what it is given.
"""

import re

from clipwarden.vision.formats.sniff import sniff_format

BEGINNING_BYTES = 4096
"""Enough to tell: the longest is an SVG's prologue, some 600 bytes as drawing programs write it; and a disk reads no
less than a page."""

# Sources: the formats' specifications, and the signatures in file(1)'s and shared-mime-info's databases. Nothing here
# begins a text: "P1" or "P6" alone would, so that Netpbm's width and height are asked for.
_OTHER_KINDS = tuple(
    (re.compile(beginning, re.DOTALL), name)
    for beginning, name in (
        (rb"\xff\x0a", "JPEG XL"),
        (rb"\0{3}\x0cJXL \r\n\x87\n", "JPEG XL"),
        (rb"\0{3}\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (rb"\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"II\xbc\x01", "JPEG XR"),
        (rb"\0\0\x01\0", "ICO"),
        (rb"\0\0\x02\0", "CUR or TGA"),
        (rb"8BP[SB]\0", "PSD"),
        (rb"gimp xcf ", "XCF"),
        (rb"qoif", "QOI"),
        (rb"DDS \|", "DDS"),
        (rb"FLIF", "FLIF"),
        (rb"BPG\xfb", "BPG"),
        (rb"farbfeld", "farbfeld"),
        (rb"icns", "ICNS"),
        (rb"\x76\x2f\x31\x01", "OpenEXR"),
        (rb"#\?RADIANCE", "Radiance HDR"),
        (rb"\x8aMNG\r\n\x1a\n", "MNG"),
        (rb"\x8bJNG\r\n\x1a\n", "JNG"),
        (rb"\xd7\xcd\xc6\x9a", "WMF"),
        (rb"\x01\0\0\0.{36} EMF", "EMF"),
        (rb"FUJIFILMCCD-RAW|IIRO|IIRS|MMOR|IIU\0", "camera raw"),
        (rb"P[1-6]\s(?:#[^\n]*\n|\s)*+\d+\s+\d+\s|P7\n|P[fF]\n\d+ \d+\n", "Netpbm"),
        (rb"RIFF.{4}ACON", "animated cursor"),
        (rb"RIFF.{4}AVI ", "AVI video"),
        (rb"\x1a\x45\xdf\xa3", "Matroska or WebM video"),
        (rb"FLV\x01", "FLV video"),
        (rb"\0\0\x01[\xb3\xba]", "MPEG video"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media video"),
        (rb"OggS.{24}\x80theora", "Ogg video"),
        (rb"\0.{3}(?:moov|mdat|wide)", "QuickTime video"),
    )
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_IMAGE_BRANDS = _HEIC_BRANDS | {b"mif1", b"msf1", b"miaf", b"avif", b"avis", b"jxl "}
_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})

# What may stand before the root of an SVG. Possessive, so that a hostile file costs one pass.
_SVG = re.compile(
    r"\ufeff?(?>\s|<\?(?>.*?\?>)|<!--(?>.*?-->)|<!DOCTYPE[^\[>]*+(?>\[.*?\]\s*+)?>)*+<(?>[\w.-]+:)?svg[\s>/]", re.DOTALL
)
_APPLE_DOUBLE = b"\0\5\x16\7"
_BMP_HEADERS = range(12, 125)


def begins_like_picture(head: bytes) -> bool:
    """Say whether a file begins like a picture or a video, of a kind that is judged or of another.

    Args:
        head: Its first `BEGINNING_BYTES`, or all of it.
    """
    return _is_judged_kind(head) or other_kind(head) is not None


def is_apple_double(head: bytes) -> bool:
    """Say whether a file holds macOS's notes on the file of the same name: `._photo.jpg` is no photograph."""
    return head.startswith(_APPLE_DOUBLE)


def other_kind(head: bytes) -> str | None:
    """Name the kind of picture or video that a file begins like and that is not judged; None for any other file.

    Args:
        head: As for `begins_like_picture`.
    """
    if sniff_format(head) is not None:
        return None
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    named = (name for beginning, name in _OTHER_KINDS if beginning.match(head))
    return next(named, None) or ("SVG" if _SVG.match(_text(head)) else None)


def _is_judged_kind(head: bytes) -> bool:
    kind = sniff_format(head)
    # Two letters begin many a text; no reader takes a header of another length for a BMP's.
    return kind is not None and (kind != "BMP" or int.from_bytes(head[14:18], "little") in _BMP_HEADERS)


def _iso_media(head: bytes) -> str | None:
    """Name what MP4's container holds, by all of its brands (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}
    if brands & _HEIC_BRANDS:
        return "HEIC"
    if head[8:12] in _AUDIO_BRANDS and not brands & _IMAGE_BRANDS:
        return None
    return f"MP4 or its like, of brand {head[8:12].decode('ascii', 'backslashreplace')!r}"


def _text(head: bytes) -> str:
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return head.decode("utf-16" if utf16 else "utf-8", "replace")
