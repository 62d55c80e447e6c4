import numpy as np

from recipes.mini.captions import soft_neighbours
from recipes.mini.train import halve


def test_targets_are_shared_by_meaning_and_sum_to_one() -> None:
    vectors = np.eye(5, 4, dtype=np.float32)
    vectors[4] = [0.9, np.sqrt(1 - 0.81), 0, 0]
    near, share = soft_neighbours(vectors, 3, 0.1)
    assert np.allclose(share.sum(1), 1.0)
    assert [row[np.argmax(weight)] for row, weight in zip(near, share, strict=True)] == [0, 1, 2, 3, 4]
    zero = dict(zip(near[0].tolist(), share[0].tolist(), strict=True))
    assert np.isclose(zero[4] / zero[0], np.exp(-0.1 / 0.1), rtol=1e-4)


def test_halving_keeps_colour_at_soft_edges() -> None:
    pixels = np.zeros((1, 4, 4, 4), np.uint8)
    pixels[0, :, 1:] = (200, 100, 50, 255)
    half = halve(pixels)
    assert half.shape == (1, 2, 2, 4)
    assert half[0, 0, 0].tolist() == [200, 100, 50, 128]
