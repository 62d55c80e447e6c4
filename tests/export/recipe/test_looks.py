import numpy as np
import pytest
import torch
from PIL import Image

from recipes.mini.looks import SIDE, content_square, embed_looks, resample
from recipes.mini.network import ImageTower


def on_ground(content: torch.Tensor, ground: float, left: int, top: int) -> torch.Tensor:
    canvas = torch.full((1, 3, SIDE, SIDE), ground)
    canvas[:, :, top : top + content.shape[1], left : left + content.shape[2]] = content
    return canvas


def test_the_square_holds_the_content_and_a_margin() -> None:
    picture = on_ground(torch.full((3, 40, 30), 90.0), 255.0, left=10, top=50)
    centre, width = content_square(picture)
    assert centre.tolist() == [[25.0, 70.0]]
    assert width.item() == pytest.approx(40 * 1.16)


def test_a_blank_a_faint_and_a_full_picture_are_seen_whole() -> None:
    blank = torch.full((1, 3, SIDE, SIDE), 7.0)
    faint = on_ground(torch.full((3, 40, 30), 240.0), 255.0, left=10, top=50)
    noise = torch.randint(0, 256, (1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).float()
    for picture in (blank, faint, noise):
        centre, width = content_square(picture)
        assert width.item() == SIDE
        assert (centre - SIDE / 2).abs().max() <= 1.0


def test_a_speck_is_not_blown_up_further_than_three_times() -> None:
    speck = on_ground(torch.zeros(3, 4, 4), 255.0, left=30, top=30)
    assert content_square(speck)[1].item() == SIDE / 3


@pytest.mark.parametrize("side", [48, 64, 96])
def test_a_whole_picture_is_resized_as_pillow_does(side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    ours = resample(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].float(),
        torch.full((1, 2), SIDE / 2),
        torch.full((1,), float(SIDE)),
        side,
    )
    theirs = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR), np.float32)
    # Pillow cuts the filter at the border, we repeat the edge: the same here, as the centres lie inside.
    assert np.abs(ours[0].permute(1, 2, 0).numpy() - theirs).max() < 1.5


def test_where_a_drawing_stands_and_how_large_hardly_matters() -> None:
    torch.manual_seed(0)
    tower = ImageTower().eval()
    drawing = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1)) * 200.0
    large = torch.nn.functional.interpolate(drawing, scale_factor=2.0, mode="nearest")[0].round()
    small, moved = (on_ground(drawing[0].round(), 255.0, left, top) for left, top in ((28, 28), (3, 50)))
    other = on_ground(large.flip(1), 255.0, 8, 8)
    with torch.inference_mode():
        vectors = embed_looks(tower, torch.cat([on_ground(large, 255.0, 8, 8), small, moved, other]))
    assert vectors[1] @ vectors[2] > 0.99999
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[3]
