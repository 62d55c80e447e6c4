"""Small parts of the engine, each by itself."""

import asyncio
import io
import os
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clipwarden.engine import pipeline as pipeline_module
from clipwarden.engine.judging import JUDGING_MICROSECONDS, judging_microseconds
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.engine.snapshot import find_policy, load_snapshot, make_snapshot
from clipwarden.engine.terms import UNBOUND, Terms
from clipwarden.engine.threads import LOOP_BUDGET_MICROSECONDS, Errand, WorkThreads
from clipwarden.errors import (
    ConfigError,
    DeadlineError,
    EmbeddingError,
    EncoderError,
    FingerprintMismatchError,
    ImageError,
    OverloadedError,
    PolicyUnknownError,
    Reason,
)
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Verdict
from clipwarden.vision.decode import decode_file
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.plan import WHOLE, ViewPlan, Views
from kit.serving import colours_snapshot, colours_yaml, eventually, picture


def plain_image(*, see_through: bool) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 255, (40, 40, 4 if see_through else 3), np.uint8))


async def test_pipeline_judges_without_any_server(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    async with Pipeline(toy_model) as pipeline:
        allowed = await pipeline.moderate(picture("red"), snapshot.select(context="poppies"))
        assert allowed.verdict is Verdict.ALLOW
        blocked = await pipeline.moderate(picture("red"), snapshot.select())
        assert (blocked.verdict, blocked.decided_by) == (Verdict.BLOCK, ("red",))
        with pytest.raises(DeadlineError):
            await pipeline.moderate(picture("red"), snapshot.select(), terms=Terms(deadline=0.0))


async def test_image_is_embedded_once_and_judged_as_often_as_wanted(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    async with Pipeline(toy_model) as pipeline:
        at_once = await pipeline.moderate(picture("red"), snapshot.select())
        image = await pipeline.embed(picture("red"), WHOLE)
        later = await pipeline.judge(image, snapshot.select())
        assert later.judgement == at_once.judgement
        assert (await pipeline.judge(image, snapshot.select(context="poppies"))).verdict is Verdict.ALLOW
        assert (image.fingerprint, image.plan, pipeline.admission.items) == (toy_model.fingerprint, WHOLE, 0)


async def test_policy_of_another_model_is_refused_before_anything_is_decoded(toy_model: Model) -> None:
    selection = colours_snapshot(replace(toy_model, fingerprint="sha256:" + "0" * 64)).select()
    async with Pipeline(toy_model) as pipeline:
        with pytest.raises(FingerprintMismatchError, match="the policy is of model sha256:00"):
            await pipeline.moderate(b"no image", selection)


@pytest.mark.parametrize("views", [1, 2], ids=["opaque", "see-through"])
async def test_pixels_reach_the_encoder_as_the_decoder_laid_them(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    decoded, encoded = [], []

    def noting(*arguments: object, **settings: object) -> DecodedImage:
        decoded.append(decode_file(*arguments, **settings))  # type: ignore[arg-type]
        return decoded[-1]

    def encode(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        encoded.append(pixels)
        return toy_model.image.encode(pixels)

    monkeypatch.setattr(pipeline_module, "decode_file", noting)
    model = replace(toy_model, image=SimpleNamespace(encode=encode))
    data = io.BytesIO()
    plain_image(see_through=views == 2).save(data, "PNG")
    async with Pipeline(model) as pipeline:
        await pipeline.embed(data.getvalue(), WHOLE)
    (image,) = decoded
    assert len(image.pixels) == views
    assert np.shares_memory(image.pixels, encoded[-1])
    assert all(np.shares_memory(image.pixels, view.pixels) for view in image.views)


async def test_embeddings_of_another_model_or_plan_are_refused(toy_model: Model) -> None:
    selection = colours_snapshot(toy_model).select()
    async with Pipeline(toy_model) as pipeline:
        image = await pipeline.embed(picture("red"), WHOLE)
        with pytest.raises(FingerprintMismatchError, match="the embeddings are of model sha256:00"):
            await pipeline.judge(replace(image, fingerprint="sha256:00"), selection)
        with pytest.raises(EmbeddingError, match="view plan tiles, not whole"):
            await pipeline.judge(replace(image, plan=ViewPlan(views=Views.TILES)), selection)
        with pytest.raises(EmbeddingError, match="unit norm"):
            await pipeline.judge(replace(image, embeddings=image.embeddings * 2), selection)


async def test_stored_embeddings_pass_admission(toy_model: Model) -> None:
    selection = colours_snapshot(toy_model).select()
    async with Pipeline(toy_model, EngineSettings(queue_items=1)) as pipeline:
        image = await pipeline.embed(picture("red"), WHOLE)
        with pipeline.admission.arrive(UNBOUND, size=1), pytest.raises(OverloadedError):
            await pipeline.judge(image, selection)


async def test_short_work_runs_at_once_and_long_work_in_a_thread() -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=30)
    here = threading.get_ident()
    assert await threads.run_if_long(threading.get_ident, microseconds=LOOP_BUDGET_MICROSECONDS) == here
    assert await threads.run_if_long(threading.get_ident, microseconds=LOOP_BUDGET_MICROSECONDS + 1) != here
    threads.close()


def test_what_judging_takes_grows_with_views_and_texts(toy_model: Model) -> None:
    compiled = colours_snapshot(toy_model).select().compiled
    always, a_concept, a_number = JUDGING_MICROSECONDS
    one, many = judging_microseconds(1, compiled), judging_microseconds(64, compiled)
    assert one == always + a_concept * 5 + a_number * compiled.vectors.size
    assert many - one == pytest.approx(63 * a_number * compiled.vectors.size)


async def test_waiting_decode_that_is_cancelled_leaves_its_place() -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=30)
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait))
    second = asyncio.create_task(threads.run(lambda: 2))
    third = asyncio.create_task(threads.run(lambda: 3))
    await asyncio.sleep(0)
    second.cancel()
    release.set()
    assert (await third).value == 3
    assert (await first).value is True
    with pytest.raises(asyncio.CancelledError):
        await second
    threads.close()


async def test_decode_that_fails_raises_what_it_raised() -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=30)

    def fail() -> None:
        raise ImageError("m", reason=Reason.IMAGE_CORRUPT)

    with pytest.raises(ImageError):
        await threads.run(fail)
    assert (await threads.run(lambda: 1)).value == 1
    threads.close()


@pytest.mark.parametrize("error", [StopIteration, SystemExit, asyncio.CancelledError])
async def test_what_no_future_or_task_may_carry_fails_its_own_call_and_nothing_else(error: type[BaseException]) -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=30)

    def fail() -> None:
        raise error("from a thread")

    with pytest.raises(RuntimeError, match=error.__name__) as caught:
        await asyncio.wait_for(threads.run(fail), timeout=60)
    assert isinstance(caught.value.__cause__, error)
    assert (await threads.run(lambda: 1)).value == 1
    threads.close()


class BrokenStart(Errand):
    """A turn whose owner has a fault of its own."""

    def start(self) -> None:
        raise ZeroDivisionError("a fault of the owner's")


class BrokenWait(Errand):
    """Likewise."""

    def wait(self) -> None:
        raise ZeroDivisionError("a fault of the owner's")


@pytest.mark.parametrize("turn", [BrokenStart(), BrokenWait()])
async def test_a_fault_in_the_turn_of_one_keeps_no_other_caller_waiting(turn: Errand) -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=30)
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait))
    await asyncio.sleep(0)
    broken = asyncio.create_task(threads.run(lambda: 2, turn=turn))
    third = asyncio.create_task(threads.run(lambda: 3))
    await asyncio.sleep(0)
    release.set()
    async with asyncio.timeout(60):
        assert (await first).value is True
        with pytest.raises(ZeroDivisionError):
            await broken
        assert (await third).value == 3
    assert threads.statistics().busy == 0
    threads.close()


async def test_a_fault_of_who_hears_of_health_keeps_no_caller_waiting() -> None:
    def broken(healthy: bool) -> None:  # noqa: FBT001
        told.append(healthy)
        raise ZeroDivisionError("a fault of the listener's")

    told: list[bool] = []
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context.get("exception")))
    threads = WorkThreads("test", threads=2, stall_seconds=0.01, on_health=broken)
    release = threading.Event()
    both = [asyncio.create_task(threads.run(release.wait)) for _ in range(2)]
    async with asyncio.timeout(60):
        for each in both:
            with pytest.raises(EncoderError):
                await each
        release.set()
        await eventually(lambda: threads.statistics().busy == 0)
        assert (await threads.run(lambda: 1)).value == 1
    assert told == [False, True]
    assert [type(fault) for fault in faults] == [ZeroDivisionError] * 2
    threads.close()


def test_two_policies_of_one_id_are_refused(toy_model: Model) -> None:
    compiled = colours_snapshot(toy_model).tables["colours"].compiled
    with pytest.raises(ConfigError, match="Two of the policies have the id 'colours'"):
        make_snapshot(toy_model, [compiled, compiled])


def test_default_policy_must_be_loaded(toy_model: Model) -> None:
    compiled = colours_snapshot(toy_model).tables["colours"].compiled
    with pytest.raises(ConfigError, match="'typo' is not among those loaded: colours"):
        make_snapshot(toy_model, [compiled], "typo")


def test_policies_are_found_as_files_and_by_their_shipped_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    assert find_policy(str(path)) == path
    assert find_policy("default").name == "default.yaml"
    for name in ("typo", "typo.yaml", "a/default"):
        with pytest.raises(ConfigError, match=f"no policy file {name}"):
            find_policy(name)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match=r"pipe\.yaml is a pipe or a device, which is read only once"):
        find_policy(str(tmp_path / "pipe.yaml"))


def test_snapshot_loads_a_model_and_its_policies(toy_folder: Path, toy_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    snapshot = load_snapshot(str(toy_folder), [str(path)], threads=1)
    assert list(snapshot.tables) == ["colours"]
    assert snapshot.default_policy_id == "colours"
    with pytest.raises(PolicyUnknownError, match="loaded are: colours"):
        snapshot.select("typo")
