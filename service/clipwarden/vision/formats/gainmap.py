"""What a file says of gain maps in, whether they could repaint its picture out.

A gain map is a second picture that brightens the first, by as much as the screen allows. Its metadata may be turned
round, so that it repaints the picture on any screen (Chromium 150 does), or so strong that nothing of the first is left
on some. They are XMP (Adobe's gain map specification 1.0; Apple's HDRGainMap) or binary (ISO 21496-1).
"""

import re
import struct
from collections.abc import Container
from xml.parsers import expat

from clipwarden.vision.formats.reader import BoundedReader, Budget

# The file is searched once: XMP that goes on in further segments, such as a depth map's, has 1,024 of them in 64 MiB.
GAIN_MAP_BUDGET = Budget(entries=1024, passes=1)
# Each picture has one or two such segments, of 64 KiB at the most; 256 KiB of tags take 0.1 s.
METADATA_BUDGET = Budget(bytes=4 * 64 * 1024)

XMP_PREFIX, ISO_PREFIX = b"http://ns.adobe.com/xap/1.0/\0", b"urn:iso:std:iso:ts:21496:-1\0"
# XMP that goes on in further segments, as no gain map's does.
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_SEGMENT = re.compile(
    rb"\xff[\xe1\xe2](..)(%s)" % b"|".join(map(re.escape, (XMP_PREFIX, ISO_PREFIX, _LONG_XMP))), re.DOTALL
)
_NAMESPACES = ("hdr-gain-map", "HDRGainMap")

# What phones, cameras and Adobe's programs write, with room. Gains and capacities are in stops of light; below a
# capacity of 0, or where the base is HDR, the map is applied on ordinary screens.
_GAINS, _CAPACITIES, _OFFSETS, _EXPONENTS = (-2.0, 6.0), (0.0, 6.0), (0.0, 1.1 / 64), (0.1, 10.0)
_RANGES = {
    "GainMapMin": _GAINS,
    "GainMapMax": _GAINS,
    "Gamma": _EXPONENTS,
    "OffsetSDR": _OFFSETS,
    "OffsetHDR": _OFFSETS,
    "HDRCapacityMin": _CAPACITIES,
    "HDRCapacityMax": _CAPACITIES,
    "HDRGainMapHeadroom": (0.0, 64.0),  # Apple's, as a factor
}
_BASE_IS_HDR = "BaseRenditionIsHDR"
# In any encoding that XMP may have, names stand as they are but for zeros between their letters.
_NAMES = re.compile(rb"GainMap|HDRCapacity|BaseRendition|OffsetSDR|OffsetHDR")
# ISO 21496-1, annex C: a version; flags, that each channel has figures of its own, that the base's primaries are used,
# and that all figures have one denominator.
_VERSION_BYTES = 4
_CHANNELS, _PRIMARIES, _SHARED = 0x80, 0x40, 0x08
_ISO_RANGES = (_GAINS, _GAINS, _EXPONENTS, _OFFSETS, _OFFSETS)


def is_odd_jpeg(data: bytes, header: Container[int]) -> bool:
    """Tell whether a JPEG's gain maps could repaint it: one is unusual or unreadable, or there are several.

    Args:
        data: The file; searched whole, as its header may point to a gain map anywhere.
        header: Where the bodies of the segments ahead of its own scan begin, in bytes.
    """
    reader, bodies = BoundedReader(data, GAIN_MAP_BUDGET), BoundedReader(data, METADATA_BUDGET)
    maps, position = {XMP_PREFIX: 0, ISO_PREFIX: 0}, 0
    try:
        while found := reader.search(_SEGMENT, position):
            position, kind = found.end(), found[2]
            if kind == _LONG_XMP:
                if found.start(2) not in header:
                    return True
                continue
            size = int.from_bytes(found[1], "big") - 2 - len(kind)
            body = bytes(bodies.body(position, max(0, min(size, len(data) - position))))
            values = _xmp_values(body) if kind == XMP_PREFIX else []
            is_map = bool(values) or (kind == ISO_PREFIX and len(body) > _VERSION_BYTES)
            maps[kind] += is_map
            if not all(_is_usual(*value) for value in values) or (kind == ISO_PREFIX and is_map and not is_usual(body)):
                return True
    except struct.error:
        return True
    return max(maps.values()) > 1


def is_usual(metadata: bytes) -> bool:
    """Tell whether a gain map leaves the picture as it is on ordinary screens, and has figures that programs write.

    Args:
        metadata: As of ISO 21496-1, from its version on.
    """
    try:
        (flags,) = struct.unpack_from(">B", metadata, _VERSION_BYTES)
        channels, shared = (3 if flags & _CHANNELS else 1), bool(flags & _SHARED)
        if flags & ~(_CHANNELS | _PRIMARIES | _SHARED):
            return False
        numbers = "I" * 2 + "iiIii" * channels
        layout = ">I" + numbers if shared else ">" + "".join(f"{number}I" for number in numbers)
        figures = struct.unpack_from(layout, metadata, _VERSION_BYTES + 1)
    except struct.error:
        return False
    over, under = (figures[1:], figures[:1] * len(numbers)) if shared else (figures[::2], figures[1::2])
    if 0 in under:
        return False
    base, other, *rest = (figure / by for figure, by in zip(over, under, strict=True))
    ranges = _ISO_RANGES * channels
    # A base headroom of 0 is an ordinary screen's.
    return (
        base == 0
        and 0 < other <= _CAPACITIES[1]
        and all(low <= x <= high for x, (low, high) in zip(rest, ranges, strict=True))
    )


class _DoubtfulError(Exception):
    """XMP that nobody writes."""


class _Xmp:
    """Collects what an XMP packet says of a gain map, in attributes and in elements, under any prefix or none."""

    def __init__(self) -> None:
        self.values: list[tuple[str, str]] = []
        self._inside: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            self._add(self._known(key), value)
        self._inside.append(self._known(name) or (self._inside[-1] if self._inside else ""))

    def end(self, _name: str) -> None:
        self._inside.pop()

    def text(self, text: str) -> None:
        if self._inside and text.strip():
            self._add(self._inside[-1], text)

    def refuse(self, *_: object) -> None:
        raise _DoubtfulError

    def _known(self, name: str) -> str:
        namespace, _, local = name.rpartition(" ")
        known = any(each in namespace for each in _NAMESPACES)
        return local if known and (local in _RANGES or local == _BASE_IS_HDR) else ""

    def _add(self, name: str, value: str) -> None:
        if name:
            self.values.append((name, value))


def _xmp_values(packet: bytes) -> list[tuple[str, str]]:
    """List names and values; where a packet can be read to its end by nobody, those before that."""
    if not _NAMES.search(packet.replace(b"\0", b"")):
        return []
    found, parser = _Xmp(), expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = found.start, found.end
    parser.CharacterDataHandler = found.text
    parser.StartDoctypeDeclHandler = found.refuse  # entities of its own: it could say one thing a thousand times
    try:
        parser.Parse(packet, True)  # noqa: FBT003  its only form
    except (_DoubtfulError, ValueError, LookupError):  # the latter of encodings that expat lacks
        return [(_BASE_IS_HDR, "doubtful")]
    except expat.ExpatError:
        pass
    return found.values


def _is_usual(name: str, value: str) -> bool:
    if name == _BASE_IS_HDR:
        return value.strip().lower() == "false"
    low, high = _RANGES[name]
    try:
        return all(low <= float(each) <= high for each in value.split())
    except ValueError:
        return False
