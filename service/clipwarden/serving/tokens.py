"""A file of tokens in, who a caller is by its token out; and tokens made.

A line names somebody and one of its tokens, as it is or, better, as its digest:

    # the upload pipeline; two lines while its token is changed
    uploads sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    uploads sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752

A caller's token is hashed and compared with every digest of the file, all of them to their last byte, so the time that
takes tells nothing but how many there are. SHA-256 without salt or stretching is enough, since a token has to be long
and random, which no dictionary holds.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path

from clipwarden.errors import ConfigError, why_of

LEAST_LENGTH = 32
"""Characters of a token: 128 bits in hexadecimal, 190 in base64. Source: RFC 6750, 5.2, refers to NIST's 128 bits."""
LEAST_DISTINCT = 10
"""Different characters of a token: of 32 random hexadecimal digits, fewer than 10 differ once in some 2,000 tokens, of
base64 never; of typed ones like 1234123412341234, always."""
MOST_LENGTH = 1024
"""Characters of a token; JSON Web Tokens of the usual size fit in."""
MOST_ENTRIES = 256
"""Lines of a file. Comparing with all of them takes 12 us, each call (2.1 GHz Xeon)."""
PREFIX = "sha256:"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/-]{0,63}")
_NAME_RULE = "a name is 1 to 64 letters, digits and . _ @ / -, and begins with a letter or digit"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750, section 2.1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OF_NOTHING = {hashlib.sha256(text).digest() for text in (b"", b"\n", b"\r\n", b" ")}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Whom a file names, by the digests of their tokens.

    Attributes:
        entries: Digest and name; not shown where the object is printed.
    """

    entries: Sequence[tuple[bytes, str]] = field(repr=False)

    def holder(self, token: str) -> str | None:
        """Name whose token this is, in a time that tells nothing about it; None where it is nobody's."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        found = None
        for known, name in self.entries:
            if compare_digest(known, digest):
                found = name
        return found

    @property
    def names(self) -> Sequence[str]:
        """Who has a token, in the file's order, each once."""
        return list(dict.fromkeys(name for _, name in self.entries))


def parse_tokens(text: bytes, *, file: str) -> Tokens:
    """Read a file of tokens.

    Args:
        text: What it holds.
        file: Its path, for messages; these say the line and never what stands in it.

    Raises:
        ConfigError: A line is none, or there is no token at all.
    """
    lines_of: dict[bytes, int] = {}
    entries = list[tuple[bytes, str]]()
    for number, line in enumerate(_decoded(text, file).splitlines(), start=1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        where = f"tokens: {file}:{number}"
        name, digest = _entry(parts, where)
        if digest in lines_of:
            raise ConfigError(f"{where}: the token of line {lines_of[digest]} stands here once more; remove one line.")
        lines_of[digest] = number
        entries.append((digest, name))
    if not entries:
        raise ConfigError(f"tokens: {file} holds no token, so nobody could call; `clipwarden token NAME` makes one.")
    if len(entries) > MOST_ENTRIES:
        raise ConfigError(f"tokens: {file} holds {len(entries)} tokens; at most {MOST_ENTRIES} are taken.")
    return Tokens(entries)


def make_token() -> str:
    """Make a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def line_of(name: str, token: str) -> str:
    """Write the line of a token's digest.

    Raises:
        ConfigError: Nobody can have that name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"The name {name!r} cannot stand in a file of tokens; {_NAME_RULE}.")
    return f"{name} {PREFIX}{hashlib.sha256(token.encode()).hexdigest()}"


def append_line(file: Path, line: str) -> None:
    """Append a line to a file of tokens, which is made, readable by its owner alone, where there is none.

    In place, so that its owner, its group and a symlink to it stay; one write, which ends what was left unended.

    Raises:
        ConfigError: The file cannot be read or written, or is no file of tokens.
    """
    try:
        before = file.read_bytes() if file.exists() else b""
        if before.strip():
            parse_tokens(before, file=str(file))
        ended = not before or before.endswith(b"\n")
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{'' if ended else chr(10)}{line}\n".encode())
        finally:
            os.close(handle)
    except OSError as exc:
        raise ConfigError(f"Cannot write {file}: {why_of(exc)}.") from exc


def _decoded(text: bytes, file: str) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Not its cause: that holds the bytes.
        raise ConfigError(f"tokens: {file} is no text in UTF-8.") from None


def _entry(parts: Sequence[str], where: str) -> tuple[str, bytes]:
    if len(parts) != 2:  # noqa: PLR2004  a name and a token
        raise ConfigError(f"{where}: a line is a name and a token, such as `uploads sha256:...`, with a space between.")
    name, token = parts
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: {_NAME_RULE}.")
    return name, _digest(token, where)


def _digest(token: str, where: str) -> bytes:
    if token.lower().startswith(PREFIX):
        digits = token[len(PREFIX) :].lower()
        if not _DIGEST.fullmatch(digits):
            raise ConfigError(
                f"{where}: after {PREFIX} come 64 hexadecimal digits; `clipwarden token NAME` writes them."
            )
        digest = bytes.fromhex(digits)
        if digest in _OF_NOTHING:
            raise ConfigError(f"{where}: this is the digest of nothing; hash the token itself.")
        return digest
    objection = _objection(token)
    if objection:
        raise ConfigError(f"{where}: {objection}; `clipwarden token NAME` makes a good one.")
    return hashlib.sha256(token.encode()).digest()


def _objection(token: str) -> str | None:
    """Say what is wrong with a token as it is, without a word of it."""
    if not _TOKEN.fullmatch(token):
        return "a token is letters, digits and . _ ~ + / -, with = at its end at most"
    if len(token) < LEAST_LENGTH:
        return f"a token has at least {LEAST_LENGTH} characters, or it could be guessed"
    if len(token) > MOST_LENGTH:
        return f"a token has at most {MOST_LENGTH} characters"
    if len(set(token)) < LEAST_DISTINCT:
        return f"a token has at least {LEAST_DISTINCT} different characters, or it could be guessed"
    return None


def bearer(header: str) -> str | None:
    """Take the token out of an `authorization` header; None where it holds none of a size that a token may have.

    Args:
        header: Such as `Bearer abc`; the scheme's case does not count. Source: RFC 6750 and RFC 9110, 11.1.
    """
    scheme, _, token = header.strip(" ").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or len(token) > MOST_LENGTH:
        return None
    return token
