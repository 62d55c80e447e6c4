"""A folder in the layout of transformers in (CLIP, SigLIP, SigLIP 2 at fixed resolution), a Checkpoint out."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clipwarden.modelfolder.manifest import Preprocessing, TextSettings
from clipwarden_export.errors import SourceError
from clipwarden_export.sources.checkpoint import Checkpoint, chunks
from clipwarden_export.sources.processor import read_preprocessing
from clipwarden_export.sources.source import Located
from clipwarden_export.sources.towers import ImageTower, TextTower, unit

# model_type of config.json -> transformers class, whether the text tower heeds the mask.
# The fixed-resolution SigLIP 2 checkpoints say "siglip"; "siglip2" is NaFlex, whose input has no fixed side.
_FAMILIES = {"clip": ("CLIPModel", True), "siglip": ("SiglipModel", False)}
_BATCH = 16
_PICKLE = "pytorch_model.bin"


def model_type(folder: Path) -> str | None:
    """Read the `model_type` of a folder's config.json; None when there is no such file or key."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config.get("model_type") if isinstance(config, dict) else None


def load_transformers(located: Located) -> Checkpoint:
    """Load a checkpoint with transformers.

    Args:
        located: Its files.

    Returns:
        The checkpoint; both towers in eval mode, in fp32, on the CPU.

    Raises:
        SourceError: The architecture is not one of CLIP and SigLIP, weights or the tokenizer are missing, or the
            preprocessing cannot be written as a model folder's.
    """
    class_name, heeds_mask = _family(model_type(located.folder))
    model = _load_model(located, class_name)
    tokenizer = _load(transformers.AutoTokenizer, located, "tokenizer")
    processor = _load(transformers.AutoImageProcessor, located, "image processor", backend="pil")
    text = _text_settings(model, tokenizer, heeds_mask=heeds_mask)
    bias = getattr(model, "logit_bias", None)
    return Checkpoint(
        name=located.source.rpartition("/")[2],
        architecture=_describe(class_name, model.config),
        source=located.source,
        revision=located.revision,
        license=located.license,
        dim=_width(model),
        logit_scale=math.exp(_number(model.logit_scale)),
        logit_bias=None if bias is None else _number(bias),
        image=_preprocessing(processor, model),
        text=text,
        tokenizer=_tokenizer_json(tokenizer, located),
        image_tower=ImageTower(
            model, partial(_image_features, model), mean=processor.image_mean, std=processor.image_std
        ).eval(),
        text_tower=TextTower(model, partial(_text_features, model, heeds_mask=heeds_mask)).eval(),
        origin=TransformersOrigin(model, processor, tokenizer, text),
    )


class TransformersOrigin:
    """The checkpoint run by transformers, with its own image processor and tokenizer.

    Args:
        model: A CLIPModel or SiglipModel in eval mode.
        processor: Its image processor; Pillow's resampling, as the checkpoints were trained.
        tokenizer: Its tokenizer.
        text: Context length, and whether the mask is heeded.
    """

    def __init__(self, model: Any, processor: Any, tokenizer: Any, text: TextSettings) -> None:  # noqa: ANN401
        self._model, self._processor, self._tokenizer, self._text = model, processor, tokenizer, text

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed RGB images of any size; float32 [N,D]."""
        rows = [self._embed_images(part) for part in chunks(images, _BATCH)]
        return np.concatenate(rows)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; float32 [P,D]."""
        rows = [self._embed_texts(part) for part in chunks(texts, _BATCH)]
        return np.concatenate(rows)

    def token_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokenise texts; int64 [P,L]."""
        return np.asarray(self._tokenise(texts)["input_ids"], dtype=np.int64)

    def _embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return np.asarray(unit(_image_features(self._model, pixels)), dtype=np.float32)

    def _embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = self._tokenise(texts)
        ids = tokens["input_ids"]
        mask = tokens.get("attention_mask", torch.ones_like(ids))
        with torch.inference_mode():
            vectors = _text_features(self._model, ids, mask, heeds_mask=self._text.attention_mask)
            return np.asarray(unit(vectors), dtype=np.float32)

    def _tokenise(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        tokens: Mapping[str, Tensor] = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=self._text.context_length,
            truncation=True,
            return_tensors="pt",
        )
        return tokens


def _family(kind: str | None) -> tuple[str, bool]:
    if kind == "siglip2":
        msg = "This is SigLIP 2 NaFlex, whose input has no fixed side; export a fixed-resolution SigLIP 2 instead."
        raise SourceError(msg)
    if kind not in _FAMILIES:
        msg = f"config.json says model_type {kind!r}; the exporter knows {', '.join(_FAMILIES)}."
        raise SourceError(msg)
    return _FAMILIES[kind]


def _load_model(located: Located, class_name: str) -> Any:  # noqa: ANN401
    if located.pickle not in (None, _PICKLE):
        msg = f"transformers reads a pickle only under the name {_PICKLE}, not {located.pickle}."
        raise SourceError(msg)
    with _without_its_bar():
        model, info = _load(
            getattr(transformers, class_name),
            located,
            "weights",
            use_safetensors=located.pickle is None,
            dtype=torch.float32,
            output_loading_info=True,
        )
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers would go on with random numbers in their place.
        msg = f"{located.source} lacks {len(missing)} of the weights of {class_name}, such as {missing[0]}."
        raise SourceError(msg)
    return model.eval()


@contextmanager
def _without_its_bar() -> Iterator[None]:
    """Keep transformers' progress bar off a terminal that shows ours."""
    settings: Any = transformers.utils.logging
    shown = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            settings.enable_progress_bar()


def _load(kind: Any, located: Located, what: str, **settings: object) -> Any:  # noqa: ANN401
    try:
        # Remote code stays off, which is the default; local files only: the folder was fetched already.
        return kind.from_pretrained(str(located.folder), local_files_only=True, **settings)
    except Exception as exc:  # transformers raises OSError, ValueError, KeyError, ImportError and safetensors' own
        first_line = str(exc).strip().partition("\n")[0]
        msg = f"The {what} of {located.source} cannot be loaded by transformers: {first_line}"
        raise SourceError(msg) from exc


def _image_features(model: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    features: Tensor = model.get_image_features(pixel_values=pixels).pooler_output
    return features


def _text_features(model: Any, ids: Tensor, mask: Tensor, *, heeds_mask: bool) -> Tensor:  # noqa: ANN401
    settings = {"attention_mask": mask} if heeds_mask else {}
    features: Tensor = model.get_text_features(input_ids=ids, **settings).pooler_output
    return features


def _preprocessing(processor: Any, model: Any) -> Preprocessing:  # noqa: ANN401
    preprocessing = read_preprocessing(processor.to_dict())
    side = model.config.vision_config.image_size
    if preprocessing.side != side:
        msg = f"The image processor makes {preprocessing.side} pixels a side where the model takes {side}."
        raise SourceError(msg)
    return preprocessing


def _text_settings(model: Any, tokenizer: Any, *, heeds_mask: bool) -> TextSettings:  # noqa: ANN401
    if tokenizer.padding_side != "right" or tokenizer.truncation_side != "right":
        msg = "The tokenizer pads or truncates on the left; a model folder does both on the right."
        raise SourceError(msg)
    return TextSettings(
        context_length=model.config.text_config.max_position_embeddings,
        pad_id=tokenizer.pad_token_id,
        attention_mask=heeds_mask,
    )


def _tokenizer_json(tokenizer: Any, located: Located) -> bytes:  # noqa: ANN401
    backend = getattr(tokenizer, "backend_tokenizer", None)
    stored = located.folder / "tokenizer.json"
    if backend is not None:
        return str(backend.to_str()).encode()
    if stored.is_file():
        return stored.read_bytes()
    msg = f"{type(tokenizer).__name__} has no tokenizer.json; save the checkpoint with a tokenizers-backed class."
    raise SourceError(msg)


def _number(parameter: Tensor) -> float:
    return float(parameter.detach().reshape(()))


def _width(model: Any) -> int:  # noqa: ANN401
    config = model.config
    return int(config.projection_dim if config.model_type == "clip" else config.vision_config.hidden_size)


def _describe(class_name: str, config: Any) -> str:  # noqa: ANN401
    vision = config.vision_config
    return f"{class_name} ViT {vision.hidden_size}x{vision.num_hidden_layers}/{vision.patch_size}"
