import pytest
import torch

from recipes.mini.augment import Augmenter, quantise_blocks


def _drawings(count: int = 6) -> torch.Tensor:
    rgba = torch.zeros(count, 96, 96, 4, dtype=torch.uint8)
    rgba[:, 24:72, 24:72] = torch.tensor([200, 30, 30, 255], dtype=torch.uint8)
    return rgba


def _views(seed: int, side: int = 64) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return Augmenter(side=side, rng=rng)(_drawings(), torch.tensor([True, False] * 3))


def test_views_are_pixels_of_the_asked_side() -> None:
    views = _views(1, side=48)
    assert views.shape == (6, 3, 48, 48)
    assert 0.0 <= float(views.min()) <= float(views.max()) <= 1.0


def test_one_seed_gives_one_batch() -> None:
    assert torch.equal(_views(7), _views(7))
    assert not torch.equal(_views(7), _views(8))


@pytest.mark.parametrize("side", [48, 64, 80])
def test_coarse_blocks_stay_near_the_picture_and_fine_ones_keep_it(side: int) -> None:
    picture = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    fine = quantise_blocks(picture, torch.full((2, 1, 1, 1, 1, 1), 1e-4))
    coarse = quantise_blocks(picture, torch.full((2, 1, 1, 1, 1, 1), 0.2))
    assert (fine - picture).abs().max() < 0.01
    assert 0.01 < (coarse - picture).abs().mean() < 0.5
