"""A PNG's bytes in, what it shows out, by walking its chunks as Chromium's decoder does.

Chromium 150 (measured): a chunk with a wrong checksum is passed over, of several good ones the first counts, and
colours are named before the image data or not at all.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_PROFILE_BYTES, Chromaticities, Cicp, ColourTags, Structure

# libpng writes image data in chunks of 8 KiB: 64 MiB are 8,192 of them, and an animation has one more a frame. Pillow
# reads chunk by chunk in Python: 20 MiB of empty ones took it 6 s. Of each the length and the type are read, and once
# the body of those that say something.
PNG_BUDGET = Budget(entries=50_000, bytes=8 * 50_000, passes=1)

_SIGNATURE_BYTES = 8
_OVERHEAD = 12  # length, type and checksum
_COLOUR_CHUNKS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
# The specification says 79; Chromium reads a byte more.
_MAX_PROFILE_NAME = 80
_MAX_INTENT = 3


class Chunk(NamedTuple):
    """Where a chunk lies: `start` of its length field, `size` of its body in bytes."""

    kind: bytes
    start: int
    size: int


def structure_of(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a PNG shows.

    Args:
        data: The file.

    Returns:
        Its structure.

    Raises:
        ImageError: IMAGE_CORRUPT; it has more chunks than honest files.
    """
    reader = BoundedReader(data, PNG_BUDGET)
    try:
        chunks = list(_chunks(reader))
    except BudgetSpentError as exc:
        raise ImageError(f"The PNG has more than {PNG_BUDGET.entries} chunks.", reason=Reason.IMAGE_CORRUPT) from exc
    return Structure(data=data, frames_total=None, colour=_colour_tags(reader, chunks))


def _chunks(reader: BoundedReader) -> Iterator[Chunk]:
    """Yield those that are whole."""
    position = _SIGNATURE_BYTES
    while position + _OVERHEAD <= len(reader):
        size, kind = reader.entry(">I4s", position)
        if position + _OVERHEAD + size > len(reader):
            return
        yield Chunk(kind, position, size)
        position += _OVERHEAD + size


def _checked_body(reader: BoundedReader, chunk: Chunk) -> memoryview | None:
    """Return a chunk's body; None when its checksum is wrong."""
    body = reader.body(chunk.start + 4, chunk.size + 8)
    return body[4:-4] if zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "big") else None


def _colour_tags(reader: BoundedReader, chunks: Iterable[Chunk]) -> ColourTags:
    found: dict[str, object] = {}
    seen: set[bytes] = set()
    broken = False
    for chunk in chunks:
        if chunk.kind == b"IDAT":
            break
        if chunk.kind == b"PLTE":
            seen.add(chunk.kind)
        elif chunk.kind in _COLOUR_CHUNKS:
            body = _checked_body(reader, chunk)
            tag = _colour_tag(chunk.kind, body) if body is not None and chunk.kind not in seen else None
            # libpng passes over these behind a palette, and Chromium over cICP alone.
            broken |= tag is None or b"PLTE" in seen
            if tag is not None and not (chunk.kind == b"cICP" and b"PLTE" in seen):
                found |= tag
            # Behind a profile that cannot be read Chromium looks for no other.
            if tag is not None or (chunk.kind == b"iCCP" and body is not None):
                seen.add(chunk.kind)
    return ColourTags(**found, broken=broken)  # type: ignore[arg-type]


def _colour_tag(kind: bytes, body: memoryview) -> dict[str, object] | None:
    """Read a chunk as fields of `ColourTags`; None when it cannot be read (PNG specification, 11.3.2)."""
    if kind == b"iCCP":
        profile = _profile(bytes(body))
        return None if profile is None else {"icc": profile}
    if kind == b"sRGB":
        return {"srgb": True} if len(body) == 1 and body[0] <= _MAX_INTENT else None
    if kind == b"gAMA":
        gamma = int.from_bytes(body, "big") if len(body) == struct.calcsize(">I") else 0
        return {"gamma": gamma / 100_000} if gamma else None
    if kind == b"cHRM":
        return _chromaticities(body)
    return _code_points(body)


def _profile(body: bytes) -> bytes | None:
    name, _, rest = body.partition(b"\0")
    if not 0 < len(name) <= _MAX_PROFILE_NAME or rest[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(memoryview(rest)[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None
    return profile if inflater.eof and len(profile) <= MAX_PROFILE_BYTES else None


def _chromaticities(body: memoryview) -> dict[str, object] | None:
    try:
        values = [value / 100_000 for value in struct.unpack(">8I", body)]
    except struct.error:
        return None
    white, red, green, blue = zip(values[::2], values[1::2], strict=True)
    return {"chromaticities": Chromaticities(white=white, red=red, green=green, blue=blue)}


def _code_points(body: memoryview) -> dict[str, object] | None:
    try:
        primaries, transfer, matrix, full_range = struct.unpack(">4B", body)
    except struct.error:
        return None
    # PNG holds RGB only; Chromium refuses the whole file here, others pass over the chunk.
    if matrix or full_range > 1:
        return None
    return {"cicp": Cicp(primaries=primaries, transfer=transfer, full_range=bool(full_range))}
