"""A GIF's bytes in, its frame count and the first frame's extent out, within a fixed budget.

Pillow counts by walking every sub-block of the file one Python call at a time, without a bound.
"""

import struct
from contextlib import suppress
from dataclasses import dataclass

# A full sub-block holds 255 bytes, so 20 MiB need 82,000; smaller blocks than that are padding or malice.
# Measured: 200,000 steps take 0.1 s.
MAX_BLOCKS = 200_000

_EXTENSION = 0x21
_IMAGE = 0x2C
_TRAILER = 0x3B
_COLOUR_TABLE_FLAG = 0x80


@dataclass(frozen=True, kw_only=True, slots=True)
class GifFacts:
    """What a walk over a GIF's blocks shows.

    Attributes:
        frames: Frames seen.
        complete: False when the budget ended the walk; there may be more frames.
        extent: (right, bottom) of the first frame in pixels, which may exceed the canvas; None without a frame.
    """

    frames: int
    complete: bool
    extent: tuple[int, int] | None


def walk_gif(data: bytes, *, max_frames: int) -> GifFacts:
    """Walk a GIF's blocks.

    Args:
        data: The file; a truncated one ends the walk.
        max_frames: Where to stop counting.

    Returns:
        The facts.
    """
    walk = _Walk(data)
    with suppress(IndexError, struct.error):  # the file ends inside a block
        walk.run(max_frames)
    return GifFacts(frames=walk.frames, complete=walk.budget > 0, extent=walk.extent)


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = MAX_BLOCKS
        self.frames = 0
        self.extent: tuple[int, int] | None = None

    def run(self, max_frames: int) -> None:
        position = 13 + _table_size(self.data[10])
        while self.frames < max_frames and self.budget > 0:
            self.budget -= 1
            introducer = self.data[position]
            if introducer == _EXTENSION:
                position = self._skip_blocks(position + 2)
            elif introducer == _IMAGE:
                position = self._skip_image(position)
            elif introducer == _TRAILER:
                return
            else:  # Pillow steps over stray bytes, so frames behind them count
                position += 1

    def _skip_image(self, position: int) -> int:
        left, top, width, height, flags = struct.unpack_from("<HHHHB", self.data, position + 1)
        self.frames += 1
        if self.extent is None:
            self.extent = left + width, top + height
        return self._skip_blocks(position + 11 + _table_size(flags))

    def _skip_blocks(self, position: int) -> int:
        while self.budget > 0:
            self.budget -= 1
            length = self.data[position]
            position += 1 + length
            if length == 0:
                break
        return position


def _table_size(flags: int) -> int:
    """Bytes of the colour table that a descriptor's flags announce (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & _COLOUR_TABLE_FLAG else 0
