"""clipwarden audit verify: files of an audit log in, what is missing or changed out."""

import json
from pathlib import Path
from string import hexdigits
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.cli.exits import Exit
from clipwarden.errors import ConfigError
from clipwarden.terminal import notice, printable

if TYPE_CHECKING:
    from clipwarden.auditlog.verify import Finding, Verification

SHOWN = 20
"""Findings shown of each kind; --json has all."""


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="All files of a log, in any order.")],
    *,
    head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A hash that the server's own log said: it has to be there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> Exit:
    """Check that an audit log is whole and unchanged, and say what is not.

    Give all files of it, rotated ones too, those that end with `.gz` as well. Every line is compared with its hash and
    the one before it (`serve --audit-chain`), across files and restarts. A log without hashes is checked by its numbers
    alone. The first line at fault comes first.

    Who may rewrite the whole log can compute the hashes anew, and cutting off its end leaves no trace in it. So keep
    hashes elsewhere: the server's own log has one a minute (`audit head`), and `--head` says whether it is still there.

    **Examples**

    - `clipwarden audit verify /var/log/clipwarden/audit.jsonl*`

    - `clipwarden audit verify audit.jsonl --head "$HASH" --json`

    **Exit codes**: 0 all there and unchanged · 10 nothing was changed as far as can be told, but lines were dropped by
    the server, are torn, or have no hashes, or there is not one · 20 lines were changed, moved or are missing · 1 a
    file cannot be read, or is no audit log · 2 wrong usage
    """
    from clipwarden.auditlog.verify import verify as check
    from clipwarden.auditlog.verify import worst

    found = check(files, head=_whole(head))
    if as_json:
        print(json.dumps(_facts(found)))  # noqa: T201  results go to stdout
    else:
        _show(found)
    return _EXITS.get(worst(found.findings).value, Exit.OK)


_EXITS = {
    "broken": Exit.BLOCK,
    "missing": Exit.BLOCK,
    "unchained": Exit.REVIEW,
    "torn": Exit.REVIEW,
    "empty": Exit.REVIEW,
    "dropped": Exit.REVIEW,
}
_HASH_DIGITS = 64
"""SHA-256 in hexadecimal."""
_STYLES = {"broken": "bold red", "missing": "bold red", "note": ""}


def _whole(head: str | None) -> str | None:
    """Refuse half a hash, which is in no log: it would look as if lines had been cut off."""
    if head is None or (len(head) == _HASH_DIGITS and set(head.lower()) <= set(hexdigits)):
        return head and head.lower()
    raise ConfigError(
        f"--head takes all {_HASH_DIGITS} hexadecimal digits of a hash, as the server's own log says them "
        f"(`audit head`); this is {head[:_HASH_DIGITS]!r}."
    )


def _show(found: "Verification") -> None:
    from clipwarden.auditlog.verify import Kind

    for kind in Kind:
        findings = found.of(kind)
        for finding in findings[:SHOWN]:
            notice(printable(_sentence(finding)), style=_STYLES.get(kind, "yellow"))
        if len(findings) > SHOWN:
            notice(f"{kind}: and {len(findings) - SHOWN} more; --json has them all.")
    processes = f"{len(found.heads)} process{'' if len(found.heads) == 1 else 'es'}"
    print(f"{found.lines} lines of {processes}: {_verdict(found)}.")  # noqa: T201  as above
    for head in found.heads:
        print(f"{head.process} ends with number {head.seq}, hash {head.hash or 'none'}")  # noqa: T201


def _sentence(finding: "Finding") -> str:
    where = f"{finding.where}: " if finding.where else ""
    return f"{where}{finding.kind}: {finding.message}."


def _verdict(found: "Verification") -> str:
    from clipwarden.auditlog.verify import Kind

    parts = [
        f"{len(found.of(Kind.BROKEN))} changed or out of place",
        f"{sum(each.count for each in found.of(Kind.MISSING))} missing",
        f"{sum(each.count for each in found.of(Kind.DROPPED))} dropped by the server",
        f"{len(found.of(Kind.TORN))} torn",
    ]
    said = [part for part in parts if not part.startswith("0 ")]
    if not said and found.of(Kind.EMPTY):
        return "nothing was checked"
    chained = "in number and hash" if not found.of(Kind.UNCHAINED) else "in number"
    return ", ".join(said) if said else f"all there, {chained}"


def _facts(found: "Verification") -> dict[str, object]:
    return {
        "lines": found.lines,
        "findings": [
            {"kind": each.kind, "where": each.where, "message": each.message, "count": each.count}
            for each in found.findings
        ],
        "heads": [{"process": each.process, "seq": each.seq, "hash": each.hash} for each in found.heads],
    }
