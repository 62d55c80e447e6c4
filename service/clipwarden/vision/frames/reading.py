"""An animation's bytes in, its frames out, one after another, each composed as Chromium composes it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from PIL import Image

from clipwarden.vision.colour.conversion import AS_STORED, Conversion
from clipwarden.vision.formats import gif, png, webp
from clipwarden.vision.formats.cuts import Cut, Cuts
from clipwarden.vision.frames.composing import Composition
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.frames.sequences import sequence_frames
from clipwarden.vision.frames.stills import Still, decode_still, displayed
from clipwarden.vision.frames.times import Clock
from clipwarden.vision.frames.work import MOST_FRAME_PIXELS, Size, frame_work, held_bytes, is_oversized
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits
from clipwarden.vision.structure import Structure
from clipwarden.vision.ways import readers_differ

_CUTS: dict[str, Callable[[bytes], Cuts]] = {"GIF": gif.cuts_of, "PNG": png.cuts_of, "WEBP": webp.cuts_of}
MOVING_FORMATS = frozenset({*_CUTS, "AVIF"})
"""Formats whose frames are read; of others, such as TIFF with its pages, the first picture alone."""

_OPAQUE = 255


def frames_of(
    data: bytes,
    structure: Structure,
    image_format: str,
    limits: DecodeLimits = DEFAULT_LIMITS,
    *,
    conversion: Conversion = AS_STORED,
    seed: int = 0,
) -> Iterator[Frame]:
    """Decode an animation's frames, one each time that one is asked for.

    Every frame comes that Chromium shows, in its order, and then what other viewers show instead; at most
    `structure.frames_total` in all. Fewer come where the file claims more than it holds, where a frame is damaged (all
    that follow are composed upon it, so they stay unseen), or once `work.MOST_FRAME_PIXELS` would be spent; and the
    first alone, where reading them would hold more than the limit. Who reads more than that one has to have room for
    `work.held_bytes`.

    Args:
        data: The file; untrusted. Not `structure.data`, which may be the first frame alone.
        structure: Of the file.
        image_format: One of `sniff.FORMATS`.
        limits: What may be held.
        conversion: Of the first frame's colours; later ones share it.
        seed: Of which pixels are compared where viewers take different ways to its colours; from the file's hash.

    Yields:
        Frames; the first one's picture is bit for bit what is judged of the file without its others.

    Raises:
        Exception: Whatever Pillow raises where the first frame cannot be decoded. Later ones end the reading instead.
    """
    moves = structure.frames_total > 1 and image_format in MOVING_FORMATS
    if moves and image_format == "AVIF":
        yield from sequence_frames(data, structure, limits, conversion, seed)
        return
    first = decode_still(structure.data, image_format, conversion).on(structure.canvas)
    reading = _Reading(first, structure, image_format, conversion, seed)
    held = held_bytes(first.picture.size, image_format, conversion, file_bytes=len(data)) if moves else 0
    if moves and held <= limits.max_decode_bytes:
        yield from reading.frames(_CUTS[image_format](data), structure.frames_total)
    else:
        yield reading.stored(first, 0)


class _Reading:
    """One reading of an animation that is cut into stills."""

    def __init__(
        self, first: Still, structure: Structure, image_format: str, conversion: Conversion, seed: int
    ) -> None:
        self._first = first
        self._denies_alpha = structure.alpha == "denied"
        self._size = first.picture.size
        self._format = image_format
        self._conversion = conversion
        self._seed = seed
        self._uncertain = False
        self._pixels_left = MOST_FRAME_PIXELS

    def frames(self, cuts: Cuts, most: int) -> Iterator[Frame]:
        """Yield what the animation shows, and then what stands beside it; so many at most."""
        index = 0
        for frame in islice(self._animated(cuts), most):
            yield replace(frame, index=index)
            index += 1
        for write in cuts.others[: most - index]:
            still = self._decoded(write, self._size)
            if still is not None:
                yield self.stored(still, index)
                index += 1

    def stored(self, still: Still, index: int) -> Frame:
        """Return a picture that belongs to no animation."""
        return Frame(
            index=index,
            seconds=None,
            duration_seconds=None,
            picture=still.picture,
            conversion=self._conversion,
            low_bytes=still.low_bytes,
            uncertain=readers_differ(still.picture, self._conversion, self._seed),
        )

    def _animated(self, cuts: Cuts) -> Iterator[Frame]:
        clock, canvas = Clock(), Composition(self._size)
        first, later = self.stored(self._first, 0), cuts.frames
        if not cuts.apart and cuts.frames:
            begin, duration = clock.show(cuts.frames[0].milliseconds)
            first, later = replace(first, seconds=begin, duration_seconds=duration), cuts.frames[1:]
            canvas.show(cuts.frames[0], displayed(self._first, self._conversion))
        yield first
        for cut in later:
            drawn = self._drawn(cut, canvas)
            if drawn is None:
                return
            begin, duration = clock.show(cut.milliseconds)
            yield replace(drawn, seconds=begin, duration_seconds=duration)

    def _drawn(self, cut: Cut, canvas: Composition) -> Frame | None:
        """Draw one more frame; None where it cannot be decoded, and neither can what is composed upon it."""
        if 0 in cut.size:
            return _composed(canvas.stands())
        still = self._decoded(cut.still, cut.size)
        if still is None:
            return None
        picture = displayed(still, self._conversion)
        # Chromium adds colours to what stands where a file denies its alpha; others lay them over it, or show no alpha.
        self._uncertain |= (
            self._denies_alpha and picture.mode == "RGBA" and picture.getchannel("A").getextrema()[0] != _OPAQUE
        )
        uncertain = self._uncertain or readers_differ(still.picture, self._conversion, self._seed)
        return _composed(canvas.draw(cut, picture), uncertain=uncertain)

    def _decoded(self, write: Callable[[], bytes], size: Size) -> Still | None:
        self._pixels_left -= frame_work(self._size, size, self._format, self._conversion)
        if self._pixels_left < 0 or is_oversized(size, self._size):
            return None
        try:
            return decode_still(write(), self._format, self._conversion)
        except Exception:  # noqa: BLE001  Pillow and its codecs raise whatever they like on hostile input
            return None


def _composed(picture: Image.Image, *, uncertain: bool = False) -> Frame:
    return Frame(index=0, seconds=None, duration_seconds=None, picture=picture, uncertain=uncertain)
