"""Turn untrusted bytes into S x S RGB views and facts about them, or raise ImageError.

Safe to call from many threads at once; Pillow releases the GIL while it decodes and resizes.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import AS_STORED, Conversion, conversion_of
from clipwarden.vision.facts import DecodedImage, FileFacts, ImageFacts, ImageHeader
from clipwarden.vision.formats import png
from clipwarden.vision.formats.expected import frames_expected
from clipwarden.vision.formats.foreign import foreign_kind
from clipwarden.vision.formats.jpeg import FEW_SEGMENTS, header_segments
from clipwarden.vision.formats.layout import PixelLayout, Size, read_layout
from clipwarden.vision.formats.salvage import salvage
from clipwarden.vision.formats.sniff import sniff_format, sniff_size
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.formats.truncation import looks_cut_short
from clipwarden.vision.frames import work
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.frames.looking import Looked, choosing_bytes, look_at_frames
from clipwarden.vision.frames.reading import MOVING_FORMATS, frames_of
from clipwarden.vision.limits import (
    DEFAULT_LIMITS,
    DecodeLimits,
    HoldsMoreError,
    check_converting,
    check_held,
    too_large,
)
from clipwarden.vision.memory import decoded_size, held_bytes, opening_bytes
from clipwarden.vision.opening import open_image, readable_formats
from clipwarden.vision.parts import PixelBox, least_size, parts_of
from clipwarden.vision.plan import WHOLE, ViewPlan, Views
from clipwarden.vision.preprocess import Box
from clipwarden.vision.quality import degraded_flags
from clipwarden.vision.rendering import Picture, render
from clipwarden.vision.sixteen import is_wide, low_bytes, raw_mode, wide_key, with_wide_key
from clipwarden.vision.structure import Structure
from clipwarden.vision.turns import upright_turn
from clipwarden.vision.views import on_canvas
from clipwarden.vision.ways import readers_differ


def read_header(
    data: bytes,
    limits: DecodeLimits = DEFAULT_LIMITS,
    *,
    preprocessing: Preprocessing,
    sha256: str | None = None,
    plan: ViewPlan = WHOLE,
) -> ImageHeader:
    """Check size, format and the memory that decoding takes by the header alone, within two `reader.HEADER_BUDGET`s.

    What passes is hashed, unless it was.

    Args:
        data: The file.
        limits: What to refuse.
        preprocessing: Of the model folder.
        sha256: Of the file, where that is known; 64 hexadecimal digits.
        plan: Which views will be made: of more of them more is held, and JPEGs are decoded larger.

    Returns:
        Format, stored size, what decoding will hold, and the file's hash.

    Raises:
        ImageError: IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_FORMAT_UNSUPPORTED or IMAGE_TOO_MANY_PIXELS.
    """
    if not data:
        raise ImageError("The image has no bytes.", reason=Reason.IMAGE_EMPTY)
    if len(data) > limits.max_image_bytes:
        raise too_large(limits.max_image_bytes)
    image_format = sniff_format(data)
    if image_format is None or image_format not in readable_formats():
        raise ImageError(_unsupported(data, image_format), reason=Reason.IMAGE_FORMAT_UNSUPPORTED)
    segments = header_segments(data) if image_format == "JPEG" else None
    size = sniff_size(data, image_format, segments)
    layout = read_layout(data, image_format, size, segments)
    decoded = decoded_size(layout, preprocessing, plan.views)
    held = held_bytes(layout, preprocessing, decoded=decoded, file_bytes=len(data), views=plan.views)
    check_held(held, layout.size, image_format, limits)
    width, height = size or (None, None)
    parts = _parts_expected(layout, preprocessing, plan)
    frames = frames_expected(data, image_format) if plan.frames > 1 else 1
    return ImageHeader(
        format=image_format,
        width=width,
        height=height,
        decoded=decoded,
        held_bytes=held,
        layout=layout,
        parts=len(parts),
        parts_pixels=_pixels_of(parts, layout.size, decoded, preprocessing) if len(parts) > 1 else 0,
        frames=frames,
        judged=min(frames, plan.frames),
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        segments=segments if segments and len(segments) <= FEW_SEGMENTS else (),
    )


def _parts_expected(layout: PixelLayout, preprocessing: Preprocessing, plan: ViewPlan) -> tuple[PixelBox | None, ...]:
    if not all(layout.size):
        return (None,)
    return parts_of(layout.size, preprocessing, plan.views, backgrounds=2 if layout.see_through else 1).boxes


def _pixels_of(parts: Sequence[PixelBox | None], size: Size, decoded: Size, preprocessing: Preprocessing) -> int:
    """Reckon `ImageHeader.parts_pixels`; measured, a view's pixel takes as long as three that it is made from."""
    width, height = size
    areas = ((box[2] - box[0]) * (box[3] - box[1]) if box else width * height for box in parts)
    more = (sum(areas) - width * height) * decoded[0] * decoded[1] // (width * height)
    return max(0, more) + 3 * (len(parts) - 1) * preprocessing.side**2


def _unsupported(data: bytes, image_format: str | None) -> str:
    if image_format == "HEIC":
        return "The image is HEIC, which needs the extra heif: pip install 'clipwarden[heif]'."
    supported = f"a supported format ({', '.join(readable_formats())})"
    kind = foreign_kind(data)
    what = f"The file is {kind.name}, not" if kind else "The bytes are not"
    return f"{what} an image of {supported}."


def decode_image(
    data: bytes,
    *,
    preprocessing: Preprocessing,
    limits: DecodeLimits = DEFAULT_LIMITS,
    plan: ViewPlan = WHOLE,
    only_frames: Collection[int] = (),
) -> DecodedImage:
    """Read an image's header, then decode it; see `read_header` and `decode_file`."""
    header = read_header(data, limits, preprocessing=preprocessing, plan=plan)
    alone = replace(header, held_bytes=limits.max_decode_bytes)
    return decode_file(data, alone, preprocessing=preprocessing, limits=limits, plan=plan, only_frames=only_frames)


def decode_file(
    data: bytes,
    header: ImageHeader,
    *,
    preprocessing: Preprocessing,
    limits: DecodeLimits = DEFAULT_LIMITS,
    plan: ViewPlan = WHOLE,
    only_frames: Collection[int] = (),
) -> DecodedImage:
    """Decode an image, of an animation the frames that the plan asks for, and bring it to the model's input size.

    Of a mended file, and of one with pages, that is its first picture alone.

    Args:
        data: The file.
        header: What `read_header` let through, under the same limits and plan; the caller has room for its
            `held_bytes`.
        preprocessing: Of the model folder.
        limits: What to refuse.
        plan: Which views to make.
        only_frames: Of an animation the frames that are chosen among, as many as the plan says, each for itself
            however near it is to another; none for all there are. Where the file has none of them it is the first.

    Returns:
        Facts and views.

    Raises:
        ImageError: The image is unsupported, truncated, corrupt, or would hold more than the limit.
        HoldsMoreError: It would hold more than its header said, and more than what may be held without asking; nothing
            else escapes.
    """
    file = _File(data=data, header=header, plan=plan, only_frames=only_frames)
    try:
        structure = read_structure(data, header.format, limits, header.segments or None)
        try:
            if (plan.frames > 1 or any(only_frames)) and structure.frames_total > 1 and header.format in MOVING_FORMATS:
                return _decode_frames(file, structure, preprocessing, limits)
            return _decode(file, structure, preprocessing, limits)
        except OSError as exc:  # so Pillow calls files that end early, or hold something that it does not expect
            # The frames of its traceback hold on to the picture.
            exc.with_traceback(None)
            file = file._replace(salvaged=True)
            mended = salvage(structure, header.format, partial(_look, file, structure, preprocessing, limits))
            if mended is None:
                raise
        return _decode(file, mended, preprocessing, limits)
    except (ImageError, HoldsMoreError):
        raise
    except Exception as exc:  # Pillow and its codecs raise whatever they like on hostile input
        raise _translate(exc, data, header.format) from exc


class _File(NamedTuple):
    """A file, and how it is looked at.

    Attributes:
        data: The file.
        header: Of it.
        plan: Which views to make.
        only_frames: The frames that are chosen among; none for all.
        salvaged: Whether it failed to decode as it is: then a mended copy is made, beside what the codec copies.
    """

    data: bytes
    header: ImageHeader
    plan: ViewPlan
    only_frames: Collection[int] = ()
    salvaged: bool = False


class _Opened(NamedTuple):
    """An image that is not decoded yet, and may be.

    Attributes:
        image: Opened, and drafted.
        size: (width, height) as stored, in pixels.
        box: Where the picture will lie in what is decoded, if that is smaller than stored.
        conversion: Of its colours.
        wide: Whether that needs the low bytes too of colours of 16 bits.
        held_bytes: That decoding it will hold at the most.
    """

    image: ImageFile.ImageFile
    size: Size
    box: Box | None
    conversion: Conversion
    wide: bool
    held_bytes: int


def _open(file: _File, structure: Structure, preprocessing: Preprocessing, limits: DecodeLimits) -> _Opened:
    """Open and check with authority: the header may have said nothing, or another one than the decoder believes.

    Raises:
        ImageError: It would hold more than the limit, or take too long to convert.
        HoldsMoreError: It would hold more than its caller has room for.
    """
    header = file.header
    profile_bytes = 0 if preprocessing.colour == "ignore" else len(structure.colour.icc or b"")
    _require_room(opening_bytes(structure, profile_bytes=profile_bytes), header.layout.size, header, limits)
    known = header.segments if structure.data is file.data else ()
    opened = open_image(structure.data, header.format, known)
    size, conversion = opened.size, _conversion(opened, structure, header.format, preprocessing)
    # A picture that will be stretched needs more of its narrower side than the layout of the stored one says.
    may_reduce = header.format == "JPEG" and conversion.after_reduction and structure.shown_size is None
    box = _draft(opened, preprocessing, file.plan.views) if may_reduce else None
    wide = conversion.convert_wide is not None and is_wide(opened)
    layout, decoded = _opened_layout(opened, size, structure, header)
    converts = conversion.convert is not None and (wide or layout.see_through or not conversion.after_reduction)
    held = held_bytes(
        layout,
        preprocessing,
        decoded=decoded,
        file_bytes=len(file.data) * (2 if file.salvaged else 1),
        shown=structure.shown_size,
        converts=converts,
        profile_bytes=profile_bytes,
        low_bytes=wide or wide_key(opened) is not None,
        views=file.plan.views,
    )
    _require_room(held, layout.size, header, limits)
    if converts and opened.mode not in ("L", "P"):  # of those only 256 colours are converted
        nanoseconds = conversion.wide_nanoseconds if wide else conversion.nanoseconds
        check_converting(nanoseconds * decoded[0] * decoded[1] / 1e9, layout.size, header.format)
    return _Opened(image=opened, size=size, box=box, conversion=conversion, wide=wide, held_bytes=held)


def _require_room(held: int, size: Size, header: ImageHeader, limits: DecodeLimits) -> None:
    check_held(held, size, header.format, limits)
    if held > max(header.held_bytes, limits.small_decode_bytes):
        raise HoldsMoreError(held)


def _look(
    file: _File, structure: Structure, preprocessing: Preprocessing, limits: DecodeLimits, data: bytes
) -> Image.Image:
    """Decode at the scale that is looked at."""
    opened = _open(file, replace(structure, data=data), preprocessing, limits).image
    opened.load()
    return opened


def _decode(file: _File, structure: Structure, preprocessing: Preprocessing, limits: DecodeLimits) -> DecodedImage:
    image_format = file.header.format
    image, size, box, conversion, wide, held = _open(file, structure, preprocessing, limits)
    with image as opened:
        key = wide_key(opened)
        low = low_bytes(open_image(structure.data, image_format)) if wide or key is not None else None
        opened.load()
        if image_format == "PNG" and png.lacks_rows(opened, structure.data):
            raise OSError("rows are missing")
        picture: Image.Image = opened
        if key is not None and low is not None:
            picture = with_wide_key(opened, key, low)
        if structure.canvas is not None:
            size = structure.canvas.size
            picture = on_canvas(picture, structure.canvas)
            low = on_canvas(low, structure.canvas) if low is not None and wide else None
        shown = Picture(
            image=picture,
            size=structure.shown_size or size,
            box=box,
            turn=upright_turn(opened, structure, image_format, preprocessing),
            conversion=conversion,
            low_bytes=low if wide else None,
            alpha=structure.alpha,
        )
        uncertain = conversion.uncertain or readers_differ(picture, conversion, int(file.header.sha256, 16))
        rendered = render(shown, preprocessing, file.plan.views)
    looked = Looked.at_still(rendered, shown.shown_size, uncertain=uncertain)
    return DecodedImage(
        facts=_facts(file, structure, conversion, looked), pixels=looked.pixels, views=looked.views, held_bytes=held
    )


def _decode_frames(
    file: _File, structure: Structure, preprocessing: Preprocessing, limits: DecodeLimits
) -> DecodedImage:
    """Decode an animation's frames one after another, and keep the views of those that are judged."""
    first = _open(file, structure, preprocessing, limits)
    image_format, conversion = file.header.format, first.conversion
    size = structure.canvas.size if structure.canvas else first.size
    reading = work.held_bytes(size, image_format, conversion, file_bytes=len(file.data))
    frames_kept = len(file.only_frames) or structure.frames_total
    keeping = choosing_bytes(size, frames_kept, preprocessing, file.plan.views)
    held = max(first.held_bytes, reading + keeping)
    if held > limits.max_decode_bytes:  # its first frame alone is not refused for the others
        return _decode(file, structure, preprocessing, limits)
    _require_room(held, size, file.header, limits)
    with first.image as opened:
        shown = Picture(
            image=opened,
            size=structure.shown_size or size,
            turn=upright_turn(opened, structure, image_format, preprocessing),
            alpha=structure.alpha,
        )
    seed = int(file.header.sha256, 16)
    frames = frames_of(file.data, structure, image_format, limits, conversion=conversion, seed=seed)
    if file.only_frames:
        frames = _only(frames, file.only_frames)
    looked = look_at_frames(
        frames, shown, preprocessing, file.plan, uncertain=conversion.uncertain, merges=not file.only_frames
    )
    return DecodedImage(
        facts=_facts(file, structure, conversion, looked), pixels=looked.pixels, views=looked.views, held_bytes=held
    )


def _only(frames: Iterator[Frame], wanted: Collection[int]) -> Iterator[Frame]:
    first = next(frames)
    found, last = False, max(wanted)
    for frame in chain([first], frames):
        if frame.index in wanted:
            found = True
            yield frame
        if frame.index >= last:
            break
    if not found:
        yield first


def _facts(file: _File, structure: Structure, conversion: Conversion, looked: Looked) -> ImageFacts:
    (width, height), header = looked.size, file.header
    return ImageFacts(
        file=FileFacts(format=header.format, width=width, height=height, sha256=header.sha256, bytes=len(file.data)),
        frames_total=structure.frames_total,
        frames_judged=looked.frames_judged,
        frames_seen=looked.frames_seen,
        coverage=looked.coverage,
        resolution=looked.resolution,
        parts_left=looked.parts_left,
        degraded=(
            *degraded_flags(list(looked.pixels), looked.size),
            *(("COLOUR_UNCERTAIN",) if looked.uncertain else ()),
        ),
        share_shown=structure.share_shown,
        hdr=conversion.hdr,
    )


def _opened_layout(
    opened: Image.Image, size: Size, structure: Structure, header: ImageHeader
) -> tuple[PixelLayout, Size]:
    """Return what the header said, put right by what the decoder will do, and the size of what it will have done.

    Args:
        opened: Not loaded yet, and drafted.
        size: (width, height) as stored, in pixels.
        structure: Of the file.
        header: Of the file.
    """
    see_through = opened.has_transparency_data
    layout = header.layout
    found = size, opened.mode, see_through, structure.coded_pixels
    if found != (layout.size, layout.mode, layout.see_through, layout.coded_pixels):
        layout = replace(layout, size=size, mode=opened.mode, see_through=see_through, coded_pixels=found[-1])
    if structure.canvas is None:
        return layout, opened.size
    # Drawn on a see-through canvas that is no smaller, while the picture itself and its RGBA are held.
    shown, kept = structure.canvas.size, layout.kept_bytes + 8
    return replace(layout, size=shown, mode="RGBA", see_through=True, kept_bytes=kept), shown


def _conversion(
    opened: ImageFile.ImageFile, structure: Structure, image_format: str, preprocessing: Preprocessing
) -> Conversion:
    if preprocessing.colour == "ignore":
        return AS_STORED
    # Pillow decodes grey and alpha of 16 bits as RGBA.
    mode = "LA" if raw_mode(opened).startswith("LA") else opened.mode
    return conversion_of(structure.colour, image_format=image_format, mode=mode)


def _draft(image: Image.Image, preprocessing: Preprocessing, views: Views) -> Box | None:
    """Have a JPEG decoded as small as allowed; return where the picture lies in what will be decoded."""
    least = least_size(image.size, preprocessing, views)
    drafted = image.draft(None, least) if least else None
    return drafted[1] if drafted else None


def _translate(exc: Exception, data: bytes, image_format: str) -> ImageError:
    """Say what is wrong without repeating the codec's words, which may quote the file."""
    if isinstance(exc, Image.DecompressionBombError | Image.DecompressionBombWarning | MemoryError):
        return ImageError(
            f"The {image_format} image needs more memory than it may have.", reason=Reason.IMAGE_TOO_MANY_PIXELS
        )
    # Pillow calls a PNG truncated whose rows are missing although its end is there.
    cut = image_format != "PNG" and not isinstance(exc, UnidentifiedImageError) and "truncated" in str(exc).lower()
    if cut or looks_cut_short(data, image_format):
        return ImageError(f"The {image_format} image ends too early.", reason=Reason.IMAGE_TRUNCATED)
    return ImageError(f"The {image_format} image is damaged and cannot be decoded.", reason=Reason.IMAGE_CORRUPT)
