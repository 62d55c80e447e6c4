"""BMP: headers that contradict the pixels, alpha that may or may not count."""

import struct
from collections.abc import Iterator

import numpy as np
from tests.browser.corpus.others import bmp
from tests.browser.parts import encode
from tests.browser.profiles import gamma_curve, grey_profile
from tests.browser.structures.case import NEGATIVE, SIZE, Case, half_seen, picture

GREY = grey_profile(gamma_curve(3.0))


def cases() -> Iterator[Case]:
    """All of them."""
    plain = encode(picture("A"), "BMP")
    pixels = plain[54:]
    yield Case(name="bmp/plain", data=plain)
    yield Case(name="bmp/more behind the end", data=plain + b"more" * 99)
    yield Case(name="bmp/another behind the end", data=plain + encode(picture("B"), "BMP"))
    yield Case(name="bmp/file size 0", data=plain[:2] + bytes(4) + plain[6:])
    yield Case(name="bmp/pixels' place 0", data=plain[:10] + bytes(4) + plain[14:])
    for place in (14, 40, 50, 58):
        yield Case(name=f"bmp/pixels' place {place}", data=plain[:10] + struct.pack("<I", place) + plain[14:])
    other = encode(picture("B"), "BMP")[54:]
    yield Case(
        name="bmp/pixels behind other pixels",
        data=plain[:10] + struct.pack("<I", 54 + len(other)) + plain[14:54] + other + pixels,
    )
    yield Case(name="bmp/negative height", data=_info(height=-SIZE[1]) + _flipped(pixels))
    yield Case(name="bmp/negative width", data=_info(width=-SIZE[0]) + pixels)
    yield Case(name="bmp/two planes", data=plain[:26] + b"\2\0" + plain[28:])
    yield Case(name="bmp/cut", data=plain[: len(plain) // 2])
    yield Case(name="bmp/4 bytes a pixel, the fourth 0", data=_info(bits=32) + _four(0))
    yield Case(name="bmp/4 bytes a pixel, the fourth 1", data=_info(bits=32) + _four(1))
    yield Case(name="bmp/4 bytes a pixel, the fourth mixed", data=_info(bits=32) + _half())
    yield Case(name="bmp/V3 with an alpha mask, half see-through", data=_masked(56) + _half())
    yield Case(name="bmp/V3 with an alpha mask, all of it 0", data=_masked(56) + _four(0))
    yield Case(name="bmp/V4 with an alpha mask, half see-through", data=_masked(108) + _half())
    yield Case(name="bmp/V5 with an alpha mask, half see-through", data=_masked(124) + _half())
    yield Case(name="bmp/V5 without an alpha mask", data=_masked(124, alpha=0) + _half())
    for version, length in (("V3", 56), ("V4", 108), ("V5", 124)):
        plain_masked = _masked(length, compression=0)
        yield Case(name=f"bmp/{version} of plain RGB with an alpha mask, half see-through", data=plain_masked + _half())
        yield Case(name=f"bmp/{version} of plain RGB with an alpha mask, all of it 0", data=plain_masked + _four(0))
    yield Case(name="bmp/V4 with another alpha mask", data=_masked(108, alpha=0xF0000000) + _half())
    yield Case(name="bmp/palette", data=encode(picture("A").quantize(8), "BMP"))
    yield Case(name="bmp/a JPEG inside", data=_info(bits=0, compression=4) + encode(picture("A"), "JPEG"))
    yield Case(name="bmp/a PNG inside", data=_info(bits=0, compression=5) + encode(picture("A"), "PNG"))

    yield from _others()


def _others() -> Iterator[Case]:
    """Run lengths, older headers, and profiles that are not where they should be."""
    indexed = picture("A").quantize(8)
    table = b"".join(bytes([*(indexed.getpalette() or [])[at : at + 3][::-1], 0]) for at in range(0, 24, 3)).ljust(
        1024, b"\0"
    )
    rows = [indexed.tobytes()[at : at + SIZE[0]] for at in range(0, SIZE[0] * SIZE[1], SIZE[0])][::-1]
    runs = b"".join(b"".join(bytes([1, index]) for index in row) + b"\0\0" for row in rows)
    half = b"".join(b"".join(bytes([1, index]) for index in row) + b"\0\0" for row in rows[: SIZE[1] // 2])
    yield Case(name="bmp/run lengths", data=_run_lengths(table, runs + b"\0\1"))
    yield Case(name="bmp/run lengths, upper half skipped", data=_run_lengths(table, half + b"\0\1"))
    yield Case(name="bmp/run lengths, no end", data=_run_lengths(table, runs))
    skipped = b"\0\2\0\x18" + b"".join(line for _, line in _lines(rows[SIZE[1] // 2 :])) + b"\0\1"
    yield Case(name="bmp/run lengths, lower half skipped by one step", data=_run_lengths(table, skipped))
    dotted = b"".join(b"\0\2\1\0" + bytes([1, row[1]]) + b"\0\2\1\0" + line[6:] for row, line in _lines(rows))
    yield Case(name="bmp/run lengths, dots skipped", data=_run_lengths(table, dotted + b"\0\1"))
    short = b"".join(line[: SIZE[0]] + b"\0\0" for _, line in _lines(rows)) + b"\0\1"
    yield Case(name="bmp/run lengths, rows that end early", data=_run_lengths(table, short))
    core = struct.pack("<IHHHH", 12, *SIZE, 1, 24)
    pixels = encode(picture("A"), "BMP")[54:]
    yield Case(name="bmp/OS/2 header", data=b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + core + pixels)
    array = b"BA" + struct.pack("<IIHH", 0, 0, 0, 0) + b"BM" + struct.pack("<IHHI", 0, 0, 0, 40) + core + pixels
    yield Case(name="bmp/array", data=array)
    sixteen = np.asarray(picture("A")).astype(np.uint16) >> 3
    packed = (sixteen[..., 0] << 10 | sixteen[..., 1] << 5 | sixteen[..., 2])[::-1].astype("<u2").tobytes()
    yield Case(name="bmp/16 bits a pixel", data=_info(bits=16) + packed)
    fives = 0x7C00, 0x3E0, 0x1F
    halves = np.frombuffer(packed, "<u2").reshape(SIZE[::-1]).copy()
    halves[: SIZE[1] // 2] |= 0x8000
    for name, compression in (("plain RGB", 0), ("bit fields", 3)):
        header = _masked(108, alpha=0x8000, compression=compression, bits=16, colours=fives)
        yield Case(name=f"bmp/16 bits a pixel and alpha in {name}", data=header + halves.tobytes())
    header = _masked(108, compression=3, bits=16, colours=fives)
    yield Case(name="bmp/16 bits a pixel, an alpha mask beyond them", data=header + packed)
    within = bmp(picture("A"), b"DEBM", profile=NEGATIVE)
    yield Case(name="bmp/profile within", data=within)
    yield Case(name="bmp/profile linked", data=within.replace(b"DEBM", b"KNIL", 1))
    yield Case(name="bmp/profile said to be Windows'", data=within.replace(b"DEBM", b" niW", 1))
    yield Case(name="bmp/profile of another kind", data=bmp(picture("A"), b"DEBM", profile=GREY))
    yield Case(name="bmp/broken profile", data=bmp(picture("A"), b"DEBM", profile=b"nonsense" * 30))
    yield Case(name="bmp/profile cut", data=within[:-100])


def _lines(rows: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Rows, and the run lengths of each: one run a pixel."""
    for row in rows:
        yield row, b"".join(bytes([1, index]) for index in row) + b"\0\0"


def _run_lengths(table: bytes, runs: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, *SIZE, 1, 8, 1, len(runs), 2835, 2835, 0, 0)
    start = 14 + len(header) + len(table)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + table + runs


def _info(*, width: int = SIZE[0], height: int = SIZE[1], bits: int = 24, compression: int = 0) -> bytes:
    body = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(body)) + body


def _masked(
    length: int,
    *,
    alpha: int = 0xFF000000,
    compression: int = 3,
    bits: int = 32,
    colours: tuple[int, int, int] = (0xFF0000, 0xFF00, 0xFF),
) -> bytes:
    body = struct.pack("<IiiHHIIiiII", length, *SIZE, 1, bits, compression, 0, 2835, 2835, 0, 0)
    body += struct.pack("<4I", *colours, alpha)
    body += b"BGRs" if length > 56 else b""  # sRGB, as its letters lie in the file
    body = body.ljust(length, b"\0")
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + length) + body


def _four(fourth: int) -> bytes:
    return _bottom_up(np.dstack([np.asarray(picture("A")), np.full(SIZE[::-1], fourth, np.uint8)]))


def _half() -> bytes:
    return _bottom_up(np.asarray(half_seen()))


def _bottom_up(rgba: np.ndarray) -> bytes:
    return bytes(rgba[::-1, :, [2, 1, 0, 3]].tobytes())


def _flipped(pixels: bytes) -> bytes:
    row = len(pixels) // SIZE[1]
    return b"".join(pixels[at : at + row] for at in range(len(pixels) - row, -1, -row))
