"""Audit logs in tests: what files say, and small logs made by hand."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clipwarden.auditlog.lines import NO_HASH, Sealer
from clipwarden.auditlog.verify import Kind, Verification, verify


def said(*paths: Path, record: str | None = None) -> list[dict[str, Any]]:
    """Read what whole lines say, those of one kind or all; a torn last line is left out."""
    lines = [line for path in paths for line in path.read_bytes().split(b"\n")[:-1]]
    found = [json.loads(line) for line in lines]
    return [each for each in found if record in (None, each["record"])]


def hand_made(count: int, *, process: str = "a" * 16, chain: bool = True, before: str = NO_HASH) -> list[bytes]:
    """Seal lines of one process, from `started` to `stopped`."""
    sealer = Sealer(process, chain=chain, before=before)
    kinds = ["started", *["judged"] * (count - 2), "stopped"]
    return [
        sealer.seal({"record": kind, "time": "t", "request_id": f"r{index}", "follows": None})
        for index, kind in enumerate(kinds)
    ]


def flaws(found: Verification) -> list[str]:
    """Name the kinds of what is wrong, notes aside."""
    return [each.kind.value for each in found.findings if each.kind is not Kind.NOTE]


def checked(*paths: Path, head: str | None = None) -> Verification:
    """Verify files."""
    return verify(paths, head=head)


def written(path: Path, lines: Iterable[bytes]) -> Path:
    """Write lines into a file."""
    path.write_bytes(b"".join(lines))
    return path
