import struct

import pytest

from clipwarden.vision.formats.truncation import looks_cut_short


def box(size: int, name: bytes = b"mdat", body: bytes = b"") -> bytes:
    return struct.pack(">I", size) + name + body


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        (box(12, body=b"abcd"), False),
        (box(13, body=b"abcd"), True),
        (box(12, body=b"abcd") + box(9), True),
        (box(12, body=b"abcd") + box(9, b"free"), True),
        (box(0, body=b"to the end"), False),
        (box(1, body=struct.pack(">Q", 20) + b"abcd"), False),
        (box(1, body=struct.pack(">Q", 21) + b"abcd"), True),
        (box(1), True),
        (box(12, b"meta", b"abcd") + b"\0\0", True),
        (box(12, body=b"abcd") + b"\0\0", False),  # junk behind the picture
        (box(12, body=b"abcd") + box(99, b"\0\1\2\3"), False),
        (box(3), False),  # smaller than its own header: damaged, not cut
        (b"\0\0", True),
    ],
)
def test_avif_is_cut_short_when_its_last_box_is(data: bytes, cut: bool) -> None:  # noqa: FBT001
    assert looks_cut_short(data, "AVIF") is cut
    assert looks_cut_short(data, "HEIC") is cut


@pytest.mark.parametrize("image_format", ["WEBP", "BMP", "TIFF"])
def test_file_without_a_whole_header_is_cut_short(image_format: str) -> None:
    assert looks_cut_short(b"II", image_format)


def test_unknown_format_does_not_say() -> None:
    assert not looks_cut_short(b"", "PPM")
