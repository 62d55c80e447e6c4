"""The shipped clients against the real server: what one says, the other understands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clipwarden import AsyncClient, Client, StreamItem
from clipwarden.client import ImageRefusedError, RequestRefusedError
from clipwarden.client.channel import KEEPALIVE_SECONDS, MAX_MESSAGE_BYTES
from clipwarden.client.health import SERVICE
from clipwarden.errors import Reason
from clipwarden.modelfolder.load import Model
from clipwarden.serving.config import Settings
from clipwarden.serving.server import SERVICE as SERVED
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import Rig, picture, serving


@pytest.fixture
async def rig(toy_model: Model) -> AsyncIterator[Rig]:
    async with serving(toy_model, "colours", "other") as running:
        yield running


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[AsyncClient]:
    assert rig.server.address
    async with AsyncClient(rig.server.address) as connected:
        yield connected


def test_client_and_server_agree_on_what_neither_may_decide_alone() -> None:
    settings = Settings()
    assert settings.min_ping_seconds < KEEPALIVE_SECONDS, "the server would answer too_many_pings"
    assert settings.max_message_bytes <= MAX_MESSAGE_BYTES, "the server's limit is the one that counts"
    assert SERVICE == SERVED


async def test_a_verdict_and_its_embeddings_make_the_round_trip(client: AsyncClient) -> None:
    first = await client.moderate(picture("red"), return_embeddings=True, request_id="mine")
    assert (first.verdict, first.request_id, first.policy.id) == (pb.VERDICT_BLOCK, "mine", "colours")
    again = await client.moderate_embedding(
        first.embeddings, model_fingerprint=first.model.fingerprint, facts=first.image, policy="other"
    )
    assert (again.verdict, again.policy.id) == (pb.VERDICT_BLOCK, "other")


async def test_a_bad_image_is_refused_with_the_policys_verdict(client: AsyncClient) -> None:
    with pytest.raises(ImageRefusedError) as caught:
        await client.moderate(picture("red")[:-40])
    assert caught.value.reason == Reason.IMAGE_TRUNCATED
    assert caught.value.image_fault is not None
    assert caught.value.image_fault.policy_verdict == pb.VERDICT_BLOCK


async def test_bad_requests_are_told_by_their_reason(client: AsyncClient) -> None:
    with pytest.raises(RequestRefusedError) as unknown:
        await client.moderate(picture("red"), policy="none")
    assert unknown.value.reason == Reason.POLICY_UNKNOWN
    with pytest.raises(RequestRefusedError) as context:
        await client.moderate(picture("red"), context="none")
    assert context.value.reason == Reason.CONTEXT_UNKNOWN
    vectors = [pb.Embedding(values=[1.0])]
    with pytest.raises(RequestRefusedError) as mismatch:
        await client.moderate_embedding(vectors, model_fingerprint="sha256:" + "0" * 64)
    assert mismatch.value.reason == Reason.FINGERPRINT_MISMATCH
    with pytest.raises(RequestRefusedError) as policy:
        await client.get_policy("none")
    assert policy.value.request_id, "the server's own id leads to its log"


async def test_a_batch_keeps_its_order_and_its_bad_item(client: AsyncClient) -> None:
    results = await client.moderate_batch([picture("red"), b"junk", picture("blue")], request_id="r")
    assert [result.id for result in results] == ["r/0", "r/1", "r/2"]
    assert results[0].unwrap().verdict == pb.VERDICT_BLOCK
    assert isinstance(results[1].error, ImageRefusedError)
    assert results[2].unwrap().verdict == pb.VERDICT_ALLOW


async def test_a_stream_answers_more_items_than_the_server_takes_at_once(client: AsyncClient) -> None:
    data = picture("yellow")
    items = (StreamItem(id=str(number), image=data) for number in range(100))
    verdicts = {result.id: result.unwrap().verdict async for result in client.moderate_stream(items)}
    assert verdicts == {str(number): pb.VERDICT_REVIEW for number in range(100)}


async def test_the_client_for_threads_does_the_same(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    file.write_bytes(picture("red"))

    def use() -> None:
        assert rig.server.address
        with Client(rig.server.address) as client:
            client.wait_until_ready(60)
            assert client.moderate(file).verdict == pb.VERDICT_BLOCK
            assert client.moderate_batch([file, file])[1].unwrap().verdict == pb.VERDICT_BLOCK
            items = [StreamItem(id=str(number), image=file) for number in range(50)]
            assert len(list(client.moderate_stream(items))) == 50
            assert [item.policy.id for item in client.list_policies()] == ["colours", "other"]
            assert client.get_policy().ref.id == "colours"

    await asyncio.to_thread(use)
