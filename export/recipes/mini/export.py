"""Turn a checkpoint into a model folder: graphs, tokenizer, background, golden vectors, digests."""

import base64
import io
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from PIL import Image

from clipwarden.modelfolder.load import (
    Golden,
    GoldenImage,
    GoldenText,
    ModelManifest,
    Preprocessing,
    TextSettings,
    load_model,
    write_model_folder,
)
from clipwarden.modelfolder.manifest import COLOUR
from clipwarden_export.verification.background import background_texts
from recipes.mini.graphs import image_graph, text_graph
from recipes.mini.looks import SIDE
from recipes.mini.network import ImageTower
from recipes.mini.pictures import on_colour
from recipes.mini.render import load_drawings, load_pixels
from recipes.mini.text import MAX_TOKENS, WIDTH, TextTower, checkpoint_folder, embed_texts, load_text_tower

NAME: Final = "clipwarden-mini"
_GOLDEN_ICONS: Final = ("beer-mug", "skull", "dog-face", "red-apple")
_GOLDEN_TEXTS: Final = ("a firearm", "a glass of beer", "a dog")
# L2 between unit vectors. Measured across onnxruntime's optimisation levels: under 2e-6.
_TOLERANCE: Final = 1e-4
_WHITE: Final = (255, 255, 255)


def preprocessing() -> Preprocessing:
    """Return how the model wants its images: whole, on a white square, never cropped, in the colours that are shown."""
    return Preprocessing(side=SIDE, resample="bilinear", fit="pad", colour=COLOUR)


def load_tower(work: Path) -> tuple[ImageTower, float]:
    """Load the averaged image tower of the latest checkpoint.

    Args:
        work: The work folder.

    Returns:
        The tower and its logit scale.
    """
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    tower = ImageTower()
    tower.load_state_dict(state["average"])
    return tower.eval(), float(state["scale"].exp())


def export_model(work: Path, destination: Path, revision: str) -> None:
    """Write the model folder and check it: it must load, and answer its own golden vectors.

    Args:
        work: The work folder, trained.
        destination: The folder to write or replace; Markdown files in it are kept.
        revision: What model.json calls this version.
    """
    tower, scale = load_tower(work)
    text = load_text_tower(torch.from_numpy(np.load(work / "centre.npy")))
    graph = image_graph(tower)
    background = background_texts()
    manifest = ModelManifest(
        name=NAME,
        architecture="SE-ResNet (3x3, 2.9 M) + all-MiniLM-L6-v2, locked (LiT)",
        source="recipes.mini",
        revision=revision,
        license="Apache-2.0",
        precision="fp16",
        dim=WIDTH,
        logit_scale=round(scale, 3),
        image=preprocessing(),
        text=TextSettings(context_length=MAX_TOKENS, pad_id=0, lowercase=True),
        background=background,
        golden=Golden(tolerance=_TOLERANCE, images=_golden_images(work, graph), texts=_golden_texts(text)),
    )
    kept: dict[str, bytes | Path] = {p.name: p.read_bytes() for p in destination.glob("*.md")}
    write_model_folder(
        destination,
        manifest,
        files={
            "image.onnx": graph,
            "text.onnx": text_graph(text),
            "tokenizer.json": checkpoint_folder() / "tokenizer.json",
            **kept,
        },
        background=embed_texts(text, background),
        overwrite=True,
        before_publish=_load_once,
    )


def _load_once(folder: Path) -> None:
    """Refuse to publish a folder that does not load or does not answer its golden vectors."""
    load_model(folder)


def _golden_images(work: Path, graph: bytes) -> tuple[GoldenImage, ...]:
    drawings, pixels = load_drawings(work), load_pixels(work)
    rows = {d.icon: i for i, d in enumerate(drawings) if d.icon_set == "noto-v1"}
    pictures = [
        on_colour(pixels[rows[icon]], _WHITE).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for icon in _GOLDEN_ICONS
    ]
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    vectors = session.run(None, {"pixels": np.stack([np.asarray(p) for p in pictures])})[0]
    return tuple(GoldenImage(png=_png(p), embedding=_floats(v)) for p, v in zip(pictures, vectors, strict=True))


def _golden_texts(text: TextTower) -> tuple[GoldenText, ...]:
    vectors = embed_texts(text, _GOLDEN_TEXTS)
    return tuple(GoldenText(text=t, embedding=_floats(v)) for t, v in zip(_GOLDEN_TEXTS, vectors, strict=True))


def _floats(vector: npt.NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(f"{value:.7g}") for value in vector)


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
