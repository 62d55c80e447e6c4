"""What is said where no server of ours is reached: each sentence against the real failure that it is about.

Other implementations of TLS stand beside gRPC's own, since each ends a connection in its own way.
"""

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
import trustme

from clipwarden import AsyncClient, Client, RetryPolicy
from clipwarden.client import ClientError, DeadlineExceededError, ServerUnavailableError
from clipwarden.client.failures import Failure, Peer, Told, explain
from kit.certificates import issue, pem, server_credentials
from kit.faultserver import FaultServer, running_fault_server

ONCE = RetryPolicy(max_attempts=1)
NO_PORT = 1
"""tcpmux: nothing listens there on any machine that builds this."""
_REFUSED = "ipv6:%5B::1%5D:1: Failed to connect to remote host: Connection refused"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger() -> trustme.CA:
    return trustme.CA()


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen, hand each connection to `answer`, and close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    answer(connection)

        threading.Thread(target=run, daemon=True).start()
        yield f"localhost:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def speaking_tls(certificate: trustme.LeafCert, **settings: object) -> Callable[[socket.socket], None]:
    """Answer as OpenSSL does, with a context of these settings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    clients = settings.pop("clients", None)
    if isinstance(clients, trustme.CA):
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
    for name, value in settings.items():
        setattr(context, name, value)

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)

    return answer


def failure(target: str, **choices: object) -> ClientError:
    """Fail a call; both clients say the same, and keep what gRPC said."""
    with (
        Client(target, retry=ONCE, **choices) as client,  # type: ignore[arg-type]  # what a test chooses
        pytest.raises(ClientError) as caught,
    ):
        client.moderate(b"image", timeout=60)
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    return caught.value


async def failure_of_both(target: str, **choices: object) -> ClientError:
    first = failure(target, **choices)
    async with AsyncClient(target, retry=ONCE, **choices) as client:  # type: ignore[arg-type]  # as above
        with pytest.raises(ClientError) as caught:
            await client.moderate(b"image", timeout=60)
    assert str(caught.value) == str(first)
    return first


def ours(error: ClientError, *, lasts: bool) -> str:
    """Take the sentence of a server that was not reached, which must have nothing of gRPC's in it."""
    assert (type(error), error.code, error.lasts) == (ServerUnavailableError, grpc.StatusCode.UNAVAILABLE, lasts)
    sentence = str(error)
    for prose in (
        "failed to connect",
        "last error",
        "UNAVAILABLE",
        "UNKNOWN",
        "SSL_ERROR",
        "TSI_",
        "handshake",
        "ipv4:",
    ):
        assert prose not in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


async def test_nothing_listens() -> None:
    expected = (
        "No clipwarden server answers at localhost:1: nothing listens there; start the server, or mend the address."
    )
    assert ours(await failure_of_both(f"localhost:{NO_PORT}"), lasts=False) == expected


@pytest.mark.parametrize("resolver", ["ares", "native"])
def test_no_host_has_that_name(resolver: str) -> None:
    program = (
        "from clipwarden import Client, RetryPolicy\n"
        "try: Client('images.invalid:1', retry=RetryPolicy(max_attempts=1)).moderate(b'x', timeout=60)\n"
        "except Exception as error: print(error)"
    )
    environment = os.environ | {"GRPC_DNS_RESOLVER": resolver}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=100
    )
    # Where there is no DNS at all, it is the second.
    subject, _, cause = done.stdout.strip().partition(": ")
    assert subject == "No clipwarden server answers at images.invalid:1"
    assert cause in (
        "there is no host of that name; mend the address, or the DNS that this machine asks.",
        "the name of the host could not be looked up; see that this machine's DNS works.",
    )


async def test_no_socket_has_that_name(socket_folder: Path) -> None:
    (socket_folder / "file").touch()
    for path in (socket_folder / "none", socket_folder / "file" / "below"):
        assert ours(await failure_of_both(f"unix:{path}"), lasts=False) == (
            f"No clipwarden server answers at unix:{path}: there is no socket of that name; start the server, or "
            "mend the path."
        )


async def test_nobody_listens_on_a_socket(socket_folder: Path) -> None:
    left = socket_folder / "left"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    for path in (left, socket_folder):
        sentence = ours(await failure_of_both(f"unix:{path}"), lasts=False)
        assert sentence.endswith(": nobody listens on that socket; start the server, or mend the path.")


def test_a_socket_of_others_is_not_for_us(socket_folder: Path) -> None:
    socket_folder.chmod(0o755)
    path = socket_folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        # Root may do everything: another user it must be.
        program = (
            "import os, sys\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "from clipwarden.client import Client, RetryPolicy\n"
            "try: Client(sys.argv[1], retry=RetryPolicy(max_attempts=1)).moderate(b'x', timeout=60)\n"
            "except Exception as error: print(error)"
        )
        command = [sys.executable, "-c", f"import clipwarden.client\n{program}", f"unix:{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.strip() == (
        f"No clipwarden server answers at unix:{path}: you may not use that socket; have the server give it another "
        "mode or group, or call as a user who may."
    )


async def test_tls_at_a_server_in_plain_text(server: FaultServer, authority: trustme.CA) -> None:
    assert ours(await failure_of_both(server.address, tls=True), lasts=True) == (
        f"The server at {server.address} does not speak TLS; connect in plain text, or give the server a certificate."
    )
    with answering(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as web:
        assert "does not speak TLS" in ours(failure(web, root_certificates=authority.cert_pem.bytes()), lasts=True)


async def test_plain_text_at_a_server_of_tls(authority: trustme.CA) -> None:
    certificate = issue(authority, "localhost")
    with running_fault_server(server_credentials(certificate)) as server, answering(speaking_tls(certificate)) as other:
        for target in (server.address, other):
            assert ours(await failure_of_both(target), lasts=False) == (
                f"The server at {target} ends connections in plain text, as servers do that want TLS; connect by TLS "
                "(tls, root_certificates)."
            )


def of_tls(server: FaultServer) -> str:
    return f"localhost:{server.address.rpartition(':')[2]}"


async def test_a_certificate_of_an_unknown_authority(authority: trustme.CA, stranger: trustme.CA) -> None:
    with running_fault_server(server_credentials(issue(authority, "localhost"))) as server:
        for trusted in ({"tls": True}, {"root_certificates": stranger.cert_pem.bytes()}):
            assert ours(await failure_of_both(of_tls(server), **trusted), lasts=True) == (
                f"The certificate of the server at {of_tls(server)} comes from an authority that is not trusted here; "
                "name the authority's certificate (root_certificates)."
            )


async def test_a_certificate_for_another_name(authority: trustme.CA) -> None:
    roots = authority.cert_pem.bytes()
    with running_fault_server(server_credentials(issue(authority, "images.example.org"))) as server:
        assert ours(await failure_of_both(of_tls(server), root_certificates=roots), lasts=True) == (
            f"The certificate of the server at {of_tls(server)} is for another name; call the server by a name that "
            "the certificate holds, or say which it is (server_name)."
        )
        server.set_serving(serving=True)
        with Client(of_tls(server), root_certificates=roots, server_name="images.example.org") as client:
            assert client.ready()


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("past", "has expired; have it renewed."),
        ("future", "is not valid yet; see that the clocks of both machines are right."),
    ],
)
async def test_a_certificate_of_another_time(authority: trustme.CA, when: str, said: str) -> None:
    with running_fault_server(server_credentials(issue(authority, "localhost", when))) as server:
        error = await failure_of_both(of_tls(server), root_certificates=authority.cert_pem.bytes())
        assert ours(error, lasts=True) == f"The certificate of the server at {of_tls(server)} {said}"


def as_client(authority: trustme.CA, certificate: trustme.LeafCert) -> dict[str, bytes]:
    chain, key = pem(certificate)
    return {"root_certificates": authority.cert_pem.bytes(), "client_certificate": chain, "client_key": key}


@contextmanager
def wanting_certificates(authority: trustme.CA) -> Iterator[list[str]]:
    """Run servers that ask for one: gRPC's, and OpenSSL's by both versions of TLS, which say no at different times."""
    certificate = issue(authority, "localhost")
    with ExitStack() as stack:
        server = stack.enter_context(running_fault_server(server_credentials(certificate, clients=authority)))
        versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        others = [
            stack.enter_context(answering(speaking_tls(certificate, clients=authority, maximum_version=version)))
            for version in versions
        ]
        yield [of_tls(server), *others]


async def test_a_missing_client_certificate(authority: trustme.CA) -> None:
    with wanting_certificates(authority) as targets:
        for target in targets:
            error = await failure_of_both(target, root_certificates=authority.cert_pem.bytes())
            assert ours(error, lasts=False) == (
                f"The server at {target} ends the connection once TLS stands, as servers do that ask for a client "
                "certificate; give one (client_certificate, client_key)."
            )


@pytest.mark.parametrize("when", [None, "past"])
async def test_a_client_certificate_that_is_refused(
    authority: trustme.CA, stranger: trustme.CA, when: str | None
) -> None:
    shown = issue(authority if when else stranger, "me@example.org", when)
    with wanting_certificates(authority) as targets:
        for target in targets:
            error = await failure_of_both(target, **as_client(authority, shown))
            assert ours(error, lasts=False) == (
                f"The server at {target} ends the connection once it has seen our client certificate; see that it "
                "comes from an authority that the server trusts, and has not expired."
            )


def test_a_client_certificate_lets_in(authority: trustme.CA, tmp_path: Path) -> None:
    chain, key = pem(issue(authority, "me@example.org"))
    for name, data in (("ca", authority.cert_pem.bytes()), ("chain", chain), ("key", key)):
        (tmp_path / name).write_bytes(data)
    credentials = server_credentials(issue(authority, "localhost"), clients=authority)
    with (
        running_fault_server(credentials) as server,
        Client(
            of_tls(server),
            root_certificates=tmp_path / "ca",
            client_certificate=str(tmp_path / "chain"),
            client_key=tmp_path / "key",
        ) as client,
    ):
        server.set_serving(serving=True)
        assert client.ready()


def test_a_key_of_another_certificate(authority: trustme.CA, stranger: trustme.CA) -> None:
    mixed = as_client(authority, issue(authority, "a@b")) | {"client_key": pem(issue(stranger, "a@b"))[1]}
    with running_fault_server(server_credentials(issue(authority, "localhost"))) as server:
        assert ours(failure(of_tls(server), **mixed), lasts=True) == (
            f"The certificates or the key given for {of_tls(server)} cannot be used; see that they are whole, and that "
            "client_key is the key of client_certificate."
        )


def test_tls_without_grpc(authority: trustme.CA) -> None:
    with answering(speaking_tls(issue(authority, "localhost"))) as web:
        error = failure(web, root_certificates=authority.cert_pem.bytes())
        assert ours(error, lasts=True) == f"The server at {web} speaks TLS, but not gRPC; mend the address or the port."


def ends_with(answer: bytes) -> Callable[[socket.socket], None]:
    def run(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)
        with suppress(OSError):  # read on, or the answer would be lost with the connection
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass

    return run


def test_a_web_server() -> None:
    with answering(ends_with(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as web:
        assert ours(failure(web), lasts=True) == (
            f"A web server answers at {web}, and no clipwarden server; mend the address or the port."
        )


def test_another_protocol() -> None:
    with answering(ends_with(b"SSH-2.0-OpenSSH_9.6 and more of the like\r\n")) as other:
        assert ours(failure(other), lasts=True) == (
            f"Something that does not speak gRPC answers at {other}; mend the address or the port, or connect by TLS."
        )


def test_http_2_without_grpc() -> None:
    settings, headers_404 = b"\0\0\0\4\0\0\0\0\0", b"\0\0\1\1\5\0\0\0\1\x8d"

    def run(connection: socket.socket) -> None:
        connection.sendall(settings)
        seen = b""
        while b"ModerationService" not in seen and (data := connection.recv(65536)):
            seen += data
        connection.sendall(headers_404)
        while connection.recv(65536):
            pass

    with answering(run) as web:
        error = failure(web)
    assert str(error) == (
        f"What answers at {web} is no gRPC server, but says HTTP status 404; mend the address, or the proxy on the way."
    )


def test_silence_after_a_connection() -> None:
    stop = threading.Event()
    with answering(lambda _connection: stop.wait(100) and None) as silent:  # type: ignore[func-returns-value]
        error = failure(silent, channel_options=[("grpc.min_reconnect_backoff_ms", 100)])
        stop.set()
    assert "something takes connections there and never says a word" in ours(error, lasts=False)


def test_a_server_that_goes_away() -> None:
    settings = b"\0\0\0\4\0\0\0\0\0"

    def run(connection: socket.socket) -> None:
        connection.sendall(settings)
        seen = b""
        while b"ModerationService" not in seen and (data := connection.recv(65536)):
            seen += data

    with answering(run) as target:
        assert ours(failure(target), lasts=False) == f"The server at {target} went away without an answer."


@pytest.mark.parametrize(
    "details",
    [
        "no network: last error: UNKNOWN: ipv6:%5B2001:db8::1%5D:1: getsockopt(SO_ERROR): No route to host",
        "errors resolving a:1: [field:hostname lookup error: DNS server returned general failure]",
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.9.9.9:1: connection attempt timed out",
        "Stream removed (GOAWAY received; Error code: 11; Debug Text: too_many_pings)",
    ],
)
def test_what_a_test_cannot_bring_about_everywhere_has_a_sentence_too(details: str) -> None:
    found = explain(grpc.StatusCode.UNAVAILABLE, details, Peer(target="a:1"))
    assert found is not None
    assert "a:1" in found.sentence
    assert "last error" not in found.sentence


def test_what_nobody_knows_is_quoted() -> None:
    assert explain(grpc.StatusCode.UNAVAILABLE, "upstream connect error", Peer(target="a:1")) is None
    assert explain(grpc.StatusCode.INTERNAL, "Socket closed", Peer(target="a:1")) is None


def test_waiting_ends_at_once_where_no_wait_helps(server: FaultServer) -> None:
    def no_sleep(_seconds: float) -> None:
        pytest.fail("it waited")

    with Client(server.address, tls=True, sleep=no_sleep) as client:
        with pytest.raises(ServerUnavailableError, match="does not speak TLS"):
            client.wait_until_ready(60)
        with pytest.raises(ServerUnavailableError, match="does not speak TLS") as caught:
            client.moderate(b"image", timeout=60)
        assert caught.value.attempts == 1


def test_a_wait_in_vain_keeps_what_was_last_seen() -> None:
    with Client(f"localhost:{NO_PORT}") as client, pytest.raises(DeadlineExceededError) as caught:
        client.wait_until_ready(0.01)
    assert isinstance(caught.value.__cause__, ServerUnavailableError | DeadlineExceededError)


def test_what_one_address_said_is_not_hidden_by_another_where_nothing_listens() -> None:
    now = [0.0]
    peer = Peer(target="localhost:1", told=Told(lambda: now[0]))

    def said(last_error: str) -> Failure | None:
        details = f"failed to connect to all addresses; last error: UNKNOWN: {last_error}"
        return explain(grpc.StatusCode.UNAVAILABLE, details, peer)

    nothing, refused = said(_REFUSED), "nothing listens there"
    assert nothing
    assert refused in nothing.sentence
    wants_tls = said("ipv4:127.0.0.1:1: Socket closed")
    assert wants_tls
    assert "servers do that want TLS" in wants_tls.sentence
    assert said(_REFUSED) == wants_tls
    now[0] = 119.0
    assert said(_REFUSED) == wants_tls
    now[0] = 121.0
    assert said(_REFUSED) == nothing, "somebody may have stopped that server by now"
    assert said("ipv4:127.0.0.1:1: Socket closed") == wants_tls
    assert said("ipv4:127.0.0.1:1: Connection refused") == nothing, "it has gone"
    assert said(_REFUSED) == nothing


def test_a_client_at_localhost_keeps_to_what_the_server_said(authority: trustme.CA) -> None:
    with running_fault_server(server_credentials(issue(authority, "localhost"))) as server:
        target = f"localhost:{server.address.rpartition(':')[2]}"
        reported = set()
        with Client(target, retry=ONCE) as client:
            said = [_refusal(client, reported) for _ in range(30)]
        first = next(number for number, sentence in enumerate(said) if "servers do that want TLS" in sentence)
        # Where there is a [::1], gRPC sooner or later reports that nothing listens there.
        assert len(set(said[first:])) == 1, reported


def _refusal(client: Client, reported: set[str | None]) -> str:
    with pytest.raises(ServerUnavailableError) as caught:
        client.moderate(b"image", timeout=60)
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    reported.add(caught.value.__cause__.details())
    time.sleep(0.05)  # gRPC's own pause between attempts to connect
    return str(caught.value)
