"""What a call asks for beside its image reaches the pipeline: until when, how urgently, in whose name."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.terms import Priority, Terms
from clipwarden.errors import OverloadedError
from clipwarden.modelfolder.load import Model
from clipwarden.serving.callers import caller_of
from clipwarden.serving.context import Context
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import connected, picture, refusal, refused, serving

IMAGE = pb.ImageSource(data=b"not looked at")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Terms]:
    """Keep the terms that images come with, and refuse them all."""
    seen: list[Terms] = []

    async def refuse(*_: object, terms: Terms, **__: object) -> None:
        seen.append(terms)
        raise OverloadedError("by the test", retry_after_seconds=1)

    monkeypatch.setattr(Pipeline, "moderate", refuse)
    return seen


async def in_stream(*items: pb.StreamModerateRequest) -> AsyncIterator[pb.StreamModerateRequest]:
    for item in items:
        yield item


@pytest.mark.parametrize(
    ("sent", "priority"),
    [
        (pb.PRIORITY_UNSPECIFIED, Priority.INTERACTIVE),
        (pb.PRIORITY_INTERACTIVE, Priority.INTERACTIVE),
        (pb.PRIORITY_BULK, Priority.BULK),
    ],
)
async def test_priority_is_read_by_every_method(
    toy_model: Model, asked: list[Terms], sent: pb.Priority.ValueType, priority: Priority
) -> None:
    options = pb.ModerationOptions(priority=sent)
    async with serving(toy_model) as rig:
        await refused(rig.stub.Moderate(pb.ModerateRequest(image=IMAGE, options=options)))
        await rig.stub.BatchModerate(pb.BatchModerateRequest(images=[IMAGE], options=options))
        item = pb.StreamModerateRequest(id="a", image=IMAGE, options=options)
        assert [answer.id async for answer in rig.stub.StreamModerate(in_stream(item))] == ["a"]
    assert [terms.priority for terms in asked] == [priority] * 3


async def test_unknown_priority_is_refused(toy_model: Model) -> None:
    options = pb.ModerationOptions(priority=7)  # type: ignore[arg-type]  # as a later client may
    async with serving(toy_model) as rig:
        answer = await refused(rig.stub.Moderate(pb.ModerateRequest(image=IMAGE, options=options)))
        kept = pb.ModerateEmbeddingRequest(model_fingerprint=toy_model.fingerprint, options=options)
        kept_answer = await refused(rig.stub.ModerateEmbedding(kept))
    assert (answer.reason, kept_answer.reason) == ("REQUEST_INVALID", "REQUEST_INVALID")
    assert "options.priority is 7" in answer.message


async def test_call_without_a_deadline_gets_the_configured_one(toy_model: Model, asked: list[Terms]) -> None:
    began = time.monotonic()
    async with serving(toy_model, default_deadline_seconds=1000) as rig:
        await refused(rig.stub.Moderate(pb.ModerateRequest(image=IMAGE)))
        await refused(rig.stub.Moderate(pb.ModerateRequest(image=IMAGE), timeout=5000))
    default, own = (terms.deadline or 0 for terms in asked)
    assert began + 1000 <= default <= time.monotonic() + 1000
    assert began + 4000 <= own


async def test_without_a_default_a_call_waits_as_long_as_it_takes(toy_model: Model, asked: list[Terms]) -> None:
    async with serving(toy_model, default_deadline_seconds=0) as rig:
        await refused(rig.stub.Moderate(pb.ModerateRequest(image=IMAGE)))
    assert asked[0].deadline is None


async def test_items_of_a_stream_each_get_the_default_unless_the_stream_or_they_have_their_own(
    toy_model: Model, asked: list[Terms]
) -> None:
    began = time.monotonic()
    plain = pb.StreamModerateRequest(id="plain", image=IMAGE)
    hasty = pb.StreamModerateRequest(id="hasty", image=IMAGE, timeout=Duration(seconds=100))
    async with serving(toy_model, default_deadline_seconds=1000) as rig:
        for stream in (
            rig.stub.StreamModerate(in_stream(plain, hasty)),
            rig.stub.StreamModerate(in_stream(plain), timeout=5000),
        ):
            async for _ in stream:
                pass
    hastily, by_default, of_the_stream = sorted(terms.deadline or 0 for terms in asked)
    assert began + 1000 <= by_default <= time.monotonic() + 1000
    assert began + 100 <= hastily <= time.monotonic() + 100
    assert began + 4000 <= of_the_stream


async def test_connections_are_callers_of_their_own(toy_model: Model, asked: list[Terms]) -> None:
    async with serving(toy_model) as rig, connected(rig.server.address) as other:
        for connection in (rig, other, rig):
            await refused(connection.moderate(b"x"))
    first, second, again = (terms.caller for terms in asked)
    assert first == again
    assert first != second
    assert first.startswith("ipv4:127.0.0.1:")


async def test_callers_by_a_unix_socket_share_one_name(
    toy_model: Model, asked: list[Terms], socket_folder: Path
) -> None:
    path = f"{socket_folder}/s"
    async with serving(toy_model, listen=None, unix_socket=path) as rig, connected(f"unix:{path}") as other:
        for connection in (rig, other):
            await refused(connection.moderate(b"x"))
    assert [terms.caller for terms in asked] == ["unix:", "unix:"]


def _openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def _certificate(folder: Path, name: str, *signed_by: str) -> tuple[bytes, bytes]:
    """Make a key and a certificate."""
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    _openssl("req", "-x509", *key, *names, "-out", f"{name}.pem", "-days", "2", *signed_by, folder=folder)
    return (folder / f"{name}.key").read_bytes(), (folder / f"{name}.pem").read_bytes()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed, which makes the certificates")
async def test_caller_with_a_certificate_goes_by_its_names_whatever_the_connection(tmp_path: Path) -> None:
    _, authority = await asyncio.to_thread(_certificate, tmp_path, "authority")
    signed = ("-CA", "authority.pem", "-CAkey", "authority.key")
    pairs = [await asyncio.to_thread(_certificate, tmp_path, name, *signed) for name in ("localhost", "shop", "chat")]
    seen: list[str] = []

    async def handler(_: object, context: Context) -> bytes:
        seen.append(caller_of(context))
        return b""

    server = grpc.aio.server()
    method = grpc.stream_unary_rpc_method_handler(handler)
    server.add_registered_method_handlers("test", {"Call": method})  # type: ignore[attr-defined]  # newer than its stubs
    credentials = grpc.ssl_server_credentials([pairs[0]], authority, require_client_auth=True)
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    for key, certificate in (pairs[1], pairs[2], pairs[1]):
        own = grpc.ssl_channel_credentials(authority, key, certificate)
        async with grpc.aio.secure_channel(f"localhost:{port}", own) as channel:
            await channel.unary_unary("/test/Call")(b"", timeout=60)
    await server.stop(None)
    assert seen == ["certificate:shop", "certificate:chat", "certificate:shop"]


async def test_refused_items_are_told_when_to_come_again(toy_model: Model, asked: list[Terms]) -> None:
    async with serving(toy_model) as rig:
        answer = await rig.stub.BatchModerate(pb.BatchModerateRequest(images=[IMAGE]))
        item = pb.StreamModerateRequest(id="a", image=pb.ImageSource(data=picture("red")))
        (streamed,) = [each async for each in rig.stub.StreamModerate(in_stream(item))]
    for error in (answer.results[0].error, streamed.result.error):
        assert (refusal(error).reason, refusal(error).retry_seconds) == ("OVERLOADED", 1)
    assert len(asked) == 2
