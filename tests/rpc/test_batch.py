"""BatchModerate: order, items that fail alone, limits of a call."""

from google.rpc import code_pb2

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import eventually, picture, refusal, refused, serving


def batch(*images: bytes, request_id: str = "", **options: str) -> pb.BatchModerateRequest:
    return pb.BatchModerateRequest(
        images=[pb.ImageSource(data=data) for data in images],
        options=pb.ModerationOptions(**options),  # type: ignore[arg-type]
        request_id=request_id,
    )


async def test_results_come_in_the_order_of_the_images_and_bad_ones_fail_alone(toy_model: Model) -> None:
    images = [picture("red"), b"not an image at all", picture("blue"), b"", picture("yellow")]
    async with serving(toy_model) as rig:
        results = (await rig.stub.BatchModerate(batch(*images, request_id="call"))).results
    assert [result.WhichOneof("result") for result in results] == [
        "moderation", "error", "moderation", "error", "moderation",
    ]  # fmt: skip
    verdicts = [results[index].moderation.verdict for index in (0, 2, 4)]
    assert verdicts == [pb.VERDICT_BLOCK, pb.VERDICT_ALLOW, pb.VERDICT_REVIEW]
    assert results[4].moderation.request_id == "call/4"
    unsupported, empty = refusal(results[1].error), refusal(results[3].error)
    assert (unsupported.code, unsupported.reason) == (code_pb2.INVALID_ARGUMENT, "IMAGE_FORMAT_UNSUPPORTED")
    assert empty.reason == "IMAGE_EMPTY"
    assert empty.fault
    assert empty.fault.policy_verdict == pb.VERDICT_BLOCK
    assert empty.metadata["request_id"] == "call/3"


async def test_image_without_source_is_one_bad_item(toy_model: Model) -> None:
    request = pb.BatchModerateRequest(images=[pb.ImageSource(), pb.ImageSource(data=picture("blue"))])
    async with serving(toy_model) as rig:
        first, second = (await rig.stub.BatchModerate(request)).results
    assert refusal(first.error).reason == "REQUEST_INVALID"
    assert second.moderation.verdict == pb.VERDICT_ALLOW


async def test_unknown_policy_fails_each_item_as_moderate_would(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        results = (await rig.stub.BatchModerate(batch(picture("red"), b"", policy_id="typo"))).results
    assert [refusal(result.error).reason for result in results] == ["POLICY_UNKNOWN"] * 2


async def test_call_with_no_images_or_too_many_is_invalid_as_a_whole(toy_model: Model) -> None:
    async with serving(toy_model, max_call_items=2) as rig:
        for request in (batch(), batch(b"", b"", b"")):
            answer = await refused(rig.stub.BatchModerate(request))
            assert (answer.code, answer.reason) == (code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID")


async def test_one_call_takes_no_more_room_than_its_window(toy_model: Model) -> None:
    async with serving(toy_model, call_in_flight=4) as rig:
        with rig.encoder.held():
            call = rig.stub.BatchModerate(batch(*(picture("red", number=number) for number in range(12))))
            await rig.encoder.entered()
            await eventually(lambda: rig.server.pipeline.admission.items == 4)
            # Whoever asks meanwhile has long been let in when this answer comes back.
            await rig.stub.ListPolicies(pb.ListPoliciesRequest())
            assert rig.server.pipeline.admission.items == 4
        assert len((await call).results) == 12
    assert sum(rig.encoder.sizes) == 12
