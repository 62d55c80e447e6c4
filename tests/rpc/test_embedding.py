"""ModerateEmbedding: yesterday's vectors under today's policy."""

import math
from collections.abc import Sequence

import pytest
from google.rpc import code_pb2

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import Rig, picture, refused, serving


def request(moderation: pb.Moderation, **changes: object) -> pb.ModerateEmbeddingRequest:
    fields = {
        "embeddings": moderation.embeddings,
        "model_fingerprint": moderation.model.fingerprint,
        "frames_total": moderation.image.frames_total,
        "frames_judged": moderation.image.frames_judged,
        "degradations": moderation.image.degradations,
    }
    return pb.ModerateEmbeddingRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("colour", ["red", "yellow", "green", "blue"])
async def test_stored_embeddings_get_the_very_verdict_of_their_image(toy_model: Model, colour: str) -> None:
    async with serving(toy_model) as rig:
        first = await rig.moderate(picture(colour), return_embeddings=True)
        again = (await rig.stub.ModerateEmbedding(request(first))).moderation
    for name in ("verdict", "shadow_verdict", "decided_by", "raised_by", "categories", "attributes", "policy", "model"):
        assert getattr(again, name) == getattr(first, name), name
    assert not again.embeddings
    assert (again.image.format, again.image.sha256, again.image.width) == ("", "", 0)
    assert not again.timings.HasField("encode")


async def test_frames_and_degradations_raise_the_verdict_as_they_did(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        first = await rig.moderate(picture("blue"), return_embeddings=True)
        partial = await rig.stub.ModerateEmbedding(request(first, frames_total=9, frames_judged=1))
        blurred = await rig.stub.ModerateEmbedding(request(first, degradations=[pb.DEGRADATION_BLURRED]))
    assert partial.moderation.image.partial
    assert list(partial.moderation.raised_by) == [pb.VERDICT_RAISE_PARTIAL]
    assert list(blurred.moderation.raised_by) == [pb.VERDICT_RAISE_DEGRADED]
    assert list(blurred.moderation.image.degradations) == [pb.DEGRADATION_BLURRED]


async def test_embeddings_can_be_asked_for_again_with_their_views(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        first = await rig.moderate(picture("blue"), return_embeddings=True)
        options = pb.ModerationOptions(return_embeddings=True)
        again = await rig.stub.ModerateEmbedding(request(first, options=options, request_id="again"))
    assert again.moderation.embeddings == first.embeddings
    assert again.moderation.request_id == "again"


def vectors(*rows: Sequence[float]) -> list[pb.Embedding]:
    return [pb.Embedding(values=row) for row in rows]


UNIT = [1.0] + [0.0] * 15
WRONG = {
    "not unit": ({"embeddings": vectors([0.5] * 16)}, "EMBEDDING_INVALID", code_pb2.INVALID_ARGUMENT),
    "not a number": ({"embeddings": vectors([math.nan, *UNIT[1:]])}, "EMBEDDING_INVALID", code_pb2.INVALID_ARGUMENT),
    "infinite": ({"embeddings": vectors([math.inf, *UNIT[1:]])}, "EMBEDDING_INVALID", code_pb2.INVALID_ARGUMENT),
    "wrong width": ({"embeddings": vectors([1.0, 0.0])}, "EMBEDDING_INVALID", code_pb2.INVALID_ARGUMENT),
    "two widths": ({"embeddings": vectors(UNIT, [1.0])}, "EMBEDDING_INVALID", code_pb2.INVALID_ARGUMENT),
    "no numbers": ({"embeddings": vectors([])}, "EMBEDDING_INVALID", code_pb2.INVALID_ARGUMENT),
    "none": ({"embeddings": []}, "REQUEST_INVALID", code_pb2.INVALID_ARGUMENT),
    "too many": ({"embeddings": vectors(*[UNIT] * 65)}, "REQUEST_INVALID", code_pb2.INVALID_ARGUMENT),
    "no fingerprint": ({"model_fingerprint": ""}, "REQUEST_INVALID", code_pb2.INVALID_ARGUMENT),
    "another model": (
        {"model_fingerprint": "sha256:" + "0" * 64}, "FINGERPRINT_MISMATCH", code_pb2.FAILED_PRECONDITION,
    ),
    "too many judged": ({"frames_total": 2, "frames_judged": 3}, "REQUEST_INVALID", code_pb2.INVALID_ARGUMENT),
    "unknown degradation": ({"degradations": [99]}, "REQUEST_INVALID", code_pb2.INVALID_ARGUMENT),
    "unspecified degradation": ({"degradations": [0]}, "REQUEST_INVALID", code_pb2.INVALID_ARGUMENT),
    "unknown policy": (
        {"options": pb.ModerationOptions(policy_id="typo")}, "POLICY_UNKNOWN", code_pb2.NOT_FOUND,
    ),
    "unknown context": (
        {"options": pb.ModerationOptions(context="typo")}, "CONTEXT_UNKNOWN", code_pb2.INVALID_ARGUMENT,
    ),
}  # fmt: skip


async def test_what_cannot_be_judged_is_refused_with_its_reason(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        good = await rig.moderate(picture("blue"), return_embeddings=True)
        for what, (changes, reason, code) in WRONG.items():
            answer = await refused(rig.stub.ModerateEmbedding(request(good, **changes)))
            assert (answer.reason, answer.code) == (reason, code), what
            assert answer.fault is None


async def test_vectors_within_the_promised_tolerance_are_accepted(toy_model: Model) -> None:
    async def judge(rig: Rig, length: float) -> pb.Moderation:
        moderation = await rig.moderate(picture("blue"), return_embeddings=True)
        scaled = [[value * length for value in moderation.embeddings[0].values]]
        return (await rig.stub.ModerateEmbedding(request(moderation, embeddings=vectors(*scaled)))).moderation

    async with serving(toy_model) as rig:
        assert (await judge(rig, 1.0009)).verdict == pb.VERDICT_ALLOW
        assert (await refused(judge(rig, 1.0011))).reason == "EMBEDDING_INVALID"
