"""What runs at once unless settings say otherwise, and how it is warmed up."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from clipwarden.engine import encoderplan
from clipwarden.engine.encoderplan import DEVICE_BATCH, EncoderPlan, plan_for
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.engine.warmup import WARM_RUNS, bucket_sizes, warm_up
from clipwarden.modelfolder.batch_dependence import varied_pixels
from clipwarden.modelfolder.load import Model, embedded_model_path, load_manifest, load_model, open_image_encoder
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.shipped import shipped_policy
from clipwarden.vision.plan import WHOLE
from kit.pictures import encode, natural_picture

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]


def running(
    model: Model, *, provider: str = "CPUExecutionProvider", threads: int = 1, limit: int | None = None
) -> Model:
    """Say of a model where and how it runs."""
    return replace(
        model,
        manifest=replace(model.manifest, max_batch=limit),
        runtime=replace(model.runtime, provider=provider, encoder_threads=threads),
    )


@pytest.fixture
def cpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    share: float = request.param
    monkeypatch.setattr(encoderplan, "usable_cpus", lambda: share)
    monkeypatch.setattr(encoderplan, "available_cpus", lambda: int(np.ceil(share)))
    return share


@pytest.mark.parametrize(
    ("cpus", "runs", "decodes"),
    [(0.5, 1, 1), (1.0, 1, 1), (1.5, 2, 2), (2.0, 3, 2), (2.5, 4, 3), (16.0, 17, 16)],
    indirect=["cpus"],
)
def test_by_default_each_cpu_has_a_run_of_one_thread_and_a_decode_and_one_run_is_spare(
    toy_model: Model, cpus: float, runs: int, decodes: int
) -> None:
    assert plan_for(EngineSettings(), toy_model) == EncoderPlan(
        encoder_threads=1, encoder_runs=runs, max_batch=1, decode_threads=decodes, cpus=cpus
    )


@pytest.mark.parametrize("cpus", [4.0], indirect=True)
@pytest.mark.parametrize(("threads", "runs"), [(1, 5), (2, 2), (3, 1), (8, 1)])
@pytest.mark.usefixtures("cpus")
def test_runs_of_several_threads_are_fewer(toy_model: Model, threads: int, runs: int) -> None:
    assert plan_for(EngineSettings(), running(toy_model, threads=threads)).encoder_runs == runs


@pytest.mark.parametrize("cpus", [4.0], indirect=True)
@pytest.mark.usefixtures("cpus")
def test_elsewhere_than_on_cpus_one_run_takes_many_views(toy_model: Model) -> None:
    on_a_gpu = plan_for(EngineSettings(), running(toy_model, provider="CUDAExecutionProvider"))
    assert (on_a_gpu.encoder_runs, on_a_gpu.max_batch, on_a_gpu.decode_threads) == (1, DEVICE_BATCH, 4)
    assert plan_for(EngineSettings(), running(toy_model, provider="CUDAExecutionProvider", limit=4)).max_batch == 4


def test_settings_have_their_way_within_what_the_model_allows(toy_model: Model) -> None:
    settings = EngineSettings(encoder_runs=7, decode_threads=5, max_batch=8)
    plan = plan_for(settings, running(toy_model))
    assert (plan.encoder_runs, plan.decode_threads, plan.max_batch) == (7, 5, 8)
    assert plan_for(settings, running(toy_model, limit=2)).max_batch == 2


async def test_pipeline_runs_by_the_plan(toy_model: Model) -> None:
    async with Pipeline(running(toy_model, limit=2), EngineSettings(max_batch=8)) as pipeline:
        assert pipeline.encoder_plan.max_batch == pipeline._batcher.max_batch == 2
    async with Pipeline(toy_model) as pipeline:
        assert pipeline._batcher.max_batch == 1


def test_bucket_sizes_double_up_to_the_limit() -> None:
    assert bucket_sizes(1) == [1]
    assert bucket_sizes(8) == [1, 2, 4, 8]
    assert bucket_sizes(11) == [1, 2, 4, 8, 11]


async def test_warm_up_runs_every_size_on_every_thread_at_once_largest_first() -> None:
    sizes: list[int] = []
    paces: list[float] = []
    together = asyncio.Barrier(3)

    async def run(pixels: Pixels) -> tuple[Pixels, float]:
        await together.wait()  # passes only if three runs are under way at the same time
        sizes.append(len(pixels))
        return pixels, 0.2 * len(pixels)

    plan = EncoderPlan(encoder_threads=1, encoder_runs=3, max_batch=4, decode_threads=1, cpus=3.0)
    await warm_up(SimpleNamespace(run=run, note_pace=paces.append), plan, side=8)  # type: ignore[arg-type]
    assert sizes == [size for size in (4, 2, 1) for _ in range(3 * WARM_RUNS)]
    assert paces == [pytest.approx(0.2)]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("model", ["toy", "mini"])
def test_concurrent_runs_of_one_session_give_the_bits_of_one_after_another(
    toy_folder: Path, model: str, threads: int
) -> None:
    folder = toy_folder if model == "toy" else embedded_model_path()
    manifest = load_manifest(folder)
    pixels = varied_pixels(manifest.image.side)
    serial = open_image_encoder(folder, manifest)
    expected = np.concatenate([serial.encode(image[None]) for image in pixels])
    encoder = open_image_encoder(folder, manifest, threads=threads)
    together = Barrier(4)

    def look(start: int) -> Vectors:
        together.wait(timeout=60)
        order = np.roll(np.arange(len(pixels)), start)
        return np.concatenate([encoder.encode(pixels[index][None]) for index in order])[np.argsort(order)]

    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(found, expected) for found in pool.map(look, range(4)))


def test_texts_have_the_same_bits_whatever_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cpus in (1, 3):
        monkeypatch.setattr("clipwarden.modelfolder.load.available_cpus", lambda cpus=cpus: cpus)
        model = load_model(embedded_model_path(), check_golden=False)
        assert model.text
        assert model.text.at_once == cpus
        found.append(load_compiled(shipped_policy("stickers"), model=model).vectors)
    assert np.array_equal(*found)


def test_runs_of_the_text_encoder_have_one_thread_and_those_of_images_what_they_are_given() -> None:
    for asked, threads in ((None, 1), (2, 2)):
        model = load_model(embedded_model_path(), threads=asked, check_golden=False)
        assert model.text
        sessions = Counter(
            image=model.image._session.get_session_options().intra_op_num_threads,  # type: ignore[attr-defined]
            text=model.text._session.get_session_options().intra_op_num_threads,  # type: ignore[attr-defined]
        )
        assert sessions == {"image": threads, "text": 1}
        assert model.runtime.encoder_threads == threads


async def test_images_have_the_same_bits_whatever_runs_at_once() -> None:
    pictures = [encode(natural_picture(seed, (80, 60)), "PNG") for seed in range(6)]
    found = []
    for threads, runs in ((None, 1), (None, 3), (2, 2)):
        model = load_model(embedded_model_path(), threads=threads, check_golden=False)
        async with Pipeline(model, EngineSettings(encoder_runs=runs, decode_threads=2, cache_bytes=0)) as pipeline:
            images = await asyncio.gather(*(pipeline.embed(picture, WHOLE) for picture in pictures))
        found.append([image.embeddings for image in images])
    assert all(np.array_equal(one, other) for others in found[1:] for one, other in zip(found[0], others, strict=True))
