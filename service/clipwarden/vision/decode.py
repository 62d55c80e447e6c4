"""Turn untrusted bytes into S x S RGB views and facts about them, or raise ImageError.

Safe to call from many threads at once; Pillow releases the GIL while it decodes and resizes.
"""

import hashlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import AS_STORED, Conversion, conversion_of
from clipwarden.vision.facts import DecodedImage, FileFacts, ImageFacts, ImageHeader, View
from clipwarden.vision.formats.foreign import name_foreign
from clipwarden.vision.formats.ifd import exif_orientation
from clipwarden.vision.formats.sniff import sniff_format, sniff_size
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.formats.truncation import looks_cut_short
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits, check_pixels
from clipwarden.vision.opening import open_image, readable_formats
from clipwarden.vision.plan import WHOLE, ViewPlan
from clipwarden.vision.preprocess import Box, draft_size, fit_to_side
from clipwarden.vision.quality import degraded_flags
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Structure
from clipwarden.vision.views import to_views

# EXIF orientation -> what turns the stored image upright; the same table as Pillow's ImageOps.exif_transpose.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_header(data: bytes, limits: DecodeLimits = DEFAULT_LIMITS) -> ImageHeader:
    """Check size, format and pixel count by the header alone, within `reader.HEADER_BUDGET`.

    Args:
        data: The file.
        limits: What to refuse.

    Returns:
        Format and stored size.

    Raises:
        ImageError: IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_FORMAT_UNSUPPORTED or IMAGE_TOO_MANY_PIXELS.
    """
    if not data:
        raise ImageError("The image has no bytes.", reason=Reason.IMAGE_EMPTY)
    if len(data) > limits.max_bytes:
        raise ImageError(
            f"The image has {len(data)} bytes; the limit is {limits.max_bytes}.", reason=Reason.IMAGE_TOO_LARGE
        )
    image_format = sniff_format(data)
    if image_format is None or image_format not in readable_formats():
        raise ImageError(_unsupported(data, image_format), reason=Reason.IMAGE_FORMAT_UNSUPPORTED)
    size = sniff_size(data, image_format)
    if size is not None:
        check_pixels(size, limits)
    width, height = size or (None, None)
    return ImageHeader(format=image_format, width=width, height=height)


def _unsupported(data: bytes, image_format: str | None) -> str:
    if image_format == "HEIC":
        return "The image is HEIC, which needs the extra heif: pip install 'clipwarden[heif]'."
    supported = f"a supported format ({', '.join(readable_formats())})"
    name = name_foreign(data)
    return (
        f"The file is {name}, not an image of {supported}." if name else f"The bytes are not an image of {supported}."
    )


def decode_image(
    data: bytes, *, preprocessing: Preprocessing, limits: DecodeLimits = DEFAULT_LIMITS, plan: ViewPlan = WHOLE
) -> DecodedImage:
    """Read an image's header, then decode it; see `read_header` and `decode_file`."""
    return decode_file(data, read_header(data, limits), preprocessing=preprocessing, limits=limits, plan=plan)


def decode_file(
    data: bytes,
    header: ImageHeader,
    *,
    preprocessing: Preprocessing,
    limits: DecodeLimits = DEFAULT_LIMITS,
    plan: ViewPlan = WHOLE,
) -> DecodedImage:
    """Name a file by its content, decode the first frame of an image and bring it to the model's input size.

    Args:
        data: The file.
        header: What `read_header` let through, under the same limits.
        preprocessing: Of the model folder.
        limits: What to refuse.
        plan: Which views to make.

    Returns:
        Facts and views.

    Raises:
        ImageError: The image is unsupported, truncated, corrupt, or larger than its header said; nothing else escapes.
    """
    if plan != WHOLE:
        raise ValueError(f"there is no view plan {plan.name!r}")
    try:
        return _decode(data, header.format, preprocessing, limits)
    except ImageError:
        raise
    except Exception as exc:  # Pillow and its codecs raise whatever they like on hostile input
        raise _translate(exc, data, header.format) from exc


def _decode(data: bytes, image_format: str, preprocessing: Preprocessing, limits: DecodeLimits) -> DecodedImage:
    sha256 = hashlib.sha256(data).hexdigest()
    structure = read_structure(data, image_format, limits)
    conversion = AS_STORED if preprocessing.colour == "ignore" else conversion_of(structure.colour)
    with open_image(structure.data, image_format) as opened:
        # Again, and now with authority: sniffing may have seen another header than the decoder did.
        check_pixels(opened.size, limits)
        frames_total = _declared_frames(opened) if structure.frames_total is None else structure.frames_total
        size = opened.size
        may_reduce = image_format == "JPEG" and conversion.after_reduction
        box = _draft(opened, preprocessing) if may_reduce else None
        if structure.first_frame:
            opened.seek(structure.first_frame)
        opened.load()
        picture: Image.Image = opened
        if structure.crop is not None:
            picture = opened.crop((0, 0, *structure.crop))
            size = picture.size
        turn = _upright_turn(opened, structure, image_format, preprocessing)
        if box is not None and turn is not None:
            box = _turned_box(box, opened.size, turn)
        if turn in _SWAPS_SIDES:
            size = size[1], size[0]
        names, fitted = [], []
        for view in to_views(picture, conversion):
            names.append(view.name)
            upright = _turned(view.rgb, turn)
            fitted.append(fit_to_side(upright, preprocessing, size=size, box=box, convert=view.convert_reduced))
            del view, upright  # before the next view is made
    # The encoder takes them as they lie here: one view is not copied, two are copied once.
    pixels = fitted[0][np.newaxis] if len(fitted) == 1 else np.stack(fitted)
    width, height = size
    facts = ImageFacts(
        file=FileFacts(format=image_format, width=width, height=height, sha256=sha256, bytes=len(data)),
        frames_total=frames_total,
        degraded=(*degraded_flags(fitted, size), *_colour_flags(conversion)),
        share_shown=structure.share_shown,
        hdr=conversion.hdr,
    )
    views = tuple(View(name=name, frame=0, pixels=row) for name, row in zip(names, pixels, strict=True))
    return DecodedImage(facts=facts, pixels=pixels, views=views)


def _colour_flags(conversion: Conversion) -> tuple[str, ...]:
    return ("COLOUR_UNCERTAIN",) if conversion.uncertain else ()


def _upright_turn(
    image: Image.Image, structure: Structure, image_format: str, preprocessing: Preprocessing
) -> Image.Transpose | None:
    # Pillow turns TIFF by itself while loading. Not `getexif`: it parses every tag of a hostile block.
    if preprocessing.orientation == "ignore" or image_format == "TIFF":
        return None
    if structure.orientation is not None:
        return _UPRIGHT.get(structure.orientation)
    exif = image.info.get("exif")
    return _UPRIGHT.get(exif_orientation(exif)) if isinstance(exif, bytes) else None


def _draft(image: Image.Image, preprocessing: Preprocessing) -> Box | None:
    """Have a JPEG decoded as small as allowed; return where the picture lies in what will be decoded."""
    least = draft_size(image.size, preprocessing)
    drafted = image.draft(None, least) if least else None
    return drafted[1] if drafted else None


def _turned_box(box: Box, size: tuple[int, int], turn: Image.Transpose) -> Box:
    """Follow the partial pixels, which scaled decoding leaves at the right and at the bottom, through a turn."""
    right, bottom = size[0] - box[2], size[1] - box[3]
    width, height = box[2], box[3]
    if turn in _SWAPS_SIDES:
        right, bottom, width, height = bottom, right, height, width
    left = right if turn in _MOVES_RIGHT_TO_LEFT else 0.0
    top = bottom if turn in _MOVES_BOTTOM_TO_TOP else 0.0
    return left, top, left + width, top + height


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


_SWAPS_SIDES = frozenset({_UPRIGHT[5], _UPRIGHT[6], _UPRIGHT[7], _UPRIGHT[8]})
# Of the sides as they are after a swap: what a quarter turn clockwise (6) shows on its left was the bottom.
_MOVES_RIGHT_TO_LEFT = frozenset({_UPRIGHT[2], _UPRIGHT[3], _UPRIGHT[6], _UPRIGHT[7]})
_MOVES_BOTTOM_TO_TOP = frozenset({_UPRIGHT[3], _UPRIGHT[4], _UPRIGHT[7], _UPRIGHT[8]})


def _declared_frames(image: Image.Image) -> int:
    """Read the frame count where it is a field of the header (PNG, WebP, AVIF); BMP has one frame."""
    return max(1, min(MAX_FRAMES_COUNTED, getattr(image, "n_frames", 1)))


def _translate(exc: Exception, data: bytes, image_format: str) -> ImageError:
    """Say what is wrong without repeating the codec's words, which may quote the file."""
    if isinstance(exc, Image.DecompressionBombError | Image.DecompressionBombWarning | MemoryError):
        return ImageError(
            f"The {image_format} image needs more memory than it may have.", reason=Reason.IMAGE_TOO_MANY_PIXELS
        )
    if looks_cut_short(data, image_format) or (
        not isinstance(exc, UnidentifiedImageError) and "truncated" in str(exc).lower()
    ):
        return ImageError(f"The {image_format} image ends too early.", reason=Reason.IMAGE_TRUNCATED)
    return ImageError(f"The {image_format} image is damaged and cannot be decoded.", reason=Reason.IMAGE_CORRUPT)
