import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from clipwarden.errors import DesignError
from clipwarden.tuning.design.sampling import chances
from clipwarden.tuning.lines.draws import evenly, one_each


@given(group=st.lists(st.integers(0, 5), max_size=40), seed=st.integers(0, 99))
def test_one_of_each_group_is_chosen_whatever_the_order(group: list[int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    groups, u, uploads = np.array(group, dtype=int), chance.random(len(group)), chance.integers(1, 9, len(group))
    chosen = one_each(groups, u, uploads)
    assert sorted(groups[chosen].tolist()) == sorted(set(group))
    order = chance.permutation(len(group))
    assert one_each(groups[order], u[order], uploads[order]).tolist() == chosen[order].tolist()


def test_a_picture_that_was_uploaded_often_speaks_for_its_group_as_often() -> None:
    pictures = [f"{number:064x}" for number in range(4000)]
    group = np.repeat(np.arange(2000), 2)
    uploads = np.tile([9, 1], 2000)
    chosen = one_each(group, chances(pictures, "lines"), uploads)
    assert binomtest(int(chosen[::2].sum()), 2000, 0.9).pvalue > 0.001


def test_a_thinned_sample_is_even() -> None:
    chance = np.random.default_rng(8)
    pi = np.where(np.arange(40_000) % 2, 0.9, 0.3)
    drawn = chance.random(len(pi)) < pi
    kept = np.zeros(len(pi), dtype=bool)
    kept[drawn] = evenly(pi[drawn], chance.random(int(drawn.sum())))
    for half in (kept[::2], kept[1::2]):
        assert binomtest(int(half.sum()), 20_000, 0.3).pvalue > 0.001
    assert evenly(np.full(5, 0.2), np.full(5, 0.999)).all()
    assert len(evenly([], [])) == 0
    with pytest.raises(DesignError):
        evenly([0.5, 0.0], [0.1, 0.1])
