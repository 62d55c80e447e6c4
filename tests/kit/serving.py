"""What tests of the server share: policies about colours, pictures, settings for tests, an encoder with taps.

The toy model puts a plain picture and the word for its colour at cosine 1, so verdicts can be written down: under
`colours`, red is blocked, yellow reviewed, everything else allowed.
"""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import cast

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from numpy.typing import NDArray
from PIL import Image

from clipwarden.engine import pipeline
from clipwarden.engine.candidates import with_candidates
from clipwarden.engine.snapshot import Snapshot, make_snapshot
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.load import parse_policy
from clipwarden.serving.config import Settings
from clipwarden.serving.server import Server, running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from clipwarden.vision.facts import ImageHeader
from kit.lines import chosen_text
from kit.toymodel import plain_picture

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]

COLOURS = """
api: clipwarden/v1
metadata: {{id: {id}, version: "1.0", owner: t@example.com, reason: for tests, review_by: 2999-06-01}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: enforce, on_error: block, on_partial: review, templates: ["{{}}"]}}
contexts:
  poppies: {{description: a field of poppies}}
categories:
- id: red
  severity: 3
  definition: Red pictures.
  prompts: ["red"]
  scoring: {{method: cosine, pool: max}}
  thresholds: {{unit: cosine, review: 0.8, block: 0.9}}
  reason_code: RED-1
  contexts: {{poppies: {{review: 0.999, block: 1.0}}}}
- id: yellow
  severity: 1
  definition: Yellow pictures.
  prompts: ["yellow"]
  scoring: {{method: cosine, pool: max}}
  thresholds: {{unit: cosine, review: 0.9}}
- id: green
  severity: 2
  definition: Green pictures.
  mode: shadow
  prompts: ["green"]
  negatives: ["blue"]
  scoring: {{method: margin, pool: max}}
  thresholds: {{unit: score, block: 0.999}}
- id: black
  severity: 0
  definition: Black pictures.
  mode: disabled
  prompts: ["black"]
attributes:
- id: white
  prompts: ["white"]
"""


def colours_yaml(model: Model, policy_id: str = "colours") -> str:
    """Write the policy about colours for a model."""
    return chosen_text(COLOURS.format(id=policy_id, fingerprint=model.fingerprint))


def colours_snapshot(
    model: Model, *policy_ids: str, live: str | None = None, watched_by: Sequence[str] = ()
) -> Snapshot:
    """Compile the policy about colours, under one or more ids; the first one is the default.

    Args:
        model: Usually the toy model.
        policy_ids: Of the policies about colours.
        live: The text of a policy to load instead of them.
        watched_by: The texts of candidates.
    """
    texts = [live] if live else [colours_yaml(model, name) for name in policy_ids or ("colours",)]
    snapshot = make_snapshot(model, [compile_text(text, model) for text in texts])
    return with_candidates(snapshot, [compile_text(text, model) for text in watched_by])


def compile_text(text: str, model: Model) -> CompiledPolicy:
    """Compile a policy from its YAML."""
    return compile_policy(parse_policy(text, file="policy.yaml").policy, model=model)


def next_version(model: Model, *edits: tuple[str, str], policy_id: str = "colours", version: str = "2") -> str:
    """Write another version of the policy about colours: some of its text replaced, all of which it must hold."""
    text = COLOURS.format(id=policy_id, fingerprint=model.fingerprint)
    for old, new in (('version: "1.0"', f'version: "{version}"'), *edits):
        assert old in text
        text = text.replace(old, new)
    return chosen_text(text)


def picture(colour: str, kind: str = "PNG", side: int = 64, *, number: int = 0) -> bytes:
    """Encode a picture of one colour, with a border of grey so that it does not count as degraded.

    Args:
        colour: Of the middle.
        kind: Format, as Pillow calls it.
        side: Pixels.
        number: Tells pictures apart that look the same, by one corner: those of one number are shared, and kept.
    """
    pixels = plain_picture(colour, side)
    pixels[:2] = pixels[-2:] = pixels[:, :2] = pixels[:, -2:] = 128
    pixels[0, 0] = 128 + number // 64, 128 + number % 64, 128
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def cut_picture(colour: str, rows: int, side: int = 64) -> bytes:
    """Encode the same as a PNG that ends after some of its rows, which are stored as they are."""
    data = io.BytesIO()
    Image.open(io.BytesIO(picture(colour, side=side))).save(data, "PNG", compress_level=0)
    whole = data.getvalue()
    begun = whole.index(b"IDAT") + 4 + 2 + 5  # the headers of zlib's stream and of its only block
    return whole[: begun + rows * (1 + 3 * side)]


def large_header() -> bytes:
    """A BMP whose header promises 30,000 x 30,000 pixels, and nothing else."""
    data = io.BytesIO()
    Image.new("RGB", (1, 1)).save(data, "BMP")
    raw = bytearray(data.getvalue())
    raw[18:26] = (30_000).to_bytes(4, "little") * 2
    return bytes(raw)


def settings_for_test(**changes: object) -> Settings:
    """Settings for a server in a test: a free port, no waiting at the end."""
    base = Settings(
        listen="127.0.0.1:0",
        metrics_listen=None,
        drain_delay_seconds=0,
        encoder_threads=1,
        encoder_runs=1,
        decode_threads=2,
        max_batch=8,
        log_level="error",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class TappedEncoder:
    """An encoder that a test can hold, break and look into; `encode` runs in the encoder's own thread.

    Args:
        inner: Does the work.
    """

    def __init__(self, inner: Callable[[Pixels], Vectors]) -> None:
        self._inner = inner
        self._open = threading.Event()
        self._open.set()
        self._entered = threading.Semaphore(0)
        self.sizes: list[int] = []
        self.broken: Callable[[Pixels], bool] = lambda _: False

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode, when the test lets it, and unless the test has it fail."""
        self.sizes.append(len(pixels))
        self._entered.release()
        if not self._open.wait(timeout=60):
            raise TimeoutError("the test never let go of the encoder")
        if self.broken(pixels):
            raise RuntimeError("broken by the test")
        return self._inner(pixels)

    def forget(self) -> None:
        """Forget the runs so far, such as those of the warm-up."""
        self.sizes.clear()
        while self._entered.acquire(blocking=False):
            pass

    async def entered(self) -> None:
        """Wait until a run has begun that no earlier call of this has seen."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=60), "no run began"

    def release(self) -> None:
        """Let held runs go before their block ends."""
        self._open.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold every run inside this block."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


def tapped(model: Model) -> tuple[Model, TappedEncoder]:
    """Put taps on a model's image encoder."""
    encoder = TappedEncoder(model.image.encode)
    return replace(model, image=cast("ImageEncoder", encoder)), encoder


@contextmanager
def held_decoding(*only: bytes) -> Iterator[threading.Event]:
    """Hold every decode that starts inside this block, or those of some files, until its end or the event is set."""
    release, decode = threading.Event(), pipeline.decode_file

    def hold(data: bytes, header: ImageHeader, **settings: object) -> object:
        if not only or data in only:
            assert release.wait(timeout=60), "the test never let go of the decoders"
        return decode(data, header, **settings)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "decode_file", hold)
        try:
            yield release
        finally:
            release.set()


async def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something has become true; for what no event tells."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.002)


@dataclass(kw_only=True)
class Connection:
    """A client connected to a server."""

    stub: "moderation_pb2_grpc.ModerationServiceAsyncStub"  # exists in the stubs' types only
    channel: grpc.aio.Channel

    async def moderate(self, data: bytes, timeout: float | None = None, **options: object) -> pb.Moderation:  # noqa: ASYNC109  gRPC's own
        """Judge one image."""
        request = pb.ModerateRequest(image=pb.ImageSource(data=data), options=pb.ModerationOptions(**options))  # type: ignore[arg-type]
        return (await self.stub.Moderate(request, timeout=timeout)).moderation


@dataclass(kw_only=True)
class Rig(Connection):
    """A running server, a client connected to it, and the taps on its encoder."""

    server: Server
    encoder: TappedEncoder


@asynccontextmanager
async def connected(target: str | None) -> AsyncIterator[Connection]:
    """Connect to a server by a connection of its own: another caller."""
    assert target
    async with grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield Connection(stub=moderation_pb2_grpc.ModerationServiceStub(channel), channel=channel)


@asynccontextmanager
async def serving(
    model: Model, *policy_ids: str, live: str | None = None, watched_by: Sequence[str] = (), **changes: object
) -> AsyncIterator[Rig]:
    """Run a real server with a tapped encoder, and connect to it.

    Args:
        model: Usually the toy model.
        policy_ids: Of the policies about colours.
        live: The text of a policy to load instead of them.
        watched_by: The texts of candidates.
        changes: Settings that differ from `settings_for_test`.
    """
    model, encoder = tapped(model)
    snapshot = colours_snapshot(model, *policy_ids, live=live, watched_by=watched_by)
    async with running_server(settings_for_test(**changes), snapshot) as server:
        encoder.forget()
        target = server.address or server.unix_address
        assert target
        async with grpc.aio.insecure_channel(target) as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            yield Rig(server=server, stub=stub, channel=channel, encoder=encoder)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An error as a client reads it."""

    code: int
    message: str
    reason: str
    metadata: dict[str, str]
    fault: pb.ImageFault | None
    retry_seconds: float | None


def refusal(status: status_pb2.Status) -> Refusal:
    """Unpack a status and its details; the domain is checked here for every test."""
    info, fault, retry = error_details_pb2.ErrorInfo(), pb.ImageFault(), error_details_pb2.RetryInfo()
    found = {type(message) for message in (info, fault, retry) for detail in status.details if detail.Unpack(message)}
    assert error_details_pb2.ErrorInfo in found
    assert info.domain == "clipwarden"
    return Refusal(
        code=status.code,
        message=status.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        fault=fault if pb.ImageFault in found else None,
        retry_seconds=retry.retry_delay.ToTimedelta().total_seconds() if error_details_pb2.RetryInfo in found else None,
    )


async def refused(call: Awaitable[object]) -> Refusal:
    """Expect a call to fail, and unpack its status."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error, status = caught.value, status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)  # type: ignore[arg-type]
    assert status.code == error.code().value[0], f"{error.code()} without details: {error.details()}"
    return refusal(status)
