"""A PNG's bytes in, what it shows out, by walking its chunks as Chromium's decoder does.

Chromium 150 (measured): chunks beside the pixels that are damaged, unknown or out of place are passed over, of several
good ones the first counts. Pillow would refuse many such files whole, or read others of the chunks; so it is given a
copy of those that draw something.
"""

import zlib
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.apng import Animation, Frame
from clipwarden.vision.formats.cuts import Cut, Cuts
from clipwarden.vision.formats.exif import exif_orientation
from clipwarden.vision.formats.pngchunks import Chunk, read_chunks
from clipwarden.vision.formats.pngcolour import COLOUR_CHUNKS, ColourChunks
from clipwarden.vision.formats.pngpixels import PixelFormat
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import Canvas, Structure

# libpng writes image data in chunks of 8 KiB: 64 MiB are 8,192 of them, and an animation has one more a frame. Pillow
# reads chunk by chunk in Python: 20 MiB of empty ones took it 6 s. Of each the length and the type are read, and once
# the body of those that say something.
PNG_BUDGET = Budget(entries=50_000, bytes=8 * 50_000, passes=1)

_ZLIB_HEADER_BYTES = 2
_PIECE_BYTES = 16 * 1024  # inflated they are 16 MiB at most
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})


def structure_of(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a PNG shows.

    Args:
        data: The file.

    Returns:
        Its structure; of an animation the first frame as a picture of its own.

    Raises:
        ImageError: IMAGE_CORRUPT; it has more chunks than honest files, or a header or palette that nobody can read.
        ValueError: The file ends inside its header.
    """
    return _walked(data).structure()


def cuts_of(data: bytes) -> Cuts:
    """Find a PNG's frames; arguments and errors as of `structure_of`."""
    return _walked(data).cuts()


def _walked(data: bytes) -> "_Walk":
    walk = _Walk(data)
    try:
        walk.run()
    except BudgetSpentError as exc:
        raise ImageError(f"The PNG has more than {PNG_BUDGET.entries} chunks.", reason=Reason.IMAGE_CORRUPT) from exc
    return walk


def lacks_rows(image: Image.Image, data: bytes) -> bool:
    """Tell whether Pillow left rows of a PNG black because the file does not hold them, which it passes over.

    Args:
        image: Loaded.
        data: As `structure_of` gives it; inflated once more where the last row is black, or the last of those that
            only the last pass of an interlaced file brings.
    """
    rows = {image.height - 1, image.height // 2 * 2 - 1} - {-1}
    if all(image.crop((0, row, image.width, row + 1)).getbbox(alpha_only=False) for row in rows):
        return False
    walk = _Walk(data)
    walk.run()
    if walk.format is None:
        return True
    inflated = _inflate(walk.pixels, walk.format.filtered_bytes)
    return inflated is None or inflated.size < walk.format.filtered_bytes


def rows_there(data: bytes) -> tuple[bytes, float] | None:
    """Find out how many rows a PNG holds that could not be decoded.

    The rows are inflated once more, 16 KiB at a time, and not kept.

    Args:
        data: As `structure_of` gives it.

    Returns:
        A file of these rows, and their share of all; None without one, or where interlaced ones are missing.
    """
    walk = _Walk(data)
    walk.run()
    pixels = walk.format
    if pixels is None:
        return None
    inflated = _inflate(walk.pixels, pixels.filtered_bytes)
    if inflated is None:
        return None
    if inflated.size >= pixels.filtered_bytes:
        # Viewers do not look at the checksum behind the rows; Pillow does, unless it is missing.
        return pixels.still(pixels.size, _cut(walk.pixels, inflated.end)), 1.0
    (width, height), rows = pixels.size, inflated.size // pixels.row_bytes(pixels.size[0])
    if pixels.interlaced or not rows:
        return None
    return pixels.still((width, rows), walk.pixels), rows / height


class _Inflated(NamedTuple):
    """What a zlib stream holds: `size` in bytes, and where its `end` is without its checksum."""

    size: int
    end: int


def _inflate(bodies: Sequence[memoryview], most: int) -> _Inflated | None:
    """Inflate a zlib stream without looking at its checksum; None where it is damaged, not only cut."""
    inflater, size, end = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
    pieces = (body[start : start + _PIECE_BYTES] for body in bodies for start in range(0, len(body), _PIECE_BYTES))
    try:
        for piece in pieces:
            size += len(inflater.decompress(piece[max(0, _ZLIB_HEADER_BYTES - end) :], most + 1 - size))
            end += len(piece)
            if inflater.eof or size > most:
                break
    except zlib.error:
        return None
    return _Inflated(size, end - len(inflater.unused_data))


def _cut(bodies: Sequence[memoryview], end: int) -> list[memoryview]:
    """Keep the first bytes of parts that follow each other."""
    kept = []
    for body in bodies:
        kept.append(body[: max(0, end)])
        end -= len(body)
    return kept


class _Walk:
    """A walk over a PNG's chunks, on a `PNG_BUDGET`.

    Attributes:
        format: None before the header.
        pixels: Bodies of IDAT.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._reader = BoundedReader(data, PNG_BUDGET)
        self.format: PixelFormat | None = None
        self._animation = Animation((0, 0))
        self._colours = ColourChunks()
        self._orientation: int | None = None
        self.pixels: list[memoryview] = []
        self._dropped = False

    def run(self) -> None:
        """Look at every chunk up to the end."""
        for chunk in read_chunks(self._reader):
            if self.format is None:
                self.format = PixelFormat(self._header(chunk))
                self._animation = Animation(self.format.size)
            elif chunk.kind == b"IDAT":
                self.pixels.append(self._raw(chunk))
                self._dropped |= chunk.end > len(self._data)
            elif chunk.kind in _ANIMATION:
                body = self._raw(chunk) if chunk.kind == b"fdAT" else self._body(chunk)
                self._animation.add(chunk.kind, body, behind_pixels=bool(self.pixels))
                self._dropped = True
            elif self.pixels or chunk.end > len(self._data):
                self._dropped = True
            else:
                self._dropped |= not self._keep(self.format, chunk)

    def _header(self, chunk: Chunk) -> bytes:
        if chunk.kind == b"IHDR" and chunk.end > len(self._data):
            raise ValueError("no header")
        body = self._body(chunk) if chunk.kind == b"IHDR" else None
        if body is None:
            raise ImageError("The PNG does not begin with a whole header.", reason=Reason.IMAGE_CORRUPT)
        return bytes(body)

    def _raw(self, chunk: Chunk) -> memoryview:
        """Return a chunk's body, or what the file holds of it, whatever its checksum."""
        start = chunk.start + 8
        return self._reader.body(start, max(0, min(chunk.end - 4, len(self._data)) - start))

    def _body(self, chunk: Chunk) -> memoryview | None:
        """Return a chunk's body; None when its checksum is wrong, or it is cut short."""
        if chunk.end > len(self._data):
            return None
        body = self._reader.body(chunk.start + 4, chunk.end - chunk.start - 4)
        return body[4:-4] if zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "big") else None

    def _keep(self, pixel_format: PixelFormat, chunk: Chunk) -> bool:
        """Read a chunk ahead of the pixels; return whether the decoder needs it as it is."""
        if chunk.kind == b"PLTE":
            return pixel_format.set_palette(self._body(chunk))
        if chunk.kind == b"tRNS":
            return pixel_format.set_transparency(self._body(chunk))
        if chunk.kind in COLOUR_CHUNKS:
            self._colours.add(chunk.kind, self._body(chunk), behind_palette=pixel_format.has_palette)
        elif chunk.kind == b"eXIf" and self._orientation is None and (body := self._body(chunk)) is not None:
            # Chromium takes no prefix here.
            block = bytes(body)
            self._orientation = 1 if block.startswith(b"Exif") else exif_orientation(block)
        return False

    def structure(self) -> Structure:
        """Say what was found."""
        if self.format is None:
            raise ValueError("no header")
        canvas = None
        if self._animation.replaces_still:
            frame = self._animation.frames[0]
            data = self.format.still(frame.size, frame.data)
            if frame.size != self.format.size:
                canvas = Canvas(size=self.format.size, left=frame.left, top=frame.top)
        elif self._dropped:
            data = self.format.still(self.format.size, self.pixels)
        else:
            data = self._data
        return Structure(
            data=data,
            frames_total=self._animation.frames_total,
            orientation=self._orientation or 1,
            colour=self._colours.tags(),
            canvas=canvas,
        )

    def cuts(self) -> Cuts:
        """Return the animation's frames; the still is one of them, or stands beside them, or they beside it."""
        if self.format is None:
            raise ValueError("no header")
        frames = [self._cut(self.format, frame, frame.data) for frame in self._animation.frames]
        if not self._animation.still_hidden:
            frames.insert(0, self._cut(self.format, self._animation.still, self.pixels))
        replaced = self._animation.replaces_still
        still = partial(self.format.still, self.format.size, self.pixels)
        return Cuts(
            frames=frames,
            apart=self._animation.still_hidden and not replaced,
            others=[still] if replaced and self.pixels else [],
        )

    @staticmethod
    def _cut(pixel_format: PixelFormat, frame: Frame, pixels: Sequence[memoryview]) -> Cut:
        return Cut(
            size=frame.size,
            left=frame.left,
            top=frame.top,
            milliseconds=frame.milliseconds,
            disposal=frame.disposal,
            over=frame.over,
            still=partial(pixel_format.still, frame.size, pixels),
        )
