"""Over many seeds, pictures are drawn as often as they say, each on its own."""

import numpy as np

from clipwarden.tuning.design.sampling import combine, draw, inclusion, later_rounds

SEEDS = 1500
PICTURES = [f"{number:064x}" for number in range(200)]
SCORES = np.random.default_rng(9).normal(size=200)


def test_pictures_are_drawn_as_often_as_they_say_and_independently() -> None:
    pi = inclusion(SCORES, 40)
    drawn = np.array([draw(PICTURES, pi, f"seed {number}") for number in range(SEEDS)])
    off = (drawn.mean(0) - pi) / np.sqrt(pi * (1 - pi) / SEEDS)
    assert np.abs(off).max() < 4.5
    assert off.std() < 1.2
    # The size of a Poisson sample varies by the sum of pi (1 - pi): no picture minds another.
    assert 0.9 < drawn.sum(1).var() / (pi * (1 - pi)).sum() < 1.1


def test_later_rounds_and_other_samples_add_up_to_the_chances_they_say() -> None:
    first, second = inclusion(SCORES, 20), inclusion(-SCORES, 30)
    rounds, samples = np.zeros(200), np.zeros(200)
    for number in range(SEEDS):
        one = draw(PICTURES, first, f"seed {number}")
        rounds += one | draw(PICTURES, second, f"seed {number}")
        samples += one | draw(PICTURES, second, f"other {number}")
    for seen, said in ((rounds, later_rounds(first, second)), (samples, combine(first, second))):
        assert np.abs((seen / SEEDS - said) / np.sqrt(said * (1 - said) / SEEDS)).max() < 4.5
