"""Image files taken apart into what their formats are made of, and put together again, in any order and number."""

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

Part = tuple[bytes, bytes]
"""A chunk: four letters, and what it holds."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:  # noqa: ANN401
    """Encode a picture as Pillow does."""
    buffer = io.BytesIO()
    image.copy().save(buffer, format=image_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes = b"", *, checksum: int | None = None) -> bytes:
    """Write a chunk; with a wrong checksum when one is given."""
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png_file(parts: Iterable[Part | bytes]) -> bytes:
    """Write a PNG of chunks; bytes go in as they are."""
    return PNG_MAGIC + b"".join(part if isinstance(part, bytes) else png_chunk(*part) for part in parts)


def png_parts(data: bytes) -> list[Part]:
    """Take a whole PNG apart."""
    parts, position = [], 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        parts.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return parts


def with_chunks(data: bytes, *chunks: Part | bytes, before: bytes = b"IDAT") -> bytes:
    """Put chunks before the first chunk of a kind."""
    parts: list[Part | bytes] = list(png_parts(data))
    at = next(index for index, part in enumerate(parts) if part[0] == before)
    return png_file([*parts[:at], *chunks, *parts[at:]])


def iccp(profile: bytes) -> Part:
    """A PNG's profile."""
    return b"iCCP", b"x\0\0" + zlib.compress(profile)


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """Write a segment of a length."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def icc_segment(piece: bytes, number: int, count: int) -> bytes:
    """Write a piece of a JPEG's profile."""
    return jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + piece)


def jpeg_parts(data: bytes) -> list[bytes]:
    """Take a JPEG apart: its first marker, segments (a scan with its pixels), its last marker."""
    parts, position = [data[:2]], 2
    while position < len(data) - 2:
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if data[position + 1] == 0xDA:
            while not (data[end] == 0xFF and data[end + 1] != 0 and not 0xD0 <= data[end + 1] <= 0xD7):
                end += 1
        parts.append(data[position:end])
        position = end
    return [*parts, data[position:]]


def jpeg_frame(data: bytes) -> bytes:
    """Find the segment that says a JPEG's size and channels."""
    return next(part for part in jpeg_parts(data) if part[1] in (0xC0, 0xC2))


def jpeg_renamed(data: bytes, letters: bytes) -> bytes:
    """Call the three channels otherwise: decoders guess from that what they are."""
    frame = jpeg_frame(data)
    scan = next(part for part in jpeg_parts(data) if part[1] == 0xDA)
    new_frame, new_scan = bytearray(frame), bytearray(scan)
    new_frame[10:19:3] = letters
    new_scan[5:11:2] = letters
    return data.replace(frame, bytes(new_frame)).replace(scan, bytes(new_scan))


def after_start(data: bytes, *segments: bytes) -> bytes:
    """Put segments behind a JPEG's first marker."""
    return data[:2] + b"".join(segments) + data[2:]


def before_scan(data: bytes, *segments: bytes) -> bytes:
    """Put segments in front of a JPEG's first scan."""
    parts = jpeg_parts(data)
    at = next(index for index, part in enumerate(parts) if part[1] == 0xDA)
    return b"".join([*parts[:at], *segments, *parts[at:]])


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    """Write a chunk, padded to an even length."""
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp_file(parts: Iterable[Part | bytes]) -> bytes:
    """Write a WebP of chunks; bytes go in as they are."""
    body = b"WEBP" + b"".join(part if isinstance(part, bytes) else webp_chunk(*part) for part in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_parts(data: bytes, position: int = 12) -> list[Part]:
    """Take a whole WebP apart."""
    parts = []
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        parts.append((data[position : position + 4], data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return parts


def vp8x(flags: int, width: int, height: int) -> Part:
    """The chunk that announces others: 0x20 profile, 0x10 alpha, 0x08 EXIF, 0x04 XMP, 0x02 animation."""
    return b"VP8X", struct.pack("<I", flags) + uint24(width - 1) + uint24(height - 1)


def uint24(value: int) -> bytes:
    """Three bytes, the least first."""
    return struct.pack("<I", value)[:3]


def gif_parts(data: bytes) -> list[bytes]:
    """Take a whole GIF apart: header with screen and table; extensions; images with their tables; trailer."""
    flags = data[10]
    position = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    parts = [data[:position]]
    while position < len(data):
        start = position
        if data[position] == 0x3B:
            return [*parts, data[position:]]
        if data[position] == 0x21:
            position += 2
        else:
            flags = data[position + 9]
            position += 11 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
        while data[position]:
            position += data[position] + 1
        position += 1
        parts.append(data[start:position])
    return parts


def gif_control(*, delay: int = 10, transparent: int | None = None, disposal: int = 0) -> bytes:
    """Write a graphic control extension."""
    flags = disposal << 2 | (transparent is not None)
    return struct.pack("<3BBHBB", 0x21, 0xF9, 4, flags, delay, transparent or 0, 0)


def exif_block(orientation: int) -> bytes:
    """A TIFF directory with an orientation and nothing else."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def exif_sized(size: tuple[int, int], density: tuple[int, int]) -> bytes:
    """EXIF that says another size and the densities to match: browsers then show the picture at that size."""
    entries = struct.pack(">HHIHH", 0x0112, 3, 1, 1, 0) + struct.pack(">HHII", 0x011A, 5, 1, 100)
    entries += struct.pack(">HHII", 0x011B, 5, 1, 108) + struct.pack(">HHIHH", 0x0128, 3, 1, 2, 0)
    entries += struct.pack(">HHII", 0x8769, 4, 1, 120)
    block = b"MM\0*" + struct.pack(">IH", 8, 5) + entries + bytes(4)
    block = block.ljust(100, b"\0") + struct.pack(">IIII", density[0], 1, density[1], 1)
    block = block.ljust(120, b"\0") + struct.pack(">H", 2)
    block += struct.pack(">HHII", 0xA002, 4, 1, size[0]) + struct.pack(">HHII", 0xA003, 4, 1, size[1]) + bytes(4)
    return block


def exif_segment(orientation: int) -> bytes:
    """A JPEG's EXIF segment."""
    return jpeg_segment(0xE1, b"Exif\0\0" + exif_block(orientation))


def xmp(orientation: int) -> bytes:
    """An XMP packet that turns a picture."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def boxes(data: bytes) -> list[Part]:
    """Take an ISO base media file, or what a plain box of it holds, apart."""
    parts, position = [], 0
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        parts.append((data[position + 4 : position + 8], data[position + 8 : position + length]))
        position += max(8, length)
    return parts


def box_file(parts: Sequence[Part]) -> bytes:
    """Put boxes together."""
    return b"".join(struct.pack(">I", len(data) + 8) + kind + data for kind, data in parts)
