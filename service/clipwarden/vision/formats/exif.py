"""An EXIF block in, how a picture is turned and stretched out, as Chromium 150 reads it (measured)."""

import math
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from clipwarden.vision.formats.ifd import Directory, Entry, Tag, first_directory, read_directory
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError

_SHORT, _LONG, _RATIONAL = 3, 4, 5
_INCH = 2
_EXIF_KINDS: dict[int, tuple[int, ...]] = {
    Tag.ORIENTATION: (_SHORT,),
    Tag.RESOLUTION_UNIT: (_SHORT,),
    Tag.X_RESOLUTION: (_RATIONAL,),
    Tag.Y_RESOLUTION: (_RATIONAL,),
    Tag.PIXEL_X_DIMENSION: (_SHORT, _LONG),
    Tag.PIXEL_Y_DIMENSION: (_SHORT, _LONG),
}
_EXIF_PREFIX = b"Exif\0\0"
_CLASSIC_MARKS = (b"II*\0", b"MM\0*")
# The first directory and the EXIF directory below it.
_EXIF_BUDGET = Budget(entries=2 * HEADER_BUDGET.entries, bytes=2 * HEADER_BUDGET.bytes)
# Pixels an inch that browsers take for granted.
_CSS_DENSITY = 72


def exif_orientation(exif: bytes) -> int:
    """Read the orientation from an EXIF block; see `read_exif`."""
    return read_exif(exif).orientation


class Exif(NamedTuple):
    """What of an EXIF block decides how a picture is shown.

    Attributes:
        orientation: 1-8; 1 is as stored.
        size: (width, height) that it gives to the picture, in pixels; 0 where it does not.
        densities: Pixels an inch across and down; 0 where it does not say, or says it in another unit.
    """

    orientation: int = 1
    size: tuple[int, int] = (0, 0)
    densities: tuple[float, float] = (0, 0)


def read_exif(exif: bytes) -> Exif:
    """Read an EXIF block as Chromium 150 does (measured); costs at most two `HEADER_BUDGET`.

    Args:
        exif: From its byte order mark on, or with the `Exif` prefix before it.

    Returns:
        Of each tag the first valid one, of the first directory or of the EXIF directory where that is pointed to
        earlier; entries that the block does not hold whole are passed over.

    Source: EXIF 2.32, section 4.6.
    """
    block = exif.removeprefix(_EXIF_PREFIX)
    reader = BoundedReader(block, _EXIF_BUDGET)
    found: dict[int, float] = {}
    with suppress(struct.error):
        directory = first_directory(reader)
        if block[:4] in _CLASSIC_MARKS:
            for tag, value in _exif_values(reader, directory):
                if tag != Tag.ORIENTATION or value in range(1, 9):
                    found.setdefault(tag, value)
    inches = found.get(Tag.RESOLUTION_UNIT) == _INCH
    return Exif(
        orientation=int(found.get(Tag.ORIENTATION, 1)),
        size=(int(found.get(Tag.PIXEL_X_DIMENSION, 0)), int(found.get(Tag.PIXEL_Y_DIMENSION, 0))),
        densities=(found.get(Tag.X_RESOLUTION, 0), found.get(Tag.Y_RESOLUTION, 0)) if inches else (0, 0),
    )


def _exif_values(reader: BoundedReader, directory: Directory, *, below: bool = False) -> Iterator[tuple[int, float]]:
    """Yield single values with their tags, in the file's order."""
    for entry in (each for each in directory.entries if each.length == 1):
        try:
            if entry.tag == Tag.EXIF_DIRECTORY and entry.kind == _LONG and not below:
                (offset,) = directory.values(reader, entry, 1)
                further = read_directory(reader, directory.layout, offset)
                yield from _exif_values(reader, further, below=True)
            elif entry.kind in _EXIF_KINDS.get(entry.tag, ()):
                yield entry.tag, _exif_value(reader, directory, entry)
        except BudgetSpentError:
            raise
        except struct.error:
            continue


def _exif_value(reader: BoundedReader, directory: Directory, entry: Entry) -> float:
    if entry.kind != _RATIONAL:
        return directory.values(reader, entry, 1)[0]
    numerator, denominator = reader.field(directory.layout.order + "II", directory.layout.offset(entry.value))
    return float(numerator / denominator) if denominator else 0


def shown_size(exif: Exif, stored: tuple[int, int]) -> tuple[int, int] | None:
    """Return the size that Chromium stretches a picture to: EXIF's, where its densities lead from the stored one there.

    Args:
        exif: Of the file.
        stored: (width, height) in pixels.

    Returns:
        None where that has the stored proportions, give or take the rounding.

    Source: `ExtractDensityCorrectedSize` of Chromium's image decoders.
    """
    if not all(exif.size) or not all(exif.densities):
        return None
    width, height = (side * _CSS_DENSITY / density for side, density in zip(stored, exif.densities, strict=True))
    if (math.floor(width + 0.5), math.floor(height + 0.5)) != exif.size:
        return None
    proportional = abs(exif.size[0] * stored[1] / stored[0] - exif.size[1]) <= max(1, stored[1] / stored[0])
    return None if proportional else exif.size
