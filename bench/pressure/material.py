"""What runs judge with and are judged on: a model folder, a policy, JPEGs and requests, kept beside the encoder."""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.scoring import background_rows, make_compiled
from bench.serving import make_model
from bench.vit import VIT_B_32, Geometry, int8_vit
from clipwarden.modelfolder.files import write_model_folder
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.golden import encode_golden_png
from clipwarden.modelfolder.manifest import Golden, GoldenImage
from clipwarden.policy.bundle.file import write_bundle
from clipwarden.policy.schema import Pool

TINY = Geometry(side=32, patch=16, width=32, layers=1, heads=2, hidden=64, dim=VIT_B_32.dim)
"""For tests: an encoder too small to mean anything, of the width that the benchmark's policy is made for."""

SIZES = {"1600x1200": (1600, 1200), "224x224": (224, 224)}
"""Of the images: what a phone uploads once the shop's app has scaled it, and what needs no scaling at all."""

VERSION = 1
"""Part of the folder's name; raised when what is written below changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Files that a run needs.

    Attributes:
        onnx: The image encoder, by itself: what the limit and the peers run.
        side: S, its input in pixels.
        model: A model folder with the same encoder and no text encoder.
        policy: A bundle for it, of 1,000 random texts.
        folder: Where these, and results, are kept.
    """

    onnx: Path
    side: int
    model: Path
    policy: Path
    folder: Path


def default_folder() -> Path:
    """Name the folder that keeps encoders, environments and results: beside `int8_vit`'s own files."""
    return Path(tempfile.gettempdir()) / f"clipwarden-bench-{os.getuid()}"


def make_material(folder: Path, *, geometry: Geometry = VIT_B_32) -> Material:
    """Write what is not there yet.

    Args:
        folder: Where it is kept.
        geometry: Of the encoder.

    Returns:
        Where everything is.
    """
    onnx = int8_vit(geometry, folder=folder)
    model = folder / f"model-{VERSION}-{onnx.stem}"
    policy = model.with_suffix(".bundle")
    if not (model.exists() and policy.exists()):
        _write(onnx, geometry, model, policy)
    return Material(onnx=onnx, side=geometry.side, model=model, policy=policy, folder=folder)


def _write(onnx: Path, geometry: Geometry, model: Path, policy: Path) -> None:
    """Write a model folder whose golden vector is its own answer here, and a policy bound to it."""
    loaded = make_model(onnx, geometry)
    pixels = np.random.default_rng(0).integers(0, 256, (geometry.side, geometry.side, 3), dtype=np.uint8)
    embedding = tuple(float(number) for number in loaded.image.encode(pixels[None])[0])
    # Dynamic int8 differs between processors in the third digit; this folder may be read on another one.
    golden = Golden(tolerance=0.05, images=(GoldenImage(png=encode_golden_png(pixels), embedding=embedding),))
    # Colours as they are shown, as in every folder that is exported today.
    image = replace(loaded.manifest.image, colour="srgb")
    manifest = replace(loaded.manifest, golden=golden, precision="int8", image=image, background=("background",))
    files = {"image.onnx": onnx}
    manifest = write_model_folder(model, manifest, files=files, background=background_rows(), overwrite=True)
    write_bundle(make_compiled(Pool.MAX, fingerprint=fingerprint(manifest)), policy)
