"""Addresses: what is one, what to write instead of what is none, and which of them never leave this machine."""

import pytest

from clipwarden import Client
from clipwarden.client.target import read_target

LOCAL = [
    "localhost:1",
    "LOCALHOST:1",
    "localhost.:1",
    "a.localhost:1",
    "127.0.0.1:1",
    "127.8.9.10:65535",
    "0.0.0.0:1",
    "[::1]:50051",
    "[::ffff:127.0.0.1]:1",
    "unix:s",
    "unix:/run/s",
    "unix:///run/s",
    "unix:/run/with space",
    "unix-abstract:s",
    "dns:localhost:1",
    "dns:///localhost:1",
    "ipv4:127.0.0.1:1,127.0.0.2:1",
    "ipv6:[::1]:1",
    "ipv6:///[::1]:1",
]
ELSEWHERE = [
    "images:1",
    "images.internal.:50051",
    "under_score:1",
    "localhost.example.org:1",
    "10.0.0.1:1",
    "[2001:db8::1]:1",
    "[fe80::1%eth0]:1",
    "dns:///images:50051",
    "dns://8.8.8.8/images:50051",
    "ipv4:127.0.0.1:1,10.0.0.1:1",
    "xds:///images",
    "vsock:3:50051",
]
INSTEAD = {
    "": "it must be HOST:PORT or unix:PATH, such as localhost:50051",
    " ": "no host is called ' '",
    "localhost": "such as localhost:50051",
    "images.internal": "such as images.internal:50051",
    ":50051": "such as localhost:50051",
    "localhost:": "the port must be a number from 1 to 65535",
    "localhost:99999": "the port must be a number from 1 to 65535",
    "localhost:0": "the port must be a number from 1 to 65535",
    "localhost:-1": "the port must be a number from 1 to 65535",
    "localhost:\u0665": "the port must be a number from 1 to 65535",
    "localhost:1" + "0" * 9000: "the port must be a number from 1 to 65535",
    "localhost:50051/": "the port must be a number from 1 to 65535",
    " localhost:50051": "no host is called ' localhost'",
    "local host:50051": "no host is called 'local host'",
    "me@localhost:50051": "no host is called 'me@localhost'",
    "l\u00f6\u00dft.de:50051": "a host is named in ASCII: xn--lsst-5qa.de:50051",
    "\u2026:50051": "no host is called",
    "::1:50051": "an IPv6 address stands in brackets: [::1]:50051",
    "2001:db8::1": "an IPv6 address stands in brackets: [2001:db8::1]:50051",
    "a:b:c": "such as localhost:50051",
    "[::1]": "such as localhost:50051",
    "[::1]:": "the port must be a number",
    "[127.0.0.1]:1": "in brackets stands an IPv6 address, such as [::1]:50051",
    "http://localhost:50051": "not a URL: write localhost:50051",
    "http://localhost": "not a URL: write localhost:50051",
    "https://images:443/x": "not a URL: write images:443, with TLS",
    "grpcs://images:1": "not a URL: write images:1, with TLS",
    "tcp://images:1": "not a URL: write images:1",
    "http://[": "not a URL",
    "unix:": "it must be unix:PATH with the path of a socket",
    "unix://": "write unix:PATH, or unix:///PATH",
    "unix:///": "must be unix:PATH",
    "unix://run/s": "write unix:PATH, or unix:///PATH for a path from the root",
    "unix:/run/a%20b": "the path of a socket must be without %, ? and #",
    "unix:/" + "a" * 107: "the path of a socket has at most 107 bytes, and this has 108",
    "unix-abstract:": "it must be unix-abstract:NAME",
    "dns:localhost": "such as localhost:50051",
    "dns:///images": "such as images:50051",
    "dns:": "such as localhost:50051",
    "ipv4:127.0.0.1": "such as 127.0.0.1:50051",
    "ipv4:127.0.0.1:1,": "such as localhost:50051",
    "xds:///": "such as localhost:50051",
}


@pytest.mark.parametrize("text", [*LOCAL, *ELSEWHERE])
def test_an_address_is_taken_as_it_is(text: str) -> None:
    target = read_target(text)
    assert (target.text, target.is_local) == (text, text in LOCAL)
    Client(text).close()


@pytest.mark.parametrize("text", INSTEAD)
def test_what_is_no_address_is_told_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is ") as caught:
        read_target(text)
    assert str(caught.value).startswith(f"is {text!r}; ")
    assert INSTEAD[text] in str(caught.value)
