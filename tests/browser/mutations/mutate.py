"""A whole picture in, damaged ones out: bytes changed, cut, zeroed; parts dropped, doubled, swapped; lengths changed.

Deterministic: the same seed gives the same file on any machine.
"""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import count, product
from typing import NamedTuple

from tests.browser.mutations.originals import originals
from tests.browser.parts import PNG_MAGIC, gif_parts, jpeg_parts

FILES = 2000


class Mutant(NamedTuple):
    """A damaged file: of which original, in which way, and its bytes."""

    original: str
    way: str
    data: bytes


def mutants() -> Iterator[Mutant]:
    """Make `FILES` of them: every original in every way, again and again."""
    whole, made = originals(), 0
    for turn in count():
        for name, way in product(whole, WAYS):
            data = WAYS[way](whole[name], random.Random(f"{name} {way} {turn}"))  # noqa: S311  not for secrets
            if data != whole[name]:
                yield Mutant(name, way, data)
                made += 1
            if made == FILES:
                return


def _parts(data: bytes) -> list[bytes]:
    """Take any file apart into what can be dropped, doubled or swapped."""
    if data.startswith(PNG_MAGIC):
        return [data[:8], *_split(data, 8, ">I", 0, 12)]
    if data[:2] == b"\xff\xd8":
        return jpeg_parts(data)
    if data[:4] == b"RIFF":
        return [data[:12], *_split(data, 12, "<I", 4, 8)]
    if data[:3] == b"GIF":
        return gif_parts(data)
    if data[:2] == b"BM":
        (start,) = struct.unpack_from("<I", data, 10)
        return [data[:14], data[14:54], data[54:start], data[start : start + 999], data[start + 999 :]]
    return _split(data, 0, ">I", 0, 0)


def _split(data: bytes, position: int, code: str, at: int, extra: int) -> list[bytes]:
    parts = []
    while position < len(data):
        (length,) = struct.unpack_from(code, data, position + at)
        length += extra
        if code == "<I":
            length += length % 2
        parts.append(data[position : position + length])
        position += length
    return parts


def _flip(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def _flip_early(data: bytes, dice: random.Random) -> bytes:
    """Headers stand early, and decide more."""
    early = min(len(data), 160)
    return _flip(data[:early], dice) + data[early:]


def _flip_mended(data: bytes, dice: random.Random) -> bytes:
    """Of a PNG, with the checksum made right again: damage that reaches the decoder. Of others, one bit."""
    if not data.startswith(PNG_MAGIC):
        changed = bytearray(data)
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        return bytes(changed)
    parts = _parts(data)
    index = dice.randrange(1, len(parts))
    body = _flip(parts[index][8:-4], dice) if len(parts[index]) > 12 else b""
    kind = parts[index][4:8]
    parts[index] = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"".join(parts)


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(1, len(data))]


def _cut_late(data: bytes, dice: random.Random) -> bytes:
    return data[: -dice.randint(1, 24)]


def _zero(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data))
    length = min(len(data) - start, dice.randint(1, 64))
    return data[:start] + bytes(length) + data[start + length :]


def _drop(data: bytes, dice: random.Random) -> bytes:
    parts = _parts(data)
    del parts[dice.randrange(1, len(parts)) if len(parts) > 1 else 0]
    return b"".join(parts)


def _double(data: bytes, dice: random.Random) -> bytes:
    parts = _parts(data)
    part = dice.choice(parts[1:])
    parts.insert(dice.randrange(1, len(parts) + 1), part)
    return b"".join(parts)


def _swap(data: bytes, dice: random.Random) -> bytes:
    parts = _parts(data)
    first, second = dice.sample(range(len(parts)), 2)
    parts[first], parts[second] = parts[second], parts[first]
    return b"".join(parts)


def _length(data: bytes, dice: random.Random) -> bytes:
    """Change a byte or two where a part says how long it is."""
    parts = _parts(data)
    index = dice.randrange(len(parts))
    at = 4 if data[:4] == b"RIFF" else 2 if data[:2] in (b"\xff\xd8", b"BM") else 0
    changed = bytearray(parts[index])
    for offset in range(at, min(at + 4, len(changed))):
        if dice.random() < 0.4:
            changed[offset] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
    parts[index] = bytes(changed)
    return b"".join(parts)


def _grow(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(1, len(data))
    return data[:at] + dice.randbytes(dice.randint(1, 9)) + data[at:]


WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bytes changed": _flip,
    "header's bytes changed": _flip_early,
    "bytes changed, checksum mended": _flip_mended,
    "cut": _cut,
    "cut near the end": _cut_late,
    "zeroed": _zero,
    "part dropped": _drop,
    "part doubled": _double,
    "parts swapped": _swap,
    "length changed": _length,
    "bytes added": _grow,
}
