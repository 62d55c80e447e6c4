"""One frame of an animation, as a viewer shows it: a frozen value."""

from dataclasses import dataclass

from PIL import Image

from clipwarden.vision.colour.conversion import AS_STORED, Conversion


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """A frame with everything that it leaves standing of those before it.

    `picture`, `conversion` and `low_bytes` are what `views.to_views` takes. Nobody writes to a picture that was handed
    out, so several may be kept; each takes 4 bytes a pixel.

    Attributes:
        index: In the order that a browser shows them; 0 is what it shows first. Pictures that other viewers show, such
            as a hidden still, come last.
        seconds: When it is first shown, from the beginning; None where it belongs to no animation.
        duration_seconds: How long it is shown, by browsers' rule for very short times; None likewise.
        picture: Loaded, of the size of the whole canvas, and not turned yet. Mode RGB or RGBA; only that of index 0 may
            have any mode that Pillow decodes, as what is judged of a still has. One that other viewers show may have
            another size.
        conversion: Of its colours. Later frames are converted already, since browsers compose displayed colours; the
            first is as stored.
        low_bytes: Of 16 bits a channel, where `conversion` asks for them.
        uncertain: Whether viewers show other colours, as far as `views.to_views` cannot tell from the picture.
    """

    index: int
    seconds: float | None
    duration_seconds: float | None
    picture: Image.Image
    conversion: Conversion = AS_STORED
    low_bytes: Image.Image | None = None
    uncertain: bool = False
