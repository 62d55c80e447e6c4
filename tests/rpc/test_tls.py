"""TLS and mTLS: who gets in, who does not, and new certificates while connections are open."""

import datetime as dt
import errno
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.serving import access
from clipwarden.serving.tokens import line_of, make_token
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.authorities import Authority, PairFiles, authority, client_credentials, odd_pair, put
from kit.configmap import ConfigMap
from kit.serving import Rig, eventually, picture, serving

IMAGE = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK_SECONDS", 0.02)


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return authority(tmp_path)


@pytest.fixture
def files(tmp_path: Path, ca: Authority) -> PairFiles:
    files = PairFiles(tmp_path)
    files.write(ca.pair("localhost"))
    return files


@asynccontextmanager
async def dialled(
    rig: Rig, roots: Authority, pair: tuple[bytes, bytes] | None = None
) -> AsyncIterator["moderation_pb2_grpc.ModerationServiceAsyncStub"]:
    """Connect by TLS, by a connection of its own."""
    assert rig.server.address
    target = f"localhost:{rig.server.address.rpartition(':')[2]}"
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(target, client_credentials(roots.pem, pair), options) as channel:
        yield moderation_pb2_grpc.ModerationServiceStub(channel)


async def judged(
    stub: "moderation_pb2_grpc.ModerationServiceAsyncStub", metadata: Sequence[tuple[str, str]] = ()
) -> int:
    return (await stub.Moderate(IMAGE, metadata=metadata)).moderation.verdict


async def turned_away(stub: "moderation_pb2_grpc.ModerationServiceAsyncStub") -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Moderate(IMAGE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return str(caught.value.details())


async def test_client_that_trusts_the_certificate_is_served_and_no_other(
    toy_model: Model, ca: Authority, files: PairFiles, tmp_path: Path
) -> None:
    async with serving(toy_model, **files.settings) as rig:
        async with dialled(rig, ca) as stub:
            assert await judged(stub) == pb.VERDICT_BLOCK
        async with dialled(rig, authority(tmp_path)) as stub:
            assert "CERTIFICATE_VERIFY_FAILED" in await turned_away(stub)
        await turned_away(rig.stub)  # plain


async def test_certificate_of_another_host_is_refused_by_the_client(
    toy_model: Model, ca: Authority, files: PairFiles
) -> None:
    files.write(ca.pair("elsewhere.example"))
    async with serving(toy_model, **files.settings) as rig, dialled(rig, ca) as stub:
        assert "Hostname Verification Check failed" in await turned_away(stub)


async def test_socket_stays_plain_beside_tls(toy_model: Model, files: PairFiles, socket_folder: Path) -> None:
    path = f"{socket_folder}/s"
    async with (
        serving(toy_model, unix_socket=path, **files.settings),
        grpc.aio.insecure_channel(f"unix:{path}") as channel,
    ):
        assert await judged(moderation_pb2_grpc.ModerationServiceStub(channel)) == pb.VERDICT_BLOCK


@pytest.mark.parametrize("who", ["none", "unknown", "expired"])
async def test_client_without_a_good_certificate_is_turned_away(
    toy_model: Model, ca: Authority, files: PairFiles, tmp_path: Path, who: str
) -> None:
    pairs = {
        "none": None,
        "unknown": authority(tmp_path).pair("shop.example"),
        "expired": ca.pair("shop.example", expired=True),
    }
    async with serving(toy_model, tls_client_ca=str(ca.file()), **files.settings) as rig:
        async with dialled(rig, ca, pairs[who]) as stub:
            await turned_away(stub)
        async with dialled(rig, ca, ca.pair("shop.example")) as stub:
            assert await judged(stub) == pb.VERDICT_BLOCK


async def callers_of(caplog: pytest.LogCaptureFixture, count: int) -> list[str]:
    def found() -> list[str]:
        return [vars(record)["caller"] for record in caplog.records if record.message == "judged"]

    await eventually(lambda: len(found()) == count)
    return found()


async def test_token_names_the_caller_before_its_certificate_does(
    toy_model: Model, ca: Authority, files: PairFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, pair = make_token(), ca.pair("shop.example")
    tokens = tmp_path / "tokens"
    put(tokens, line_of("uploads", token))
    settings = files.settings | {"tls_client_ca": str(ca.file())}
    with caplog.at_level(logging.INFO):
        async with serving(toy_model, **settings) as rig, dialled(rig, ca, pair) as stub:
            await judged(stub)
            await callers_of(caplog, 1)
        async with serving(toy_model, tokens=str(tokens), **settings) as rig, dialled(rig, ca, pair) as stub:
            await judged(stub, (("authorization", f"Bearer {token}"),))
            assert await callers_of(caplog, 2) == ["certificate:shop.example", "token:uploads"]


async def loads(rig: Rig, count: int, outcome: str = "loaded") -> None:
    value = rig.server.metrics.registry.get_sample_value
    labels = {"subject": "tls", "outcome": outcome}
    await eventually(lambda: value("clipwarden_secret_reloads_total", labels) == count)


async def test_new_connections_see_a_new_certificate_and_open_ones_go_on(
    toy_model: Model, ca: Authority, files: PairFiles, tmp_path: Path
) -> None:
    other = authority(tmp_path)
    async with serving(toy_model, **files.settings) as rig, dialled(rig, ca) as before:
        assert await judged(before) == pb.VERDICT_BLOCK
        files.write(other.pair("localhost"))
        await loads(rig, 1)
        async with dialled(rig, other) as after:
            assert await judged(after) == pb.VERDICT_BLOCK
        async with dialled(rig, ca) as late:
            await turned_away(late)
        assert await judged(before) == pb.VERDICT_BLOCK


async def test_mounted_secret_is_taken_up_by_its_swap_with_its_authority(
    toy_model: Model, ca: Authority, tmp_path: Path
) -> None:
    other = authority(tmp_path)

    def secret(by: Authority) -> dict[str, bytes]:
        key, chain = by.pair("localhost")
        return {"tls.crt": chain, "tls.key": key, "ca.crt": by.pem}

    mounted = ConfigMap(tmp_path / "mounted", secret(ca))
    settings = {"tls_certificate": "tls.crt", "tls_key": "tls.key", "tls_client_ca": "ca.crt"}
    async with serving(toy_model, **{name: str(mounted[file]) for name, file in settings.items()}) as rig:
        mounted.swap(secret(other))
        await loads(rig, 1)
        async with dialled(rig, other, other.pair("shop.example")) as stub:
            assert await judged(stub) == pb.VERDICT_BLOCK
        async with dialled(rig, other, ca.pair("shop.example")) as stub:
            await turned_away(stub)


BAD = {
    "half rotated": lambda ca, _: (b"", ca.pair("localhost")[1]),
    "expired": lambda ca, _: ca.pair("localhost", expired=True),
    "garbage": lambda _, __: (b"key", b"certificate"),
    "for no client": lambda _, files: odd_pair(files.folder, "ed25519"),
    "for OpenSSL alone": lambda _, files: odd_pair(
        files.folder, "rsa:2048", "-pkeyopt", f"rsa_keygen_pubexp:{2**40 + 15}"
    ),
}


@pytest.mark.parametrize("bad", BAD)
async def test_pair_that_cannot_be_used_leaves_the_former_in_use(
    toy_model: Model, ca: Authority, files: PairFiles, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    key, certificate = BAD[bad](ca, files)
    async with serving(toy_model, **files.settings) as rig:
        put(files.certificate, certificate)
        if key:
            put(files.key, key)
        await loads(rig, 1, "refused")
        async with dialled(rig, ca) as stub:
            assert await judged(stub) == pb.VERDICT_BLOCK
        assert rig.server.health.notices["tls"] == "New tls cannot be used; the old stays. The log says why."
        assert any("kept the tls" in record.message for record in caplog.records if record.levelname == "ERROR")
        files.write(ca.pair("localhost"))
        await loads(rig, 1)
        assert not rig.server.health.notices
        async with dialled(rig, ca) as stub:
            assert await judged(stub) == pb.VERDICT_BLOCK


async def test_descriptor_that_is_lacking_for_a_moment_delays_a_new_pair_and_no_more(
    toy_model: Model, ca: Authority, files: PairFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lacking(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with serving(toy_model, **files.settings) as rig:
        with monkeypatch.context() as patched:
            patched.setattr(os, "memfd_create", lacking)
            files.write(ca.pair("localhost"))
            await loads(rig, 1, "refused")
        assert rig.server.health.notices.keys() == {"tls"}
        assert " cannot be tried: too many open files." in caplog.text
        await loads(rig, 1)
        assert not rig.server.health.notices


async def test_fault_in_a_look_is_said_and_ends_no_later_one(
    toy_model: Model,
    ca: Authority,
    files: PairFiles,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_: float) -> None:
        raise ValueError("no such number")

    async with serving(toy_model, **files.settings) as rig:
        with monkeypatch.context() as patched:
            patched.setattr(rig.server.metrics, "note_certificate", fails)
            await eventually(lambda: "a look at certificates and tokens failed" in caplog.text)
        files.write(ca.pair("localhost"))
        await loads(rig, 1)


async def test_end_of_the_certificate_is_told_by_metric_and_line(
    toy_model: Model, ca: Authority, files: PairFiles, caplog: pytest.LogCaptureFixture
) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    made = ca.ca.issue_cert("localhost", not_before=now - dt.timedelta(days=89), not_after=now + dt.timedelta(days=1))
    files.write((made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes()))
    async with serving(toy_model, **files.settings) as rig:
        value = rig.server.metrics.registry.get_sample_value("clipwarden_tls_certificate_expiry_seconds")
    assert value == (now + dt.timedelta(days=1)).timestamp()
    assert len([record for record in caplog.records if "certificate expires at" in record.message]) == 1
