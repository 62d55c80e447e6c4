"""BMP: rare kinds are refused by name, run lengths that leave out pixels are flagged, alpha masks count."""

import struct

import numpy as np
import pytest

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.formats import bmpruns

WIDTH, HEIGHT = 8, 4
AS_SHOWN = Preprocessing(side=16, fit="squash", colour="srgb")
STANDARD = 0xFF0000, 0xFF00, 0xFF
RED = b"\0\0\xff\x80" * WIDTH * HEIGHT


def bmp(pixels: bytes, *, bits: int = 32, compression: int = 0, header: int = 40, masks: tuple[int, ...] = ()) -> bytes:
    body = struct.pack("<IiiHHIIiiII", header, WIDTH, HEIGHT, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    body = (body + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0")
    body += b"".join(bytes([level, 0, 255 - level, 0]) for level in range(256)) if bits <= 8 else b""
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(body)) + body + pixels


def decode(data: bytes) -> DecodedImage:
    return decode_image(data, preprocessing=AS_SHOWN)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (bmp(bytes(64), bits=2), "of 2 bits a pixel"),
        (bmp(RED, compression=6, masks=(*STANDARD, 0xFF000000)), "of compression 6"),
        (bmp(RED, compression=3, header=64, bits=1), "of compression 3"),
        (bmp(RED, header=48), "with a short header of OS/2"),
        (bmp(RED, compression=3, masks=(0x3FF00000, 0xFFC00, 0x3FF)), "of 32 bits a pixel with channels at unusual"),
        (bmp(RED, header=108, masks=(*STANDARD, 0xF0000000)), "of 32 bits a pixel with channels at unusual places"),
        (bmp(RED, bits=16, header=56, masks=(0x7C00, 0x3E0, 0x1F, 0x8000)), "of 16 bits a pixel with transparency"),
        (bmp(RED, bits=16, compression=3, masks=(0xF00, 0xF0, 0xF)), "of 16 bits a pixel with channels at unusual"),
    ],
)
def test_whole_files_of_rare_kinds_are_unsupported_and_named(data: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"The image is a BMP {name}") as caught:
        decode(data)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


@pytest.mark.parametrize("header", [56, 108, 124])
@pytest.mark.parametrize("compression", [0, 3])
def test_an_alpha_mask_counts_under_any_compression_unless_all_is_clear(header: int, compression: int) -> None:
    masks = *STANDARD, 0xFF000000
    half = decode(bmp(RED, header=header, compression=compression, masks=masks))
    assert [view.name for view in half.views] == ["on_white", "on_black"]
    for fourth in (b"\0", b"\xff"):
        pixels = RED.replace(b"\x80", fourth)
        (full,) = decode(bmp(pixels, header=header, compression=compression, masks=masks)).views
        assert np.array_equal(full.pixels, np.broadcast_to((255, 0, 0), full.pixels.shape))


ROW = bytes([WIDTH, 7]) + b"\0\0"
ABSOLUTE = bytes([0, 5, 7, 7, 7, 7, 7, 0, 3, 7]) + b"\0\0"


@pytest.mark.parametrize(
    ("runs", "flagged"),
    [
        (ROW * HEIGHT + b"\0\1", False),
        (ABSOLUTE * HEIGHT + b"\0\1", False),
        (ROW * HEIGHT, False),
        (ROW * 3 + b"\0\2\1\0" + bytes([WIDTH - 1, 7]) + b"\0\0\0\1", True),
        (b"\0\2\0\2" + ROW * 2 + b"\0\1", True),
        (ROW * 3 + bytes([WIDTH - 1, 7]) + b"\0\0\0\1", True),
        (bytes([WIDTH + 1, 7]) + b"\0\0" + ROW * 3 + b"\0\1", True),
    ],
)
def test_run_lengths_that_leave_out_pixels_are_flagged(runs: bytes, flagged: bool) -> None:  # noqa: FBT001
    decoded = decode(bmp(runs, bits=8, compression=1))
    assert ("COLOUR_UNCERTAIN" in decoded.facts.degraded) == flagged


def test_more_runs_than_anybody_writes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmpruns, "MOST_RUNS", 2 * HEIGHT)
    with pytest.raises(ImageError, match="more than 8 runs"):
        decode(bmp(ROW * HEIGHT + b"\0\1", bits=8, compression=1))
