"""No byte of an image passes a proxy that only the environment names; all of them pass one that the caller names."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from clipwarden import AsyncClient, Client, RetryPolicy
from clipwarden.client import ServerUnavailableError
from clipwarden.client.proxy import read_proxy
from clipwarden.client.target import read_target
from clipwarden.v1 import moderation_pb2 as v1
from kit.addresses import free_address
from kit.certificates import issue, server_credentials
from kit.faultserver import FaultServer, allowed, running_fault_server
from kit.proxies import VARIABLES, RecordingProxy, recording_proxy

IMAGE = b"an image that is nobody's business" * 100
ELSEWHERE = "images.invalid:50051"
"""On no network, so that nothing of a test leaves this machine."""
ONCE = RetryPolicy(max_attempts=1)
OK = v1.ModerateResponse(moderation=allowed())


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    with recording_proxy() as running:
        yield running


@pytest.fixture
def named_everywhere(proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch) -> RecordingProxy:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, proxy.url)
    # gRPC has one more way, by address.
    monkeypatch.setenv("GRPC_ADDRESS_HTTP_PROXY", proxy.address)
    monkeypatch.setenv("GRPC_ADDRESS_HTTP_PROXY_ENABLED_ADDRESSES", "0.0.0.0/0,::/0")
    for variable in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return proxy


def target_of(kind: str, socket_folder: Path) -> tuple[str, Callable[[int], str]]:
    """Give where to listen, and what to call then."""
    if kind == "unix":
        return f"unix:{socket_folder}/s", lambda _port: f"unix:{socket_folder}/s"
    if kind == "[::1]" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    return "[::1]:0" if kind == "[::1]" else "127.0.0.1:0", lambda port: f"{kind}:{port}"


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["localhost", "127.0.0.1", "[::1]", "unix"])
async def test_the_environment_never_sends_images_through_a_proxy(
    named_everywhere: RecordingProxy, socket_folder: Path, kind: str
) -> None:
    listen, name = target_of(kind, socket_folder)
    with running_fault_server(address=listen) as server:
        server.set_serving(serving=True)
        server.service.answers.extend([OK, OK])
        target = name(int(server.address.rpartition(":")[2]))
        with Client(target, timeout=60) as client:
            assert client.ready()
            client.moderate(IMAGE)
        async with AsyncClient(target, timeout=60) as other:
            await other.moderate(IMAGE)
        assert [request.image.data for request in server.service.requests] == [IMAGE, IMAGE]
    assert (named_everywhere.connections, bytes(named_everywhere.received)) == (0, b"")


async def test_nor_images_for_elsewhere(named_everywhere: RecordingProxy) -> None:
    with Client(ELSEWHERE, retry=ONCE) as client, pytest.raises(ServerUnavailableError, match="no host of that name"):
        client.moderate(IMAGE, timeout=60)
    async with AsyncClient(ELSEWHERE, retry=ONCE) as other:
        with pytest.raises(ServerUnavailableError, match="no host of that name"):
            await other.moderate(IMAGE, timeout=60)
    assert named_everywhere.connections == 0


def test_not_even_channel_options_send_what_stays_here_through_a_proxy(
    named_everywhere: RecordingProxy, server: FaultServer
) -> None:
    server.service.answers.append(OK)
    options = [("grpc.enable_http_proxy", 1), ("grpc.http_proxy", named_everywhere.url)]
    with Client(server.address, channel_options=options) as client:
        client.moderate(IMAGE, timeout=60)
    assert named_everywhere.connections == 0


@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_that_is_named_carries_everything(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    for variable in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    authority = trustme.CA()
    credentials = server_credentials(issue(authority, ELSEWHERE.partition(":")[0])) if tls else None
    roots = authority.cert_pem.bytes() if tls else None
    with running_fault_server(credentials) as server:
        proxy.ways[ELSEWHERE] = server.address
        server.service.answers.extend([OK, OK])
        url = proxy.url.replace("http://", "http://me:se%3Acret@")
        with Client(ELSEWHERE, proxy=url, root_certificates=roots) as client:
            client.moderate(IMAGE, timeout=60)
        async with AsyncClient(ELSEWHERE, proxy=url, root_certificates=roots) as other:
            await other.moderate(IMAGE, timeout=60)
        assert [request.image.data for request in server.service.requests] == [IMAGE, IMAGE]
    assert [request.split()[1].decode() for request in proxy.requests] == [ELSEWHERE] * proxy.connections
    assert all(b"Proxy-Authorization: Basic bWU6c2U6Y3JldA==" in request for request in proxy.requests)
    assert proxy.received.count(IMAGE) == (0 if tls else 2), "TLS passes it sealed"
    assert len(proxy.received) > 2 * len(IMAGE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "proxy must be http://HOST:PORT, such as"),
        ("proxy:3128", "proxy must be http://HOST:PORT"),
        ("http://proxy", "proxy must be http://HOST:PORT"),
        ("http://proxy:99999", "proxy must be http://HOST:PORT"),
        ("http://me:secret@proxy:x", "proxy must be http://HOST:PORT"),
        ("http://proxy:3128/path", "proxy must be http://HOST:PORT"),
        ("https://me:secret@proxy:3128", "proxy is https://proxy:3128; gRPC knows proxies of http:// alone"),
        ("socks5://proxy:1080", "proxy is socks5://proxy:1080; gRPC knows"),
    ],
)
def test_what_is_no_proxy_is_refused_without_its_password(text: str, sentence: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"^proxy ") as caught:
            kind("images:50051", proxy=text)
        assert sentence in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("target", ["localhost:1", "127.0.0.1:1", "[::1]:1", "unix:s", "dns:///localhost:1"])
def test_no_proxy_is_used_on_this_machine(target: str) -> None:
    with pytest.raises(ValueError, match=r"^proxy is http://p:1, and .* is on this machine, for which none is ever"):
        Client(target, proxy="http://me:secret@p:1")


def test_a_proxy_needs_one_host() -> None:
    for target in ("xds:///images", "ipv4:10.0.0.1:1,10.0.0.2:1"):
        with pytest.raises(ValueError, match="is not HOST:PORT, for which alone one can be used"):
            Client(target, proxy="http://p:1")


@pytest.mark.parametrize("exceptions", ["*", "a, images.example.org", ".example.org", "EXAMPLE.org"])
def test_an_exception_in_the_environment_is_no_silent_way_around(
    monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("no_proxy", exceptions)
    with pytest.raises(ValueError, match=r"the variable no_proxy excepts images\.example\.org, which gRPC obeys"):
        Client("images.example.org:1", proxy="http://p:1")
    monkeypatch.setenv("no_grpc_proxy", "10.0.0.0/8")
    Client("images.example.org:1", proxy="http://p:1").close()
    with pytest.raises(ValueError, match=r"no_grpc_proxy excepts 10\.1\.2\.3"):
        Client("10.1.2.3:1", proxy="http://p:1")


def test_its_password_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    proxy = read_proxy("http://me:secret@p:1/", read_target("images:1"))
    assert proxy.url == "http://me:secret@p:1"
    with Client("images:1", proxy=proxy.url) as client:
        assert "secret" not in f"{proxy!r} {client!r} {client._connection!r}"


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "The proxy at {proxy} asks who calls; write http://NAME:PASSWORD@HOST:PORT.",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "The proxy at {proxy} opens no way to {target} (HTTP status 403); see that",
        ),
        (None, "The proxy at {proxy} opens no way to {target} (HTTP status 502); see that"),
    ],
)
def test_a_proxy_that_does_not_let_us_pass_is_named(
    monkeypatch: pytest.MonkeyPatch, refusal: bytes | None, sentence: str
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with ExitStack() as stack:
        proxy = stack.enter_context(recording_proxy(refusal))
        client = stack.enter_context(Client(ELSEWHERE, proxy=proxy.url, retry=ONCE))
        with pytest.raises(ServerUnavailableError) as caught:
            client.moderate(IMAGE, timeout=60)
    assert str(caught.value).startswith(sentence.format(proxy=proxy.url, target=ELSEWHERE))


def test_a_proxy_that_is_not_there_is_named_and_not_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    gone = free_address()
    for place, cause in ((gone, "nothing listens there"), ("proxy.invalid:1", "there is no host of that name")):
        with (
            Client("images:1", proxy=f"http://{place}", retry=ONCE) as client,
            pytest.raises(
                ServerUnavailableError, match=f"No proxy answers at http://{place}, through .* images:1 .*{cause}"
            ),
        ):
            client.moderate(IMAGE, timeout=60)
