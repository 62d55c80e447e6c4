"""A file that the decoder gave up on in, what it holds of its picture out: a file that decodes, and the share of rows.

A row is whole that no continuation of the file would change, at the scale that is looked at. Of a progressive JPEG all
rows are shown, in what detail is there; none counts as whole (but one, since a share is above 0) until the last scan
that adds to them has begun, and at a small scale that comes early.

GIF, WebP, AVIF, TIFF and interlaced PNG that are cut short stay refused: how many of their rows are whole cannot be
told cheaply, or is none.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from clipwarden.vision.formats import bmp, png
from clipwarden.vision.formats.jpeg import without_metadata
from clipwarden.vision.formats.jpegend import JpegEnd, find_end
from clipwarden.vision.structure import Structure

Look = Callable[[bytes], Image.Image]

_END_OF_IMAGE = b"\xff\xd9"
# Two continuations of coded data that no Huffman table reads alike, unless it has one code: nought and every other bit.
# As long as a coded block can be (64 coefficients of 16 + 10 bits are 208 bytes), with the restart between, for data
# that were cut right before one.
_FILLERS = (bytes(256), b"\xaa" * 256)
# A salvaged file is decoded four times in all, where others may be asked to scan twice as much once (`jpeg`). Ten scans
# of a phone's 200 million pixels, as libjpeg writes them: four times 1.1 s (measured); 20 took 17 s.
_MOST_SCANNED_PIXELS = 2_000_000_000
_PIECE_BYTES = 64 * 1024


def salvage(structure: Structure, image_format: str, look: Look) -> Structure | None:
    """Find out what a file that could not be decoded shows all the same.

    Args:
        structure: Of the file.
        image_format: As `sniff.sniff_format` named it.
        look: Decodes at the scale that will be looked at; called at most twice, for JPEG.

    Returns:
        What is there; None when that is nothing, or cannot be told.
    """
    if image_format == "JPEG":
        return _jpeg(structure, look)
    rows_there = {"PNG": png.rows_there, "BMP": bmp.rows_there}.get(image_format)
    found = rows_there(structure.data) if rows_there else None
    return None if found is None else replace(structure, data=found[0], share_shown=found[1])


def _jpeg(structure: Structure, look: Look) -> Structure | None:
    data, end = structure.data, find_end(structure.data)
    if end is None:
        return None
    if end.ended and data[end.at : end.at + 2] == _END_OF_IMAGE:
        bare = without_metadata(data)
        return replace(structure, data=bare) if len(bare) < len(data) else None
    begun = memoryview(data)[: _fill_begins_at(data, end.at)]
    if end.ended:
        return replace(structure, data=b"".join((begun, _END_OF_IMAGE)))
    if end.scanned_pixels > _MOST_SCANNED_PIXELS:
        return None
    (height,) = struct.unpack_from(">H", data, end.height_at)
    # One copy of the file at a time, which a salvaged file is charged for.
    first, second = (
        _row_sums(look(b"".join((begun, filler, end.next_restart, filler, _END_OF_IMAGE)))) for filler in _FILLERS
    )
    there = next((row for row, sums in enumerate(zip(first, second, strict=True)) if sums[0] != sums[1]), len(first))
    if there == len(first) and end.all_scans:
        # Whatever may be missing, nobody would see it.
        return replace(structure, data=b"".join((begun, _END_OF_IMAGE)))
    return _partly(structure, begun, end, there * height // len(first), height)


def _fill_begins_at(data: bytes, end: int) -> int:
    """Find where the bytes of FF before `end` begin: half a marker, or fill."""
    while (piece := data[max(0, end - _PIECE_BYTES) : end]) and not piece.rstrip(b"\xff"):
        end -= len(piece)
    return end - len(piece) + len(piece.rstrip(b"\xff"))


def _partly(structure: Structure, begun: memoryview, end: JpegEnd, rows: int, height: int) -> Structure | None:
    """Say what is shown where data are missing from a row on, or scans that would have added detail to all rows."""
    if not end.in_rows:
        rows = max(1, rows if end.all_scans else 0)
        return replace(structure, data=b"".join((begun, _END_OF_IMAGE)), share_shown=rows / height)
    if not rows:
        return None
    shown = structure.shown_size and (structure.shown_size[0], max(1, structure.shown_size[1] * rows // height))
    parts = begun[: end.height_at], struct.pack(">H", rows), begun[end.height_at + 2 :], _END_OF_IMAGE
    return replace(structure, data=b"".join(parts), share_shown=rows / height, shown_size=shown)


def _row_sums(image: Image.Image) -> list[int]:
    """Sum up each row, so that only one of two pictures is held at a time."""
    return [zlib.crc32(image.crop((0, row, image.width, row + 1)).tobytes()) for row in range(image.height)]
