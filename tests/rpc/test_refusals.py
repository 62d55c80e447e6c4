"""Whoever is refused is told why, counted and logged; and nothing that a server says anywhere tells a token."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clipwarden.modelfolder.load import Model
from clipwarden.serving.tokens import line_of
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.authorities import Authority, authority, client_credentials, put
from kit.leaks import traces
from kit.logtail import Line, LogTail
from kit.serverprocess import Metrics, Process, serve_process, talk
from kit.serving import colours_yaml, eventually, picture
from kit.sharedvolume import ESCAPES, make_volume
from kit.steady import Access

GOOD, FORMER, UNKNOWN = (
    "cw-9fQ2xLw7rZkV1bN3mT8yHs4dJ6pGaEuC",
    "cw-Xe5RtB0oIvKq2WnZlM7cPyD9hUjSgAfT",
    "cw-LkJ3hGfD8sAqW1eRtY6uIoP0zXcVbNm4",
)
TOKENS = (GOOD, FORMER, UNKNOWN)
Headers = Sequence[tuple[str, str | bytes]]


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


OUTSIDE: dict[str, tuple[Headers, str, str]] = {
    "no token": ((), "UNAUTHENTICATED", "TOKEN_MISSING"),
    "a token under another name": ((("x-api-key", GOOD),), "UNAUTHENTICATED", "TOKEN_MISSING"),
    "an unknown token": ((bearer(UNKNOWN),), "UNAUTHENTICATED", "TOKEN_INVALID"),
    "a token that was withdrawn": ((bearer(FORMER),), "UNAUTHENTICATED", "TOKEN_INVALID"),
    "most of a token": ((bearer(GOOD[:-1]),), "UNAUTHENTICATED", "TOKEN_INVALID"),
    "a token without its scheme": ((("authorization", GOOD),), "UNAUTHENTICATED", "TOKEN_INVALID"),
    "a token twice": ((bearer(GOOD), bearer(FORMER)), "UNAUTHENTICATED", "TOKEN_INVALID"),
    "a large header": ((("x", "y" * 2**15), bearer(GOOD)), "INVALID_ARGUMENT", "REQUEST_INVALID"),
    "a large header of tokens": ((bearer(UNKNOWN * 1000),), "INVALID_ARGUMENT", "REQUEST_INVALID"),
}
"""What calls bring that are not let in: their headers, the status, and the reason."""

BROKEN_FILES = {
    "a third word": f"uploads {GOOD} {FORMER}",
    "words in the wrong order": f"{GOOD} uploads",
    "a token with a comma": f"uploads {GOOD},",
    "a digest cut short": f"uploads sha256:{GOOD}",
    "a token twice": f"uploads {GOOD}\nbackfill {GOOD}",
    "other bytes": f"uploads {GOOD}\nuploads {FORMER}\xff",
}


@dataclass
class Heard:
    """All that a server said, wherever somebody can read it.

    Attributes:
        texts: Of any kind.
    """

    texts: list[str] = field(default_factory=list)

    def note(self, error: grpc.aio.AioRpcError) -> str:
        """Keep what a caller reads of an error, and return its status."""
        self.texts += [str(error.details()), str(error.debug_error_string()), str(error.trailing_metadata())]
        self.texts += [str(value) for _, value in error.trailing_metadata() or ()]
        return error.code().name

    def assert_nothing_told(self) -> None:
        """Insist that no part of a token is anywhere."""
        everything = "\n".join(self.texts)
        assert [part for token in TOKENS for part in traces(token, everything)] == []


def reason_in(error: grpc.aio.AioRpcError) -> str:
    """Find the reason among an error's details, which are protobuf."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    return next((reason for reason in REASONS if reason.encode() in details), "")


REASONS = ("TOKEN_MISSING", "TOKEN_INVALID", "REQUEST_INVALID", "PATH_REFUSED", "PATH_NOT_FOUND", "PATH_UNREADABLE")


async def failure(channel: grpc.aio.Channel, image: pb.ImageSource, headers: Headers) -> grpc.aio.AioRpcError:
    """Make a call that fails."""
    stub = moderation_pb2_grpc.ModerationServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Moderate(pb.ModerateRequest(image=image), metadata=headers, timeout=60)
    return caught.value


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A server with everything that guards it.

    Attributes:
        server: Its process.
        heard: What it said so far.
        ours: Signed its certificate, and those of its clients.
        tokens: File of its tokens.
        audit: File of its audit log.
    """

    server: Process
    heard: Heard
    ours: Authority
    tokens: Path
    audit: Path

    async def listen_everywhere(self) -> Metrics:
        """Collect its log, audit log, and pages, and return its metrics."""
        host = str(next(line["metrics"] for line in self.server.lines() if line["message"] == "serving"))
        for address, path in ((host, "/metrics"), (host, "/"), *((self.server.probe_address, p) for p in PAGES)):
            head = f"GET {path} HTTP/1.1\r\nAuthorization: Bearer {GOOD}\r\nCookie: token={GOOD}\r\n\r\n"
            self.heard.texts.append((await talk(address, head.encode())).decode())
        async with grpc.aio.insecure_channel(self.server.target) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            await check
            self.heard.texts += [str(await check.initial_metadata()), str(await check.trailing_metadata())]
        self.heard.texts += [self.server.log.read_text(), self.audit.read_text()]
        return await self.server.metrics()


PAGES = ("/livez", "/readyz", f"/{GOOD}", f"/readyz?token={GOOD}")


@asynccontextmanager
async def guarded(model: Model, model_folder: Path, folder: Path, socket_folder: Path) -> AsyncIterator[Guarded]:
    """Run a server with TLS, client certificates, tokens, files by path, an audit log and probes."""
    ours, policy, tokens, audit = authority(folder), folder / "colours.yaml", folder / "tokens", folder / "audit.jsonl"
    policy.write_text(colours_yaml(model))
    key, chain = ours.pair("127.0.0.1")
    for name, content in {"tls.key": key, "tls.crt": chain, "ca.crt": ours.pem}.items():
        put(folder / name, content)
    put(tokens, f"{line_of('uploads', GOOD)}\nuploads {FORMER}\n")
    listeners = dict.fromkeys(("listen", "metrics_listen", "probe_listen"), "127.0.0.1:0")
    settings: dict[str, object] = {
        "tls_certificate": folder / "tls.crt",
        "tls_key": folder / "tls.key",
        "tls_client_ca": folder / "ca.crt",
        "tokens": tokens,
        "path_root": folder / "root",
        "audit_log": audit,
        "audit_scores": "true",
        "log_level": "debug",
    }
    async with serve_process(model_folder, policy, folder, socket_folder, **listeners | settings) as server:
        yield Guarded(server=server, heard=Heard(), ours=ours, tokens=tokens, audit=audit)


async def test_every_refusal_has_status_reason_count_and_line_and_no_token_is_told(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    volume, image = make_volume(tmp_path, shared=picture("red")), pb.ImageSource(data=picture("red"))
    expected = Counter[str]()
    async with guarded(toy_model, toy_folder, tmp_path, socket_folder) as here:
        put(here.tokens, line_of("uploads", GOOD))
        log = LogTail(here.server.log)
        await log.until(lambda line: line["message"] == "loaded new tokens")
        async with grpc.aio.insecure_channel(here.server.target) as channel:
            for headers, status, reason in OUTSIDE.values():
                error = await failure(channel, image, headers)
                assert (here.heard.note(error), reason_in(error)) == (status, reason)
                expected[reason] += 1
            for path, lay in ESCAPES.values():
                lay(volume)
                error = await failure(channel, pb.ImageSource(shared_path=path), (bearer(GOOD),))
                here.heard.note(error)
                expected[reason_in(error)] += 1
                clear(volume.root)
        for kind, content in BROKEN_FILES.items():
            here.tokens.write_bytes(content.encode("latin-1"))
            here.server.process.send_signal(signal.SIGHUP)  # or it would look twice, a second apart
            await log.until(lambda line: str(line["message"]).startswith("kept the tokens"))
            here.heard.texts.append(checked(tmp_path, here.tokens, kind))
        metrics = await here.listen_everywhere()
        await eventually(lambda: counted(here.server.lines()) == expected)  # some are summed up, a second long
        async with grpc.aio.insecure_channel(here.server.target) as channel:  # gRPC's own, who counts nothing
            beyond = await failure(channel, image, (("x", "y" * 2**18), bearer(GOOD)))
        assert here.heard.note(beyond) == "RESOURCE_EXHAUSTED"
        assert await here.server.end() == 0
        here.heard.texts.append(here.server.log.read_text())
    here.heard.assert_nothing_told()
    assert expected["PATH_REFUSED"] >= 20
    assert "" not in expected
    for reason, count in expected.items():
        assert metrics[f"errors_total{{method=Moderate,reason={reason}}}"] == count


def counted(lines: Sequence[Line]) -> Counter[str]:
    """Count what lines of a log say was refused, by reason."""
    found = Counter[str]()
    for line in lines:
        if "reason" in line:
            found[str(line["reason"])] += int(str(line.get("count", 1)))
    return found


def clear(root: Path) -> None:
    """Take away what an escape laid into a volume; links are not followed."""
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_symlink() or not path.is_dir():
            if path.name != "a.png" or path.is_symlink():
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


def checked(folder: Path, tokens: Path, kind: str) -> str:
    """Return what `serve --check` says of a file of tokens that cannot be used."""
    command = [sys.executable, "-m", "clipwarden.cli.main", "serve", "--check", "--tokens", str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 2, f"{kind}: {done.stderr}"
    assert "tokens: " in done.stderr
    return done.stdout + done.stderr


def strangers(ours: Authority, folder: Path) -> Iterator[tuple[str, grpc.ChannelCredentials | None]]:
    """Yield why each is turned away, and what it connects with."""
    yield "missing", client_credentials(ours.pem)
    yield "untrusted", client_credentials(ours.pem, authority(folder).pair("shop.example"))
    yield "expired", client_credentials(ours.pem, ours.pair("shop.example", expired=True))
    yield "no_tls", None


async def test_clients_that_are_turned_away_in_the_handshake_are_counted_and_logged_by_cause(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    (tmp_path / "root").mkdir()
    image = pb.ImageSource(data=picture("red"))
    async with guarded(toy_model, toy_folder, tmp_path, socket_folder) as here:
        target, log = here.server.address, LogTail(here.server.log)
        for cause, credentials in strangers(here.ours, tmp_path):
            access = Access(target=target, credentials=credentials, token=GOOD)
            async with access.channel() as channel:
                error = await failure(channel, image, access.metadata)
            assert here.heard.note(error) == "UNAVAILABLE"
            await log.until(lambda line, cause=cause: line.get("cause") == cause)
        metrics = await here.listen_everywhere()
    here.heard.assert_nothing_told()
    for cause, _ in strangers(here.ours, tmp_path):
        assert metrics[f"tls_handshake_failures_total{{cause={cause}}}"] >= 1
