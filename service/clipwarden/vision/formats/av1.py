"""The first bytes of an AV1 picture in, the frame size and the colours that its sequence headers name out.

Browsers take colours from here where an AVIF's boxes say nothing, and the decoder allocates what is said here.
"""

import struct
from dataclasses import dataclass

from clipwarden.vision.formats.reader import BoundedReader
from clipwarden.vision.structure import Cicp

_SEQUENCE_HEADER = 1
# Bytes in which a sequence header has said its colours: 32 operating points of up to 89 bits, and 40 bytes around them.
_HEADER_BYTES = 400
_SRGB_IDENTITY = (1, 13, 0)
_HIGHEST_PROFILE = 2
_SELECT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequence:
    """What a sequence header says.

    Attributes:
        size: Largest (width, height) of its frames, in pixels.
        cicp: Its colours; None where it names none.
    """

    size: tuple[int, int]
    cicp: Cicp | None


def sequence_headers(reader: BoundedReader, start: int, end: int) -> list[Sequence]:
    """Read the sequence headers among a picture's units (OBUs), each of which costs an entry.

    Args:
        reader: Of the file.
        start: Where the picture's bytes begin.
        end: Where they end.

    Returns:
        The headers, in the file's order.

    Raises:
        struct.error: They are damaged, cut short, or the budget is spent.

    Source: AV1 Bitstream & Decoding Process Specification, 5.3 and 5.5.
    """
    found = []
    while start < end:
        (head,) = reader.entry("B", start)
        start += 2 if head & 4 else 1
        size, start = _leb128(reader, start) if head & 2 else (end - start, start)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            (text,) = reader.field(f"{min(size, end - start, _HEADER_BYTES)}s", start)
            found.append(_sequence(_Bits(text)))
        start += size
    return found


def _leb128(reader: BoundedReader, position: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        (byte,) = reader.field("B", position + index)
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, position + index + 1
    raise struct.error("a number without an end")


class _Bits:
    """Reads numbers of any width, the highest bit first."""

    def __init__(self, text: bytes) -> None:
        self._value = int.from_bytes(text, "big")
        self._left = 8 * len(text)

    def take(self, width: int) -> int:
        self._left -= width
        if self._left < 0:
            raise struct.error("the header ends too early")
        return self._value >> self._left & (1 << width) - 1

    def flag(self) -> bool:
        return self.take(1) == 1


def _sequence(bits: _Bits) -> Sequence:
    profile = bits.take(3)
    bits.take(1)
    reduced = bits.flag()
    if reduced:
        bits.take(5)
    else:
        _skip_operating_points(bits)
    widths = bits.take(4) + 1, bits.take(4) + 1
    size = bits.take(widths[0]) + 1, bits.take(widths[1]) + 1
    if not reduced and bits.flag():
        bits.take(7)  # sizes of frame numbers
    bits.take(3)
    if not reduced:
        _skip_tools(bits)
    bits.take(3)
    return Sequence(size=size, cicp=_colours(bits, profile))


def _skip_operating_points(bits: _Bits) -> None:
    decoder_model, delay_bits = False, 0
    if bits.flag():  # timing
        bits.take(64)
        if bits.flag():
            _skip_uvlc(bits)
        decoder_model = bits.flag()
        if decoder_model:
            delay_bits = bits.take(5) + 1
            bits.take(42)
    display_delay = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # noqa: PLR2004  levels from 4.0 on have a tier
            bits.take(1)
        if decoder_model and bits.flag():
            bits.take(2 * delay_bits + 1)
        if display_delay and bits.flag():
            bits.take(4)


def _skip_uvlc(bits: _Bits) -> None:
    zeros = 0
    while not bits.flag():
        zeros += 1
    bits.take(zeros if zeros < 32 else 0)  # noqa: PLR2004


def _skip_tools(bits: _Bits) -> None:
    bits.take(4)
    order_hint = bits.flag()
    if order_hint:
        bits.take(2)
    screen_content = _SELECT if bits.flag() else bits.take(1)
    if screen_content and not bits.flag():
        bits.take(1)
    if order_hint:
        bits.take(3)


def _colours(bits: _Bits, profile: int) -> Cicp | None:
    if bits.flag() and profile == _HIGHEST_PROFILE:  # more than 8 bits, more than 10
        bits.take(1)
    mono = profile != 1 and bits.flag()
    if not bits.flag():
        return None
    primaries, transfer, matrix = bits.take(8), bits.take(8), bits.take(8)
    identity = (primaries, transfer, matrix) == _SRGB_IDENTITY and not mono
    return Cicp(primaries=primaries, transfer=transfer, matrix=matrix, full_range=identity or bits.flag())
