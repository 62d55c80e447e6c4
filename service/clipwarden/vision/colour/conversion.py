"""What a file says of its colours in, how to turn them into the sRGB that a browser shows out."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image

from clipwarden.vision.colour.cache import BoundedCache
from clipwarden.vision.colour.cost import nanoseconds_a_pixel
from clipwarden.vision.colour.curves import ProfileError
from clipwarden.vision.colour.icc import Profile, Space, read_profile
from clipwarden.vision.colour.images import ImageConverter
from clipwarden.vision.colour.inks import without_black
from clipwarden.vision.colour.pixels import is_one_formula
from clipwarden.vision.colour.spaces import (
    HLG,
    PQ,
    UNSPECIFIED,
    MatrixSpace,
    cicp_space,
    gamma_space,
    grey_to_rgb,
    of_pictures,
)
from clipwarden.vision.colour.tameness import is_srgb, is_tame
from clipwarden.vision.structure import NO_TAGS, Cicp, ColourTags

Convert = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """How stored colours become displayed ones.

    Attributes:
        convert: An image of mode RGB, RGBA, L, P or CMYK to sRGB: RGB, or RGBA or P where it was that; alpha is left as
            it is. None leaves colours alone.
        convert_wide: The same of 16 bits a channel, where their low bytes count: an image of high bytes and one of low
            bytes, of mode RGB or RGBA. None where `convert` does.
        after_reduction: Whether reducing first comes to the same, so that a JPEG may be decoded smaller and only the
            reduced picture is converted; never for a curve that a pattern of fine dots could be hidden under.
        uncertain: Whether something was ignored that another viewer might honour, or applied that it might not.
        ways: What others make of the same colours, as `convert`; whether it is seen depends on the picture.
        hdr: Whether the picture's range is beyond what is judged (PQ, HLG): it is brought to an ordinary screen's, as
            Chromium does, and other screens show more.
        nanoseconds: That `convert` takes a pixel at full size, by `cost`; palettes and grey take none to speak of.
        wide_nanoseconds: The same of `convert_wide`.
    """

    convert: Convert | None = None
    convert_wide: Callable[[Image.Image, Image.Image], Image.Image] | None = None
    after_reduction: bool = True
    uncertain: bool = False
    ways: tuple[Convert, ...] = ()
    hdr: bool = False
    nanoseconds: float = 0.0
    wide_nanoseconds: float = 0.0


AS_STORED = Conversion()
_UNCERTAIN = Conversion(uncertain=True)

# A build holds a few kilobytes for a matrix, and a table about as the profile does, or up to three that lie over each
# other in it: at most 10 MiB.
_TIMES_HELD = 4
_CACHE = BoundedCache[Conversion | None](entries=64, bytes=64 * 2**20)

_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


def conversion_of(tags: ColourTags, *, image_format: str, mode: str) -> Conversion:
    """Choose what a browser would do: cICP, else a profile, else sRGB, else gamma and primaries.

    Args:
        tags: What the file says.
        image_format: Such as PNG: formats differ in what profile fits which picture.
        mode: Pillow's, of the picture as it will be decoded.

    Returns:
        The conversion; its transforms are built once for all files that say the same. Safe from many threads.
    """
    if tags is NO_TAGS:  # as of most files, which are not worth asking carrier by carrier
        return AS_STORED
    found = AS_STORED if mode == "LAB" else _chosen(tags, image_format, mode)
    return replace(found, uncertain=True) if tags.broken else found


def _chosen(tags: ColourTags, image_format: str, mode: str) -> Conversion:
    uncertain = False
    # In boxes of ISO files a profile says more than code points do, and browsers take it first.
    for carrier in ("icc", "cicp") if image_format in ("AVIF", "HEIC") else ("cicp", "icc"):
        if getattr(tags, carrier) is None:
            continue
        found = _of_cicp(tags, image_format, mode) if carrier == "cicp" else _of_profile(tags, image_format, mode)
        if found is not None:
            return replace(found, uncertain=True) if uncertain else found
        uncertain = True
    found = AS_STORED if tags.srgb else _of_gamma(tags, mode)
    return replace(found, uncertain=True) if uncertain else found


def _of_cicp(tags: ColourTags, image_format: str, mode: str) -> Conversion | None:
    cicp = tags.cicp
    assert cicp is not None  # noqa: S101
    if image_format == "PNG" and not cicp.full_range:
        return None
    if image_format != "PNG":
        cicp = of_pictures(cicp)
    space = cicp_space(cicp)
    if space is None:
        return Conversion(hdr=True) if cicp.transfer in (PQ, HLG) else None
    return _CACHE.get(repr((cicp, _device(mode))), lambda: (_conversion(space, mode), 0))


def _of_gamma(tags: ColourTags, mode: str) -> Conversion:
    space = gamma_space(tags.gamma, tags.chromaticities)
    if space is None or _device(mode) == b"CMYK":
        return AS_STORED
    key = repr((tags.gamma, tags.chromaticities, _device(mode)))
    return _CACHE.get(key, lambda: (_conversion(space, mode), 0)) or AS_STORED


def _of_profile(tags: ColourTags, image_format: str, mode: str) -> Conversion | None:
    data = tags.icc
    assert data is not None  # noqa: S101
    key = repr((hashlib.sha256(data).digest(), _device(mode), image_format))
    return _CACHE.get(key, lambda: (_built(data, image_format, mode), _TIMES_HELD * len(data)))


def _built(data: bytes, image_format: str, mode: str) -> Conversion | None:
    try:
        profile = read_profile(data)
    except ProfileError:
        return None
    if not _fits(profile, image_format, mode):
        # A sound profile that does not fit ends the search; a broken one does not.
        return _UNCERTAIN
    if profile.device == b"CMYK" and image_format == "JPEG":
        return _of_inks(profile)
    if profile.cicp is not None:
        return _of_tag(profile.cicp, profile, mode)
    return replace(_conversion(profile.space, mode, profile.others), uncertain=profile.doubtful)


def _of_tag(tag: Cicp, profile: Profile, mode: str) -> Conversion:
    """Let code points inside a profile go before all else of it, where Chromium knows them; not all readers do."""
    space = cicp_space(of_pictures(tag))
    honest = tag.matrix == 0 and tag.full_range and UNSPECIFIED not in (tag.primaries, tag.transfer)
    if space is None or (not honest and space.tone is None):
        return replace(_conversion(profile.space, mode, profile.others), uncertain=True)
    built = _conversion(space, mode, (profile.space, *profile.others))
    return replace(built, uncertain=profile.doubtful or not honest)


def _of_inks(profile: Profile) -> Conversion:
    """Do what Chromium does: inks to RGB first, as without a profile, then back to inks that know no black.

    Others ask the profile about all four inks, and show darker tones otherwise.
    """
    space = without_black(profile.space)
    return Conversion(
        convert=_rgb_first(ImageConverter(space, inks=True)),
        after_reduction=False,
        uncertain=profile.doubtful,
        ways=_ways(profile.space, profile.others),
        nanoseconds=nanoseconds_a_pixel(space),
    )


def _fits(profile: Profile, image_format: str, mode: str) -> bool:
    """Whether Chromium lets such a profile tell the colours of such a picture."""
    device = _device(mode)
    if device == b"CMYK" or profile.device == b"CMYK":
        return device == profile.device and image_format != "PNG"
    if profile.device == b"GRAY":
        return device == b"GRAY"
    return profile.device == b"RGB " or image_format == "PNG"


def _device(mode: str) -> bytes:
    if mode == "CMYK":
        return b"CMYK"
    return b"GRAY" if mode in _GREY_MODES or mode.startswith("I;16") else b"RGB "


def _conversion(space: Space, mode: str, others: tuple[Space, ...] = ()) -> Conversion:
    matrix = space if isinstance(space, MatrixSpace) else None
    if matrix is not None and _device(mode) == b"GRAY" and matrix.tone is None:
        matrix = grey_to_rgb(matrix)
    if matrix is not None and is_srgb(matrix) and not others:
        return AS_STORED
    converter, tame = ImageConverter(space), matrix is not None and is_tame(matrix)
    return Conversion(
        convert=converter.convert,
        # Chromium reduces 16 bits to 8 ahead of a single formula, and behind all else.
        convert_wide=None if matrix is not None and is_one_formula(matrix) else converter.convert_wide,
        after_reduction=tame,
        ways=_ways(space, others),
        hdr=matrix is not None and matrix.tone is not None,
        nanoseconds=nanoseconds_a_pixel(space),
        wide_nanoseconds=nanoseconds_a_pixel(space, wide=True),
    )


def _ways(space: Space, others: tuple[Space, ...]) -> tuple[Convert, ...]:
    """Return what other readers do: interpolate otherwise and clip nothing, or take another way."""
    every = others if isinstance(space, MatrixSpace) else (replace(space, gamut=None), *others)
    return tuple(ImageConverter(way, simplexes=True).convert for way in every)


def _rgb_first(converter: ImageConverter) -> Convert:
    return lambda image: converter.convert(image if image.mode == "RGB" else image.convert("RGB"))
