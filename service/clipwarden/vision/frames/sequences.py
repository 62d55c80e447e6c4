"""An AVIF's bytes in, the pictures of its sequence out, each of which is whole."""

from collections.abc import Iterator

from PIL import Image

from clipwarden.vision.colour.conversion import Conversion
from clipwarden.vision.formats.heif import sound_frames
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.frames.times import Clock
from clipwarden.vision.frames.work import MOST_FRAME_PIXELS, frame_work, held_bytes
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.opening import open_image
from clipwarden.vision.structure import Structure
from clipwarden.vision.views import on_canvas
from clipwarden.vision.ways import readers_differ


def sequence_frames(
    data: bytes, structure: Structure, limits: DecodeLimits, conversion: Conversion, seed: int
) -> Iterator[Frame]:
    """Decode a sequence; arguments, frames and errors as of `reading.frames_of`."""
    clock, left = Clock(), MOST_FRAME_PIXELS
    with open_image(structure.data, "AVIF") as opened:
        work = frame_work(opened.size, opened.size, "AVIF", conversion, composed=False)
        held = held_bytes(opened.size, "AVIF", conversion, file_bytes=len(data))
        most = min(getattr(opened, "n_frames", 1), structure.frames_total) if held <= limits.max_decode_bytes else 1
        for index in range(max(1, sound_frames(data, most))):
            left -= work
            if index and left < 0:
                return
            try:
                opened.seek(index)
                opened.load()
            except Exception:  # whatever Pillow and its codecs raise on hostile input
                if index == 0:
                    raise
                return  # those that follow are coded as what has changed since
            begin, duration = clock.show(opened.info["duration"])
            picture: Image.Image = opened.copy()
            if structure.canvas is not None:
                picture = on_canvas(picture, structure.canvas)
            yield Frame(
                index=index,
                seconds=begin,
                duration_seconds=duration,
                picture=picture,
                conversion=conversion,
                uncertain=readers_differ(picture, conversion, seed),
            )
