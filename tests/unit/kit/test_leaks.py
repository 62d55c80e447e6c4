"""A secret is found in a text in every spelling, a part of it too, and not where it is not."""

import base64

import pytest

from kit.leaks import traces

SECRET = "tok-9fQ2~xLw/7rZ+k1VbN3m"  # noqa: S105  of no system


@pytest.mark.parametrize(
    "told",
    [
        SECRET,
        SECRET[:8],
        SECRET[5:14].upper(),
        SECRET.encode().hex(),
        SECRET[3:].encode().hex().upper(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"Bearer {SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(b"x" + SECRET.encode()).decode(),
        "tok-9fQ2%7ExLw%2F7rZ%2Bk1VbN3m",
        repr(SECRET.encode()),
    ],
)
def test_it_is_found(told: str) -> None:
    assert traces(SECRET, f'{{"message": "refused", "token": "{told}"}}')


@pytest.mark.parametrize("text", ["", "a token of 24 characters was refused", SECRET[:7], SECRET[::-1], "tok-" * 10])
def test_nothing_is_found_where_too_little_is_told(text: str) -> None:
    assert not traces(SECRET, text)
