import numpy as np
import pytest

from clipwarden_export.verification.compare import (
    BARS,
    Bar,
    PromptFigures,
    compare,
    compare_prompts,
    prompt_shortfalls,
    shortfalls,
)


def unit_rows(seed: int, count: int = 20, dim: int = 16, spread: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = np.ones(dim) + spread * random.normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_equal_vectors_have_no_error() -> None:
    reference = unit_rows(1)
    figures = compare(reference, reference)
    assert figures.worst_cosine == 1.0
    assert figures.relative_error == 0.0
    assert figures.nearest_own == 1.0
    assert shortfalls("images", figures, BARS["fp32"]) == []


def test_error_is_measured_against_the_spread_between_inputs() -> None:
    # Random weights: all vectors within 1e-3 of each other, so that even a shuffled encoder has a fine cosine.
    reference = unit_rows(2, spread=1e-3)
    figures = compare(reference, np.roll(reference, 1, axis=0))
    assert figures.worst_cosine > BARS["fp32"].cosine
    assert figures.relative_error > 0.5
    assert figures.nearest_own == 0.0
    found = shortfalls("images", figures, BARS["fp32"])
    assert len(found) == 2
    assert "of the spread between different inputs" in found[0]
    assert "100.0% of the outputs are nearer to another input's reference" in found[1]


def test_spread_is_the_median_gap_of_different_references() -> None:
    angles = np.array([0.0, np.pi / 2, np.pi])
    reference = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert compare(reference, reference).spread == pytest.approx(1.0)


def test_constant_reference_proves_nothing() -> None:
    constant = np.repeat(unit_rows(3, count=1), 5, axis=0)
    figures = compare(constant, constant)
    assert figures.worst_cosine == 1.0
    assert figures.relative_error == float("inf")
    assert "every input the same vector" in shortfalls("images", figures, BARS["int8"])[0]
    assert all(np.isfinite(value) for value in figures.as_dict().values())


def test_shortfall_says_by_how_much() -> None:
    reference = unit_rows(4)
    candidate = unit_rows(4)
    candidate[0] += 0.05
    found = shortfalls("images on CPU", compare(reference, candidate), BARS["fp32"])
    assert "times the 0.001 allowed" in found[0]
    assert "short of 0.99999" in found[1]


def test_nan_is_below_every_bar() -> None:
    reference = unit_rows(5)
    candidate = reference.copy()
    candidate[3, 0] = np.nan
    assert len(shortfalls("images", compare(reference, candidate), BARS["int8"])) == 3


def test_equal_references_may_be_nearest_to_each_other() -> None:
    reference = unit_rows(6)
    reference[1] = reference[0]  # two texts that differ in case alone
    assert compare(reference, reference).nearest_own == 1.0


def test_change_of_prompt_cosines_and_of_the_top_prompt() -> None:
    images, prompts = unit_rows(7), unit_rows(8, count=30)
    same = compare_prompts((images, images), (prompts, prompts))
    assert (same.prompts, same.change_p99, same.top_prompt_agreement) == (30, 0.0, 1.0)
    moved = compare_prompts((images, unit_rows(9)), (prompts, prompts))
    assert moved.change_p99 > 0.003
    assert moved.top_prompt_agreement < 1.0


def test_only_int8_has_a_bar_on_prompt_cosines() -> None:
    figures = PromptFigures(prompts=3, change_p99=0.006, top_prompt_agreement=1.0)
    assert prompt_shortfalls("prompts", figures, BARS["fp32"]) == []
    assert prompt_shortfalls("prompts", figures, Bar(relative_error=1, cosine=0, prompt_change=0.01)) == []
    (sentence,) = prompt_shortfalls("prompts", figures, BARS["int8"])
    assert "move by 0.0060 (99th percentile), 2 times the 0.003 allowed" in sentence


def test_references_that_are_one_but_for_rounding_are_one() -> None:
    # Two spellings of one text: the origin rounds its two rows differently, the candidate embeds both alike.
    reference = unit_rows(5)
    reference[1] = reference[0]
    reference[1, :2] = np.nextafter(reference[0, :2], [np.inf, -np.inf], dtype=np.float32)
    candidate = reference.copy()
    candidate[0] = candidate[1]
    assert compare(reference, candidate).nearest_own == 1.0
    candidate[0] = candidate[2]
    assert compare(reference, candidate).nearest_own == pytest.approx(0.95)
