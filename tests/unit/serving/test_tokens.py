"""Files of tokens, and headers, of every kind: what is taken, and what is said of the rest without a word of it."""

import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clipwarden.cli.main import app
from clipwarden.errors import ConfigError
from clipwarden.serving.tokens import (
    LEAST_LENGTH,
    MOST_ENTRIES,
    MOST_LENGTH,
    Tokens,
    append_line,
    bearer,
    line_of,
    make_token,
    parse_tokens,
)

TOKEN = "correct-horse-battery-staple-0123456789"  # noqa: S105  of a test
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789._~+/-", min_size=LEAST_LENGTH, max_size=80).filter(
    lambda text: len(set(text)) >= 10
)


def parsed(text: str) -> Tokens:
    return parse_tokens(text.encode(), file="f")


def test_token_as_it_is_and_its_digest_are_the_same() -> None:
    for line in (f"uploads {TOKEN}", f"uploads sha256:{DIGEST}", f"  uploads\tSHA256:{DIGEST.upper()}  \r\n"):
        tokens = parsed(line)
        assert tokens.holder(TOKEN) == "uploads"
        assert tokens.holder(f"sha256:{DIGEST}") is tokens.holder(DIGEST) is None


def test_names_may_have_several_tokens_beside_comments_and_empty_lines() -> None:
    tokens = parsed(f"\ufeff# who\n\nuploads {TOKEN}\n # again\nbackfill {TOKEN}x\nuploads {TOKEN}y\n")
    assert [tokens.holder(f"{TOKEN}{end}") for end in ("", "x", "y", "z")] == ["uploads", "backfill", "uploads", None]
    assert tokens.names == ["uploads", "backfill"]


BAD = {
    "": "holds no token",
    "# nothing\n": "holds no token",
    "uploads": "f:1: a line is a name and a token",
    f"uploads {TOKEN} more": "f:1: a line is a name and a token",
    f"\n-x {TOKEN}": "f:2: a name is",
    f"up:loads {TOKEN}": "f:1: a name is",
    f"{'n' * 65} {TOKEN}": "f:1: a name is",
    f"uploads {TOKEN[:31]}": "at least 32 characters",
    f"uploads {'12345' * 20}": "10 different characters",
    f"uploads {TOKEN}é": "letters, digits and",
    f"uploads {TOKEN * 40}": "at most 1024 characters",
    "uploads sha256:abc": "64 hexadecimal digits",
    f"uploads sha256:{DIGEST}0": "64 hexadecimal digits",
    f"uploads sha256:{hashlib.sha256(b'').hexdigest()}": "digest of nothing",
    f"a {TOKEN}\nb sha256:{DIGEST}": "f:2: the token of line 1",
}


@pytest.mark.parametrize("text", BAD)
def test_line_that_is_none_is_named_by_its_number_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert BAD[text] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(TOKEN[:8] in str(each) for each in (caught.value, caught.value.__cause__, caught.value.__context__))


def test_too_many_lines_are_refused() -> None:
    lines = [f"uploads sha256:{number:064x}" for number in range(1, MOST_ENTRIES + 2)]
    assert len(parsed("\n".join(lines[:-1])).entries) == MOST_ENTRIES
    with pytest.raises(ConfigError, match="at most 256"):
        parsed("\n".join(lines))


def test_bytes_that_are_no_text_are_refused_without_them() -> None:
    with pytest.raises(ConfigError, match="no text in UTF-8") as caught:
        parse_tokens(b"uploads \xff" + TOKEN.encode(), file="f")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_tokens_are_not_shown_where_they_are_printed() -> None:
    assert TOKEN not in repr(parsed(f"uploads {TOKEN}"))
    assert DIGEST not in repr(parsed(f"uploads {TOKEN}"))


@given(st.binary(max_size=300))
def test_any_file_is_tokens_or_one_sentence(content: bytes) -> None:
    try:
        tokens = parse_tokens(content, file="f")
    except ConfigError as exc:
        assert str(exc).count("\n") == 0  # noqa: PT017
    else:
        assert tokens.entries


@given(st.lists(TOKENS, min_size=1, max_size=6, unique=True), TOKENS)
def test_whoever_holds_a_token_is_found_and_nobody_else(held: list[str], other: str) -> None:
    tokens = parsed("".join(f"name-{number} {token}\n" for number, token in enumerate(held)))
    assert [tokens.holder(token) for token in held] == [f"name-{number}" for number in range(len(held))]
    assert other in held or tokens.holder(other) is None


@given(st.text(max_size=200))
def test_any_header_is_a_token_or_none(header: str) -> None:
    token = bearer(header)
    assert token is None or header.strip(" ")[:6].lower() == "bearer"
    if token is not None:
        parsed(f"uploads {TOKEN}").holder(token)  # takes any text


def test_header_is_read_as_its_standard_has_it() -> None:
    assert [bearer(f"{scheme} {TOKEN}") for scheme in ("Bearer", "bearer", "BEARER")] == [TOKEN] * 3
    assert bearer(f"  Bearer   {TOKEN} ") == TOKEN
    for header in (
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer{TOKEN}",
        "Bearer " + "x" * (MOST_LENGTH + 1),
    ):
        assert bearer(header) is None


def test_command_makes_a_token_and_the_line_that_lets_it_in() -> None:
    shown = CliRunner().invoke(app, ["token", "uploads"])
    assert shown.exit_code == 0, shown.output
    _, line, _, token = shown.stdout.splitlines()
    assert parsed(line).holder(token) == "uploads"
    assert len(token) == 43


def test_command_appends_to_a_file_and_prints_the_token_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    made = []
    for name in ("uploads", "backfill"):
        done = CliRunner().invoke(app, ["token", name, "--append", str(file)])
        assert done.exit_code == 0, done.output
        made.append(done.stdout.strip())
    tokens = parse_tokens(file.read_bytes(), file="f")
    assert [tokens.holder(token) for token in made] == ["uploads", "backfill"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(token in file.read_text() for token in made)


def test_appending_ends_a_line_that_was_not_and_spoils_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"uploads {TOKEN}")
    append_line(file, line_of("uploads", make_token()))
    assert len(parse_tokens(file.read_bytes(), file="f").entries) == 2
    other = tmp_path / "policy.yaml"
    other.write_text("api: clipwarden/v1\nmore: of it\n")
    before = other.read_bytes()
    done = CliRunner().invoke(app, ["token", "uploads", "--append", str(other)])
    assert (done.exit_code, done.stdout, other.read_bytes()) == (2, "", before)
    assert CliRunner().invoke(app, ["token", "up loads"]).exit_code == 2
    assert CliRunner().invoke(app, ["token", "uploads", "--append", str(tmp_path)]).exit_code == 2
