"""Bytes of no format that is judged in, what they are called out, so that whoever sent them knows what to do."""

from clipwarden.vision.formats.heifheader import read_brands, sniff_heif
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader

_VIDEO = "a video (MP4, QuickTime or their kin)"
# Of ISO base media files, by any of their brands (mp4ra.org); all others are taken for videos.
_NAMES_BY_BRAND = {b"M4A ": "sound (M4A)", b"M4B ": "sound (M4B)", b"crx ": "a camera's raw file (CR3)"}
# Boxes that QuickTime files without brands begin with.
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_NAMES_BY_START = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a cursor (CUR)"),
    (b"%PDF-", "a PDF"),
    (b"\x1aE\xdf\xa3", "a video (WebM or Matroska)"),
    (b"\0\0\1\xba", "a video (MPEG)"),
    (b"FLV\1", "a video (Flash)"),
    (b"OggS", "a video or sound (Ogg)"),
    (b"DDS ", "a texture (DDS)"),
    (b"v/1\1", "OpenEXR"),
    (b"qoif", "QOI"),
    (b"PK\3\4", "a ZIP archive, or a document in one"),
    (b"\x1f\x8b", "a gzip archive"),
)
# Text: how a document begins, behind blanks and a byte order mark; and within how many bytes an SVG says so.
_SVG_START_BYTES = 1024


def name_foreign(data: bytes) -> str | None:
    """Name what bytes are that `sniff.sniff_format` does not know.

    Args:
        data: The file, or as much of its beginning as there is.

    Returns:
        Such as "a PDF", to be read behind "The file is"; None for anything unknown.
    """
    if data[4:8] == b"ftyp":
        return _name_iso_media(BoundedReader(data, HEADER_BUDGET))
    if data[4:8] in _QUICKTIME:
        return _VIDEO
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "a video (AVI)"
    return next((name for start, name in _NAMES_BY_START if data.startswith(start)), None) or _name_text(data)


def _name_iso_media(reader: BoundedReader) -> str:
    if sniff_heif(reader) == "HEIF":
        return "HEIF whose picture is neither AV1 nor HEVC"
    brands = read_brands(reader)
    return next((name for brand, name in _NAMES_BY_BRAND.items() if brand in brands), _VIDEO)


def _name_text(data: bytes) -> str | None:
    start = data[:_SVG_START_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    is_markup = start.startswith((b"<?xml", b"<svg", b"<!--", b"<!doctype svg"))
    return "SVG, which is drawn by a program and not stored as pixels" if is_markup and b"<svg" in start else None
