"""A file's bytes in, how many frames it seems to have out: a guess for whoever plans work, by searches in C.

Nothing rests on it but a forecast: what is judged goes by the structure (`structures`), which is walked in the decode's
own thread.
"""

import re
import struct
from collections.abc import Callable
from itertools import chain, islice

from clipwarden.vision.structure import MAX_FRAMES_COUNTED

# A frame's descriptor behind the end of what came before it; places and sizes of less than 8,192 pixels, so that not
# even a file of 64 MiB that is noise has one by chance.
_GIF_FRAME = re.compile(rb"\x00,(?:.[\x00-\x1f]){4}", re.DOTALL)
_DESCRIPTOR_BYTES = 10
# A search holds up every other thread, so there are many small ones: 5 ms each, of look-alikes.
_PIECE_BYTES = 256 * 1024


def frames_expected(data: bytes, image_format: str) -> int:
    """Guess how many frames a file has.

    Args:
        data: The file; untrusted.
        image_format: One of `sniff.FORMATS`.

    Returns:
        1 to `MAX_FRAMES_COUNTED`; 1 for formats without animation.
    """
    count = _COUNTS.get(image_format)
    return min(max(1, count(data)), MAX_FRAMES_COUNTED) if count else 1


def _gif_frames(data: bytes) -> int:
    pieces = range(0, len(data), _PIECE_BYTES)
    found = (_GIF_FRAME.finditer(data, start, start + _PIECE_BYTES + _DESCRIPTOR_BYTES - 1) for start in pieces)
    return sum(1 for _ in islice(chain.from_iterable(found), MAX_FRAMES_COUNTED))


def _avif_frames(data: bytes) -> int:
    """Read how many samples the first table of sizes has."""
    at = data.find(b"stsz")
    return int(struct.unpack_from(">I", data, at + 12)[0]) if 0 <= at <= len(data) - 16 else 1


_COUNTS: dict[str, Callable[[bytes], int]] = {
    "GIF": _gif_frames,
    "PNG": lambda data: data.count(b"fcTL"),
    "WEBP": lambda data: data.count(b"ANMF"),
    "AVIF": _avif_frames,
}
