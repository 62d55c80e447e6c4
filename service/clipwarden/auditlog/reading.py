"""Files of an audit log in, their lines and typed records out; torn lines are shown, never guessed at."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clipwarden.auditlog.lines import Sealed, unseal
from clipwarden.auditlog.records import PolicyText, Record, record_of
from clipwarden.errors import AuditLogError

MOST_LINE_BYTES = 64 * 2**20
"""Longest line read: a policy of many thousand texts. Longer ones are no lines of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a file.

    Attributes:
        file: As it was named.
        number: From 1.
        raw: Without its newline.
        whole: Whether a newline ended it.
        sealed: What it says; None for what is no line of ours, such as half of one.
    """

    file: str
    number: int
    raw: bytes
    whole: bool
    sealed: Sealed | None

    @property
    def where(self) -> str:
        """File and number, as compilers write them."""
        return f"{self.file}:{self.number}"


def read_lines(path: Path) -> Iterator[Line]:
    """Read a file line by line, packed by gzip if its name ends with `.gz`.

    Args:
        path: Untrusted; empty lines are left out.

    Raises:
        AuditLogError: The file cannot be read, a line of it is of another schema, or longer than any of ours.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES + 1), b""), 1):
                where = f"{path}:{number}"
                if len(raw) > MOST_LINE_BYTES:
                    raise AuditLogError(f"{where} is longer than {MOST_LINE_BYTES >> 20} MiB, which no line of ours is")
                bare = raw.removesuffix(b"\n")
                if bare:
                    yield Line(
                        file=str(path),
                        number=number,
                        raw=bare,
                        whole=len(bare) < len(raw),
                        sealed=unseal(bare, where=where),
                    )
    except (OSError, EOFError, zlib.error) as exc:
        why = getattr(exc, "strerror", None) or str(exc)
        raise AuditLogError(f"{path} cannot be read: {why}") from exc


def read_records(paths: Iterable[Path]) -> Iterator[Record]:
    """Read what files say, record by record, in the order given; lines that are torn are left out.

    Args:
        paths: Of one log, rotated or not. The oldest first gives the order of writing.

    Raises:
        AuditLogError: As `read_lines`; or a line lacks a key that its kind has.
    """
    for path in paths:
        for line in read_lines(path):
            if line.sealed is not None:
                yield _record(line, line.sealed)


def read_policies(paths: Iterable[Path]) -> dict[str, PolicyText]:
    """Collect the policies that files hold, by digest."""
    return {record.digest: record for record in read_records(paths) if isinstance(record, PolicyText)}


def _record(line: Line, sealed: Sealed) -> Record:
    try:
        return record_of(sealed.data)
    except (AuditLogError, TypeError) as exc:
        raise AuditLogError(f"{line.where}: {exc}") from exc
