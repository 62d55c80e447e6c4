"""Bytes of an AVIF or a HEIC in, what it shows out.

Where readers differ, Chromium decides for AVIF. HEIC is shown by Apple's programs and by libheif, which apply all of a
picture's turns and crops by themselves.
"""

import struct
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.av1 import Sequence, sequence_headers
from clipwarden.vision.formats.gainmap import is_usual
from clipwarden.vision.formats.heifheader import AVIF_BRANDS, BRANDS_AT, read_brands
from clipwarden.vision.formats.isobmff import (
    Box,
    Extent,
    Meta,
    read_meta,
)
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.formats.tracks import Track, read_samples, read_tracks
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, MAX_PROFILE_BYTES, Canvas, Cicp, ColourTags, Structure

# libheif opens at most 1,000 items; each has a kind, a place, a list of properties and some of its own, and what is
# coded begins with two units. A phone's picture of 48 million pixels has 200. Bytes: 64 an entry, and a profile.
HEIF_BUDGET = Budget(entries=16_384, bytes=64 * 16_384, passes=1)
# An item whose bytes lie in pieces is put together, and then at most so many units of it are looked at.
_PIECES_BUDGET = Budget(entries=64, bytes=64 * 512)
# A grid's tiles stand over by less than one in each direction, so four times what is shown is the most that honest
# files decode, and as much again for transparency. A nest of grids of 1,400 bytes took 3 s; eight tiles of 48 million
# pixels each, of which 64 x 48 are shown, as long.
_MOST_CODED = 8
# And one of them at once: memory is counted by what is shown.
_LARGEST_CODED = 2
_CODED_PIXELS_ANYWAY = 1024 * 1024

# Three channels of five figures, eight bytes each, are 142; libavif reads no extensions of later versions.
_MOST_GAIN_MAP_BYTES = 1024

# Chromium's libavif reads the former, and Pillow's neither.
_UNREAD_BY_LIBAVIF = (b"iden", b"iovl")
# What the decoders ask for.
_SEQUENCE_BRAND = b"avis"
_LIBHEIF_BRANDS = frozenset({b"heic", b"heix", b"mif1"})
_OWN_BRAND = {"AVIF": b"avif", "HEIC": b"heic"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """What a decoder takes for the picture: an item, or the first frame of a track.

    Attributes:
        size: (width, height) in pixels, as stored.
        properties: That apply to it.
        extents: Where its coded bytes lie; a grid's, of its first tile.
    """

    size: tuple[int, int]
    properties: list[Box]
    extents: list[Extent]


def avif_structure(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what an AVIF shows.

    Args:
        data: The file; untrusted.

    Returns:
        The structure; turns are left to the decoder, which is Chromium's.

    Raises:
        ImageError: IMAGE_CORRUPT; it has too many boxes, or far more is coded than they say.
            IMAGE_FORMAT_UNSUPPORTED; what is shown is derived from other items in a way that is not decoded here.
        struct.error: The boxes are damaged, or cut short.
    """
    file = _read(data, "AVIF")
    kind = file.meta.kinds.get(file.meta.primary or 0)
    if kind in _UNREAD_BY_LIBAVIF and not file.shown_track():
        raise ImageError(
            f"The AVIF is an {kind.decode()} item, which is not supported.", reason=Reason.IMAGE_FORMAT_UNSUPPORTED
        )
    shown = file.shown_track() or file.shown_item()
    if shown is None:
        raise struct.error("nothing is shown")  # the decoder would say no more
    # libavif decodes all of a frame, and only then scales it to the size that the boxes say.
    sizes = [(each.size, times) for extents, times in file.coded() for each in file.headers(extents)]
    _check_work(sizes, shown, "AVIF")
    colour = file.colours(shown.properties)
    if colour.cicp is None:
        # libavif looks into the coded picture where no box names code points.
        colour = replace(colour, cicp=file.headers(shown.extents)[0].cicp)
    return Structure(
        data=file.cleaned(),
        frames_total=file.frames(),
        colour=colour,
        canvas=_canvas(file.reader, shown),
        alpha="premultiplied" if file.premultiplications() else "straight",
    )


def sound_frames(data: bytes, most: int) -> int:
    """Count the frames of an AVIF's sequence ahead of the first whose coded picture is far larger than is shown.

    Such a one would be decoded all the same, however small its file; memory is counted by what is shown.

    Args:
        data: The file, of which `avif_structure` made sense.
        most: Frames to look at.
    """
    file = _read(data, "AVIF")
    sound = most
    for track in (each for each in file.tracks if each.kind == b"av01"):
        pixels = max(_CODED_PIXELS_ANYWAY, _LARGEST_CODED * track.size[0] * track.size[1])
        try:
            samples = read_samples(file.reader, track, sound)
            sizes = (_area([(size, 1) for size in file.sample_sizes(sample)]) for sample in samples)
            sound = next((index for index, area in enumerate(sizes) if area > pixels), min(sound, len(samples)))
        except struct.error:  # damaged, or more boxes than are looked at
            sound = min(sound, 1)
    return sound


def heic_structure(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a HEIC shows; arguments and errors as of `avif_structure`."""
    file = _read(data, "HEIC")
    shown = file.shown_item()
    if shown is None and file.tracks:
        raise ImageError("The HEIC is a sequence without a still picture.", reason=Reason.IMAGE_FORMAT_UNSUPPORTED)
    if shown is None:
        raise struct.error("nothing is shown")
    # libheif refuses pictures that are coded larger than their boxes say.
    together, picture = (_sizes(file, alone=alone) for alone in (False, True))
    _check_work(together, shown, "HEIC")
    pixels = _area(picture)
    return Structure(
        data=file.cleaned(),
        frames_total=file.frames(),
        orientation=1,  # libheif turns, and EXIF's orientation does not count (ISO/IEC 23008-12, A.2.2)
        colour=file.colours(shown.properties),
        # What transparency takes is counted by the pixel (`layout`), as long as it has no more of them.
        coded_pixels=max(pixels, _area(together) - pixels),
    )


def _sizes(file: "_File", *, alone: bool) -> list[tuple[tuple[int, int], int]]:
    coded = (
        (file.meta.size_of(file.reader, item), times) for item, times in file.meta.coded_items(alone=alone).items()
    )
    return [(size, times) for size, times in coded if size]


def _area(sizes: Several[tuple[tuple[int, int], int]]) -> int:
    return sum(width * height * times for (width, height), times in sizes)


def _check_work(sizes: Several[tuple[tuple[int, int], int]], shown: _Shown, name: str) -> None:
    pixels = shown.size[0] * shown.size[1]
    largest = max((width * height for (width, height), _ in sizes), default=0)
    if max(largest - _LARGEST_CODED * pixels, _area(sizes) - _MOST_CODED * pixels) > _CODED_PIXELS_ANYWAY:
        raise ImageError(f"The {name} has far more pixels decoded than it shows.", reason=Reason.IMAGE_CORRUPT)


def _read(data: bytes, name: str) -> "_File":
    reader = BoundedReader(data, HEIF_BUDGET)
    brands = read_brands(reader)
    try:
        meta = read_meta(reader) or Meta()
        try:
            tracks = read_tracks(reader)
        except BudgetSpentError:
            raise
        except struct.error:
            if _SEQUENCE_BRAND in brands:
                raise
            tracks = []  # whoever is told of a still reads no further than that
    except BudgetSpentError as exc:
        raise ImageError(f"The {name} has too many boxes.", reason=Reason.IMAGE_CORRUPT) from exc
    return _File(data=data, name=name, reader=reader, brands=brands, meta=meta, tracks=tracks)


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """A file whose boxes have been read."""

    data: bytes
    name: str
    reader: BoundedReader
    brands: tuple[bytes, ...]
    meta: Meta
    tracks: list[Track]

    def frames(self) -> int:
        # Readers differ: of a file with a still and a sequence, some show one and some the other. Of several stills a
        # browser shows the primary one, and programs that open HEIC may show all.
        stills = self.meta.pictures() if self.name == "HEIC" else 1
        shown = self.shown_track() if self.name == "AVIF" else None
        beside = self._beside_sequence(shown) if shown else self._beside_still()
        return min(MAX_FRAMES_COUNTED, max(stills, *(track.frames for track in self.tracks), 1) + beside)

    def _beside_still(self) -> int:
        """Count sequences, of one frame perhaps, that viewers begin with another picture than the still."""
        item = self.shown_item()
        firsts = [track.first_sample for track in self.tracks if track.frames and not track.auxiliary]
        return sum(item is None or item.extents != [first] for first in firsts if first and self._holds([first]))

    def _beside_sequence(self, shown: _Shown) -> int:
        """Count what is shown by viewers that show no sequence, or another: a still that is not its first frame."""
        others = [track for track in self.tracks if track.kind == b"av01" and not track.auxiliary]
        item = self.shown_item()
        still = item is not None and item.extents != shown.extents and self._holds(item.extents)
        return still + max(0, len(others) - 1)

    def _holds(self, extents: Several[Extent]) -> bool:
        return all(extent.offset + extent.length <= len(self.data) for extent in extents)

    def shown_item(self) -> _Shown | None:
        return _shown_item(self.reader, self.meta)

    def shown_track(self) -> _Shown | None:
        """Return the track that libavif prefers to the still, as Pillow and Chromium have it choose."""
        major = self.data[8:12]
        for track in self.tracks:
            told = _SEQUENCE_BRAND in self.brands or track.position < self.meta.position
            if (
                track.kind == b"av01"
                and not track.auxiliary
                and (major == _SEQUENCE_BRAND or (major != b"avif" and told))
            ):
                extents = [track.first_sample] if track.first_sample else []
                return _Shown(size=track.size, properties=track.properties, extents=extents)
        return None

    def coded(self) -> list[tuple[list[Extent], int]]:
        """List where what is decoded lies, and how often that is: tiles, or tracks' first frames; transparency too."""
        if self.shown_track():
            return [([each.first_sample], 1) for each in self.tracks if each.first_sample and each.kind == b"av01"]
        coded = self.meta.coded_items().items()
        places, kinds = self.meta.locations, self.meta.kinds
        return [(places.get(item, []), times) for item, times in coded if kinds.get(item) == b"av01"]

    def headers(self, extents: Several[Extent]) -> list[Sequence]:
        """Read the sequence headers at a place, of which there is one at least."""
        try:
            if len(extents) == 1:
                start, length = extents[0]
                found = sequence_headers(self.reader, start, min(start + length, len(self.reader)))
            else:
                joined = b"".join(self.reader.body(*extent) for extent in extents)
                found = sequence_headers(BoundedReader(joined, _PIECES_BUDGET), 0, len(joined))
        except BudgetSpentError as exc:
            raise ImageError(f"The {self.name} has too many boxes.", reason=Reason.IMAGE_CORRUPT) from exc
        if not found:
            raise struct.error("no sequence header")
        return found

    def sample_sizes(self, sample: Extent) -> list[tuple[int, int]]:
        """Read the sizes that a sample says it is coded at; most say none, and go on with an earlier one's."""
        end = min(sample.offset + sample.length, len(self.reader))
        return [each.size for each in sequence_headers(self.reader, sample.offset, end)]

    def colours(self, properties: Several[Box]) -> ColourTags:
        """Read colour properties: a profile and code points may stand side by side, the first of each counts."""
        icc: bytes | None = None
        cicp: Cicp | None = None
        broken = False
        for box in properties:
            kind, size = _colour_kind(self.reader, box), box.end - box.start - 4
            if kind == b"nclx" and cicp is None:
                primaries, transfer, matrix, flags = self.reader.field(">HHHB", box.start + 4)
                cicp = Cicp(primaries=primaries, transfer=transfer, matrix=matrix, full_range=flags >> 7 == 1)
            elif kind in (b"prof", b"rICC") and icc is None and not 0 < size <= MAX_PROFILE_BYTES:
                broken = True
            elif kind in (b"prof", b"rICC") and icc is None:
                icc = bytes(self.reader.body(box.start + 4, size))
        return ColourTags(icc=icc, cicp=cicp, broken=broken or self._is_repainted())

    def _is_repainted(self) -> bool:
        """Whether a gain map could be drawn over the picture: several, or one that no phone writes."""
        maps = [item for item, kind in self.meta.kinds.items() if kind == b"tmap"]
        if len(maps) != 1:
            return bool(maps)
        extents = self.meta.locations.get(maps[0], [])
        if len(extents) != 1 or extents[0].length > _MOST_GAIN_MAP_BYTES:
            return True
        # A version goes before what ISO 21496-1 says.
        return not is_usual(bytes(self.reader.body(*extents[0])[1:]))

    def premultiplications(self) -> list[int]:
        """List where an AVIF says that what it shows is premultiplied by its transparency."""
        if self.name != "AVIF":
            return []
        if self.shown_track():
            return [each.premultiplied_at for each in self.tracks if each.premultiplied_at is not None]
        references, primary = self.meta.references, self.meta.primary
        alphas = {each.item for each in references if each.kind == b"auxl" and primary in each.to}
        return [each.position for each in references if each[:2] == (b"prem", primary) and alphas.intersection(each.to)]

    def cleaned(self) -> bytes:
        """Hide metadata from the decoder, which fails on damaged ones, and give a file its brand that has none.

        Pillow refuses an AVIF for its EXIF, which no browser looks at; pillow-heif copies all metadata of all images.
        Premultiplied colours stay as they are stored: divided by their alpha, bright ones would be cut off.
        """
        hidden = [each.position for each in self.meta.references if each.kind == b"cdsc"]
        hidden += self.premultiplications()
        brand_at = self._missing_brand()
        if not hidden and brand_at is None:
            return self.data
        copy = bytearray(self.data)
        for position in hidden:
            copy[position : position + 4] = b"skip"
        if brand_at is not None:
            copy[brand_at : brand_at + 4] = _OWN_BRAND[self.name]
        return bytes(copy)

    def _missing_brand(self) -> int | None:
        """Say where to write the brand that the decoder asks for: libheif looks at the compatible ones alone."""
        if self.name == "AVIF":
            return None if AVIF_BRANDS.intersection(self.brands) else 8
        others = self.brands[1:]
        return BRANDS_AT if others and not _LIBHEIF_BRANDS.intersection(others) else None


def _colour_kind(reader: BoundedReader, box: Box) -> bytes | None:
    if box.kind != b"colr":
        return None
    (kind,) = reader.entry("4s", box.start)
    return bytes(kind)


def _shown_item(reader: BoundedReader, meta: Meta) -> _Shown | None:
    size = meta.size_of(reader, meta.primary)
    if size is None:
        return None
    tile = meta.first_tile(meta.primary) if meta.kinds.get(meta.primary or 0) == b"grid" else None
    # A grid takes the colours from its first tile that it does not name itself.
    inherited = [box for box in meta.properties.get(tile or 0, []) if box.kind == b"colr"]
    properties = meta.properties.get(meta.primary or 0, []) + inherited
    coded = meta.primary if tile is None else tile
    return _Shown(size=size, properties=properties, extents=meta.locations.get(coded or 0, []))


def _canvas(reader: BoundedReader, shown: _Shown) -> Canvas | None:
    """Return what Chromium shows by the first clean aperture: only one at the top left counts."""
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
    return Canvas(size=size, left=0, top=0) if fits and at_left and at_top else None
