"""Spell files chunk by chunk, whole or damaged: bodies in, bytes of PNG, JPEG, WebP, GIF and BMP out."""

import struct
import zlib
from collections.abc import Sequence

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_chunk(kind: bytes, body: bytes = b"", *, wrong: int = 0) -> bytes:
    """Spell a chunk; `wrong` is mixed into its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ wrong)


def png_header(size: tuple[int, int], *, depth: int = 8, kind: int = 2, interlaced: int = 0, wrong: int = 0) -> bytes:
    """Spell an IHDR chunk; `kind` 0 is grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA."""
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlaced), wrong=wrong)


def png_rows(rows: Sequence[bytes]) -> bytes:
    """Compress rows of samples, none of them filtered."""
    return zlib.compress(b"".join(b"\0" + row for row in rows))


def png_file(*chunks: bytes) -> bytes:
    """Join chunks behind a signature; IEND is added."""
    return PNG_SIGNATURE + b"".join(chunks) + png_chunk(b"IEND")


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """Spell a marker with a body."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Put segments at the start of a JPEG."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def profile_segment(part: bytes, number: int = 1, total: int = 1) -> bytes:
    """Spell a part of an ICC profile (ICC.1:2022, B.4)."""
    return jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, total]) + part)


def riff_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Spell a chunk of a WebP, padded to an even length."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_header(size: tuple[int, int], flags: int = 0) -> bytes:
    """Spell a VP8X chunk; flags: 0x20 ICC, 0x10 alpha, 8 EXIF, 4 XMP, 2 animation."""
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    return riff_chunk(b"VP8X", struct.pack("<I", flags) + width + height)


def webp_file(*chunks: bytes) -> bytes:
    """Join chunks behind a RIFF header."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_picture(webp: bytes) -> bytes:
    """Take the chunk with the pixels (VP8 or VP8L) out of a simple file."""
    (size,) = struct.unpack_from("<I", webp, 16)
    return webp[12 : 20 + size + size % 2]


def bmp_file(side: int, header: bytes, tail: bytes = b"") -> bytes:
    """Spell a grey BMP of 24 bits: `header` is what follows the 40 bytes that all versions share."""
    rows = b"\x80" * (side * side * 3)
    start = 14 + 40 + len(header)
    fields = struct.pack("<IiiHHIIiiII", 40 + len(header), side, side, 1, 24, 0, len(rows), 2835, 2835, 0, 0)
    body = fields + header + rows + tail
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, start) + body
