"""A JPEG's segments in, what its decoder is told of the header out, where all readers take that header alike.

Pillow reads a header again, piece by piece, for much that nobody here asks for: some 120 calls in Python for the ten
segments of most files, as many as all else that is done about a decode.
"""

import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple

from clipwarden.vision.formats.jpeg import START_OF_SCAN, Segment

_QUANTIZATION, _QUANTIZATION_BYTES, _NUMBERS = 0xDB, 65, 16
_EIGHT_BITS, _FRAME_BYTES, _COMPONENT_BYTES = 8, 6, 3
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, sequential and progressive, in Huffman's codes
# Huffman tables, restarts, comments, the first scan, and what applications write, but for what is named below.
_PASSED_OVER = frozenset({0xC4, 0xDD, 0xFE, START_OF_SCAN, *range(0xE0, 0xF0)})
# By their marker and prefix, the least bytes that Pillow wants of those that it reads.
_LEAST_BYTES = {0xE0: (b"JFIF", 7), 0xE2: (b"ICC_PROFILE\0", 14), 0xEE: (b"Adobe", 7)}
# What it reads further, and may trip over.
_INTRICATE = {0xE1: b"Exif\0\0", 0xED: b"Photoshop 3.0\0"}
_MODES: dict[int, Literal["L", "RGB", "CMYK"]] = {1: "L", 3: "RGB", 4: "CMYK"}


class PlainFrame(NamedTuple):
    """What a decoder is told of a header.

    Attributes:
        size: (width, height) in pixels.
        mode: Pillow's.
    """

    size: tuple[int, int]
    mode: Literal["L", "RGB", "CMYK"]


def plain_frame(data: bytes, segments: Sequence[Segment]) -> PlainFrame | None:
    """Tell what Pillow would find in a header that holds nothing it would refuse, or read in another way than we do.

    Args:
        data: The file.
        segments: Of its header, up to its first scan.

    Returns:
        None where the header is no such one, and Pillow has to look for itself.

    Source: `JpegImageFile._open` of Pillow 13 and what it calls.
    """
    frame, begins = None, 6
    for marker, start, size in segments:
        # Each right behind the one before it, with a length of its own.
        if start != begins or start + size > len(data):
            return None
        begins = start + size + 4
        if marker in _FRAMES and frame is None:
            frame = _read_frame(data, start, size)
            if frame is None:
                return None
        elif not _is_harmless(data, marker, start, size):
            return None
    return frame if segments and segments[-1].marker == START_OF_SCAN else None


def _is_harmless(data: bytes, marker: int, start: int, size: int) -> bool:
    """Whether a segment other than a frame's changes nothing, and is whole as far as it is read."""
    if marker in _LEAST_BYTES:
        prefix, least = _LEAST_BYTES[marker]
        return size >= least or not data.startswith(prefix, start)
    if marker in _INTRICATE:
        return not data.startswith(_INTRICATE[marker], start)
    if marker == _QUANTIZATION:  # tables of 64 bytes behind their numbers; those of 16 bits have higher ones
        numbers = data[start : start + size : _QUANTIZATION_BYTES]
        return size % _QUANTIZATION_BYTES == 0 and max(numbers, default=0) < _NUMBERS
    return marker in _PASSED_OVER


def _read_frame(data: bytes, start: int, size: int) -> PlainFrame | None:
    if size < _FRAME_BYTES:
        return None
    bits, height, width, components = struct.unpack_from(">BHHB", data, start)
    usual = bits == _EIGHT_BITS and components in _MODES and size == _FRAME_BYTES + _COMPONENT_BYTES * components
    return PlainFrame((width, height), _MODES[components]) if usual and width and height else None
