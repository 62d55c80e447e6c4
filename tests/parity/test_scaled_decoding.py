"""What decoding JPEGs at a reduced size costs the embedded model, against decoding them in full.

The unit is the spread: the median distance between the embeddings of different pictures. Figures of the run go to the
report (`pytest -rP`).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clipwarden.modelfolder.batch_dependence import MAX_BATCH_DEPENDENCE, batch_dependence, varied_pixels
from clipwarden.modelfolder.load import Model, embedded_model_path, load_model
from clipwarden.vision.decode import decode_image
from clipwarden.vision.preprocess import resized_size
from kit.pictures import drawing, encode, natural_picture

# Measured on 20 photographs of scikit-image's data folder as JPEG of quality 90, as they are and enlarged three times:
# mean 0.009 and 0.006, worst 0.017 and 0.012 of the spread, at S = 48 and the default decode scale of 2.
WORST_ALLOWED = 0.04
MEAN_ALLOWED = 0.02


@pytest.fixture(scope="module")
def model() -> Model:
    """Load the embedded model; a checkout without it fails here, on purpose."""
    return load_model(embedded_model_path(), threads=1)


def odd_sizes(count: int) -> list[tuple[int, int]]:
    """Choose sizes that the scaled decoder must round."""
    dice = np.random.default_rng(5)
    return [(int(dice.integers(500, 1100)), int(dice.integers(400, 900))) for _ in range(count)]


def jpegs() -> list[bytes]:
    scenes = [natural_picture(seed, size) for seed, size in enumerate(odd_sizes(8))]
    inks = [(220, 60, 40), (20, 20, 20), (40, 160, 90), (250, 200, 20)]
    figures = [
        drawing(700 + 13 * index, ink=ink).rotate(20 * index, fillcolor="white") for index, ink in enumerate(inks)
    ]
    return [encode(image, "JPEG", quality=90) for image in (*scenes, *figures)]


def embed(model: Model, data: bytes, decode_scale: int) -> NDArray[np.float32]:
    preprocessing = dataclasses.replace(model.manifest.image, decode_scale=decode_scale)
    (view,) = decode_image(data, preprocessing=preprocessing).views
    return model.image.encode(view.pixels[None])[0]


def test_scaled_decoding_moves_an_embedding_little_against_the_spread(
    model: Model, record_property: Callable[[str, object], None]
) -> None:
    pictures = jpegs()
    full = np.stack([embed(model, data, 0) for data in pictures])
    scaled = np.stack([embed(model, data, model.manifest.image.decode_scale) for data in pictures])
    between = np.linalg.norm(full[:, None] - full[None], axis=-1)[np.triu_indices(len(full), 1)]
    moved = np.linalg.norm(scaled - full, axis=1) / np.median(between)
    record_property("worst_over_spread", float(moved.max()))
    print(f"scaled decoding: mean {moved.mean():.4f}, worst {moved.max():.4f} of the spread {np.median(between):.3f}")  # noqa: T201
    assert model.manifest.image.decode_scale > 0
    assert moved.mean() <= MEAN_ALLOWED
    assert moved.max() <= WORST_ALLOWED


def test_scaled_decoding_never_moves_an_edge_by_a_pixel(model: Model) -> None:
    """The layout follows the true size: rounded up, 1003 x 565 would pad to another height than it is."""
    preprocessing = dataclasses.replace(model.manifest.image, fit="pad", pad_rgb=(255, 0, 255))
    for size in [(1003, 565), (641, 427), (999, 334), *odd_sizes(12)]:
        data = encode(Image.new("RGB", size, (0, 90, 0)), "JPEG", quality=95)
        views = [
            decode_image(data, preprocessing=dataclasses.replace(preprocessing, decode_scale=scale)).views[0]
            for scale in (0, 2)
        ]
        borders = [np.abs(view.pixels.astype(int) - (255, 0, 255)).max(axis=2) < 9 for view in views]
        assert np.array_equal(*borders), (size, resized_size(size, preprocessing))


def test_embedded_model_does_not_depend_on_its_batch(model: Model) -> None:
    assert batch_dependence(model.image, varied_pixels(model.manifest.image.side)) <= MAX_BATCH_DEPENDENCE


def test_embedded_model_answers_its_golden_vectors(model: Model) -> None:
    assert model.runtime.golden_drift <= model.manifest.golden.tolerance / 2
