"""A safety checker of diffusers' own class with seeded weights, whose verdicts and adjustment each decide a fair share
of the pictures. Imports torch and diffusers: for tests of the importers only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from kit.checkpoints import CARD, SEED, seeded

SIDE, WIDTH = 64, 64
SPREAD = 0.012  # standard deviation of a cosine over the pictures: about the adjustment, so that it decides often
SAFE_GAP = 2e-5  # no picture is nearer to a bound than this, ten times what two runtimes differ by


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What diffusers says of N pictures, bool [N] each."""

    flagged: NDArray[np.bool_]
    alone: NDArray[np.bool_]  # flagged without any adjustment
    special: NDArray[np.bool_]


def image_processor() -> transformers.CLIPImageProcessorPil:
    return transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def make_checker(pictures: Sequence[Image.Image]) -> StableDiffusionSafetyChecker:
    """Build a checker and move its thresholds until each verdict and the adjustment decide a fifth of the pictures."""
    tower = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2}
    config = transformers.CLIPConfig(
        vision_config={**tower, "patch_size": 16, "image_size": SIDE, "projection_dim": WIDTH}, projection_dim=WIDTH
    )
    checker = seeded(StableDiffusionSafetyChecker(config))
    vectors = embed(checker, pictures).astype(np.float64)
    random = np.random.default_rng(SEED)
    concepts = _concepts(vectors, random)
    special = random.normal(size=(3, WIDTH))
    special_cosines = vectors @ (special / np.linalg.norm(special, axis=1, keepdims=True)).T
    special_thresholds = np.array([_gap(column, 0.65, 0.85) for column in special_cosines.T])
    fires = (special_cosines > special_thresholds).any(axis=1)
    cosines = vectors @ (concepts / np.linalg.norm(concepts, axis=1, keepdims=True)).T
    swapped = (special_cosines[:, ::-1] > special_thresholds).any(axis=1)
    thresholds = _thresholds(cosines, fires, swapped)
    with torch.no_grad():
        for name, value in (
            ("concept_embeds", concepts * 3.0),  # of no special length, as the published ones
            ("special_care_embeds", special),
            ("concept_embeds_weights", thresholds),
            ("special_care_embeds_weights", special_thresholds),
        ):
            getattr(checker, name).copy_(torch.from_numpy(value))
    return checker


def save_checker(checker: StableDiffusionSafetyChecker, folder: Path, *, layout: str = "plain") -> Path:
    """Save it as transformers does now (`plain`), as the published ones lie (`old`), or inside a pipeline."""
    target = folder / "safety_checker" if layout == "pipeline" else folder
    checker.save_pretrained(target)
    processor = folder / "feature_extractor" if layout == "pipeline" else folder
    image_processor().save_pretrained(processor)
    (folder / "README.md").write_text(CARD)
    if layout == "old":
        _age(folder)
    return folder


def diffusers_verdicts(checker: StableDiffusionSafetyChecker, pictures: Sequence[Image.Image]) -> Verdicts:
    """Ask `forward_onnx`, and once more with thresholds that no special concept passes."""
    pixels = image_processor()(list(pictures), return_tensors="pt")["pixel_values"]
    flagged = _forward_onnx(checker, pixels)
    thresholds = checker.special_care_embeds_weights.clone()
    with torch.no_grad():
        checker.special_care_embeds_weights.fill_(2.0)
        alone = _forward_onnx(checker, pixels)
        checker.special_care_embeds_weights.copy_(thresholds)
        vectors = checker.visual_projection(checker.vision_model(pixels)[1])
        special = (cosine_distance(vectors, checker.special_care_embeds) > thresholds).any(dim=1).numpy()
    return Verdicts(flagged=flagged, alone=alone, special=special)


def forward_verdicts(checker: StableDiffusionSafetyChecker, pictures: Sequence[Image.Image]) -> NDArray[np.bool_]:
    """Ask `forward`, the path that rounds."""
    pixels = image_processor()(list(pictures), return_tensors="pt")["pixel_values"]
    _, flagged = checker(clip_input=pixels, images=[np.ones(1) for _ in pictures])
    return np.array(flagged)


def embed(checker: StableDiffusionSafetyChecker, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
    pixels = image_processor()(list(pictures), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        vectors = checker.visual_projection(checker.vision_model(pixels)[1])
        return torch.nn.functional.normalize(vectors).numpy()


def _forward_onnx(checker: StableDiffusionSafetyChecker, pixels: torch.Tensor) -> NDArray[np.bool_]:
    _, flagged = checker.forward_onnx(pixels, torch.ones(len(pixels), 3, 2, 2))
    return flagged.numpy()


def _concepts(vectors: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw 17 concepts whose cosines spread by `SPREAD`: a direction in which the pictures do not vary, and noise."""
    still = np.linalg.svd(vectors - vectors.mean(axis=0))[2][-1]
    noise = random.normal(size=(17, WIDTH)) / np.sqrt(WIDTH)
    spread = (vectors @ noise.T).std(axis=0, keepdims=True).T
    return still + noise * SPREAD / spread


def _gap(values: NDArray[np.float64], low: float, high: float) -> float:
    """Cut in the widest gap between two quantiles."""
    ordered = np.sort(values)
    first, last = int(low * len(ordered)), int(high * len(ordered))
    index = first + int(np.argmax(np.diff(ordered)[first:last]))
    return float(ordered[index] + ordered[index + 1]) / 2


def _thresholds(
    cosines: NDArray[np.float64], fires: NDArray[np.bool_], swapped: NDArray[np.bool_]
) -> NDArray[np.float64]:
    base = np.quantile(cosines, 0.9, axis=0)
    slack = cosines - base
    for shift in np.linspace(-0.03, 0.03, 2001):
        moved = slack.max(axis=1) - shift
        edges = np.abs(np.concatenate([(slack - shift).ravel(), (slack - shift + 0.01).ravel()]))
        alone, helped = moved > 0, (moved <= 0) & (moved > -0.01)
        groups = (alone, helped & fires, ~alone & ~(helped & fires))
        # An adjustment that always held, one by other special concepts, and one twice as large have to show.
        telling = (helped & ~fires, helped & (fires ^ swapped), (moved <= -0.01) & (moved > -0.02) & fires)
        if (
            min(group.mean() for group in groups) >= 0.2
            and all(group.any() for group in telling)
            and edges.min() > SAFE_GAP
        ):
            return base + shift
    raise AssertionError("no shift of the thresholds lets every verdict decide a fifth of the pictures")


def _age(folder: Path) -> None:
    """Rewrite a checker as CompVis published it: the tower's prefix twice, position ids, an older processor file."""
    weights = load_file(folder / "model.safetensors")
    aged = {
        f"vision_model.{name}" if name.startswith("vision_model.") else name: value for name, value in weights.items()
    }
    aged["vision_model.vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(aged, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    settings.pop("image_processor_type", None)
    settings |= {"feature_extractor_type": "CLIPFeatureExtractor", "size": SIDE, "crop_size": SIDE}
    path.write_text(json.dumps(settings))
