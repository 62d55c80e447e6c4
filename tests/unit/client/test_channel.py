"""What clients refuse before they call anybody."""

import math

import pytest

from clipwarden import AsyncClient, Client

NO_SPANS = [0, -1.0, math.inf, math.nan, 9e9, "2s"]


@pytest.mark.parametrize("timeout", NO_SPANS)
def test_a_timeout_that_is_no_span_is_named(timeout: float) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"timeout is .*; it must be a number of seconds above 0, at most 86400$"):
            kind("localhost:1", timeout=timeout)
    with Client("localhost:1") as client:
        with pytest.raises(ValueError, match="timeout is"):
            client.moderate(b"x", timeout=timeout)
        with pytest.raises(ValueError, match="timeout is"):
            next(client.moderate_stream([], timeout=timeout))


def test_a_target_that_is_no_address_is_named() -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"^target is 'localhost'; it must be HOST:PORT or unix:PATH, such as"):
            kind("localhost")


def test_a_proxy_that_finds_the_server_by_itself_leaves_nothing_to_balance() -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"^proxy is given beside round_robin, and finds the server by itself"):
            kind("images.invalid:1", proxy="http://p:1", round_robin=True)
