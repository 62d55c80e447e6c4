"""Whether a text tells a secret, or enough of it to help somebody: as it is, in hex, in base64 or percent-encoded."""

import base64
from collections.abc import Iterator
from urllib.parse import quote

ENOUGH = 8
"""Characters in a row that count as told."""


def traces(secret: str, text: str) -> list[str]:
    """Find where a text holds parts of a secret.

    Args:
        secret: Longer than `ENOUGH` characters, ASCII.
        text: All that somebody may read.

    Returns:
        The parts, as they stand there but for upper and lower case; none where nothing is told.
    """
    assert len(secret) > ENOUGH
    lower = text.lower()
    return [part for part in sorted(set(_parts(secret))) if part in lower]


def _parts(secret: str) -> Iterator[str]:
    """Spell every run of `ENOUGH` characters in all the ways."""
    for start in range(len(secret) - ENOUGH + 1):
        run = secret[start : start + ENOUGH]
        data = run.encode()
        yield run.lower()
        yield data.hex()
        yield quote(run, safe="").lower()
        yield "".join(f"%{byte:02x}" for byte in data)
        for before in range(3):  # where the run begins within three bytes decides how base64 spells it
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                spelt = encode(b"\0" * before + data + b"\0" * 3).decode()
                # What rests on the bytes around it is left out: six bits a character.
                yield spelt[-(-before * 8 // 6) : (before + ENOUGH) * 8 // 6].lower()
