"""AV1 sequence headers, written bit by bit as the specification orders them."""

import struct

import pytest

from clipwarden.vision.formats.av1 import sequence_headers
from clipwarden.vision.formats.reader import BoundedReader, Budget
from clipwarden.vision.structure import Cicp
from kit.isobmff import coded
from kit.pictures import encode, natural_picture

DISPLAY_P3 = Cicp(primaries=12, transfer=13, matrix=6, full_range=True)
COLOUR = "1" + f"{12:08b}{13:08b}{6:08b}" + "1"
SIZE = f"{9:04b}{7:04b}" + f"{639:010b}{199:08b}"


def unit(kind: int, body: bytes, *, extended: bool = False, sized: bool = True) -> bytes:
    head = bytes([kind << 3 | extended << 2 | sized << 1]) + (b"\0" if extended else b"")
    return head + (bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) if sized else b"") + body


def header(bits: str) -> bytes:
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def read(data: bytes, entries: int = 1000) -> list[tuple[tuple[int, int], Cicp | None]]:
    found = sequence_headers(BoundedReader(data, Budget(entries=entries, bytes=10_000)), 0, len(data))
    return [(each.size, each.cicp) for each in found]


# One frame only, and no choice of tools.
REDUCED = "000" + "11" + "00000" + SIZE + "000"
PLAIN = "000" + "00"
TIMING = "1" + f"{1:032b}{30:032b}" + "1" + "00101"  # equal intervals, and one more number of 2 bits
MODEL = "1" + f"{9:05b}{1:032b}{3:05b}{4:05b}"
NEITHER = "0" + "0" + "00000"  # timing, display delay; one operating point
POINT = f"{0:012b}{8:05b}" + "1"
LOW_POINT = f"{0:012b}{5:05b}"
MODELLED_POINTS = "1" + "00001" + (POINT + "1" + "0" * 21 + "10111") * 2
TOOLS = "000" + "0000" + "1" + "11" + "0" + "1" + "0" + "1" + f"{6:03b}" + "000"
NO_SCREEN = "000" + "0000" + "0" + "0" + "0" + "000"
ANY_SCREEN = "000" + "0000" + "0" + "1" + "1" + "000"


@pytest.mark.parametrize(
    "bits",
    [
        REDUCED + "000" + "00" + COLOUR,
        PLAIN + NEITHER + LOW_POINT + SIZE + "0" + TOOLS + "00" + COLOUR,
        PLAIN + NEITHER + POINT + SIZE + "1" + "0" * 7 + TOOLS + "00" + COLOUR,
        PLAIN + TIMING + MODEL + MODELLED_POINTS + SIZE + "0" + TOOLS + "00" + COLOUR,
        PLAIN + NEITHER + POINT + SIZE + "0" + NO_SCREEN + "00" + COLOUR,
        PLAIN + NEITHER + POINT + SIZE + "0" + ANY_SCREEN + "00" + COLOUR,
        "001" + REDUCED[3:] + "000" + "0" + COLOUR,
        "010" + REDUCED[3:] + "000" + "110" + COLOUR,
    ],
    ids=["reduced", "plain", "frame numbers", "decoder model", "few tools", "still tools", "4:4:4", "12 bits"],
)
def test_size_and_colours_are_found_behind_whatever_a_header_holds(bits: str) -> None:
    assert read(unit(1, header(bits))) == [((640, 200), DISPLAY_P3)]


def test_headers_are_found_among_other_units() -> None:
    named = header(REDUCED + "000" + "00" + COLOUR)
    silent = header(REDUCED + "000" + "00" + "0" + "00")
    identity = header("001" + REDUCED[3:] + "000" + "0" + "1" + f"{1:08b}{13:08b}{0:08b}")
    data = unit(2, b"") + unit(15, b"p" * 300) + unit(1, named, extended=True) + unit(6, b"frame") + unit(1, silent)
    srgb = Cicp(primaries=1, transfer=13, matrix=0, full_range=True)
    rest = unit(1, identity, sized=False)
    assert read(data + rest) == [((640, 200), DISPLAY_P3), ((640, 200), None), ((640, 200), srgb)]


def test_what_encoders_write_is_read() -> None:
    for options in ({}, {"subsampling": "4:4:4"}, {"subsampling": "4:0:0"}, {"range": "limited"}):
        data = encode(natural_picture(1, (70, 50)), "AVIF", **options)
        (found,) = read(coded(data)[2])
        full = options.get("range") != "limited"
        assert found == ((70, 50), Cicp(primaries=1, transfer=13, matrix=6, full_range=full))


def test_headers_that_end_too_early_or_never_are_damaged() -> None:
    whole = header(REDUCED + "000" + "00" + COLOUR)
    endless = header("000" + "00" + "1" + "0" * 64 + "1" + "0" * 400)
    for data in (unit(1, whole[:4]), unit(1, whole)[:6], b"\x0a" + b"\xff" * 9, unit(1, endless)):
        with pytest.raises(struct.error):
            read(data)
    with pytest.raises(struct.error):
        read(unit(2, b"") * 1001)
