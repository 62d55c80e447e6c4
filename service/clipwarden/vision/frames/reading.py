"""An animation's bytes in, its frames out, one after another, each composed as Chromium composes it."""

from collections.abc import Iterator

from clipwarden.vision.colour.conversion import AS_STORED, Conversion
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits
from clipwarden.vision.structure import Structure


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
    that follow are composed upon it, so they stay unseen), or once `MOST_FRAME_PIXELS` were decoded and composed.

    Args:
        data: The file; untrusted. Not `structure.data`, which may be the first frame alone.
        structure: Of the file.
        image_format: One of `sniff.FORMATS`.
        limits: What to refuse.
        conversion: Of the first frame's colours; later ones share it.
        seed: Of which pixels are compared where viewers take different ways to its colours; from the file's hash.

    Yields:
        Frames; the first one's picture is bit for bit what is judged of the file without its others.

    Raises:
        ImageError: The first frame would hold more than the limit. Later ones end the reading instead.
        Exception: Whatever Pillow raises where the first frame cannot be decoded.
    """
    raise NotImplementedError
    yield
