"""A raw request in, its images' bytes and the rest of it as a message out: nothing large is made an object of.

protobuf's parser makes objects of all that it is given before anybody can count them: 20 MB of empty images become 750.
It also copies an image of 20 MiB in 8 ms during which no other thread runs, since it keeps the interpreter's lock, so
that a thread of its own would not help. So images are cut out of the raw message first, each copied once, and protobuf
reads what is left, which is small or refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from clipwarden.errors import RequestError
from clipwarden.serving.config import MESSAGE_MARGIN
from clipwarden.serving.sharedfiles import MAX_PATH_BYTES
from clipwarden.v1 import moderation_pb2 as pb

M = TypeVar("M", bound=Message)

_MOST_FIELDS = 64
"""Fields that a message may have beside its images; ours have four. Thousands take longer to skip than the event loop
has to spare."""
_AN_IMAGE_BYTES = 64 + MAX_PATH_BYTES
"""The same for each image of several: its own tag and lengths, and a path where its bytes are not in the message."""

_A_LITTLE_BYTES = 1024
"""Options and ids take less. So many cannot hold fields enough to matter, and need not be counted."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # https://protobuf.dev/programming-guides/encoding/#structure
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_MOST_VARINT_BYTES = 10
_PATH = "shared_path"
_DATA = pb.ImageSource.DESCRIPTOR.fields_by_name["data"].number
_NO_DATA = bytes((_DATA << 3 | _BYTES, 0))


Source: TypeAlias = bytes | str | None
"""Where an image comes from: its bytes, the path of a shared file, or nowhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Body(Generic[M]):
    """A request, taken apart.

    Attributes:
        message: All of it but the bytes of images, which are empty there.
        images: Their sources, in order. One of a message that takes one image is there even if the message has none.
    """

    message: M
    images: list[Source]

    @property
    def image_bytes(self) -> int:
        """What the images took of the message."""
        return sum(map(size_of, self.images))


def size_of(source: Source) -> int:
    """Count the bytes that an image came with."""
    return len(source) if isinstance(source, bytes) else 0


class _Field(NamedTuple):
    number: int
    kind: int
    start: int
    value: int
    end: int


def parse(raw: bytes, kind: type[M], *, most_bytes: int = MESSAGE_MARGIN) -> M:
    """Read a message that holds no image.

    Args:
        raw: Untrusted.
        kind: Its type.
        most_bytes: Refused if it is longer.

    Raises:
        RequestError: It is too long, or no such message.
    """
    if len(raw) > most_bytes:
        raise RequestError(f"the message has {len(raw)} bytes; a {kind.DESCRIPTOR.name} needs at most {most_bytes}")
    try:
        return kind.FromString(raw)
    except DecodeError as exc:
        raise _malformed(kind) from exc


def take_apart(raw: bytes, kind: type[M], *, most_images: int = 1) -> Body[M]:
    """Cut the images out of a message of the type's field `image` or `images`.

    Args:
        raw: Untrusted; let go of it, the images are copies.
        kind: Its type.
        most_images: Of a message that takes several.

    Raises:
        RequestError: It is no such message, or holds more images, or more beside them, than any needs.
    """
    fields = kind.DESCRIPTOR.fields_by_name
    several = "images" in fields
    number = fields["images" if several else "image"].number
    if not several and (usual := _take_apart_usual(raw, kind, number)):
        return usual
    extra = most_images if several else 0
    rest = _Rest(most_bytes=MESSAGE_MARGIN + _AN_IMAGE_BYTES * extra, most_fields=_MOST_FIELDS + extra)
    places = list[tuple[int, int] | None]()
    try:
        for field in _fields(raw, 0, len(raw)):
            if field.number != number or field.kind != _BYTES:
                rest.add(memoryview(raw)[field.start : field.end])
                continue
            place = _cut(raw, field, rest)
            if several or not places:
                places.append(place)
            elif place:  # protobuf merges what comes twice: the later bytes count
                places[0] = place
            if len(places) > most_images:
                raise RequestError(f"more than {most_images} images are given; one call takes 1 to {most_images}")
        message = kind.FromString(bytes(rest.kept))
    except (DecodeError, _MalformedError) as exc:
        raise _malformed(kind) from exc
    named = message.images if several else [message.image]  # type: ignore[attr-defined]  # M has them
    images = [_source(raw, place, image) for place, image in zip(places or [None], named, strict=False)]
    return Body(message=message, images=images)


def _source(raw: bytes, place: tuple[int, int] | None, image: pb.ImageSource) -> Source:
    """Tell an image's source: of several that were written, the last counts, as protobuf reads them."""
    if image.WhichOneof("source") == _PATH:
        return image.shared_path
    return raw[place[0] : place[1]] if place else None


def _take_apart_usual(raw: bytes, kind: type[M], number: int) -> Body[M] | None:
    """Do it for a message as most clients write it: its image first, of data alone, and little more; None of others."""
    if not raw or raw[0] != number << 3 | _BYTES:
        return None
    try:
        size, start = _varint(raw, 1, len(raw))
        length, data = _varint(raw, start + 1, len(raw))
        end = data + length
        if raw[start] != _NO_DATA[0] or end != start + size or not 0 <= len(raw) - end <= _A_LITTLE_BYTES:
            return None
        message = kind.FromString(raw[end:])
    except (DecodeError, _MalformedError):
        return None
    if message.HasField("image"):  # once more
        return None
    message.image.data = b""  # type: ignore[attr-defined]  # M has one
    return Body(message=message, images=[raw[data:end]])


class _Rest:
    """What is left of a message, as far as it is kept."""

    def __init__(self, *, most_bytes: int = MESSAGE_MARGIN, most_fields: int = _MOST_FIELDS) -> None:
        self._most_bytes = most_bytes
        self._fields_left = most_fields
        self.kept = bytearray()

    def add(self, part: memoryview | bytes) -> None:
        """Keep a part.

        Raises:
            RequestError: It is too much.
        """
        self._fields_left -= 1
        if len(self.kept) + len(part) > self._most_bytes or self._fields_left < 0:
            raise RequestError("the message holds more fields or bytes, beside those of images, than any needs")
        self.kept += part


class _MalformedError(Exception):
    """These bytes follow no protobuf."""


def _malformed(kind: type[Message]) -> RequestError:
    return RequestError(f"the message is no {kind.DESCRIPTOR.full_name}")


def _cut(raw: bytes, image: _Field, rest: _Rest) -> tuple[int, int] | None:
    """Write an image's message to `rest` with nothing as its data; tell where that data is."""
    kept, place = _Rest(), None
    for field in _fields(raw, image.value, image.end):
        if field.number == _DATA and field.kind == _BYTES:
            place = field.value, field.end
            kept.add(_NO_DATA)
        else:
            kept.add(memoryview(raw)[field.start : field.end])
    rest.add(_varint_bytes(image.number << 3 | _BYTES) + _varint_bytes(len(kept.kept)) + kept.kept)
    return place


def _fields(raw: bytes, at: int, end: int) -> Iterator[_Field]:
    while at < end:
        tag, value = _varint(raw, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            size, value = _varint(raw, value, end)
            after = value + size
        elif kind == _VARINT:
            _, after = _varint(raw, value, end)
        elif kind in _WIDTHS:
            after = value + _WIDTHS[kind]
        else:  # groups, which proto3 does not have
            raise _MalformedError
        if after > end or not number:
            raise _MalformedError
        yield _Field(number, kind, at, value, after)
        at = after


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    number = 0
    for place in range(_MOST_VARINT_BYTES):
        if at + place >= end:
            break
        byte = raw[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004  the bit that says that more follow
            return number, at + place + 1
    raise _MalformedError


def _varint_bytes(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
