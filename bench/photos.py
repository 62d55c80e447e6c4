"""Sizes in, JPEGs and requests out that never come twice, and so are never answered from a cache."""

import io
import itertools
import time
from collections.abc import Iterator
from typing import Self

import numpy as np
from PIL import Image


def jpeg(width: int, height: int) -> bytes:
    """Encode a picture with something to see at every scale: a photograph costs as much to decode."""
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    data = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
    return data.getvalue()


class Photo:
    """A JPEG that never comes twice: a comment in it counts, so that neither a cache nor a follower helps.

    Args:
        size: (width, height) in pixels.
        padding: Bytes of comments added, to make a large file of a small picture.
    """

    def __init__(self, size: tuple[int, int], *, padding: int = 0) -> None:
        data = jpeg(*size)
        self._head = data[:2] + _comment_head(_DIGITS)
        self._tail = _padding(padding) + data[2:]
        # Another run on the same server must not meet its predecessor's images.
        self._numbers: Iterator[int] = itertools.count(time.time_ns())

    def next(self) -> bytes:
        """Return the file with a number that it never had before."""
        return b"".join((self._head, b"%0*x" % (_DIGITS, next(self._numbers)), self._tail))

    def in_request(self) -> Self:
        """Give messages for Moderate from now on instead of files."""
        self._head = request_head(len(self.next())) + self._head
        return self


def request_head(size: int) -> bytes:
    """Return what stands before an image of so many bytes in a ModerateRequest that says nothing else."""
    data = b"\x0a" + _varint(size)  # ImageSource.data, field 1
    return b"\x0a" + _varint(len(data) + size) + data  # ModerateRequest.image, field 1


_DIGITS = 16
_MOST_OF_A_COMMENT = 65533


def _comment_head(length: int) -> bytes:
    """Begin a comment: the marker COM and its length, which counts itself (ISO/IEC 10918-1, B.2.4.5)."""
    return b"\xff\xfe" + (length + 2).to_bytes(2, "big")


def _padding(size: int) -> bytes:
    whole, rest = divmod(size, _MOST_OF_A_COMMENT + 4)
    full = _comment_head(_MOST_OF_A_COMMENT) + bytes(_MOST_OF_A_COMMENT)
    return full * whole + (_comment_head(rest) + bytes(rest) if rest else b"")


def _varint(number: int) -> bytes:
    """Encode as protobuf does: seven bits a byte, the lowest first."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
