"""An existing folder is bound to an imported policy only while the comparison covers what the policy compares."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from clipwarden_export.importers.imageonly import Tower, TowerReport, compare_with_tower
from clipwarden_export.verification.compare import Figures, PromptFigures
from clipwarden_export.verification.evidence import IMAGES, prepare_images
from kit.pictures import natural_picture
from kit.toymodel import load_toy_model

CLOSE = Figures(samples=2, worst_cosine=1.0, mean_cosine=1.0, spread=0.5, relative_error=0.0, nearest_own=1.0)


def test_given_pictures_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model = load_toy_model(folder)
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(3):
        natural_picture(seed, (64, 64)).save(photos / f"{seed}.png")
    held: list[bool] = []

    def embed(images: Sequence[Image.Image]) -> NDArray[np.float32]:
        held.extend(images[place] is images[place] for place in range(IMAGES, len(images)))
        return model.image.encode(prepare_images(images, model.manifest.image))

    tower = Tower(
        name="toy",
        architecture="toy",
        source="toy",
        revision="local",
        license="unknown",
        dim=model.manifest.dim,
        image=model.manifest.image,
        module=nn.Identity(),
        embed=embed,
        vectors=np.eye(3, model.manifest.dim, dtype=np.float32),
    )
    _, report = compare_with_tower(folder, tower, images_folder=photos)
    assert held == [False] * 3
    assert report.providers["CPUExecutionProvider"][0].samples == IMAGES + 3


@pytest.mark.parametrize(("precision", "count"), [("int8", 1), ("fp32", 0)])
def test_an_int8_folder_whose_cosines_to_the_vectors_moved_is_not_bound(precision: str, count: int) -> None:
    moved = PromptFigures(prompts=20, change_p99=0.006, top_prompt_agreement=1.0)
    report = TowerReport(precision=precision, providers={"CPU": (CLOSE, moved)}, skipped={})
    assert len(report.shortfalls) == count
    assert all("move by 0.0060 (99th percentile)" in sentence for sentence in report.shortfalls)
