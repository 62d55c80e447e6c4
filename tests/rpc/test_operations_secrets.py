"""Certificates, authorities and tokens change under a running server, and no request is lost."""

from collections.abc import Mapping
from pathlib import Path

import grpc

from clipwarden.modelfolder.load import Model
from clipwarden.serving.tokens import line_of, make_token
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.authorities import Authority, authority, client_credentials
from kit.configmap import ConfigMap
from kit.leaks import traces
from kit.operated import Operated, operated
from kit.serverprocess import Process
from kit.serving import picture
from kit.steady import Access

IMAGE = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))
FILES = {"tls_certificate": "tls.crt", "tls_key": "tls.key", "tls_client_ca": "ca.crt", "tokens": "tokens"}


def secret(by: Authority, clients: bytes, *tokens: str) -> dict[str, str | bytes]:
    """Make what a mounted secret holds: a new certificate, who vouches for clients, and tokens of one name."""
    key, chain = by.pair("localhost")
    lines = "\n".join(line_of("uploads", token) for token in tokens)
    return {"tls.crt": chain, "tls.key": key, "ca.crt": clients, "tokens": lines}


async def taken_up(here: Operated, subject: str, word: str = "loaded new") -> None:
    """Wait until the server tells of new files, and all callers are answered on streams that began since."""
    await here.log.until(lambda line: str(line["message"]).startswith(f"{word} {subject}"))
    await here.load.round(new_stream=True)


async def outcome(access: Access) -> grpc.StatusCode:
    """Tell what a newcomer's call ends with."""
    async with access.channel() as channel:
        try:
            call = moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(IMAGE, metadata=access.metadata)
            await call
        except grpc.aio.AioRpcError as exc:
            return exc.code()
    return grpc.StatusCode.OK


async def test_a_secret_rotates_step_by_step_and_nothing_is_lost(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    old, new = authority(tmp_path), authority(tmp_path)
    both, first, second = old.pem + new.pem, make_token(), make_token()
    by_old, by_new = (client_credentials(both, each.pair("shop.example")) for each in (old, new))
    volume = ConfigMap(tmp_path / "secret", now := secret(old, old.pem, first))

    def reach(server: Process, credentials: grpc.ChannelCredentials = by_old, token: str = first) -> Access:
        return Access(target=f"localhost:{server.address.rpartition(':')[2]}", credentials=credentials, token=token)

    def change(**parts: str | bytes) -> None:
        now.update({name.replace("_", "."): part for name, part in parts.items()})
        volume.swap(now)

    settings: Mapping[str, object] = {name: volume[file] for name, file in FILES.items()}
    places = (toy_model, toy_folder, tmp_path, socket_folder)
    async with operated(*places, reach=reach, listen="127.0.0.1:0", **settings) as here:
        server, access = here.server, here.load.access
        change(tokens=f"{line_of('uploads', first)}\n{line_of('uploads', second)}")
        await taken_up(here, "tokens")
        access.token = second
        await here.load.round(new_stream=True)
        change(tokens=line_of("uploads", second))
        await taken_up(here, "tokens")
        assert await outcome(reach(server)) is grpc.StatusCode.UNAUTHENTICATED
        volume.swap(now := secret(new, both, second))
        await taken_up(here, "tls")
        only_old = client_credentials(old.pem, old.pair("shop.example"))
        assert await outcome(reach(server, only_old, second)) is grpc.StatusCode.UNAVAILABLE
        access.credentials = by_new
        await here.load.round()
        change(ca_crt=new.pem)
        await taken_up(here, "tls")
        assert await outcome(reach(server, by_old, second)) is grpc.StatusCode.UNAVAILABLE
        good = dict(now)
        change(tls_crt=old.pair("localhost")[1], tokens="uploads short")
        await taken_up(here, "tls", "kept the")
        await taken_up(here, "tokens", "kept the")
        volume.swap(good)
        here.hang_up()
        await taken_up(here, "tls")
        await taken_up(here, "tokens")
        metrics = await server.metrics()
        judged = [line for line in server.lines() if line["message"] == "judged"]
    here.assert_nothing_is_wrong()
    assert {line["caller"] for line in judged} == {"token:uploads"}
    for subject in ("tls", "tokens"):
        assert metrics[f"secret_reloads_total{{outcome=loaded,subject={subject}}}"] == 3
        assert metrics[f"secret_reloads_total{{outcome=refused,subject={subject}}}"] == 1
    log = server.log.read_text()
    assert not traces(first, log) + traces(second, log)
