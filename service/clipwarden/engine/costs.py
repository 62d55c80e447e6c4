"""What a header says in, the seconds that its decode will take out: by format, bytes and pixels, as measured.

Within a fifth for most kinds, and within a factor of two for the rest, which is what fairness and a forecast need:
`python -m bench.costs` prints each kind's estimate beside its measurement. A header does not say all: colours that are
converted before the picture is reduced, or a mended file, take longer. How fast this machine is, is learnt.
"""

from dataclasses import dataclass

from clipwarden.vision.facts import ImageHeader
from clipwarden.vision.formats.layout import Size
from clipwarden.vision.plan import MAX_VIEWS

_SMOOTHING = 1 / 32
"""Weight of the newest decode in how fast this machine is: at tens of images a second it follows within a second."""
_MOST_OFF = 4.0
"""How far one decode counts as faster or slower than thought: one that was interrupted says nothing of the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rates:
    """Nanoseconds of one core.

    Attributes:
        fixed: Any picture.
        byte: Of the file.
        stored: A pixel as stored.
        decoded: A pixel as decoded, and brought to the model's side; fewer than stored where a JPEG is scaled.
    """

    fixed: float = 150_000
    byte: float = 0.0
    stored: float = 0.0
    decoded: float = 0.0


# Non-negative least squares of relative errors over pictures of 0.05 to 8 megapixels, on a core of a Sapphire Rapids
# Xeon; Pillow 12, libjpeg-turbo 3, thread time, without other work beside it.
_RATES = {
    "JPEG": _Rates(byte=8.0, stored=0.3, decoded=9.0),
    "PNG": _Rates(byte=14.0, stored=3.5),
    "WEBP": _Rates(stored=20.0),
    "GIF": _Rates(stored=2.0),
    "BMP": _Rates(stored=6.5),
    "TIFF": _Rates(byte=2.2, stored=1.5),
    "AVIF": _Rates(fixed=1_000_000, stored=28.0),
    "HEIC": _Rates(fixed=1_000_000, stored=31.0),
}
_COEFFICIENT = 2.0
"""A pixel and byte of coefficients that a JPEG has held until its last scan: of a progressive one, some ten scans."""
_SECOND_VIEW = 12.0
"""A decoded pixel of a picture that may be see-through, and then is looked at on white and on black."""
_PART_PIXEL = 4.5
"""One of `parts_pixels`, on each background: measured on squares and tiles of 0.3 to 6 megapixels."""


class DecodeCosts:
    """Estimates decodes, and learns how fast this machine does them. Lives on one event loop."""

    def __init__(self) -> None:
        self._slowness = 1.0
        self._differing = 1.0  # share of the views that an animation might have, until some were seen

    def seconds(self, header: ImageHeader, file_bytes: int) -> float:
        """Estimate a decode, with what stands beside it.

        Args:
            header: What `read_header` let through.
            file_bytes: Of the file.
        """
        return self._slowness * _reference_seconds(header, file_bytes)

    def views(self, header: ImageHeader) -> int:
        """Estimate how many views a picture will have: of an animation those of what usually differs.

        Args:
            header: As for `seconds`.
        """
        return views_of(header) if header.judged == 1 else max(1, round(self._differing * views_of(header)))

    def note(self, header: ImageHeader, file_bytes: int, seconds: float, *, views: int) -> None:
        """Learn from a decode that succeeded.

        Args:
            header: As for `seconds`.
            file_bytes: As for `seconds`.
            seconds: That it took.
            views: That it made.
        """
        if header.judged > 1:
            self._differing += (min(1.0, views / views_of(header)) - self._differing) * _SMOOTHING
        off = seconds / self.seconds(header, file_bytes)
        self._slowness *= 1 + (min(max(off, 1 / _MOST_OFF), _MOST_OFF) - 1) * _SMOOTHING


def _reference_seconds(header: ImageHeader, file_bytes: int) -> float:
    layout, rates = header.layout, _RATES[header.format]
    stored, decoded = _area(layout.size), _area(header.decoded)
    nanoseconds = rates.fixed + rates.stored * stored + rates.decoded * decoded
    if header.format == "JPEG":
        nanoseconds += _COEFFICIENT * layout.coding_bytes * stored
    if layout.see_through:
        nanoseconds += _SECOND_VIEW * decoded
    if header.parts_pixels:
        nanoseconds += _PART_PIXEL * header.parts_pixels * (2 if layout.see_through else 1)
    # Of an animation every frame is composed, however little of it is stored, and compared with those that are kept.
    return (rates.byte * file_bytes + header.frames * nanoseconds) / 1e9


def views_of(header: ImageHeader) -> int:
    """Say how many views a picture may have under the plan that its header was read for, as far as that tells."""
    of_a_frame = header.parts * (2 if header.layout.see_through else 1)
    return max(of_a_frame, min(header.judged * of_a_frame, MAX_VIEWS))


def _area(size: Size) -> int:
    return size[0] * size[1]
