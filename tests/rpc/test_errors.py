"""Every way a call can be refused: code, reason, and details, as the proto says."""

import gc

import grpc
import pytest
from google.rpc import code_pb2

from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.errors import ImageError
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.plan import WHOLE
from kit.serving import eventually, large_header, picture, refused, serving

BAD_IMAGES = {
    "EMPTY": b"",
    "TRUNCATED": picture("red", "JPEG")[:-200],
    "CORRUPT": picture("red", "PNG").replace(b"IDAT", b"IDAX"),
    "TOO_LARGE": b"\xff\xd8\xff" + bytes(200_000),
    "TOO_MANY_PIXELS": large_header(),
    "FORMAT_UNSUPPORTED": b"%PDF-1.7 and so on, long enough to be looked at",
}


@pytest.mark.parametrize("reason", BAD_IMAGES)
async def test_bad_image_is_the_callers_error_and_carries_the_policys_verdict(toy_model: Model, reason: str) -> None:
    async with serving(toy_model, max_image_bytes=100_000) as rig:
        answer = await refused(rig.moderate(BAD_IMAGES[reason]))
        assert rig.server.pipeline.admission.items == 0
    assert answer.code == code_pb2.INVALID_ARGUMENT
    assert answer.reason == f"IMAGE_{reason}"
    assert answer.fault
    assert pb.ImageFaultReason.Name(answer.fault.reason) == f"IMAGE_FAULT_REASON_{reason}"
    assert answer.fault.policy_verdict == pb.VERDICT_BLOCK
    assert answer.metadata["request_id"]
    assert rig.encoder.sizes == []


def held_images() -> int:
    """Count images, and ends of calls with the frames they passed, that something still refers to, if only a cycle."""
    # By type, not isinstance: other packages keep objects that answer a question for their class with a warning.
    held = [thing for thing in gc.get_objects() if type(thing) in (pb.ImageSource, grpc.aio.AbortError)]
    return sum(type(thing) is pb.ImageSource or thing.__traceback__ is not None for thing in held)


@pytest.mark.parametrize("data", [b"%PDF-1.7 and so on", BAD_IMAGES["CORRUPT"]], ids=["header", "decode"])
async def test_refused_images_are_let_go_at_once(toy_model: Model, data: bytes) -> None:
    async with serving(toy_model) as rig:
        await refused(rig.moderate(data))
        gc.collect()
        before = held_images()
        gc.disable()
        try:
            for _ in range(5):
                await refused(rig.moderate(data))
            await eventually(lambda: held_images() <= before)
        finally:
            gc.enable()


LONG = "x" * 129
BAD_REQUESTS = {
    "no source": pb.ModerateRequest(image=pb.ImageSource()),
    "no image": pb.ModerateRequest(),
    "long request id": pb.ModerateRequest(image=pb.ImageSource(data=b"x"), request_id=LONG),
    "long policy id": pb.ModerateRequest(image=pb.ImageSource(data=b"x"), options=pb.ModerationOptions(policy_id=LONG)),
    "long context": pb.ModerateRequest(image=pb.ImageSource(data=b"x"), options=pb.ModerationOptions(context=LONG)),
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
async def test_malformed_request_is_invalid(toy_model: Model, what: str) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(rig.stub.Moderate(BAD_REQUESTS[what]))
    assert (answer.code, answer.reason) == (code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert answer.fault is None
    assert ("has 129 bytes; at most 128 are allowed" in answer.message) == what.startswith("long")
    assert answer.metadata["request_id"] not in {"", LONG}


async def test_unknown_policy_is_not_found_whatever_the_image(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(rig.moderate(b"", policy_id="typo"))
    assert (answer.code, answer.reason) == (code_pb2.NOT_FOUND, "POLICY_UNKNOWN")
    assert "typo" in answer.message
    assert "colours" in answer.message


async def test_undeclared_context_is_invalid(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(rig.moderate(picture("red"), context="typo"))
    assert (answer.code, answer.reason) == (code_pb2.INVALID_ARGUMENT, "CONTEXT_UNKNOWN")


async def test_encoder_failure_is_internal_and_carries_no_verdict(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        rig.encoder.broken = lambda pixels: len(pixels) == 1 and pixels[0, 16, 16, 0] == 255
        answer = await refused(rig.moderate(picture("red")))
        assert (await rig.moderate(picture("blue"))).verdict == pb.VERDICT_ALLOW
    assert (answer.code, answer.reason, answer.fault) == (code_pb2.INTERNAL, "ENCODER_FAILED", None)
    assert "broken by the test" not in answer.message


async def test_unexpected_fault_is_internal_and_tells_nothing_but_the_request_id(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise KeyError("secret")

    async with serving(toy_model) as rig:
        monkeypatch.setattr(Pipeline, "moderate", fail)
        request = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")), request_id="find-me")
        answer = await refused(rig.stub.Moderate(request))
    assert (answer.code, answer.reason, answer.fault) == (code_pb2.INTERNAL, "INTERNAL", None)
    assert "secret" not in answer.message
    assert "find-me" in answer.message
    record = next(record for record in caplog.records if record.exc_info and record.name == "clipwarden.access")
    assert record.request_id == "find-me"  # type: ignore[attr-defined]


async def test_server_and_moderator_refuse_the_same_image_in_the_same_words(toy_model: Model) -> None:
    data, limits = picture("red"), DecodeLimits(max_decode_bytes=2**20)
    async with serving(toy_model, max_decode_bytes=limits.max_decode_bytes) as rig:
        answer = await refused(rig.moderate(data))
    async with Pipeline(toy_model, EngineSettings(limits=limits)) as pipeline:
        with pytest.raises(ImageError) as caught:
            await pipeline.embed(data, WHOLE)
    assert (answer.reason, answer.message) == (caught.value.reason, str(caught.value))


async def test_message_over_the_image_limit_but_within_the_transport_limit_says_image_too_large(
    toy_model: Model,
) -> None:
    limits = {"max_image_bytes": 100_000, "max_message_bytes": 1_000_000}
    async with serving(toy_model, **limits) as rig:
        answer = await refused(rig.moderate(b"\xff\xd8\xff" + bytes(800_000)))
    assert answer.reason == "IMAGE_TOO_LARGE"
