"""An encoder and some images in, how far an embedding depends on its neighbours in a batch out.

Dynamic int8 scales its activations over the whole batch: on ViT-B/32 the same image alone and among sixteen differs
by up to 0.017, half of a usual threshold window. Such a graph must carry `max_batch: 1`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Room for float32 sums in another order (each rounds by 6e-8; the embedded model differs by 0) and for nothing more.
MAX_BATCH_DEPENDENCE = 1e-5
_BATCH_SIZES = (2, 3, 8)


class Encoder(Protocol):
    """Anything that embeds uint8 [N,S,S,3] as float32 [N,D]."""

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed images."""


def batch_dependence(
    encoder: Encoder, pixels: NDArray[np.uint8], *, batch_sizes: Sequence[int] = _BATCH_SIZES
) -> float:
    """Embed each image alone and in mixed, shuffled batches, and measure how far the answers differ.

    Args:
        encoder: The encoder, as the server will run it.
        pixels: uint8 [N,S,S,3]; at least as many as the largest batch, as different from each other as can be.
        batch_sizes: Sizes to try.

    Returns:
        The largest L2 distance between unit vectors of the same image; at most `MAX_BATCH_DEPENDENCE` is independent.
    """
    alone = np.concatenate([encoder.encode(image[None]) for image in pixels])
    shuffle = np.random.default_rng(0)
    worst = 0.0
    for size in batch_sizes:
        order = shuffle.permutation(len(pixels))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            distances = np.linalg.norm(encoder.encode(pixels[rows]) - alone[rows], axis=1)
            worst = max(worst, float(distances.max()))
    return worst


def varied_pixels(side: int, count: int = 9) -> NDArray[np.uint8]:
    """Draw images of very different range: blank, noise, ramps and spots, so that shared scales would show.

    Args:
        side: S.
        count: How many.

    Returns:
        uint8 [count,S,S,3]; the same every time.
    """
    generator = np.random.default_rng(11)
    ramp = np.linspace(0, 1, side)
    images = []
    for index in range(count):
        colour = generator.uniform(0, 255, 3)
        noise = generator.uniform(0, 255, (side, side, 3)) * (index % 3 == 0)
        slope = ramp[:, None, None] * colour * (index % 3 == 1)
        spot = np.hypot(*np.meshgrid(ramp - generator.random(), ramp - generator.random()))[..., None] < 0.2  # noqa: PLR2004
        images.append(noise + slope + np.where(spot, colour, 8.0 * index))
    return np.stack(images).clip(0, 255).astype(np.uint8)
