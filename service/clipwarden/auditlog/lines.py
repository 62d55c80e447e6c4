"""Records in, sealed lines out, numbered and chained; and a line back into its parts. The package has the format."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from clipwarden.errors import AuditLogError

SCHEMA = "clipwarden.audit/1"
NO_HASH = "0" * 64
"""What stands before the first line of a chain that follows no other."""

Json = dict[str, object]

_ENCODER = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":"))
_BEGIN = f'{{"schema":"{SCHEMA}"'.encode()
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_PLACE = re.compile(rb',"process":"([0-9a-f]{16})","seq":(\d{1,18})(?:,"hash":"([0-9a-f]{64})")?\}\Z')


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a line stands.

    Attributes:
        process: That wrote it.
        seq: Its number there.
        hash: None where lines are not chained.
    """

    process: str
    seq: int
    hash: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A line that reads as one of ours.

    Attributes:
        place: Where it stands.
        body: What its hash covers, beside the hash before it.
        data: All that it says.
    """

    place: Place
    body: bytes
    data: Mapping[str, object]

    def follows(self, before: str) -> bool:
        """Tell whether its hash is that of its bytes after another hash; false for a line without one."""
        return self.place.hash == chained(before, self.body)


class Sealer:
    """Numbers records, and chains them where that is asked for. Lives in one thread.

    Args:
        process: The process's own name, 16 hexadecimal digits.
        chain: Whether lines carry hashes.
        before: The hash to begin from.
    """

    def __init__(self, process: str, *, chain: bool, before: str = NO_HASH) -> None:
        self._process = process
        self._chain = chain
        self._hash = before
        self._seq = 0

    @property
    def head(self) -> Place | None:
        """The last line sealed; None before the first."""
        if not self._seq:
            return None
        return Place(process=self._process, seq=self._seq - 1, hash=self._hash if self._chain else None)

    def seal(self, record: Json) -> bytes:
        """Make a line of a record, which has its kind and time first.

        Raises:
            ValueError: A number of it is not finite.
            TypeError: It holds what JSON does not.
        """
        body = _ENCODER.encode({"schema": SCHEMA, **record, "process": self._process, "seq": self._seq}).encode()[:-1]
        if not self._chain:
            self._seq += 1
            return body + b"}\n"
        self._hash, self._seq = chained(self._hash, body), self._seq + 1
        return b'%s,"hash":"%s"}\n' % (body, self._hash.encode())


def chained(before: str, body: bytes) -> str:
    """Compute a line's hash.

    Args:
        before: The hash before it.
        body: Its bytes up to but without `,"hash":`.
    """
    return sha256(before.encode() + body).hexdigest()


def place_of(raw: bytes) -> Place | None:
    """Read where a line stands from its end, without reading the rest; None for a line that is not ours."""
    found = _PLACE.search(raw)
    if found is None:
        return None
    process, seq, digits = found.groups()
    return Place(process=process.decode(), seq=int(seq), hash=digits.decode() if digits else None)


def begins_as_ours(raw: bytes) -> bool:
    """Tell whether a line, or what was written of it before the process was killed, begins as all of ours do."""
    return raw.startswith(_BEGIN) or _BEGIN.startswith(raw)


def unseal(raw: bytes, *, where: str = "") -> Sealed | None:
    """Take a line apart.

    Args:
        raw: Without its newline; untrusted.
        where: Its file and line, for errors.

    Returns:
        Its parts; None for what is no line of an audit log, such as half of one.

    Raises:
        AuditLogError: It is of another schema.
    """
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(schema := data.get("schema"), str):
        return None
    if schema != SCHEMA:
        raise AuditLogError(f"{where or 'a line'} is of the schema {schema[:64]!r}; this version reads {SCHEMA!r}")
    place = place_of(raw)
    # A key that comes twice says one thing to whoever reads its last value, and another to who reads its first.
    if place is None or (data.get("process"), data.get("seq")) != (place.process, place.seq):
        return None
    found = _HASH.search(raw)
    return Sealed(place=place, body=raw[: found.start()] if found else raw[:-1], data=data)
