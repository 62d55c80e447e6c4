"""Certificates, authorities and tokens change under a running server, and no request is lost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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


@dataclass
class Rotation:
    """A mounted secret that changes under a server that is operated.

    Attributes:
        here: The server and the load.
        volume: Where its files are.
        now: What they hold.
        old: Signed what there is at first; nothing later on.
        new: Signs what comes then.
    """

    here: Operated
    volume: ConfigMap
    now: dict[str, str | bytes]
    old: Authority
    new: Authority

    def change(self, **parts: str | bytes) -> None:
        """Change some of the files; "_" for "."."""
        self.now = self.now | {name.replace("_", "."): part for name, part in parts.items()}
        self.volume.swap(self.now)

    def client(self, by: Authority, roots: bytes = b"") -> grpc.ChannelCredentials:
        """Make what a client shows that somebody vouches for."""
        return client_credentials(roots or self.old.pem + self.new.pem, by.pair("shop.example"))

    async def taken_up(self, subject: str, word: str = "loaded new") -> None:
        """Wait until the server tells of new files, and all callers are answered on streams that began since."""
        await self.here.log.until(lambda line: str(line["message"]).startswith(f"{word} {subject}"))
        await self.here.load.round(new_stream=True)

    async def newcomer(self, token: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.StatusCode:
        """Tell what the call of somebody ends with who comes by a connection of its own."""
        access = replace(self.here.load.access, token=token)
        access.credentials = credentials or access.credentials
        async with access.channel() as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            try:
                await stub.Moderate(IMAGE, metadata=access.metadata)
            except grpc.aio.AioRpcError as exc:
                return exc.code()
        return grpc.StatusCode.OK


async def rotate_tokens(this: Rotation, first: str, second: str) -> None:
    """Add a token, have all callers change to it, and take the former one away."""
    this.change(tokens=f"{line_of('uploads', first)}\n{line_of('uploads', second)}")
    await this.taken_up("tokens")
    this.here.load.access.token = second
    await this.here.load.round(new_stream=True)
    this.change(tokens=line_of("uploads", second))
    await this.taken_up("tokens")
    assert await this.newcomer(first) is grpc.StatusCode.UNAUTHENTICATED
    assert await this.newcomer(second) is grpc.StatusCode.OK


async def rotate_certificates(this: Rotation, token: str) -> None:
    """Change the server's certificate and its authority, then what clients show, and then who vouches for them."""
    key, chain = this.new.pair("localhost")
    this.change(tls_key=key, tls_crt=chain, ca_crt=this.old.pem + this.new.pem)
    await this.taken_up("tls")
    knows_the_old_alone = this.client(this.old, roots=this.old.pem)
    assert await this.newcomer(token, knows_the_old_alone) is grpc.StatusCode.UNAVAILABLE
    this.here.load.access.credentials = this.client(this.new)
    await this.here.load.round()
    this.change(ca_crt=this.new.pem)
    await this.taken_up("tls")
    assert await this.newcomer(token, this.client(this.old)) is grpc.StatusCode.UNAVAILABLE
    assert await this.newcomer(token) is grpc.StatusCode.OK


async def fail_and_mend(this: Rotation) -> None:
    """Put half of a pair and no token in place, and then, at a hangup, what was there before."""
    good = this.now
    this.change(tls_crt=this.old.pair("localhost")[1], tokens="uploads short")
    await this.taken_up("tls", "kept the")
    await this.taken_up("tokens", "kept the")
    this.volume.swap(good)
    this.here.hang_up()
    await this.taken_up("tls")
    await this.taken_up("tokens")


async def test_a_secret_rotates_step_by_step_and_nothing_is_lost(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    old, new, first, second = authority(tmp_path), authority(tmp_path), make_token(), make_token()
    key, chain = old.pair("localhost")
    now: dict[str, str | bytes] = {
        "tls.key": key,
        "tls.crt": chain,
        "ca.crt": old.pem,
        "tokens": line_of("uploads", first),
    }
    volume = ConfigMap(tmp_path / "secret", now)

    def reach(server: Process) -> Access:
        credentials = client_credentials(old.pem + new.pem, old.pair("shop.example"))
        return Access(target=f"localhost:{server.address.rpartition(':')[2]}", credentials=credentials, token=first)

    settings: Mapping[str, object] = {name: volume[file] for name, file in FILES.items()}
    places = (toy_model, toy_folder, tmp_path, socket_folder)
    async with operated(*places, reach=reach, listen="127.0.0.1:0", **settings) as here:
        this = Rotation(here, volume, now, old, new)
        await rotate_tokens(this, first, second)
        await rotate_certificates(this, second)
        await fail_and_mend(this)
        metrics = await here.server.metrics()
        judged = [line for line in here.server.lines() if line["message"] == "judged"]
    here.assert_nothing_is_wrong()
    assert {line["caller"] for line in judged} == {"token:uploads"}
    for subject in ("tls", "tokens"):
        assert metrics[f"secret_reloads_total{{outcome=loaded,subject={subject}}}"] == 3
        assert metrics[f"secret_reloads_total{{outcome=refused,subject={subject}}}"] == 1
    log = here.server.log.read_text()
    assert not traces(first, log) + traces(second, log)
