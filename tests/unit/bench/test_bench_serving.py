"""The serving benchmark runs, on an encoder too small to mean anything."""

from pathlib import Path

from bench import serving
from bench.vit import Geometry

# Of the width that the benchmark's policy is made for.
TINY = Geometry(side=32, patch=16, width=32, layers=1, heads=2, hidden=64, dim=512)


def test_both_sizes_of_image_are_measured_against_the_encoder(tmp_path: Path) -> None:
    ratios = serving.run(rounds=1, geometry=TINY, folder=tmp_path)
    assert [ratio.name for ratio in ratios] == [
        "8 images through gRPC (32x32 JPEG) / encode 8 views",
        "8 images through gRPC (1600x1200 JPEG) / encode 8 views",
    ]
    assert all(ratio.cost.median_seconds > 0 for ratio in ratios)
