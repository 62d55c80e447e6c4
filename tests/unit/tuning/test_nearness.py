"""Bounds along few directions leave out no near pair: groups are those of measuring every pair at full width."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.tuning.design import nearness
from clipwarden.tuning.design.groups import NEAR, near_duplicates
from clipwarden.tuning.design.linkage import complete_linkage
from clipwarden.tuning.design.nearness import Nearness
from kit import everypair

Vectors = NDArray[np.float32]
World = Callable[[np.random.Generator, int, int], Vectors]


def unit(vectors: NDArray[np.float64]) -> Vectors:
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def cone(rng: np.random.Generator, count: int, width: int) -> Vectors:
    """What models make: all point one way, and a few directions hold most of what differs; a tenth have copies."""
    spread = 1 / np.sqrt(np.arange(1, width + 1))
    vectors = rng.normal(size=(count, width)) * spread / np.sqrt((spread**2).sum()) + rng.normal(size=width) / width
    copies = rng.choice(count, count // 10, replace=False)
    strength = rng.uniform(0, 0.5, (len(copies), 1)) / np.sqrt(width)
    vectors[copies] = vectors[rng.integers(0, count, len(copies))] + strength * rng.normal(size=(len(copies), width))
    return unit(vectors)


def even(rng: np.random.Generator, count: int, width: int) -> Vectors:
    return unit(rng.normal(size=(count, width)))


def line(rng: np.random.Generator, count: int, width: int) -> Vectors:
    """A chain in which every neighbour is near, so that many pairs lie at the threshold."""
    angle = np.sort(rng.uniform(0, np.pi, count))
    vectors = np.zeros((count, width))
    vectors[:, 0], vectors[:, 1] = np.cos(angle), np.sin(angle)
    return unit(vectors[rng.permutation(count)])


def twins(rng: np.random.Generator, count: int, width: int) -> Vectors:
    """Every picture three times, and one direction that tells nothing: the widest has no variance to speak of."""
    vectors = np.repeat(cone(rng, count // 3 + 1, width).astype(np.float64), 3, axis=0)[:count]
    return unit(vectors[rng.permutation(count)] + [1.0, *[0.0] * (width - 1)])


def opposite(rng: np.random.Generator, count: int, width: int) -> Vectors:
    """Two tight heaps, far apart: nearly all that differs lies along one direction."""
    vectors = 0.05 * rng.normal(size=(count, width))
    vectors[:, 0] += rng.choice([-1.0, 1.0], count)
    return unit(vectors)


WORLDS = (cone, even, line, twins, opposite)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("width", [3, 16, 160])
def test_groups_are_those_of_every_pair_at_full_width(
    world: World, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearness, "_FEW", 50)
    for seed in range(2):
        vectors = world(np.random.default_rng(seed), 700, width)
        number, rough = complete_linkage(vectors, NEAR)
        expected, expected_rough = everypair.complete_linkage(vectors, NEAR)
        assert (number.tolist(), rough) == (expected.tolist(), expected_rough)


@given(st.integers(0, 10_000), st.sampled_from(WORLDS), st.integers(2, 200), st.floats(0.0, 2.0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_near_pair_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    world: World,
    width: int,
    reach: float,
) -> None:
    monkeypatch.setattr(nearness, "_FEW", 10)
    vectors = world(np.random.default_rng(seed), 150, width)
    found = [
        pair
        for part in Nearness(vectors, reach).pairs()
        for pair in zip(*(each.tolist() for each in part), strict=True)
    ]
    wide = vectors.astype(np.float64)
    apart = 1 - wide @ wide.T
    must = {(one, other) for one, other in np.argwhere(apart <= reach).tolist() if one < other}
    may = {(one, other) for one, other in np.argwhere(apart <= reach + 1e-4).tolist() if one < other}
    assert len(found) == len(set(found))
    assert must <= set(found) <= may


@pytest.mark.parametrize("directions", [1, 2, 8, 40])
def test_any_number_of_directions_gives_the_same_groups(directions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = cone(np.random.default_rng(7), 3_000, 64)
    expected = everypair.complete_linkage(vectors, NEAR)[0]
    monkeypatch.setattr(nearness, "_how_many", lambda *_given: directions)
    assert complete_linkage(vectors, NEAR)[0].tolist() == expected.tolist()


def test_a_flood_is_thinned_out_as_when_every_pair_is_measured() -> None:
    rng = np.random.default_rng(3)
    vectors = np.concatenate([cone(rng, 2_500, 32), np.repeat(even(rng, 3, 32), 200, axis=0)])
    vectors[2_500:] += rng.normal(0, 0.01, (600, 32)).astype(np.float32)
    vectors = unit(vectors.astype(np.float64))
    number, rough = complete_linkage(vectors, NEAR, most_edges=10_000)
    expected, expected_rough = everypair.complete_linkage(vectors, NEAR, most_edges=10_000)
    assert rough == expected_rough > 300
    assert number.tolist() == expected.tolist()


def test_the_order_of_pictures_changes_no_group() -> None:
    vectors = cone(np.random.default_rng(9), 4_000, 48)
    order = np.random.default_rng(1).permutation(len(vectors))
    one, other = near_duplicates(vectors)[order], near_duplicates(vectors[order])
    assert (
        len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(set(one.tolist())) == len(set(other.tolist()))
    )


def test_progress_rises_to_its_end() -> None:
    heard: list[tuple[int, int]] = []
    near_duplicates(even(np.random.default_rng(0), 3_000, 8), told=lambda done, total: heard.append((done, total)))
    assert heard == sorted(heard)
    assert len(heard) > 2
    assert heard[-1][0] == heard[-1][1]
