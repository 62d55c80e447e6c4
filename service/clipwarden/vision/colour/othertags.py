"""Tags of an ICC profile that tell no colours in, an error out where Chromium refuses the whole profile for them."""

import struct
from collections.abc import Mapping

from clipwarden.vision.colour.curves import ProfileError

_TEXTS = (b"cprt", b"desc", b"vued", b"dmdd", b"dmnd", b"targ")
_POINTS = (b"wtpt", b"bkpt", b"lumi")
OTHER_TAGS = frozenset({*_TEXTS, *_POINTS, b"chad", b"tech"})
# Their parts, by ICC.1:2022, 10.15 (mluc) and ICC.1:1998, 6.5.17 (desc).
_MLUC_BYTES, _RECORD_BYTES, _DESC_BYTES = 28, 12, 12
# Shorter ones are passed over.
_LEAST_BYTES = 8
_POINT_BYTES, _SIGNATURE_BYTES = 20, 12
_ADAPTATION_BYTES = 8 + 9 * 4


def check_other_tags(tags: Mapping[bytes, memoryview]) -> None:
    """Look at descriptions, points and the like.

    Args:
        tags: By signature.

    Raises:
        ProfileError: One is broken in a way that breaks the profile for moxcms, which reads profiles in Chromium.
    """
    for name, tag in tags.items():
        kind = bytes(tag[:4])
        if name in _TEXTS:
            _check_text(kind, tag)
        elif name in _POINTS and kind == b"XYZ " and _SIGNATURE_BYTES <= len(tag) < _POINT_BYTES:
            raise ProfileError("a point ends too early")
        elif name == b"tech" and len(tag) < _SIGNATURE_BYTES:
            raise ProfileError("a signature ends too early")
        elif name == b"chad" and (len(tag) - 8) // 4 == 9 and (kind != b"sf32" or len(tag) != _ADAPTATION_BYTES):  # noqa: PLR2004
            raise ProfileError("an adaptation that is none")


def _check_text(kind: bytes, tag: memoryview) -> None:
    if kind == b"mluc" and len(tag) >= _LEAST_BYTES:
        if len(tag) < _MLUC_BYTES:
            raise ProfileError("a text ends too early")
        (count,) = struct.unpack_from(">I", tag, 8)
        if count > 1 and len(tag) < _MLUC_BYTES + _RECORD_BYTES * (count - 1) and _first_is_inside(tag):
            raise ProfileError("a text claims too many languages")
    elif kind == b"desc" and len(tag) >= _LEAST_BYTES:
        (count,) = struct.unpack_from(">I", tag, 8)
        if len(tag) < _DESC_BYTES + count:
            raise ProfileError("a description ends too early")


def _first_is_inside(tag: memoryview) -> bool:
    length, start = struct.unpack_from(">2I", tag, 20)
    return bool(start + length <= len(tag))
