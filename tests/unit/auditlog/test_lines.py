"""Lines of the audit log, read and hashed again by nothing but the words that describe them."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.auditlog.lines import SCHEMA, Sealer, place_of, unseal
from clipwarden.auditlog.reading import read_lines, read_records
from clipwarden.errors import AuditLogError
from kit.auditlogs import hand_made, written

TEXTS = st.text(max_size=40)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
RECORDS = st.dictionaries(
    st.sampled_from(["request_id", "context", "categories", "caller"]), TEXTS | NUMBERS | st.lists(NUMBERS, max_size=3)
)


def sealed_by_the_words(before: str, line: bytes) -> str:
    """Hash a line as the package's docstring says."""
    body = line[: line.rindex(b',"hash":')]
    return hashlib.sha256(before.encode("ascii") + body).hexdigest()


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_every_line_reads_back_as_it_was_and_has_the_hash_that_the_words_describe(
    records: list[dict[str, object]],
) -> None:
    sealer, before = Sealer("0123456789abcdef", chain=True), "0" * 64
    for seq, record in enumerate(records):
        line = sealer.seal({"record": "judged", "time": "now", **record})
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        assert line.isascii()
        data = json.loads(line)
        assert {name: data[name] for name in record} == record
        assert (data["schema"], data["seq"]) == (SCHEMA, seq)
        assert data["hash"] == sealed_by_the_words(before, line)
        found = unseal(line[:-1])
        assert found is not None
        assert found.place == place_of(line[:-1]) == sealer.head
        assert found.follows(before)
        before = data["hash"]


@given(NUMBERS)
def test_numbers_read_back_to_the_last_bit(number: float) -> None:
    found = unseal(Sealer("0" * 16, chain=False).seal({"record": "x", "score": number})[:-1])
    assert found is not None
    score = found.data["score"]
    assert isinstance(score, float)
    assert score.hex() == number.hex()


def test_what_is_no_number_is_refused_and_breaks_no_chain() -> None:
    sealer = Sealer("0" * 16, chain=True)
    first = sealer.seal({"record": "x"})
    with pytest.raises(ValueError, match="JSON compliant"):
        sealer.seal({"record": "x", "score": float("nan")})
    second = unseal(sealer.seal({"record": "x"})[:-1])
    assert second is not None
    assert second.follows(json.loads(first)["hash"])


@given(st.binary(max_size=200) | TEXTS.map(str.encode))
def test_what_is_no_line_of_ours_is_none_and_never_an_error(raw: bytes) -> None:
    assert unseal(raw) is None
    assert place_of(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"schema":5}',
        b'{"schema":"clipwarden.audit/1","process":"0123456789abcdef","seq":"x"}',
        # Its end says another place than whoever reads the keys would see.
        b'{"schema":"clipwarden.audit/1","x":{"a":1,"process":"0123456789abcdef","seq":3}}',
        b'{"schema":"clipwarden.audit/1","seq":' + b"9" * 5000 + b"}",
    ],
)
def test_lines_that_only_look_like_ours_are_none(raw: bytes) -> None:
    assert unseal(raw) is None


def test_another_schema_is_refused_by_name_and_line(tmp_path: Path) -> None:
    line = hand_made(2)[0].replace(b"audit/1", b"audit/2")
    file = written(tmp_path / "log", [b"\n", line])
    with pytest.raises(AuditLogError, match=re.escape(f"{file}:2 is of the schema 'clipwarden.audit/2'")):
        list(read_lines(file))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuditLogError, match="cannot be read: No such file"):
        list(read_lines(tmp_path / "none"))
    with pytest.raises(AuditLogError, match="cannot be read: Not a gzipped file"):
        list(read_lines(written(tmp_path / "log.gz", hand_made(2))))
    with pytest.raises(AuditLogError, match=re.escape("log:1: a line of an audit log lacks")):
        list(read_records([written(tmp_path / "log", hand_made(3))]))
