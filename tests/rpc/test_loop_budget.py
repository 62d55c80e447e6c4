"""What is long leaves the event loop: under a budget of nothing all of it does, and the guard lets none of it stay."""

import asyncio

import pytest

from clipwarden.engine import threads
from clipwarden.engine.terms import UNBOUND
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import eventually, held_decoding, picture, refused, serving


@pytest.fixture
def _no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LOOP_BUDGET_MICROSECONDS", 0.0)


def again(moderation: pb.Moderation) -> pb.ModerateEmbeddingRequest:
    return pb.ModerateEmbeddingRequest(
        embeddings=moderation.embeddings,
        model_fingerprint=moderation.model.fingerprint,
        options=pb.ModerationOptions(return_embeddings=True),
    )


@pytest.mark.usefixtures("_no_budget")
async def test_reading_judging_and_rendering_leave_the_loop_when_they_are_long(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        judged = await rig.moderate(picture("red"), return_embeddings=True)
        kept = (await rig.stub.ModerateEmbedding(again(judged))).moderation
        images = [pb.ImageSource(data=picture(colour)) for colour in ("red", "blue")]
        batch = await rig.stub.BatchModerate(pb.BatchModerateRequest(images=images))
        policy = (await rig.stub.GetPolicy(pb.GetPolicyRequest())).policy
        listed = (await rig.stub.ListPolicies(pb.ListPoliciesRequest())).policies
    assert kept.categories == judged.categories
    assert [result.moderation.verdict for result in batch.results] == [pb.VERDICT_BLOCK, pb.VERDICT_ALLOW]
    assert len(policy.categories) == listed[0].categories == 4


@pytest.mark.usefixtures("_no_budget")
async def test_what_is_long_to_judge_does_not_wait_for_decoders(toy_model: Model) -> None:
    async with serving(toy_model, decode_threads=1) as rig:
        judged = await rig.moderate(picture("red"), return_embeddings=True)
        with held_decoding():
            busy = [asyncio.create_task(rig.moderate(picture("red", number=number))) for number in range(1, 4)]
            await eventually(lambda: rig.server.pipeline.admission.items == 3)
            kept = (await rig.stub.ModerateEmbedding(again(judged), timeout=60)).moderation
            assert not any(call.done() for call in busy)
        await asyncio.gather(*busy)
    assert kept.categories == judged.categories


async def test_more_embeddings_than_an_image_has_are_no_overload(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        judged = await rig.moderate(picture("red"), return_embeddings=True)
        request = again(judged)
        request.embeddings.extend([pb.Embedding()] * 300_000)
        answer = await refused(rig.stub.ModerateEmbedding(request))
    assert (answer.reason, answer.retry_seconds) == ("REQUEST_INVALID", None)


@pytest.mark.usefixtures("_no_budget")
async def test_stored_embeddings_are_admitted_before_they_are_read(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(toy_model, queue_items=1) as rig:
        judged = await rig.moderate(picture("red"), return_embeddings=True)
        with rig.server.pipeline.admission.arrive(UNBOUND, size=1):
            monkeypatch.setattr("clipwarden.serving.requests.read_embedded_image", pytest.fail)
            answer = await refused(rig.stub.ModerateEmbedding(again(judged)))
    assert answer.reason == "OVERLOADED"


async def test_more_degradations_than_there_are_cost_nothing(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        judged = await rig.moderate(picture("red"), return_embeddings=True)
        request = again(judged)
        request.degradations.extend([pb.DEGRADATION_TINY] * 50_000)
        answer = await refused(rig.stub.ModerateEmbedding(request))
    assert answer.reason == "REQUEST_INVALID"
    assert "50000 degradations are given" in answer.message
