"""A file's first bytes in; whether it begins like a picture or a video out, be it of a kind that nobody here can judge.

For choosing among files of unknown kind: what is passed over as no image must be none, so that a picture that is not
decoded is tried all the same, and refused with its reason. Reads nothing but what it is given.
"""

import re

from clipwarden.vision.formats.sniff import sniff_format

BEGINNING_BYTES = 4096
"""Enough to tell: the longest is an SVG's prologue, some 600 bytes as drawing programs write it; and a disk reads no
less than a page."""

# Sources: the formats' specifications, and the signatures in file(1)'s and shared-mime-info's databases. Nothing here
# begins a text: "P1" or "P6" alone would, so that Netpbm's width and height are asked for.
_OTHER_KINDS = (
    rb"\xff\x0a",  # JPEG XL
    rb"\0{3}\x0cJXL \r\n\x87\n",  # JPEG XL
    rb"\0{3}\x0cjP  \r\n\x87\n",  # JPEG 2000
    rb"\xff\x4f\xff\x51",  # JPEG 2000
    rb"II\xbc\x01",  # JPEG XR
    rb"\0\0\x01\0",  # ICO
    rb"\0\0\x02\0",  # CUR or TGA
    rb"8BP[SB]\0",  # PSD
    rb"gimp xcf ",  # XCF
    rb"qoif",  # QOI
    rb"DDS \|",  # DDS
    rb"FLIF",  # FLIF
    rb"BPG\xfb",  # BPG
    rb"farbfeld",  # farbfeld
    rb"icns",  # ICNS
    rb"\x76\x2f\x31\x01",  # OpenEXR
    rb"#\?RADIANCE",  # Radiance HDR
    rb"\x8aMNG\r\n\x1a\n",  # MNG
    rb"\x8bJNG\r\n\x1a\n",  # JNG
    rb"\xd7\xcd\xc6\x9a",  # WMF
    rb"\x01\0\0\0.{36} EMF",  # EMF
    rb"FUJIFILMCCD-RAW|IIRO|IIRS|MMOR|IIU\0",  # camera raw
    rb"P[1-6]\s(?:#[^\n]*\n|\s)*+\d+\s+\d+\s|P7\n|P[fF]\n\d+ \d+\n",  # Netpbm
    rb"RIFF.{4}ACON",  # animated cursor
    rb"RIFF.{4}AVI ",  # AVI video
    rb"\x1a\x45\xdf\xa3",  # Matroska or WebM video
    rb"FLV\x01",  # FLV video
    rb"\0\0\x01[\xb3\xba]",  # MPEG video
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # Windows Media video
    rb"OggS.{24}\x80theora",  # Ogg video
    rb"\0.{3}(?:moov|mdat|wide)",  # QuickTime video
)
_OTHER = re.compile(b"|".join(_OTHER_KINDS), re.DOTALL)
# ISO/IEC 23008-12 and the registry at mp4ra.org: a file of sound says nothing of these.
_IMAGE_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"avif", b"avis", b"jxl "}
    | {b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"}
)
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})

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
    kind = sniff_format(head)
    if kind is not None:
        # Two letters begin many a text; no reader takes a header of another length for a BMP's.
        return kind != "BMP" or int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    if head[4:8] == b"ftyp":
        return not _is_sound(head)
    return (_OTHER.match(head) or _SVG.match(_text(head))) is not None


def is_apple_double(head: bytes) -> bool:
    """Say whether a file holds macOS's notes on the file of the same name: `._photo.jpg` is no photograph."""
    return head.startswith(_APPLE_DOUBLE)


def _is_sound(head: bytes) -> bool:
    """Tell sound from all else in MP4's container, by all of its brands (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[place : place + 4] for place in range(16, end - 3, 4)}
    return head[8:12] in _SOUND_BRANDS and not brands & _IMAGE_BRANDS


def _text(head: bytes) -> str:
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return head.decode("utf-16" if utf16 else "utf-8", "replace")
