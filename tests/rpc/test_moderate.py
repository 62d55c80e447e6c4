"""Moderate, as a client on the other end of a socket sees it."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import picture, serving
from kit.toymodel import plain_picture


@pytest.mark.parametrize(
    ("colour", "verdict", "shadow", "decided_by"),
    [
        ("red", pb.VERDICT_BLOCK, pb.VERDICT_BLOCK, ["red"]),
        ("yellow", pb.VERDICT_REVIEW, pb.VERDICT_REVIEW, ["yellow"]),
        ("green", pb.VERDICT_ALLOW, pb.VERDICT_BLOCK, []),
        ("blue", pb.VERDICT_ALLOW, pb.VERDICT_ALLOW, []),
    ],
)
async def test_verdict_follows_the_policy(
    toy_model: Model, colour: str, verdict: int, shadow: int, decided_by: list[str]
) -> None:
    async with serving(toy_model) as rig:
        moderation = await rig.moderate(picture(colour))
    assert (moderation.verdict, moderation.shadow_verdict) == (verdict, shadow)
    assert list(moderation.decided_by) == decided_by
    assert moderation.enforced_categories == 2
    assert not moderation.raised_by


async def test_answer_holds_all_that_the_verdict_rests_on(toy_model: Model) -> None:
    data = picture("red", "JPEG", side=80)
    async with serving(toy_model) as rig:
        moderation = await rig.moderate(data)
        snapshot = rig.server.snapshot
    red, yellow, green, black = moderation.categories
    assert (red.id, red.mode, red.severity, red.reason_code) == ("red", pb.MODE_ENFORCE, 3, "RED-1")
    assert (red.status, red.score_kind, red.band) == (
        pb.EVALUATION_STATUS_EVALUATED,
        pb.SCORE_KIND_RAW_COSINE,
        pb.VERDICT_BLOCK,
    )
    assert red.score == red.cosine == red.winning_prompt.cosine >= red.block_threshold == 0.9
    assert red.threshold_unit == pb.THRESHOLD_UNIT_COSINE
    assert (red.winning_prompt.text, red.winning_view.name, red.winning_view.frame) == ("red", "full", 0)
    assert not red.HasField("margin")
    assert not red.HasField("winning_contrast")
    assert not yellow.HasField("block_threshold")
    assert (green.score_kind, green.winning_contrast.text) == (pb.SCORE_KIND_UNCALIBRATED, "blue")
    assert green.HasField("margin")
    assert not green.HasField("pair_probability")
    assert (black.status, black.not_evaluated_reason) == (
        pb.EVALUATION_STATUS_NOT_EVALUATED,
        pb.NOT_EVALUATED_REASON_DISABLED,
    )
    assert not black.HasField("score")
    assert black.band == pb.VERDICT_UNSPECIFIED
    assert [attribute.id for attribute in moderation.attributes] == ["white"]
    assert moderation.policy.digest == snapshot.tables["colours"].compiled.digest
    assert (moderation.policy.id, moderation.policy.version) == ("colours", "1.0")
    assert moderation.model.fingerprint == toy_model.fingerprint
    assert moderation.model.runtime.provider == "CPUExecutionProvider"
    image = moderation.image
    assert (image.format, image.width, image.height) == ("JPEG", 80, 80)
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert (image.frames_total, image.frames_judged, image.partial) == (1, 1, False)
    assert not moderation.embeddings
    assert not moderation.from_cache
    assert moderation.timings.batch_size == 1
    assert moderation.timings.total.ToNanoseconds() >= moderation.timings.encode.ToNanoseconds() > 0


async def test_request_id_is_echoed_or_made(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        image = pb.ImageSource(data=picture("red"))
        mine = await rig.stub.Moderate(pb.ModerateRequest(image=image, request_id="mine"))
        made = [(await rig.stub.Moderate(pb.ModerateRequest(image=image))).moderation.request_id for _ in range(2)]
    assert mine.moderation.request_id == "mine"
    assert all(made)
    assert made[0] != made[1]


async def test_context_selects_thresholds(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        moderation = await rig.moderate(picture("red"), context="poppies")
    assert moderation.context == "poppies"
    assert moderation.verdict == pb.VERDICT_ALLOW
    assert moderation.categories[0].review_threshold == 0.999


async def test_named_policy_judges_instead_of_the_default(toy_model: Model) -> None:
    async with serving(toy_model, "colours", "others") as rig:
        assert (await rig.moderate(picture("red"))).policy.id == "colours"
        assert (await rig.moderate(picture("red"), policy_id="others")).policy.id == "others"


async def test_see_through_image_is_judged_on_white_and_on_black(toy_model: Model) -> None:
    pixels = np.dstack([plain_picture("yellow", 64), np.zeros((64, 64), dtype=np.uint8)])
    pixels[24:40, 24:40, 3] = 255
    data = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(data, "PNG")
    async with serving(toy_model) as rig:
        moderation = await rig.moderate(data.getvalue(), return_embeddings=True)
    assert [embedding.view.name for embedding in moderation.embeddings] == ["on_white", "on_black"]
    assert moderation.timings.batch_size == 2
    assert np.linalg.norm(moderation.embeddings[0].values) == pytest.approx(1, abs=1e-5)


async def test_animation_is_partial_and_gets_at_least_on_partial(toy_model: Model) -> None:
    frames = [Image.open(io.BytesIO(picture(colour))) for colour in ("blue", "red")]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    async with serving(toy_model) as rig:
        moderation = await rig.moderate(data.getvalue())
    assert (moderation.image.frames_total, moderation.image.frames_judged, moderation.image.partial) == (2, 1, True)
    assert (list(moderation.image.unseen), moderation.image.share_shown) == ([pb.UNSEEN_FRAMES], 1.0)
    assert moderation.verdict == pb.VERDICT_REVIEW
    assert list(moderation.raised_by) == [pb.VERDICT_RAISE_PARTIAL]


async def test_blank_image_is_flagged_and_reviewed(toy_model: Model) -> None:
    data = io.BytesIO()
    Image.fromarray(plain_picture("blue", 64)).save(data, "PNG")
    async with serving(toy_model) as rig:
        moderation = await rig.moderate(data.getvalue())
    assert list(moderation.image.degradations) == [pb.DEGRADATION_NEAR_UNIFORM]
    assert moderation.verdict == pb.VERDICT_REVIEW
    assert list(moderation.raised_by) == [pb.VERDICT_RAISE_DEGRADED]


async def test_unix_socket_serves_as_tcp_does(toy_model: Model, socket_folder: Path) -> None:
    path = socket_folder / "clipwarden.sock"
    async with serving(toy_model, listen=None, unix_socket=str(path)) as rig:
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
    assert not path.exists()
