"""Stable Diffusion's safety checker in; its vision tower, and its rule as a policy, out.

The rule, with `v` the image's unit vector, 17 concepts `c_k` with thresholds `t_k`, 3 special-care concepts `s_j` with
thresholds `u_j`: an image is flagged when `cos(v, c_k) - t_k + a > 0` for any k, where `a = 0.01` if
`cos(v, s_j) - u_j > 0` for any j, and 0 otherwise. The authors published vectors and thresholds without names.

Diffusers has two code paths that disagree at the boundary: `forward_onnx` compares as above, `forward` first rounds
each difference to three decimals, so that it flags only from 0.0005 on. We follow the first, unless asked otherwise.

Source: diffusers 0.42.1, pipelines/stable_diffusion/safety_checker.py; Rando et al. 2022, arXiv 2210.04610.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.policy.schema import Mode
from clipwarden_export.errors import SourceError
from clipwarden_export.importers.imageonly import Tower
from clipwarden_export.importers.imported import header
from clipwarden_export.importers.tensors import Arrays, read_tensors
from clipwarden_export.sources.checkpoint import chunks
from clipwarden_export.sources.processor import read_preprocessing
from clipwarden_export.sources.source import Download, Located, locate
from clipwarden_export.sources.towers import ImageTower, unit

POLICY_ID = "stable-diffusion-safety-checker"
VECTORS_NAME = "concepts.safetensors"
ADJUSTMENT = float(np.float32(0.01))
"""`a`, as float32 holds it. Added to a cosine in float64, the sum is exact, as the checker's own float32
`(cos - t) + a` is for thresholds above 0.02: theirs are near 0.2."""
ROUNDED_SHIFT = 0.0005
"""What rounding to three decimals before `> 0` adds to every threshold; a half rounds to even, hence to 0."""
SEVERITY = 2
"""The checker ranks nothing. Its concepts are sexual, as Rando et al. found out, and `sexual.nudity` of the default
policy has this much."""

_PART, _PROCESSOR = "safety_checker", "feature_extractor"
_WEIGHTS, _CONFIG, _PROCESSOR_CONFIG = "model.safetensors", "config.json", "preprocessor_config.json"
# A pipeline's repository holds the generator too, gigabytes that nothing here reads.
_WANTED = (
    *(f"{folder}{name}" for folder in ("", f"{_PART}/") for name in (_CONFIG, _WEIGHTS, _PROCESSOR_CONFIG)),
    f"{_PROCESSOR}/{_PROCESSOR_CONFIG}",
    "README.md",
    "LICENSE*",
)
_RULE_TENSORS = ("concept_embeds", "concept_embeds_weights", "special_care_embeds", "special_care_embeds_weights")
_BATCH = 16


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rule:
    """What decides. K concepts, J special-care concepts.

    Attributes:
        concepts: float32 [K,D], of any length.
        thresholds: float32 [K], cosines.
        special: float32 [J,D], of any length.
        special_thresholds: float32 [J], cosines.
    """

    concepts: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    special: NDArray[np.float32]
    special_thresholds: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SafetyChecker:
    """A loaded checker: the tower that embeds and the rule that decides."""

    tower: Tower
    rule: Rule


def load_safety_checker(
    source: str, *, revision: str | None = None, pickle: str | None = None, download: Download | None = None
) -> SafetyChecker:
    """Find and load a safety checker.

    Args:
        source: A hub id or a folder: of the checker, or of a pipeline that has it as `safety_checker`.
        revision: Branch, tag or commit on the hub.
        pickle: File name of a pickle to load in place of safetensors.
        download: As for `locate`.

    Returns:
        The checker, in fp32 on the CPU.

    Raises:
        SourceError: It cannot be found, trusted or understood.
    """
    located = locate(source, revision=revision, pickle=pickle, download=download, wanted=_WANTED, part=_PART)
    tensors = read_tensors(located.folder / (pickle or _WEIGHTS), pickle_named=pickle)
    rule = _read_rule(tensors, located)
    model = _load_tower(tensors, located)
    processor = _load_processor(located)
    config = model.config
    tower = Tower(
        name=located.source.rpartition("/")[2],
        architecture=f"StableDiffusionSafetyChecker ViT {config.hidden_size}x{config.num_hidden_layers}"
        f"/{config.patch_size}",
        source=located.source,
        revision=located.revision,
        license=located.license,
        dim=rule.concepts.shape[1],
        image=_preprocessing(processor, config.image_size),
        module=ImageTower(model, partial(_embed, model), mean=processor.image_mean, std=processor.image_std).eval(),
        embed=partial(_embed_images, model, processor),
        vectors=np.concatenate([rule.concepts, rule.special]),
    )
    return SafetyChecker(tower=tower, rule=rule)


def policy_document(rule: Rule, *, fingerprint: str, source: str, mode: Mode, rounded: bool) -> dict[str, object]:
    """Write the rule as a policy.

    Args:
        rule: The checker's.
        fingerprint: Of the model it is bound to.
        source: For the reason.
        mode: Of every category.
        rounded: Decide as `forward` does, after rounding to three decimals.

    Returns:
        The policy's document; its vectors are those of `policy_arrays`.

    Raises:
        SourceError: A threshold that is no cosine.
    """
    bounds = [_least_above(value, rounded=rounded) for value in rule.thresholds]
    special = [_least_above(value, rounded=rounded) for value in rule.special_thresholds]
    return {
        **header(POLICY_ID, f"imported from {source}", fingerprint, mode),
        "categories": [
            {
                "id": _concept(number),
                "severity": SEVERITY,
                "definition": f"Concept {number} of the safety checker's {len(bounds)}, which its authors do not name.",
                "prompts": [{"vector": _concept(number), "file": VECTORS_NAME}],
                "scoring": {"method": "cosine"},
                "thresholds": {"unit": "cosine", "block": bound},
                "adjustments": _adjustments(special),
            }
            for number, bound in enumerate(bounds)
        ],
        "attributes": [
            {
                "id": _special(number),
                "prompts": [{"vector": _special(number), "file": VECTORS_NAME}],
                "scoring": {"method": "cosine"},
            }
            for number in range(len(special))
        ],
    }


def policy_arrays(rule: Rule) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Name the rule's vectors as `policy_document` does: file name to tensor name to float32 [D]."""
    concepts = {_concept(number): row for number, row in enumerate(rule.concepts)}
    return {VECTORS_NAME: concepts | {_special(number): row for number, row in enumerate(rule.special)}}


def _adjustments(bounds: Sequence[float]) -> list[dict[str, object]]:
    """Write them anew for each category: YAML would write the same list twice as an anchor and an alias."""
    return [
        {"when": {"attribute": _special(number), "gte": bound}, "add": ADJUSTMENT}
        for number, bound in enumerate(bounds)
    ]


def _concept(number: int) -> str:
    return f"concept_{number:02d}"


def _special(number: int) -> str:
    return f"special_care_{number}"


def _least_above(threshold: np.float32, *, rounded: bool) -> float:
    """Turn the checker's strict `cos > t` into an inclusive bound on the same float32 cosine, widened to float64.

    In float64, not float32: between two neighbours of float32 lie sums `cos + 0.01` that the checker flags.
    """
    bound = math.nextafter(float(threshold) + (ROUNDED_SHIFT if rounded else 0.0), math.inf)
    if not -1.0 <= bound <= 1.0:  # NaN too
        raise SourceError(f"The checker has a threshold of {float(threshold):g}, and a cosine lies between -1 and 1.")
    return bound


def _read_rule(tensors: Arrays, located: Located) -> Rule:
    missing = [name for name in _RULE_TENSORS if name not in tensors]
    if missing:
        raise SourceError(f"{located.source} is no safety checker of Stable Diffusion: it has no {missing[0]}.")
    concepts, thresholds, special, special_thresholds = (tensors[name] for name in _RULE_TENSORS)
    width = concepts.shape[-1]
    if (
        concepts.ndim != 2  # noqa: PLR2004 - [K,D]
        or special.shape != (len(special_thresholds), width)
        or thresholds.shape != (len(concepts),)
        or special_thresholds.ndim != 1
    ):
        shapes = ", ".join(f"{name} {list(tensors[name].shape)}" for name in _RULE_TENSORS)
        raise SourceError(f"The tensors of {located.source} do not fit together: {shapes}.")
    return Rule(concepts=concepts, thresholds=thresholds, special=special, special_thresholds=special_thresholds)


def _load_tower(tensors: Arrays, located: Located) -> Any:  # noqa: ANN401
    settings = _read_json(located.folder / _CONFIG, located)
    try:
        config: Any = transformers.CLIPConfig(**settings).vision_config
        config.projection_dim = len(tensors["visual_projection.weight"])
        model: Any = transformers.CLIPVisionModelWithProjection(config)
    except Exception as exc:  # transformers and torch raise many kinds
        first_line = str(exc).strip().partition("\n")[0]
        raise SourceError(f"The {_CONFIG} of {located.source} describes no CLIP vision tower: {first_line}") from exc
    found = {name: torch.from_numpy(array) for name, array in _tower_tensors(tensors).items()}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    wrong = sorted(name for name, shape in wanted.items() if name not in found or tuple(found[name].shape) != shape)
    if wrong:
        raise SourceError(
            f"{located.source} lacks {len(wrong)} of the vision tower's weights, or has them in another shape, "
            f"such as {wrong[0]}."
        )
    model.load_state_dict({name: found[name] for name in wanted})
    return model.eval()


def _tower_tensors(tensors: Arrays) -> dict[str, NDArray[np.float32]]:
    """Rename to transformers' class: checkpoints carry its tower as `vision_model.` once or twice, by version."""
    named = {}
    for name, array in tensors.items():
        bare = name.removeprefix("vision_model.").removeprefix("vision_model.")
        named[name if bare == name else f"vision_model.{bare}"] = array
    return named


def _load_processor(located: Located) -> Any:  # noqa: ANN401
    folders = (located.folder, located.folder / _PROCESSOR, located.folder.parent / _PROCESSOR)
    folder = next((each for each in folders if (each / _PROCESSOR_CONFIG).is_file()), None)
    if folder is None:
        raise SourceError(
            f"{located.source} has no {_PROCESSOR_CONFIG}, neither beside the checker nor in {_PROCESSOR}; without it "
            "nothing says how an image is resized."
        )
    kind: Any = transformers.AutoImageProcessor
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, backend="pil")
    except Exception as exc:  # transformers raises OSError, ValueError, KeyError, ImportError
        first_line = str(exc).strip().partition("\n")[0]
        raise SourceError(f"The image processor of {located.source} cannot be loaded: {first_line}") from exc


def _preprocessing(processor: Any, side: int) -> Preprocessing:  # noqa: ANN401
    preprocessing = read_preprocessing(processor.to_dict())
    if preprocessing.side != side:
        raise SourceError(f"The image processor makes {preprocessing.side} pixels a side where the tower takes {side}.")
    return preprocessing


def _read_json(path: Path, located: Located) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise SourceError(f"{located.source} has no readable {path.name}: {exc}.") from exc
    if not isinstance(found, dict):
        raise SourceError(f"The {path.name} of {located.source} is no JSON object.")
    return found


def _embed(model: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    features: Tensor = model(pixel_values=pixels).image_embeds
    return features


def _embed_images(model: Any, processor: Any, images: Sequence[Image.Image]) -> NDArray[np.float32]:  # noqa: ANN401
    rows = []
    for part in chunks(images, _BATCH):
        pixels = processor(images=list(part), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            rows.append(np.asarray(unit(_embed(model, pixels)), dtype=np.float32))
    return np.concatenate(rows)
