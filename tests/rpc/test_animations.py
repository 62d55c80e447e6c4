"""Animations, from the file to the verdict: one bad frame anywhere is found, or the animation is partial."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwarden import Moderator
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.verdict import Raise
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.facts import Unseen
from kit.animations import ORDINARY, SIZE, encode_animation
from kit.hiding import drifting, hidings
from kit.serving import next_version, serving
from kit.toymodel import plain_picture

FRAMES = 8


@pytest.fixture
def looking(toy_model: Model) -> str:
    """A policy that judges up to eight frames, as version 2."""
    return next_version(toy_model, ("on_partial: review,", f"on_partial: review, frames: {FRAMES},"))


@pytest.fixture(scope="module")
def hidden() -> dict[str, bytes]:
    """A red frame, hidden in every way."""
    red = Image.fromarray(plain_picture("red")).resize(SIZE)
    red.paste((128, 128, 128), (0, 0, SIZE[0], 4))
    return hidings(red)


def written(folder: Path, text: str) -> Path:
    """Write a policy into a file of its own."""
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_a_bad_frame_is_found_wherever_it_is_hidden(
    toy_folder: Path, looking: str, hidden: dict[str, bytes], tmp_path: Path
) -> None:
    with Moderator(toy_folder, written(tmp_path, looking), vector_cache=False) as moderator:
        innocent = moderator.moderate(encode_animation([drifting(number) for number in range(6)], "GIF"))
        assert innocent.verdict is Verdict.ALLOW
        for name, data in hidden.items():
            judged = moderator.moderate(data)
            assert (judged.verdict, judged.decided_by) == (Verdict.BLOCK, ("red",)), name
            scored = judged.categories[0].scored
            assert scored is not None
            where = scored.view
            assert where.seconds is not None
            assert (where.frame == 0) is (name == "first"), name
            assert judged.image.facts.partial is (Unseen.FRAMES in judged.image.facts.unseen)


def test_what_stays_unseen_is_never_allowed(
    toy_model: Model, toy_folder: Path, looking: str, hidden: dict[str, bytes], tmp_path: Path
) -> None:
    one_frame = next_version(toy_model)
    for policy in (one_frame, looking):
        with Moderator(toy_folder, written(tmp_path, policy), vector_cache=False) as moderator:
            for name, data in hidden.items():
                judged = moderator.moderate(data)
                facts = judged.image.facts
                assert judged.verdict > Verdict.ALLOW, name
                assert (Raise.PARTIAL in judged.judgement.raised_by) <= (facts.frames_seen < facts.frames_total), name


async def test_the_server_says_how_many_frames_it_judged_and_saw(toy_model: Model, looking: str) -> None:
    still, moving = (next(each for each in ORDINARY if each.name == name) for name in ("counter", "scrolling"))
    async with serving(toy_model, live=looking) as rig:
        seen, unseen = [await rig.moderate(each.encoded()) for each in (still, moving)]
        views = sum(rig.encoder.sizes)
    assert (seen.image.frames_total, seen.image.frames_seen, seen.image.partial) == (600, 600, False)
    assert unseen.image.frames_judged == FRAMES <= unseen.image.frames_seen < unseen.image.frames_total
    assert list(unseen.image.unseen) == [pb.UNSEEN_FRAMES]
    assert pb.VERDICT_RAISE_PARTIAL in unseen.raised_by
    # Of 600 frames no more are encoded than differ.
    assert views == seen.image.frames_judged + unseen.image.frames_judged <= 2 * FRAMES


async def test_the_worst_frame_is_named_with_its_time(toy_model: Model, looking: str) -> None:
    red = Image.fromarray(np.array(plain_picture("red", 64)))
    blues = [Image.new("RGB", (64, 64), (0, 0, 200 + 10 * number)) for number in range(5)]
    data = encode_animation([*blues[:3], red, *blues[3:]], "GIF", milliseconds=[100, 200, 300, 400, 500, 600])
    async with serving(toy_model, live=looking) as rig:
        moderation = await rig.moderate(data)
    view = moderation.categories[0].winning_view
    assert (view.frame, view.time.ToMilliseconds()) == (3, 600)
