"""Ways of running an encoder: which are tried, which are struck, and when one is chosen."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from bench.vit import Geometry, int8_vit
from numpy.typing import NDArray

from clipwarden.engine.encoderplan import EncoderPlan
from clipwarden.engine.planning import (
    FINALISTS,
    LOOKS,
    MOST_TAKEN,
    ROUNDS,
    Findings,
    Measured,
    measure,
    thread_counts,
    ways_to_run,
)
from clipwarden.engine.saturation import Encode, Load, built_in_photo, exact_batch, images_a_second, lone_seconds
from clipwarden.errors import EncoderError
from clipwarden.modelfolder.batch_dependence import varied_pixels
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.load import Model, embedded_model_path, load_manifest
from clipwarden.modelfolder.session import open_session
from clipwarden.vision.decode import decode_image

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]

DEFAULT = EncoderPlan(encoder_threads=1, encoder_runs=2, max_batch=1, decode_threads=2, cpus=2.0)
SMALL = Geometry(side=32, patch=8, width=64, layers=2, heads=2, hidden=256, dim=32)
"""With 16 patches and 256 columns there is something for threads to share."""


def numbers(plan: EncoderPlan) -> tuple[int, int, int, int]:
    return plan.encoder_threads, plan.encoder_runs, plan.max_batch, plan.decode_threads


def load_of(*encoders: Encode, side: int = 4, max_batch: int = 8) -> Load:
    """Make a load of encoders of 1, 2 ... threads."""
    varied = varied_pixels(side)
    return Load(
        encoders=dict(zip(count(1), encoders, strict=False)),
        decode=lambda: varied[:1],
        varied=varied,
        max_batch=max_batch,
    )


def alone(pixels: Pixels) -> Vectors:
    """Embed each image by itself, with nothing of others in it."""
    return pixels.reshape(len(pixels), -1)[:, :2].astype(np.float32)


def timed(*rounds: float) -> Measured:
    """Make a way that has been measured."""
    return Measured(plan=DEFAULT, same_bits=True, looks=[1.0], rounds=list(rounds), alone=[1.0], lone_seconds=[1.0])


def test_on_two_cpus_one_step_to_each_side_is_tried_and_batches() -> None:
    assert [numbers(way) for way in ways_to_run(DEFAULT, cpus=2, max_batch=100)] == [
        (1, 2, 1, 2), (1, 3, 1, 2), (1, 1, 1, 2), (1, 2, 1, 3), (1, 2, 1, 1), (2, 1, 1, 2),
        (1, 2, 2, 2), (1, 2, 4, 2), (1, 2, 8, 2), (2, 1, 2, 2), (2, 1, 4, 2), (2, 1, 8, 2),
    ]  # fmt: skip


def test_a_share_of_one_cpu_leaves_little_to_choose() -> None:
    half = EncoderPlan(encoder_threads=1, encoder_runs=1, max_batch=1, decode_threads=1, cpus=0.5)
    assert [numbers(way) for way in ways_to_run(half, cpus=1, max_batch=1)] == [
        (1, 1, 1, 1), (1, 2, 1, 1), (1, 1, 1, 2)
    ]  # fmt: skip


def test_large_machines_try_few_numbers_of_threads_and_leave_no_cpu_out() -> None:
    assert (thread_counts(1), thread_counts(3), thread_counts(64)) == ([1], [1, 2, 3], [1, 2, 4, 64])
    many = EncoderPlan(encoder_threads=1, encoder_runs=7, max_batch=1, decode_threads=7, cpus=6.5)
    runs = {way.encoder_threads: way.encoder_runs for way in ways_to_run(many, cpus=7, max_batch=1)[5:]}
    assert runs == {2: 4, 4: 2, 7: 1}


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Encode]:
    """Open an int8 vision transformer with one and with three threads."""
    file = int8_vit(SMALL, folder=tmp_path_factory.mktemp("vit"))
    return {
        threads: ImageEncoder(open_session(file, threads=threads), side=SMALL.side, dim=SMALL.dim).encode
        for threads in (1, 3)
    }


def test_int8_weights_bear_any_threads_and_no_company(int8: dict[int, Encode]) -> None:
    load = Load(encoders=int8, decode=lambda: varied[:1], varied=(varied := varied_pixels(SMALL.side)), max_batch=8)
    assert [exact_batch(load, threads, at_once=4) for threads in int8] == [1, 1]


def test_int8_runs_at_once_have_the_bits_of_runs_one_after_another(int8: dict[int, Encode]) -> None:
    pixels = varied_pixels(SMALL.side)
    expected = np.concatenate([int8[1](image[None]) for image in pixels])
    together = threading.Barrier(4)

    def look(encode: Encode) -> Vectors:
        together.wait(timeout=60)
        return np.concatenate([encode(image[None]) for image in pixels])

    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(found, expected) for found in pool.map(look, [int8[1], int8[3]] * 2))


def test_batches_are_taken_up_to_where_bits_change() -> None:
    def crowded(pixels: Pixels) -> Vectors:
        return alone(pixels) + np.float32(1e-3 * (len(pixels) > 3))

    def shifted(pixels: Pixels) -> Vectors:
        return alone(pixels) * np.float32(1 + 1e-6)

    load = load_of(alone, crowded, shifted)
    assert [exact_batch(load, threads, at_once=2) for threads in (1, 2, 3)] == [8, 3, 0]
    assert exact_batch(load_of(alone, max_batch=2), 1, at_once=2) == 2


def test_a_neighbour_that_shows_in_a_batch_is_found_wherever_it_stands() -> None:
    bright = varied_pixels(4).reshape(9, -1).sum(axis=1).argmax()
    worst = varied_pixels(4)[bright]

    def afraid(pixels: Pixels) -> Vectors:
        """Tell of the brightest image in a batch, as a scale over the whole batch would."""
        found = alone(pixels)
        beside = len(pixels) > 1 and any(np.array_equal(each, worst) for each in pixels)
        return found + np.float32(1) if beside else found

    assert exact_batch(load_of(afraid), 1, at_once=1) == 1


def test_ways_of_other_bits_are_struck_and_not_timed() -> None:
    called = []

    def other(pixels: Pixels) -> Vectors:
        called.append(len(pixels))
        return alone(pixels) + np.float32(1)

    findings = measure(load_of(alone, other, max_batch=1), ways_to_run(DEFAULT, cpus=2, max_batch=1), seconds=0.01)
    struck = [way for way in findings.ways if not way.same_bits]
    assert [numbers(way.plan) for way in struck] == [(2, 1, 1, 2)]
    assert not struck[0].looks
    assert set(called) == {1}
    assert findings.default.plan == DEFAULT


def test_an_encoder_without_a_bit_to_rely_on_is_no_use() -> None:
    random = np.random.default_rng(1)

    def dice(pixels: Pixels) -> Vectors:
        return random.random((len(pixels), 2)).astype(np.float32)

    with pytest.raises(EncoderError, match="other bits from run to run"):
        measure(load_of(dice), [DEFAULT], seconds=0.01)


def test_measuring_looks_at_all_and_goes_rounds_with_the_best(toy_model: Model) -> None:
    side = toy_model.manifest.image.side
    varied = varied_pixels(side)
    load = Load(encoders={1: toy_model.image.encode}, decode=lambda: varied[:1], varied=varied, max_batch=4)
    ways = [way for way in ways_to_run(DEFAULT, cpus=2, max_batch=4) if way.encoder_threads == 1]
    told: list[tuple[int, int]] = []
    findings = measure(load, ways, seconds=0.01, advance=lambda done, total: told.append((done, total)))
    assert [way.plan for way in findings.ways] == ways
    assert all(way.same_bits and len(way.looks) == LOOKS and min(way.looks) > 0 for way in findings.ways)
    finalists = [way for way in findings.ways if way.rounds]
    assert (len(finalists), findings.default in finalists) == (FINALISTS + 1, True)
    assert {len(way.rounds) for way in finalists} == {ROUNDS}
    assert all(way.views_per_second_alone > 0 and way.lone_image_seconds > 0 for way in findings.ways)
    total = 2 * (LOOKS * len(ways) + ROUNDS * (FINALISTS + 1))
    assert told == [(done, total) for done in range(1, total + 1)]
    assert 0 <= findings.taken <= 1


def test_decodes_and_runs_are_as_many_at_once_as_the_plan_says() -> None:
    decodes, runs = threading.Barrier(3), threading.Barrier(2)
    seen = threading.local()

    def meet(others: threading.Barrier) -> None:
        """Wait in each thread, once, until as many are here as belong there."""
        if not getattr(seen, "met", False):
            seen.met = True
            others.wait(timeout=60)

    def decode() -> Pixels:
        meet(decodes)
        return varied[:1]

    def encode(pixels: Pixels) -> Vectors:
        meet(runs)
        return alone(pixels)

    varied = varied_pixels(4)
    load = Load(encoders={1: encode}, decode=decode, varied=varied, max_batch=1)
    plan = EncoderPlan(encoder_threads=1, encoder_runs=2, max_batch=1, decode_threads=3, cpus=2.0)
    assert images_a_second(load, plan, 0.01) > 0
    assert decodes.n_waiting == runs.n_waiting == 0


def test_an_encoder_that_fails_in_one_run_ends_the_others() -> None:
    runs = count()

    def fail_once(pixels: Pixels) -> Vectors:
        if next(runs) == 1:
            raise EncoderError("broken")
        return alone(pixels)

    plan = EncoderPlan(encoder_threads=1, encoder_runs=2, max_batch=1, decode_threads=1, cpus=2.0)
    with pytest.raises(EncoderError, match="broken"):
        images_a_second(load_of(fail_once), plan, 3600.0)


def test_a_way_is_chosen_only_where_it_wins_beyond_noise() -> None:
    default = timed(*[10.0] * 9)
    better, noisy = timed(11.0, *[12.0] * 7, 9.0), timed(*[30.0] * 7, 9.0, 9.0)
    assert Findings(ways=[default, better, noisy], taken=0.0).chosen is better
    gain = better.against(default)
    assert gain
    assert (gain.median, gain.low, gain.high) == pytest.approx((1.2, 1.1, 1.2))
    assert timed().against(default) is None


def test_small_gains_and_equal_ways_keep_the_default() -> None:
    default = timed(*[10.0] * 9)
    for other in (10.0, 10.4):
        assert Findings(ways=[default, timed(*[other] * 9)], taken=0.0).chosen is default
    assert Findings(ways=[default], taken=0.0).chosen is default


def test_beside_busy_neighbours_the_default_stays() -> None:
    default, better = timed(*[10.0] * 9), timed(*[20.0] * 9)
    assert Findings(ways=[default, better], taken=MOST_TAKEN).chosen is better
    disturbed = Findings(ways=[default, better], taken=MOST_TAKEN + 0.01)
    assert (disturbed.disturbed, disturbed.chosen) == (True, default)


def test_built_in_photo_is_a_photograph_to_a_decoder() -> None:
    manifest = load_manifest(embedded_model_path())
    facts = decode_image(built_in_photo(), preprocessing=manifest.image).facts
    assert facts.file
    assert (facts.file.format, facts.file.width, facts.file.height, facts.degraded) == ("JPEG", 1600, 1200, ())
    assert 200_000 < facts.file.bytes < 1_000_000
    assert built_in_photo() == built_in_photo()


@pytest.mark.parametrize(("max_batch", "sizes"), [(1, {1}), (3, {3}), (8, {8})])
def test_views_of_a_see_through_image_are_split_over_runs_as_a_server_splits_them(
    max_batch: int, sizes: set[int]
) -> None:
    seen: list[int] = []

    def encode(pixels: Pixels) -> Vectors:
        seen.append(len(pixels))
        return alone(pixels)

    load = replace(load_of(encode), decode=lambda: varied_pixels(4)[:2])
    plan = replace(DEFAULT, max_batch=max_batch)
    assert images_a_second(load, plan, seconds=0.01) > 0
    assert set(seen) == sizes
    seen.clear()
    assert lone_seconds(load, plan) > 0
    assert (sum(seen), max(seen)) == (2, min(2, max_batch))
