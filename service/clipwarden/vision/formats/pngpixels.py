"""IHDR, PLTE and tRNS of a PNG in, a PNG that is nothing but pixels out."""

import struct
import zlib
from collections.abc import Sequence

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.pngchunks import SIGNATURE

_HEADER = struct.Struct(">II5B")
_GREY, _RGB, _PALETTE = 0, 2, 3
_MAX_ENTRIES = 256
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, 4: 2, 6: 4}
# Where each of seven passes begins, and its steps (PNG specification, 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_ENTRY = 3  # bytes of a colour
_WIDE = 8  # bits of a sample that Pillow keeps whole
_KEY_BYTES = {_GREY: 2, _RGB: 6}


class PixelFormat:
    """How a PNG's pixels are to be read.

    Attributes:
        size: (width, height) in pixels.
        interlaced: Whether rows come in seven passes.
        has_palette: Whether there was a palette so far.
    """

    def __init__(self, header: bytes) -> None:
        """Take the body of IHDR.

        Raises:
            ImageError: IMAGE_CORRUPT; it is not as long as one.
        """
        if len(header) != _HEADER.size:
            raise ImageError("The PNG's header has a wrong length.", reason=Reason.IMAGE_CORRUPT)
        numbers: tuple[int, ...] = _HEADER.unpack(header)
        self.size = numbers[0], numbers[1]
        self._depth, self._kind, interlaced = numbers[2], numbers[3], numbers[6]
        self.interlaced = bool(interlaced)
        self.has_palette = False
        self._header = header
        self._palette = self._transparency = b""
        self._entries = 0

    def set_palette(self, body: memoryview | None) -> bool:
        """Take PLTE; None when its checksum is wrong.

        Returns:
            Whether the decoder needs it, and as it is.

        Raises:
            ImageError: IMAGE_CORRUPT; a second one, or of a size or checksum at which viewers give up.
        """
        if body is None or self.has_palette or not _ENTRY <= len(body) <= _ENTRY * _MAX_ENTRIES:
            raise ImageError("The PNG's palette is damaged, or there are two.", reason=Reason.IMAGE_CORRUPT)
        self.has_palette = True
        if self._kind != _PALETTE:
            return False
        self._entries = len(body) // _ENTRY
        palette = bytes(body[: self._entries * _ENTRY])
        # Chromium shows the last colour where a pixel asks for one beyond it.
        self._palette = palette + palette[-_ENTRY:] * ((1 << min(self._depth, 8)) - self._entries)
        return len(self._palette) == len(body)

    def set_transparency(self, body: memoryview | None) -> bool:
        """Take tRNS; None when its checksum is wrong. The first good one counts, behind a palette that is there.

        Returns:
            Whether the decoder needs it, and as it is.
        """
        if body is None or self._transparency:
            return False
        self._transparency = self._alphas(bytes(body)) if self._kind == _PALETTE else self._key(bytes(body))
        return bool(self._transparency) and self._transparency == body

    def _alphas(self, body: bytes) -> bytes:
        if not self._palette or not 0 < len(body) <= _MAX_ENTRIES:
            return b""
        alphas = body[: self._entries]
        if beyond := len(self._palette) // _ENTRY - self._entries:
            alphas = alphas.ljust(self._entries, b"\xff")
            alphas += alphas[-1:] * beyond
        return alphas

    def _key(self, body: bytes) -> bytes:
        """Spell the one transparent colour as Pillow compares it; Chromium takes no more bits than a sample has."""
        size = _KEY_BYTES.get(self._kind, 0)
        if not 0 < size <= len(body):
            return b""
        if self._depth > _WIDE:
            return body[:size]
        values, most = body[1:size:2], (1 << self._depth) - 1
        # Pillow stretches grey of few bits to 255, and not the key.
        return b"".join(bytes([0, value * 255 // most]) for value in values) if max(values) <= most else b""

    @property
    def filtered_bytes(self) -> int:
        """Bytes of all rows before compression, each behind the number of its filter."""
        width, height = self.size
        if not self.interlaced:
            return height * self.row_bytes(width)
        passes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _ADAM7]
        return sum(rows * self.row_bytes(columns) for columns, rows in passes if columns > 0 < rows)

    def row_bytes(self, width: int) -> int:
        """Bytes of a row before compression, that of its filter included."""
        return 1 + (width * _CHANNELS.get(self._kind, 1) * self._depth + 7) // 8

    def still(self, size: tuple[int, int], pixels: Sequence[memoryview]) -> bytes:
        """Write a PNG of nothing but a header, what colours and transparency need, and pixels.

        Args:
            size: (width, height) in pixels.
            pixels: Parts of the compressed rows.
        """
        parts: list[bytes | memoryview] = [SIGNATURE, _chunk(b"IHDR", struct.pack(">II", *size) + self._header[8:])]
        if self._palette:
            parts.append(_chunk(b"PLTE", self._palette))
        if self._transparency:
            parts.append(_chunk(b"tRNS", self._transparency))
        # Pillow reads over the checksum of pixels, as Chromium does.
        parts += [struct.pack(">I4s", sum(map(len, pixels)), b"IDAT"), *pixels, bytes(4), _chunk(b"IEND", b"")]
        return b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
