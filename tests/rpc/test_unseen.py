"""Pictures that were not wholly seen: what their verdicts say, from the file to stored embeddings and candidates."""

import asyncio
import io
import logging
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from google.rpc import code_pb2
from PIL import Image

from clipwarden import Client
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import cut_picture, next_version, picture, refused, serving
from kit.toymodel import plain_picture

SHARE = 0.625
ROWS = 40  # of 64
JUDGE = ("on_partial: review,", "on_partial: review, on_truncated: judge,")


@pytest.fixture
def judging(toy_model: Model) -> str:
    """A policy that judges files that end too early, as version 2."""
    return next_version(toy_model, JUDGE)


def stored(moderation: pb.Moderation, **changes: object) -> pb.ModerateEmbeddingRequest:
    """Ask about the embeddings of a moderation, with all of its facts but for changes."""
    image = moderation.image
    facts = {
        name: getattr(image, name)
        for name in ("frames_total", "frames_judged", "degradations", "share_shown", "unseen")
    }
    return pb.ModerateEmbeddingRequest(
        embeddings=moderation.embeddings,
        model_fingerprint=moderation.model.fingerprint,
        **(facts | changes),  # type: ignore[arg-type]
    )


async def test_a_cut_file_is_refused_unless_the_policy_says_otherwise(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(rig.moderate(cut_picture("red", ROWS)))
        assert (await rig.stub.GetPolicy(pb.GetPolicyRequest())).policy.on_truncated == pb.ON_TRUNCATED_REFUSE
        assert rig.encoder.sizes == []
    assert (answer.reason, answer.code) == ("IMAGE_TRUNCATED", code_pb2.INVALID_ARGUMENT)
    assert answer.fault is not None
    assert (answer.fault.reason, answer.fault.policy_verdict) == (
        pb.IMAGE_FAULT_REASON_TRUNCATED,
        pb.VERDICT_BLOCK,  # on_error
    )
    assert "The PNG image ends too early: 62 % of its rows are whole" in answer.message
    assert "`on_truncated: judge`" in answer.message


async def test_a_cut_file_is_judged_as_partial_where_the_policy_says_so(toy_model: Model, judging: str) -> None:
    async with serving(toy_model, live=judging) as rig:
        red, blue = [await rig.moderate(cut_picture(colour, ROWS)) for colour in ("red", "blue")]
        assert (await rig.stub.GetPolicy(pb.GetPolicyRequest())).policy.on_truncated == pb.ON_TRUNCATED_JUDGE
    assert (red.verdict, list(red.decided_by), list(red.raised_by)) == (pb.VERDICT_BLOCK, ["red"], [])
    assert (blue.verdict, list(blue.raised_by)) == (pb.VERDICT_REVIEW, [pb.VERDICT_RAISE_PARTIAL])
    for image in (red.image, blue.image):
        assert (image.partial, list(image.unseen), image.share_shown) == (True, [pb.UNSEEN_ROWS], SHARE)


async def test_a_jpeg_is_cut_as_a_png_is(toy_model: Model, judging: str) -> None:
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(-20, 20, (64, 64, 3))
    Image.fromarray((plain_picture("red", 64) + noise).clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=95)
    cut = data.getvalue()[: len(data.getvalue()) * 2 // 3]
    async with serving(toy_model, live=judging) as rig:
        moderation = await rig.moderate(cut)
    async with serving(toy_model) as rig:
        answer = await refused(rig.moderate(cut))
    share = moderation.image.share_shown
    assert 0.3 < share < 0.9
    assert (list(moderation.image.unseen), moderation.verdict) == ([pb.UNSEEN_ROWS], pb.VERDICT_BLOCK)
    assert f"The JPEG image ends too early: {int(share * 100)} % of its rows are in full detail" in answer.message


async def test_a_file_seen_whole_says_so(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        image = (await rig.moderate(picture("red"))).image
    assert (image.partial, list(image.unseen), image.share_shown) == (False, [], 1.0)


async def test_stored_embeddings_of_a_cut_file_are_answered_as_the_file_was(toy_model: Model, judging: str) -> None:
    async with serving(toy_model, live=judging) as rig:
        first = await rig.moderate(cut_picture("blue", ROWS), return_embeddings=True)
        again = (await rig.stub.ModerateEmbedding(stored(first))).moderation
    for name in ("verdict", "shadow_verdict", "decided_by", "raised_by", "categories"):
        assert getattr(again, name) == getattr(first, name), name
    assert (again.image.partial, list(again.image.unseen), again.image.share_shown) == (True, [pb.UNSEEN_ROWS], SHARE)
    async with serving(toy_model) as rig:
        answer = await refused(rig.stub.ModerateEmbedding(stored(first)))
    assert (answer.reason, answer.code) == ("IMAGE_TRUNCATED", code_pb2.INVALID_ARGUMENT)
    assert answer.fault is not None
    assert answer.fault.policy_verdict == pb.VERDICT_BLOCK
    assert "The image ends too early: 62 %" in answer.message


async def test_stored_facts_raise_the_verdict_or_are_refused(toy_model: Model) -> None:
    raising: Mapping[str, tuple[dict[str, object], list[int]]] = {
        "HDR": ({"unseen": [pb.UNSEEN_HDR]}, [pb.VERDICT_RAISE_PARTIAL]),
        "frames": ({"frames_total": 3, "unseen": [pb.UNSEEN_FRAMES]}, [pb.VERDICT_RAISE_PARTIAL]),
        "colours": ({"degradations": [pb.DEGRADATION_COLOUR_UNCERTAIN]}, [pb.VERDICT_RAISE_DEGRADED]),
        "a client older than the fields": ({"share_shown": 0}, []),
    }
    wrong: Mapping[str, dict[str, object]] = {
        "more rows than there are": {"share_shown": 1.5},
        "fewer than none": {"share_shown": -0.5},
        "no number": {"share_shown": math.nan},
        "unknown": {"unseen": [99]},
        "unspecified": {"unseen": [pb.UNSEEN_UNSPECIFIED]},
        "more than there are": {"unseen": [pb.UNSEEN_HDR] * len(pb.Unseen.values())},
        "rows that were all there": {"unseen": [pb.UNSEEN_ROWS]},
        "frames that were all judged": {"unseen": [pb.UNSEEN_HDR, pb.UNSEEN_FRAMES]},
    }
    async with serving(toy_model) as rig:
        first = await rig.moderate(picture("blue"), return_embeddings=True)
        for what, (changes, raised) in raising.items():
            again = (await rig.stub.ModerateEmbedding(stored(first, **changes))).moderation
            assert list(again.raised_by) == raised, what
            assert again.image.partial == (pb.VERDICT_RAISE_PARTIAL in raised), what
            assert list(again.image.unseen) == changes.get("unseen", []), what
            assert again.image.share_shown == 1, what
        for what, changes in wrong.items():
            answer = await refused(rig.stub.ModerateEmbedding(stored(first, **changes)))
            assert (answer.reason, answer.fault) == ("REQUEST_INVALID", None), what


async def test_the_client_sends_stored_facts_whole(toy_model: Model, judging: str) -> None:
    async with serving(toy_model, live=judging) as rig:
        first = await rig.moderate(cut_picture("blue", ROWS), return_embeddings=True)

        def ask(**facts: Any) -> pb.Moderation:  # noqa: ANN401
            with Client(str(rig.server.address)) as client:
                return client.moderate_embedding(first.embeddings, model_fingerprint=first.model.fingerprint, **facts)

        again, bare = await asyncio.to_thread(ask, facts=first.image), await asyncio.to_thread(ask)
    assert (again.verdict, list(again.image.unseen), again.image.share_shown) == (
        first.verdict,
        [pb.UNSEEN_ROWS],
        SHARE,
    )
    assert (bare.verdict, bare.image.share_shown) == (pb.VERDICT_ALLOW, 1.0)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The log's lines of judged images."""
    caplog.set_level(logging.INFO, logger="clipwarden.access")
    return lambda: [vars(record) for record in caplog.records if record.message == "judged"]


async def test_a_candidate_that_refuses_what_the_live_policy_judges_is_not_compared(
    toy_model: Model, judging: str, lines: Callable[[], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(toy_model, live=judging, watched_by=[next_version(toy_model, version="3")]) as rig:
        assert (await rig.moderate(cut_picture("red", ROWS))).verdict == pb.VERDICT_BLOCK
        await rig.server.drain()
        found = rig.server.metrics.registry.get_sample_value(
            "clipwarden_candidate_not_compared_total", {"policy": "colours", "version": "3", "reason": "truncated"}
        )
    (line,) = lines()
    assert found == 1
    assert (line["partial"], line["unseen"], line["share_shown"]) == (True, ("ROWS",), SHARE)
    assert [each["not_compared"] for each in line["candidates"]] == ["truncated"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_the_live_policy_refuses_no_candidate_judges(
    toy_model: Model, judging: str, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    async with serving(toy_model, watched_by=[judging]) as rig:
        assert (await refused(rig.moderate(cut_picture("red", ROWS)))).reason == "IMAGE_TRUNCATED"
        await rig.server.drain()
        samples = [each for family in rig.server.metrics.registry.collect() for each in family.samples if each.value]
        # How long parts were at work is no count of images.
        counted = {each.name for each in samples if re.fullmatch("clipwarden_(?!busy_).*_total", each.name)}
    assert not lines()
    assert counted == {"clipwarden_requests_total", "clipwarden_errors_total", "clipwarden_image_errors_total"}
