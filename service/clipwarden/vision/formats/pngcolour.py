"""Ancillary chunks of a PNG in, what they say of its colours out."""

import struct
import zlib

from clipwarden.vision.structure import MAX_PROFILE_BYTES, Chromaticities, Cicp, ColourTags

COLOUR_CHUNKS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
# The specification says 79; Chromium reads a byte more.
_MAX_PROFILE_NAME = 80
_MAX_INTENT = 3


class ColourChunks:
    """What the chunks ahead of the image data say of colours, gathered one by one.

    Chromium 150 (measured): a chunk with a wrong checksum is passed over, and of several good ones the first counts.
    """

    def __init__(self) -> None:
        self._found: dict[str, object] = {}
        self._read: set[bytes] = set()
        self._broken = False

    def add(self, kind: bytes, body: memoryview | None, *, behind_palette: bool) -> None:
        """Take one more chunk.

        Args:
            kind: Of `COLOUR_CHUNKS`.
            body: None when its checksum is wrong.
            behind_palette: Whether PLTE came before; libpng passes over it then, and Chromium over cICP alone.
        """
        tag = None
        if body is not None and kind not in self._read and not (behind_palette and kind == b"cICP"):
            tag = _colour_tag(kind, body)
            self._found |= tag or {}
            # Behind a profile that cannot be read Chromium looks for no other.
            if tag is not None or kind == b"iCCP":
                self._read.add(kind)
        self._broken |= tag is None or behind_palette

    def tags(self) -> ColourTags:
        """Return what was said."""
        return ColourTags(**self._found, broken=self._broken)  # type: ignore[arg-type]


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
