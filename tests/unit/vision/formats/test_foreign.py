import zipfile
from io import BytesIO

import pytest
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import read_header
from clipwarden.vision.formats.foreign import foreign_kind
from clipwarden.vision.formats.sniff import sniff_format
from kit.isobmff import Item, box, heif
from kit.pictures import encode


def archive() -> bytes:
    with BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as written:
            written.writestr("name", "text")
        return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (box(b"ftyp", b"isom", bytes(4), b"iso2avc1mp41") + box(b"moov"), "a video (MP4, QuickTime or their kin)"),
        (box(b"ftyp", b"qt  ", bytes(4), b"qt  "), "a video (MP4, QuickTime or their kin)"),
        (box(b"wide") + box(b"mdat", bytes(99)), "a video (MP4, QuickTime or their kin)"),
        (box(b"ftyp", b"M4A ", bytes(4), b"M4A mp42isom"), "sound (M4A)"),
        (box(b"ftyp", b"crx ", bytes(4), b"crx isom"), "a camera's raw file (CR3)"),
        (heif([Item(kind=b"jpeg", body=b"")], brands=(b"mif1", b"jpeg")), "HEIF whose picture is neither AV1 nor HEVC"),
        (heif([Item(kind=b"unci", body=b"")], brands=(b"mif1",)), "HEIF whose picture is neither AV1 nor HEVC"),
        (b"\x1aE\xdf\xa3\x01\0", "a video (WebM or Matroska)"),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (encode(Image.new("RGB", (8, 8)), "JPEG2000"), "JPEG 2000"),
        (encode(Image.new("RGB", (8, 8)), "JPEG2000", no_jp2=True), "JPEG 2000"),
        (encode(Image.new("RGB", (8, 8)), "ICO"), "an icon (ICO)"),
        (encode(Image.new("RGB", (8, 8)), "PDF"), "a PDF"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is drawn by a program and not stored as pixels"),
        (
            b"\xef\xbb\xbf  <?xml version='1.0'?>\n<!-- x --><SVG/>",
            "SVG, which is drawn by a program and not stored as pixels",
        ),
        (b"\n<!DOCTYPE html><html>", "an HTML page"),
        (b"<!-- <svg> --><html>", None),
        (encode(Image.new("RGB", (8, 8)), "TGA"), "TGA"),
        (encode(Image.new("P", (8, 8)), "TGA", compression="tga_rle"), "TGA"),
        (b"\0\0\2\0\1\0\x20\x20\0\0", "a cursor (CUR)"),
        (box(b"ftyp", b"isom", bytes(4), b"M4A mp42"), "a video (MP4, QuickTime or their kin)"),
        (b"OggS" + bytes(24) + b"OpusHead", "sound (Ogg)"),
        (archive(), "a ZIP archive, or a document in one"),
        (b"<?xml version='1.0'?><rss/>", None),
        (b"hello", None),
        (b"", None),
        (b"ftyp", None),
    ],
)
def test_what_is_not_judged_is_named(data: bytes, name: str | None) -> None:
    assert sniff_format(data) is None
    kind = foreign_kind(data)
    assert (kind and kind.name) == name
    if data:
        with pytest.raises(ImageError, match="not an image of a supported format") as caught:
            read_header(data, preprocessing=Preprocessing(side=64))
        assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED
        assert name is None or f"The file is {name}, not an image" in str(caught.value)
