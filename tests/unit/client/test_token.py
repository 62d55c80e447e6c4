"""Tokens: sent with every call, taken up anew when their file changes, and found in no text of ours."""

import logging
import os
import pickle
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme

from clipwarden import AsyncClient, Client, RetryPolicy, StreamItem
from clipwarden.client import ClientError, RequestRefusedError
from clipwarden.client.token import MAX_TOKEN_BYTES, TokenFile
from clipwarden.v1 import moderation_pb2 as v1
from kit.certificates import issue, server_credentials
from kit.faultserver import FaultServer, allowed, info, running_fault_server, status

OK = v1.ModerateResponse(moderation=allowed())
REFUSED = status(grpc.StatusCode.UNAUTHENTICATED, "no such token", info("TOKEN_UNKNOWN"))
SECRET = "s3cr3t-of-all"  # noqa: S105  ours to look for


def sent(server: FaultServer) -> list[str]:
    return [metadata["authorization"] for metadata in server.service.metadata]


def replace(path: Path, token: str) -> None:
    """Put a new file in place of one, as Kubernetes and careful people do."""
    new = path.with_suffix(".new")
    new.write_text(f"{token}\n")
    new.replace(path)


@pytest.mark.parametrize("by_file", [False, True])
async def test_every_call_carries_the_token(server: FaultServer, tmp_path: Path, *, by_file: bool) -> None:
    path = tmp_path / "token"
    path.write_text(f"  {SECRET}\n")
    choice = {"token_file": str(path)} if by_file else {"token": SECRET}
    server.service.answers.extend([OK, OK])
    with Client(server.address, **choice) as client:  # type: ignore[arg-type]  # one or the other
        client.moderate(b"image", timeout=60)
    async with AsyncClient(server.address, **choice) as other:  # type: ignore[arg-type]  # as above
        await other.moderate(b"image", timeout=60)
    assert sent(server) == [f"Bearer {SECRET}"] * 2


def test_a_stream_and_a_look_at_health_carry_it_too(server: FaultServer) -> None:
    seen = []

    def stream(requests: Iterator[v1.StreamModerateRequest], context: grpc.ServicerContext) -> Iterator[object]:
        seen.append(dict(context.invocation_metadata())["authorization"])
        for request in requests:
            yield v1.StreamModerateResponse(id=request.id, result=v1.ModerationResult(moderation=allowed()))

    server.service.stream = stream
    server.set_serving(serving=True)
    with Client(server.address, token=SECRET) as client:
        assert client.ready()
        assert len(list(client.moderate_stream([StreamItem(id="1", image=b"x")], timeout=60))) == 1
    assert seen == [f"Bearer {SECRET}"]


async def test_a_new_token_is_taken_up_by_the_next_call(server: FaultServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    server.service.answers.extend([OK] * 4)
    with Client(server.address, token_file=path, timeout=60) as client:
        async with AsyncClient(server.address, token_file=path, timeout=60) as other:
            client.moderate(b"image")
            replace(path, "second")
            client.moderate(b"image")
            await other.moderate(b"image")
            path.unlink()
            client.moderate(b"image")
    assert sent(server) == ["Bearer first", "Bearer second", "Bearer second", "Bearer second"]


async def test_a_token_that_was_replaced_on_the_way_loses_no_call(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    original = TokenFile.metadata
    fresh = []

    def replaced_after_a_look(self: TokenFile) -> object:
        given = original(self)
        if len(fresh) < 2 and fresh.append(given) is None:  # type: ignore[func-returns-value]  # counts
            replace(path, "new")
        return given

    for kind in ("sync", "async"):
        path.write_text("old")
        server.service.answers.extend([REFUSED, OK])
        if kind == "sync":
            with Client(server.address, token_file=path, timeout=60) as client:
                monkeypatch.setattr(TokenFile, "metadata", replaced_after_a_look)
                client.moderate(b"image")
        else:
            async with AsyncClient(server.address, token_file=path, timeout=60) as other:
                monkeypatch.setattr(TokenFile, "metadata", replaced_after_a_look)
                await other.moderate(b"image")
        assert sent(server)[-2:] == ["Bearer old", "Bearer new"]
        monkeypatch.undo()
        fresh.clear()


def test_a_token_that_stays_is_not_sent_twice(server: FaultServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("wrong")
    server.service.answers.append(REFUSED)
    with Client(server.address, token_file=path) as client, pytest.raises(RequestRefusedError) as caught:
        client.moderate(b"image", timeout=60)
    assert (caught.value.attempts, caught.value.reason, len(server.service.metadata)) == (1, "TOKEN_UNKNOWN", 1)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"caf\xc3\xa9", b"a\0b", b"x" * (MAX_TOKEN_BYTES + 1)])
def test_a_file_that_is_being_written_leaves_the_token_that_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_text("good")
    token = TokenFile(path)
    path.write_bytes(content)
    assert token.metadata() == (("authorization", "Bearer good"),)
    replace(path, "better")
    assert token.metadata() == (("authorization", "Bearer better"),)


def test_a_link_that_is_swung_is_a_new_file(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(f"of-{name}")
        os.utime(tmp_path / name / "token", (0, 0))
    (tmp_path / "data").symlink_to("1")
    token = TokenFile(tmp_path / "data" / "token")
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(tmp_path / "data")
    assert token.metadata() == (("authorization", "Bearer of-2"),)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("once",))
    writer.start()
    token = TokenFile(path)
    writer.join()
    assert token.metadata() == token.metadata() == (("authorization", "Bearer once"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; it must hold a token"),
        ("two words", "must hold one token: ASCII without white space"),
        (f"{SECRET}\nx", "must hold one token"),
        (f"Bearer {SECRET}", 'must hold the token alone, without the word "Bearer"'),
        (f"{SECRET}\u00e9", "must hold one token"),
        (SECRET * 1000, "holds more than 8,192 characters; that is no token"),
    ],
)
def test_what_is_no_token_is_refused_without_being_repeated(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    for choice in ({"token": text}, {"token_file": path}):
        with pytest.raises(ValueError, match=r"^(token|the file .*/token) ") as caught:
            AsyncClient("localhost:1", **choice)  # type: ignore[arg-type]  # one or the other
        assert said in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_token_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Client("localhost:1", token_file=tmp_path / "none")


def test_there_is_one_place_for_a_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token and token_file are both given"):
        Client("localhost:1", token=SECRET, token_file=tmp_path)
    with pytest.raises(ValueError, match="metadata holds 'authorization', which is where the token goes"):
        Client("localhost:1", token=SECRET, metadata=[("Authorization", "Basic x")])


@pytest.mark.parametrize("target", ["images:50051", "10.0.0.1:1", "xds:///images"])
def test_a_token_leaves_this_machine_sealed_or_not_at_all(target: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"the token would go to .* in plain text, .*; connect by TLS") as caught:
            kind(target, token=SECRET)
        assert SECRET not in str(caught.value)
    Client(target, token=SECRET, insecure_token=True).close()
    Client(target, token=SECRET, tls=True).close()
    Client("unix:s", token=SECRET).close()


def test_tls_seals_the_token() -> None:
    authority = trustme.CA()
    with running_fault_server(server_credentials(issue(authority, "localhost"))) as server:
        server.service.answers.append(OK)
        target = f"localhost:{server.address.rpartition(':')[2]}"
        with Client(target, token=SECRET, root_certificates=authority.cert_pem.bytes()) as client:
            client.moderate(b"image", timeout=60)
        assert sent(server) == [f"Bearer {SECRET}"]


async def test_a_token_is_in_no_text(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts, once = [], RetryPolicy(max_attempts=1, restart_attempts=1)
    for answer in (REFUSED, status(grpc.StatusCode.INTERNAL), status(grpc.StatusCode.UNAVAILABLE)):
        server.service.answers.extend([answer] * 9)
        with Client(server.address, token=SECRET, retry=once) as client, pytest.raises(ClientError) as caught:
            client.moderate(b"image", timeout=60)
        async with AsyncClient(server.address, token=SECRET, retry=once) as other:
            with pytest.raises(ClientError) as also:
                await other.moderate(b"image", timeout=60)
        server.service.answers.clear()
        for error in (caught.value, also.value):
            texts += [repr(error), *traceback.format_exception(error), repr(vars(error)), str(pickle.dumps(error))]
            texts += [repr(error.__cause__), str(vars(error.__cause__))]
        texts += [repr(client), repr(client._connection), repr(client._connection.token)]
    assert SECRET not in "".join(texts) + caplog.text
