from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.mini import train
from recipes.mini.prepare import TrainingData
from recipes.mini.train import Plan, Trainer, sampling_weights


@pytest.fixture
def toy() -> TrainingData:
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(5, 8, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return TrainingData(
        pixels=chance.integers(0, 256, (12, 96, 96, 4), dtype=np.uint8),
        labels=np.arange(12) % 5,
        groups=np.array(["emoji", "flag", "colour", "plain"] * 3),
        sets=np.array(["noto", "flag", "icon-park", "game-icons"] * 3),
        toned=np.arange(12) == 8,
        palette=np.array([True, True, True, False] * 3),
        captions=vectors,
        near=np.tile(np.arange(5), (5, 1)),
        share=np.full((5, 5), 0.2, np.float32),
        focus=np.ones(5),
    )


@pytest.fixture
def plan() -> Plan:
    return Plan(minutes=1000.0, batch=4, sides=((0.0, (48,)),))


@pytest.fixture(autouse=True)
def _toy_set(monkeypatch: pytest.MonkeyPatch, toy: TrainingData) -> None:
    monkeypatch.setattr(train, "load_training", lambda _: toy)


def _begun(work: Path, plan: Plan) -> Trainer:
    """A run past its warm-up, where steps move the weights."""
    trainer = Trainer(work, plan)
    trainer.elapsed = 0.1 * 60.0 * plan.minutes
    return trainer


def test_a_run_resumed_takes_the_steps_it_would_have_taken(tmp_path: Path, plan: Plan) -> None:
    whole = _begun(tmp_path, plan)
    for _ in range(2):
        whole.train_step()
    whole.save()
    expected = [whole.train_step() for _ in range(2)]
    resumed = Trainer(tmp_path, plan)
    assert resumed.restore()
    assert [resumed.train_step() for _ in range(2)] == pytest.approx(expected, abs=1e-5)
    assert (resumed.step, resumed.samples) == (4, 16)


def test_without_a_checkpoint_a_run_starts_fresh(tmp_path: Path, plan: Plan) -> None:
    assert not Trainer(tmp_path, plan).restore()


def test_the_average_follows_the_weights(tmp_path: Path, plan: Plan) -> None:
    trainer = _begun(tmp_path, plan)
    before = trainer.average.head.weight.clone()
    for _ in range(3):
        trainer.train_step()
    moved = (trainer.average.head.weight - before).abs().sum()
    whole = (trainer.tower.head.weight - before).abs().sum()
    assert 0 < moved <= whole + 1e-6


def test_groups_get_their_shares_and_toned_drawings_a_fifth(toy: TrainingData) -> None:
    weights = sampling_weights(toy)
    emoji = toy.groups == "emoji"
    assert weights[emoji].sum() == pytest.approx(train.GROUP_SHARES["emoji"])
    assert weights[8] == pytest.approx(weights[0] / 5)


def test_the_clock_sets_rate_and_side() -> None:
    plan = Plan()
    assert plan.rate_at(0.0) == 0.0
    assert plan.rate_at(0.015) == pytest.approx(plan.rate)
    assert plan.rate_at(1.0) == pytest.approx(0.0, abs=1e-9)
    assert [set(plan.sides_at(p)) for p in (0.0, 0.6, 1.0)] == [{48}, {64}, {64}]


def test_the_tower_answers_unit_vectors_at_any_side() -> None:
    tower = train.ImageTower().eval()
    with torch.inference_mode():
        for side in (48, 80):
            assert tower(torch.rand(2, 3, side, side)).norm(dim=1).numpy() == pytest.approx([1.0, 1.0], abs=1e-5)
