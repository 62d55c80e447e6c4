"""Bytes of an AVIF or a HEIC in; which of the two it is, its size, and what it shows out.

Where readers differ, Chromium decides for AVIF. HEIC is shown by Apple's programs and by libheif, which apply all of a
picture's turns and crops by themselves.
"""

import struct
from collections.abc import Iterator, Sequence as Several
from dataclasses import dataclass

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.av1 import Sequence, sequence_headers
from clipwarden.vision.formats.isobmff import (
    Box,
    Extent,
    Meta,
    Reference,
    Track,
    find_box,
    read_meta,
    read_tracks,
    whole_file,
)
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits, check_pixels
from clipwarden.vision.structure import Cicp, ColourTags, Structure

# Counting stops here: an animation of a thousand frames is as partial as one of a million.
MAX_FRAMES_COUNTED = 1000
# libheif opens at most 1,000 items, each with two properties of its own, a place and a list of properties; a phone's
# picture of 48 million pixels has 200. Bytes: a profile of 1 MiB, and 64 an item besides.
HEIF_BUDGET = Budget(entries=16_384, bytes=2 * 1024 * 1024)
# Where a file says its brands, and at most how many of them are read; encoders write up to ten.
_BRANDS_AT = 16
_MOST_BRANDS = 64
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# ISO/IEC 23008-12, annex B; `heim` to `hevs` are layered.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY_IMAGE_BRANDS = frozenset({b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"})
_FORMAT_OF_KIND = {b"av01": "AVIF", b"hvc1": "HEIC", b"hev1": "HEIC"}
_OWN_BRAND = {"AVIF": b"avif", "HEIC": b"heic"}
# Kinds of pictures that HEIF may hold and nobody here opens.
_OTHER_KINDS = frozenset({b"jpeg", b"avc1", b"vvc1", b"evc1", b"j2k1", b"unci", b"lhv1", b"mski", b"av02"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """What a decoder takes for the picture: an item, or the first frame of a track.

    Attributes:
        size: (width, height) in pixels, as stored.
        properties: That apply to it.
    """

    size: tuple[int, int]
    properties: list[Box]


def sniff_heif(reader: BoundedReader) -> str | None:
    """Name an ISO base media file as AVIF, HEIC, or `HEIF` when it holds pictures of another kind.

    Args:
        reader: Of the file, or of its first bytes.

    Returns:
        The name; None for anything else, such as a video.
    """
    brands = read_brands(reader)
    if _AVIF_BRANDS & brands:  # wherever it stands among them, Chromium opens the file as AVIF
        return "AVIF"
    if not (_HEIC_BRANDS | _ANY_IMAGE_BRANDS) & brands:
        return None
    try:
        meta = read_meta(reader, locate=False)
    except struct.error:  # cut short, or damaged
        meta = None
    kind = meta.shown_kind() if meta else None
    if kind in _FORMAT_OF_KIND:
        return _FORMAT_OF_KIND[kind]
    return "HEIC" if _HEIC_BRANDS & brands and kind not in _OTHER_KINDS else "HEIF"


def read_brands(reader: BoundedReader) -> frozenset[bytes]:
    """Read the brands that an ISO base media file claims, the major one first; none of any other file."""
    try:
        size, kind, major = reader.field(">I4s4s", 0)
        if kind != b"ftyp":
            return frozenset()
        count = (min(size or len(reader), len(reader)) - _BRANDS_AT) // 4
        others = reader.table("4s", _BRANDS_AT, max(0, min(count, _MOST_BRANDS)))
        return frozenset({major, *(brand for (brand,) in others)})
    except struct.error:
        return frozenset()


def heif_size(reader: BoundedReader) -> tuple[int, int] | None:
    """Read width and height as stored: of the primary item or of the tracks, whichever has more pixels."""
    meta = read_meta(reader, locate=False)
    item = _shown_item(reader, meta) if meta else None
    sizes = [*([item.size] if item else []), *(track.size for track in read_tracks(reader))]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def avif_structure(data: bytes, limits: DecodeLimits) -> Structure:
    """Say what an AVIF shows.

    Args:
        data: The file; untrusted.
        limits: What to refuse.

    Returns:
        The structure; turns are left to the decoder, which is Chromium's.

    Raises:
        ImageError: IMAGE_CORRUPT, or IMAGE_TOO_MANY_PIXELS by what is coded, whatever the boxes say.
    """
    reader, meta, tracks = _read(data, "AVIF")
    shown = _track_or_item(reader, data, meta, tracks)
    headers = list(_coded(reader, data, meta, tracks))
    for sequences in headers:
        for each in sequences:
            check_pixels(each.size, limits)
    colour = _colours(reader, data, shown.properties) if shown else ColourTags()
    if colour.cicp is None:
        first = _first_coded(reader, data, meta, tracks)
        colour = ColourTags(icc=colour.icc, cicp=first.cicp if first else None, broken=colour.broken)
    return Structure(
        data=_cleaned(data, meta, "AVIF"),
        frames_total=_frames(tracks),
        colour=colour,
        crop=_crop(reader, shown) if shown else None,
    )


def heic_structure(data: bytes, limits: DecodeLimits) -> Structure:
    """Say what a HEIC shows; arguments and errors as of `avif_structure`."""
    reader, meta, tracks = _read(data, "HEIC")
    shown = _shown_item(reader, meta) if meta else None
    if shown is None:
        raise ImageError(
            "The HEIC holds no still picture." if tracks else "The HEIC does not say which picture it shows.",
            reason=Reason.IMAGE_FORMAT_UNSUPPORTED if tracks else Reason.IMAGE_CORRUPT,
        )
    check_pixels(shown.size, limits)
    return Structure(
        data=_cleaned(data, meta, "HEIC"),
        frames_total=_frames(tracks),
        orientation=1,  # libheif turns, and EXIF's orientation does not count (ISO/IEC 23008-12, A.2.2)
        colour=_colours(reader, data, shown.properties),
    )


def _read(data: bytes, name: str) -> tuple[BoundedReader, Meta | None, list[Track]]:
    reader = BoundedReader(data, HEIF_BUDGET)
    try:
        return reader, read_meta(reader), read_tracks(reader)
    except BudgetSpentError as exc:
        raise ImageError(f"The {name} has too many boxes.", reason=Reason.IMAGE_CORRUPT) from exc


def _frames(tracks: Several[Track]) -> int:
    # Readers differ: of a file with a still and a sequence, some show one and some the other.
    return max(1, min(MAX_FRAMES_COUNTED, max((track.frames for track in tracks), default=1)))


def _shown_item(reader: BoundedReader, meta: Meta) -> _Shown | None:
    properties = _inherited(meta)
    for box in meta.properties.get(meta.primary or 0, []):
        if box.kind == b"ispe":
            width, height = reader.field(">II", box.start + 4)
            return _Shown(size=(width, height), properties=properties)
    return None


def _inherited(meta: Meta) -> list[Box]:
    """List the primary item's properties, and behind them the colours of a grid's first tile."""
    own = meta.properties.get(meta.primary or 0, [])
    tile = meta.first_tile(meta.primary) if meta.kinds.get(meta.primary or 0) == b"grid" else None
    return own + [box for box in meta.properties.get(tile or 0, []) if box.kind == b"colr"]


def _track_or_item(reader: BoundedReader, data: bytes, meta: Meta | None, tracks: Several[Track]) -> _Shown | None:
    """Choose as libavif does by default: tracks, unless the major brand speaks for the still."""
    track = _leading_track(data, tracks)
    if track is not None:
        return _Shown(size=track.size, properties=track.properties)
    return _shown_item(reader, meta) if meta else None


def _leading_track(data: bytes, tracks: Several[Track]) -> Track | None:
    return None if data[8:12] == b"avif" else next((track for track in tracks if track.kind == b"av01"), None)


def _coded(reader: BoundedReader, data: bytes, meta: Meta | None, tracks: Several[Track]) -> Iterator[list[Sequence]]:
    """Read the sequence headers of all that is coded in AV1: tiles, alpha, gain maps and the first frames."""
    places = [
        extents for item, extents in (meta.locations if meta else {}).items() if meta and meta.kinds.get(item) == b"av01"
    ]
    places += [[track.first_sample] for track in tracks if track.first_sample]
    for extents in places:
        yield _headers(reader, data, extents)


def _first_coded(reader: BoundedReader, data: bytes, meta: Meta | None, tracks: Several[Track]) -> Sequence | None:
    track = _leading_track(data, tracks)
    extents = [track.first_sample] if track and track.first_sample else []
    if track is None and meta is not None:
        item = meta.first_tile(meta.primary) if meta.kinds.get(meta.primary or 0) == b"grid" else meta.primary
        extents = meta.locations.get(item or 0, [])
    return next(iter(_headers(reader, data, extents)), None)


def _headers(reader: BoundedReader, data: bytes, extents: Several[Extent]) -> list[Sequence]:
    try:
        if len(extents) == 1:
            offset, length = extents[0]
            return sequence_headers(reader, offset, min(offset + length, len(data)) if length else len(data))
        joined = _joined(data, extents)
        return sequence_headers(BoundedReader(joined, HEIF_BUDGET), 0, len(joined))
    except BudgetSpentError as exc:
        raise ImageError("The AVIF has too many boxes.", reason=Reason.IMAGE_CORRUPT) from exc
    except struct.error:
        return []  # the decoder will refuse it


def _joined(data: bytes, extents: Several[Extent]) -> bytes:
    """Put an item's bytes together; at most as many as the file has, since extents may overlap."""
    parts, left = [], len(data)
    for offset, length in extents:
        part = data[offset : offset + min(length, left)]
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _colours(reader: BoundedReader, data: bytes, properties: Several[Box]) -> ColourTags:
    """Read colour properties: a profile and code points may stand side by side, the first of each counts."""
    icc: bytes | None = None
    cicp: Cicp | None = None
    broken = False
    for box in properties:
        if box.kind != b"colr" or box.end - box.start < 4:  # noqa: PLR2004
            continue
        (kind,) = reader.entry("4s", box.start)
        if kind in (b"prof", b"rICC"):
            icc = data[box.start + 4 : box.end] if icc is None else icc
        elif kind == b"nclx" and cicp is None:
            try:
                primaries, transfer, matrix, flags = reader.field(">HHHB", box.start + 4)
                cicp = Cicp(primaries=primaries, transfer=transfer, matrix=matrix, full_range=flags >= 0x80)  # noqa: PLR2004
            except struct.error:
                broken = True
    return ColourTags(icc=icc, cicp=cicp, broken=broken)


def _crop(reader: BoundedReader, shown: _Shown) -> tuple[int, int] | None:
    """Return width and height of what Chromium shows by the first clean aperture: only one at the top left counts."""
    box = next((each for each in shown.properties if each.kind == b"clap"), None)
    if box is None:
        return None
    wide, wide_by, high, high_by, right, right_by, down, down_by = reader.field(">8i", box.start)
    if min(wide, wide_by, high, high_by, right_by, down_by) <= 0 or wide % wide_by or high % high_by:
        return None
    size = wide // wide_by, high // high_by
    fits = size[0] <= shown.size[0] and size[1] <= shown.size[1] and size != shown.size
    # The box gives the distance of the two centres; at the top left that is half of what is cut off.
    at_left = 2 * right == (size[0] - shown.size[0]) * right_by
    at_top = 2 * down == (size[1] - shown.size[1]) * down_by
    return size if fits and at_left and at_top else None


def _cleaned(data: bytes, meta: Meta | None, name: str) -> bytes:
    """Hide metadata from the decoder, which parses them and fails on damaged ones, and give the file its own brand.

    Pillow refuses an AVIF for its EXIF, which no browser looks at; pillow-heif copies all metadata of all images.
    """
    hidden: list[Reference] = [each for each in meta.references if each.kind == b"cdsc"] if meta else []
    brands = read_brands(BoundedReader(data, HEIF_BUDGET))
    unnamed = not brands & (_AVIF_BRANDS if name == "AVIF" else _HEIC_BRANDS)
    if not hidden and not unnamed:
        return data
    copy = bytearray(data)
    for each in hidden:
        copy[each.position : each.position + 4] = b"skip"
    if unnamed:
        copy[8:12] = _OWN_BRAND[name]
    return bytes(copy)


