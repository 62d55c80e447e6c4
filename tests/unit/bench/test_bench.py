"""Benchmarks measure what they say: an encoder that encodes, ratios against bars, output that a program can read."""

import json
from pathlib import Path

import bench.__main__ as command
import numpy as np
import onnxruntime as ort
import pytest
from bench.measure import Ratio, Timing, describe_machine, time_together
from bench.scoring import BAR, TEXTS, make_compiled, run
from bench.vit import Geometry, int8_vit

from clipwarden.machine import usable_cpus
from clipwarden.policy.schema import Pool

TINY = Geometry(side=32, patch=16, width=32, layers=1, heads=2, hidden=64, dim=16)


def timing(median: float, best: float) -> Timing:
    return Timing(median_seconds=median, best_seconds=best, rounds=3)


def ratio(*, cost: float, bar: float | None) -> Ratio:
    return Ratio(name="cost / reference", cost=timing(cost, cost / 2), reference=timing(1.0, 1.0), bar=bar)


def test_the_encoder_turns_pixels_into_unit_vectors_that_depend_on_them(tmp_path: Path) -> None:
    session = ort.InferenceSession(int8_vit(TINY, folder=tmp_path), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    (embeddings,) = session.run(None, {"pixels": pixels})
    assert embeddings.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


def test_the_encoder_is_made_once(tmp_path: Path) -> None:
    first = int8_vit(TINY, folder=tmp_path)
    made = first.stat().st_mtime_ns
    assert int8_vit(TINY, folder=tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert list(tmp_path.iterdir()) == [first]


def test_scoring_is_measured_over_the_number_of_prompts_it_names(tmp_path: Path) -> None:
    assert len(make_compiled(Pool.MAX).vectors) == TEXTS + 1
    ratios = run(rounds=1, geometry=TINY, folder=tmp_path)
    assert all(ratio.of_medians > 0 and ratio.of_bests > 0 for ratio in ratios)
    assert [ratio.bar for ratio in ratios] == [BAR, BAR, None]


def test_works_are_timed_in_turn_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []
    timings = time_together({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, calls={"b": 2})
    assert order == ["a", "b", "b"] * 3
    assert timings["a"].rounds == 2


def test_what_a_work_leaves_behind_is_settled_outside_its_time() -> None:
    clock, order = iter(range(100)), list[str]()

    def tick() -> float:
        order.append("clock")
        return next(clock)

    def settle() -> None:
        order.append("settle")

    timings = time_together({"a": lambda: order.append("a")}, rounds=1, clock=tick, settle=settle)
    assert order == ["clock", "a", "clock", "settle"] * 2
    assert timings["a"].median_seconds == 1


def test_a_bar_is_held_against_the_ratio_of_medians() -> None:
    assert ratio(cost=0.01, bar=0.01).holds
    assert not ratio(cost=0.011, bar=0.01).holds
    assert ratio(cost=9.0, bar=None).holds


def test_the_machine_is_named() -> None:
    machine = describe_machine()
    assert machine["cpu"]
    assert machine["numpy"] == np.__version__
    assert machine["cores"].split()[0] == f"{usable_cpus():g}"
    assert machine["commit"]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        command,
        "BENCHMARKS",
        {"good": lambda: [ratio(cost=0.01, bar=0.02)], "bad": lambda: [ratio(cost=0.03, bar=0.02)]},
    )
    monkeypatch.setattr(command, "stay_on_one_core", lambda: None)


@pytest.mark.usefixtures("benchmarks")
class TestCommand:
    def test_prints_every_ratio_and_whether_its_bar_is_met(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main([]) == 0
        printed = capsys.readouterr().out
        assert "1.00% (0.50%); bar 2.0%: met" in printed
        assert "3.00% (1.50%); bar 2.0%: MISSED" in printed

    def test_check_makes_a_missed_bar_the_exit_status(self) -> None:
        assert command.main(["--check", "bad"]) == 1
        assert command.main(["--check", "good"]) == 0

    def test_json_is_one_object(self, capsys: pytest.CaptureFixture[str]) -> None:
        command.main(["good", "--json"])
        printed = json.loads(capsys.readouterr().out)
        assert printed["results"]["good"][0]["of_medians"] == 0.01
        assert printed["results"]["good"][0]["holds"] is True
        assert printed["machine"]["cores"]

    def test_an_unknown_benchmark_is_refused_with_those_there_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            command.main(["speed"])
        assert "there are: good, bad" in capsys.readouterr().err
