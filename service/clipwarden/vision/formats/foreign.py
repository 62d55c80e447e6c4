"""A file's first bytes in; what it is called that is of no format judged here, and whether a person would see it, out.

One table for two questions: what to tell whoever sent such a file, and what to pass over among files of unknown kind.
Reads nothing but what it is given.
"""

import re
from dataclasses import dataclass

from clipwarden.vision.formats.heifheader import read_brands, sniff_heif
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader

BEGINNING_BYTES = 4096
"""Enough to tell: the longest is an SVG's prologue, some 600 bytes as drawing programs write it; and a disk reads no
less than a page."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of file that is not judged.

    Attributes:
        name: Such as "a PDF", to be read behind "The file is".
        is_seen: Whether it is a picture or a video, so that passing over it would be passing over what people see.
    """

    name: str
    is_seen: bool = True


_VIDEO = "a video (MP4, QuickTime or their kin)"
_SVG_NAME = "SVG, which is drawn by a program and not stored as pixels"

# Truecolour and grey, or with a colour map; plain or run-length coded; of a size and depth that there is.
_TGA = (
    rb".(?:\0[\x02\x03\x0a\x0b]\0{5}|\x01[\x01\x09]....[\x0f\x10\x18\x20])"
    rb".{4}(?!\0\0)..(?!\0\0)..[\x08\x0f\x10\x18\x20]"
)
# Sources: the formats' specifications, and the signatures in file(1)'s and shared-mime-info's databases. Nothing here
# begins a text: "P1" or "P6" alone would, so that Netpbm's width and height are asked for, and of boxes a length with a
# byte that no text has. The first that matches counts.
_SEEN = (
    (rb"\xff\x0a|\0{3}\x0cJXL \r\n\x87\n", "JPEG XL"),
    (rb"\0{3}\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"II\xbc\x01", "JPEG XR"),
    (rb"\0\0\x01\0(?!\0\0)..", "an icon (ICO)"),
    (rb"\0\0\x02\0(?!\0\0)..", "a cursor (CUR)"),
    (_TGA, "TGA"),
    (rb"8BP[SB]\0", "a Photoshop document"),
    (rb"gimp xcf ", "a GIMP picture (XCF)"),
    (rb"qoif", "QOI"),
    (rb"DDS \|", "a texture (DDS)"),
    (rb"FLIF", "FLIF"),
    (rb"BPG\xfb", "BPG"),
    (rb"farbfeld", "farbfeld"),
    (rb"icns", "an icon (ICNS)"),
    (rb"v/1\x01", "OpenEXR"),
    (rb"#\?RADIANCE", "Radiance HDR"),
    (rb"\x8aMNG\r\n\x1a\n|\x8bJNG\r\n\x1a\n", "MNG or JNG"),
    (rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF", "a Windows metafile"),
    (rb"FUJIFILMCCD-RAW|IIRO|IIRS|MMOR|IIU\0", "a camera's raw file"),
    (rb"P[1-6]\s(?:#[^\n]*\n|\s)*+\d+\s+\d+\s|P7\n|P[fF]\n\d+ \d+\n", "Netpbm"),
    (rb"RIFF.{4}ACON", "an animated cursor (ANI)"),
    (rb"RIFF.{4}AVI ", "a video (AVI)"),
    (rb"\x1a\x45\xdf\xa3", "a video (WebM or Matroska)"),
    (rb"FLV\x01", "a video (Flash)"),
    (rb"[FCZ]WS[\x03-\x08\x0b\x0c\x0e-\x1f].{4}", "a video (Flash)"),
    # The last: as cameras of Blu-ray discs write it, with four bytes before each packet.
    (rb"\0\0\x01[\xb3\xba]|(?:G.{187}){4}G|(?:.{4}G.{187}){4}.{4}G", "a video (MPEG)"),
    (rb"\0\0\0\x01[\x09\x27\x67]", "a video (H.264)"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video (Windows Media)"),
    (rb"\.RMF\0", "a video (RealMedia)"),
    (rb"DKIF\0\0", "a video (IVF)"),
    (rb"YUV4MPEG2 ", "a video (Y4M)"),
    (rb"OggS.*?(?:\x80theora|\x01video|BBCD\0|OVP80)", "a video (Ogg)"),
    (rb"OggS(?!.{24}(?:\x01vorbis|OpusHead|Speex  |\x7fFLAC))", "a video or sound (Ogg)"),
    # What files without brands begin with, and pieces of streams.
    (rb"(?=.{0,3}[\0-\x08\x0e-\x1f]).{4}(?:moov|mdat|wide|free|skip|pnot|moof|styp|sidx)", _VIDEO),
)
_UNSEEN = (
    (rb"OggS", "sound (Ogg)"),
    (rb"%PDF-", "a PDF"),
    (rb"PK\x03\x04", "a ZIP archive, or a document in one"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"(?:\xef\xbb\xbf)?\s*(?i:<!doctype html|<html)", "an HTML page"),
)
_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), Foreign(name, is_seen=is_seen))
    for table, is_seen in ((_SEEN, True), (_UNSEEN, False))
    for pattern, name in table
)
# Major brands of ISO base media files (mp4ra.org); all others are taken for videos.
_KIND_BY_BRAND = {
    b"crx ": Foreign("a camera's raw file (CR3)"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), Foreign("sound (M4A)", is_seen=False)),
}

# What may stand before the root of an SVG. Possessive, so that a hostile file costs one pass.
_SVG = re.compile(
    r"\ufeff?(?>\s|<\?(?>.*?\?>)|<!--(?>.*?-->)|<!DOCTYPE[^\[>]*+(?>\[.*?\]\s*+)?>)*+<(?>[\w.-]+:)?svg[\s>/]",
    re.DOTALL | re.IGNORECASE,
)


def foreign_kind(data: bytes) -> Foreign | None:
    """Tell what bytes are that `sniff.sniff_format` does not know.

    Args:
        data: The file, or at least its first `BEGINNING_BYTES`, which are all that is looked at.

    Returns:
        The kind; None for anything unknown.
    """
    head = data[:BEGINNING_BYTES]
    if head[4:8] == b"ftyp":
        return _iso_media(BoundedReader(head, HEADER_BUDGET))
    found = next((kind for pattern, kind in _KINDS if pattern.match(head)), None)
    return found or (Foreign(_SVG_NAME) if _SVG.match(_text(head)) else None)


def _iso_media(reader: BoundedReader) -> Foreign:
    if sniff_heif(reader) is not None:
        return Foreign("HEIF whose picture is neither AV1 nor HEVC")
    major = next(iter(read_brands(reader)), b"")
    return _KIND_BY_BRAND.get(major, Foreign(_VIDEO))


def _text(head: bytes) -> str:
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return head.decode("utf-16" if utf16 else "utf-8", "replace")
