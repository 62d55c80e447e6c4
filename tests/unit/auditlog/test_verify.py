"""What was done to a log, and whether it shows."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clipwarden.auditlog.lines import Sealer
from clipwarden.auditlog.verify import Kind
from kit.auditlogs import checked, flaws, hand_made, written

Lines = list[bytes]
A, B = "a" * 16, "b" * 16


def edited(lines: Lines) -> Lines:
    return [*lines[:3], lines[3].replace(b"r3", b"r9"), *lines[4:]]


def edited_and_hashed_again(lines: Lines) -> Lines:
    """Edit a line, and give it the hash that it should have: the next one gives it away."""
    before = json.loads(lines[2])["hash"]
    sealer = Sealer(A, chain=True, before=before)
    sealer._seq = 3
    data = json.loads(lines[3])
    record = {name: value for name, value in data.items() if name not in ("schema", "process", "seq", "hash")}
    return [*lines[:3], sealer.seal({**record, "request_id": "r9"}), *lines[4:]]


def without_its_hash(lines: Lines) -> Lines:
    return [*lines[:3], lines[3][: lines[3].rindex(b',"hash"')] + b"}\n", *lines[4:]]


@pytest.mark.parametrize(
    ("tamper", "kinds", "line"),
    [
        (lambda lines: lines, [], None),
        (edited, ["broken"], 4),
        (edited_and_hashed_again, ["broken"], 5),
        (without_its_hash, ["broken", "broken"], 4),
        (lambda lines: [*lines[:3], *lines[4:]], ["missing"], 4),
        (lambda lines: [*lines[:3], *lines[6:]], ["missing"], 4),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], ["broken"], 5),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], ["broken", "broken"], 5),
        (lambda lines: [*lines[:3], b'{"verdict": "ALLOW"}\n', *lines[3:]], ["torn"], 4),
        (lambda lines: [*lines[:3], lines[3][:50] + b"\n", *lines[4:]], ["torn", "missing"], 4),
        (lambda lines: [*lines[:-1], lines[-1][:50]], ["torn"], 8),
        # Nobody can tell by the log alone.
        (lambda lines: lines[:-2], [], None),
        (lambda lines: lines[2:], [], None),
        (lambda _: hand_made(4, process=A), [], None),
        (lambda lines: [*lines[:3], *hand_made(4, process=B), *lines[3:]], [], None),
    ],
)
def test_what_was_done_shows_or_cannot(
    tmp_path: Path, tamper: Callable[[Lines], Lines], kinds: list[str], line: int | None
) -> None:
    file = written(tmp_path / "log", tamper(hand_made(8)))
    found = checked(file)
    assert flaws(found) == kinds
    assert [each.where for each in found.findings if each.kind is not Kind.NOTE][:1] == [f"{file}:{line}"] * bool(kinds)


def test_a_process_that_never_was_is_listed(tmp_path: Path) -> None:
    found = checked(written(tmp_path / "log", [*hand_made(8), *hand_made(4, process=B)]))
    assert {head.process for head in found.heads} == {A, B}


@pytest.mark.parametrize("tamper", [lambda lines: lines[:-2], lambda _: hand_made(8, process=B)])
def test_a_hash_kept_elsewhere_shows_what_the_log_alone_cannot(
    tmp_path: Path, tamper: Callable[[Lines], Lines]
) -> None:
    lines = hand_made(8)
    head = json.loads(lines[-1])["hash"]
    assert flaws(checked(written(tmp_path / "whole", lines), head=head)) == []
    assert flaws(checked(written(tmp_path / "log", tamper(lines)), head=head)) == ["missing"]


def test_files_may_come_in_any_order_packed_or_not_and_from_several_processes(tmp_path: Path) -> None:
    lines, others = hand_made(9), hand_made(5, process=B)
    files = [
        written(tmp_path / "log.2", [lines[0], others[0], *lines[1:3]]),
        tmp_path / "log.1.gz",
        written(tmp_path / "log", [*lines[5:8], *others[2:], lines[8]]),
    ]
    files[1].write_bytes(gzip.compress(b"".join([*lines[3:5], others[1]])))
    for order in (files, files[::-1], [files[1], files[2], files[0]]):
        found = checked(*order)
        assert (flaws(found), found.lines) == ([], 14)
        assert {(head.process, head.seq) for head in found.heads} == {(A, 8), (B, 4)}
    missing = checked(files[0], files[2])
    assert [(each.kind, each.count) for each in missing.of(Kind.MISSING)] == [(Kind.MISSING, 2), (Kind.MISSING, 1)]
    twice = checked(*files, written(tmp_path / "copy", [lines[3]]))
    assert "broken" in flaws(twice)


def restarted(lines: Lines, **follows: object) -> Lines:
    """Write what a process writes that found these lines in its file."""
    last = json.loads(lines[-1])
    before = {"process": last["process"], "seq": last["seq"], "hash": last["hash"]} | follows
    sealer = Sealer(B, chain=True, before=str(before["hash"]))
    return [sealer.seal({"record": "started", "follows": before}), sealer.seal({"record": "stopped"})]


def test_a_restart_shows_what_was_cut_off_before_it(tmp_path: Path) -> None:
    lines = hand_made(8)
    after = restarted(lines)
    assert flaws(checked(written(tmp_path / "whole", [*lines, *after]))) == []
    cut = checked(written(tmp_path / "cut", [*lines[:-3], *after]))
    assert [(each.kind, each.count) for each in cut.findings if each.kind is not Kind.NOTE] == [(Kind.MISSING, 3)]
    anew = checked(written(tmp_path / "anew", [*hand_made(8, before="1" * 64), *after]))
    assert flaws(anew) == ["broken", "broken"]
    alone = checked(written(tmp_path / "alone", after))
    assert flaws(alone) == []
    assert "follows process" in alone.findings[0].message


def test_what_follows_may_say_anything(tmp_path: Path) -> None:
    for follows in ("x", {"process": 1}, {"process": A, "seq": "x", "hash": None}, [1], {"process": A}):
        sealer = Sealer(B, chain=True)
        line = sealer.seal({"record": "started", "follows": follows})
        assert flaws(checked(written(tmp_path / "log", [line]))) == []


def test_a_log_without_hashes_is_checked_by_its_numbers_and_says_so(tmp_path: Path) -> None:
    lines = hand_made(6, chain=False)
    assert flaws(checked(written(tmp_path / "log", lines))) == ["unchained"]
    assert flaws(checked(written(tmp_path / "less", [*lines[:2], *lines[3:]]))) == ["missing", "unchained"]
    assert flaws(checked(written(tmp_path / "edited", edited(lines)))) == ["unchained"]


def test_what_was_dropped_is_counted(tmp_path: Path) -> None:
    sealer = Sealer(A, chain=True)
    lines = [
        sealer.seal({"record": "started", "follows": None}),
        sealer.seal({"record": "dropped", "count": 7, "since": "s", "until": "u", "why": "no space"}),
        sealer.seal({"record": "dropped", "count": "many"}),
    ]
    found = checked(written(tmp_path / "log", lines))
    assert [(each.count, each.message) for each in found.of(Kind.DROPPED)] == [
        (7, "7 lines were dropped from s to u: no space")
    ]
    assert "has no end" in found.findings[-1].message
