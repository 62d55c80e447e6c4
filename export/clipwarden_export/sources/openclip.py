"""A folder in open_clip's layout in (open_clip_config.json), a Checkpoint out."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clipwarden.modelfolder.manifest import COLOUR, Fit, Preprocessing, Resample, TextSettings
from clipwarden_export.errors import SourceError
from clipwarden_export.sources.checkpoint import Checkpoint, chunks
from clipwarden_export.sources.openclip_tokenizer import pad_id, tokenizer_json
from clipwarden_export.sources.source import OPEN_CLIP_CONFIG, Located
from clipwarden_export.sources.towers import ImageTower, TextTower, unit

_FITS: dict[str, Fit] = {"shortest": "crop_half_even", "squash": "squash", "longest": "pad"}
_RESAMPLE: dict[str, Resample] = {"bicubic": "bicubic", "bilinear": "bilinear"}
_BATCH = 16


def resolve_pair(source: str) -> str:
    """Turn `ARCHITECTURE/TAG`, as open_clip names its checkpoints, into the hub id that holds them.

    Args:
        source: What the user typed.

    Returns:
        A hub id where open_clip knows the pair and keeps it on the hub; else `source` as it is.

    Raises:
        SourceError: open_clip knows the pair, but only as a pickle at some address.
    """
    architecture, _, tag = source.partition("/")
    settings = _open_clip().get_pretrained_cfg(architecture, tag)
    if not settings:
        return source
    hub = str(settings.get("hf_hub", "")).strip("/")
    if not hub:
        msg = f"open_clip keeps {source} as a pickle outside the hub; give a hub id or a folder with safetensors."
        raise SourceError(msg)
    return hub


def load_open_clip(located: Located) -> Checkpoint:
    """Load a checkpoint with open_clip.

    Args:
        located: Its files, with open_clip_config.json among them.

    Returns:
        The checkpoint; both towers in eval mode, in fp32, on the CPU.

    Raises:
        SourceError: open_clip is missing or cannot load it, or its preprocessing or tokenizer has no equal here.
    """
    config = _read_config(located)
    model, transform, tokenizer = _load(located)
    settings = model.visual.preprocess_cfg
    bias = getattr(model, "logit_bias", None)
    context_length = int(model.context_length)
    fast = _reparameterised(model)
    return Checkpoint(
        name=located.source.rpartition("/")[2],
        architecture=_describe(model, config),
        source=located.source,
        revision=located.revision,
        license=located.license,
        dim=int(config["embed_dim"]),
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=None if bias is None else float(bias.detach()),
        image=_preprocessing(settings),
        # The towers derive their own mask from the ids, or need none: ours would be ignored.
        text=TextSettings(context_length=context_length, pad_id=pad_id(tokenizer), attention_mask=False),
        tokenizer=tokenizer_json(tokenizer),
        image_tower=ImageTower(
            fast, partial(_image_features, fast), mean=_triple(settings["mean"]), std=_triple(settings["std"])
        ).eval(),
        text_tower=TextTower(model, partial(_text_features, model)).eval(),
        origin=OpenClipOrigin(model, transform, tokenizer, context_length),
    )


class OpenClipOrigin:
    """The checkpoint run by open_clip, with its own transform and tokenizer.

    Args:
        model: In eval mode.
        transform: Its evaluation transform: RGB image to float32 [3,S,S].
        tokenizer: Its tokenizer.
        context_length: L.
    """

    def __init__(self, model: Any, transform: Any, tokenizer: Any, context_length: int) -> None:  # noqa: ANN401
        self._model, self._transform, self._tokenizer = model, transform, tokenizer
        self._context_length = context_length

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed RGB images of any size; float32 [N,D]."""
        with torch.inference_mode():
            parts = [
                unit(_image_features(self._model, torch.stack([self._transform(image) for image in part])))
                for part in chunks(images, _BATCH)
            ]
        return np.asarray(torch.cat(parts), dtype=np.float32)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; float32 [P,D]."""
        ids = torch.from_numpy(self.token_ids(texts))
        with torch.inference_mode():
            parts = [unit(_text_features(self._model, part)) for part in torch.split(ids, _BATCH)]
        return np.asarray(torch.cat(parts), dtype=np.float32)

    def token_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokenise texts; int64 [P,L]."""
        return np.asarray(self._tokenizer(list(texts), context_length=self._context_length), dtype=np.int64)


def _open_clip() -> Any:  # noqa: ANN401
    try:
        import open_clip  # noqa: PLC0415 - optional: checkpoints of transformers do without
    except (ImportError, RuntimeError) as exc:  # RuntimeError: a torchvision made for another torch
        msg = f"open_clip cannot be imported ({exc}); run `pip install open_clip_torch`, with torchvision."
        raise SourceError(msg) from exc
    return open_clip


def _read_config(located: Located) -> dict[str, Any]:
    path: Path = located.folder / OPEN_CLIP_CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        return dict(config)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        msg = f"{OPEN_CLIP_CONFIG} of {located.source} cannot be read, or has no model_cfg: {exc}."
        raise SourceError(msg) from exc


def _load(located: Located) -> tuple[Any, Any, Any]:
    open_clip = _open_clip()
    name = f"local-dir:{located.folder}"
    try:
        model, _, transform = open_clip.create_model_and_transforms(name, precision="fp32", device="cpu")
        return model.eval(), transform, open_clip.get_tokenizer(name)
    except Exception as exc:  # open_clip, torch, timm and transformers raise their own kinds
        first_line = str(exc).strip().partition("\n")[0]
        msg = f"open_clip cannot load {located.source}: {first_line}"
        raise SourceError(msg) from exc


def _reparameterised(model: Any) -> Any:  # noqa: ANN401
    """Fold the parallel branches of MobileCLIP's convolutions into one, on a copy: the reference keeps them."""
    if not any(hasattr(module, "reparameterize") for module in model.visual.modules()):
        return model
    from timm.utils.model import reparameterize_model  # noqa: PLC0415 - comes with open_clip

    return reparameterize_model(model, inplace=False).eval()


def _image_features(model: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    features: Tensor = model.encode_image(pixels)
    return features


def _text_features(model: Any, ids: Tensor, _mask: Tensor | None = None) -> Tensor:  # noqa: ANN401
    features: Tensor = model.encode_text(ids)
    return features


def _preprocessing(settings: dict[str, Any]) -> Preprocessing:
    width, height = (settings["size"],) * 2 if isinstance(settings["size"], int) else settings["size"]
    fit, resample = _FITS.get(settings["resize_mode"]), _RESAMPLE.get(settings["interpolation"])
    if width != height or fit is None or resample is None:
        msg = (
            f"open_clip resizes to {width} x {height} ({settings['resize_mode']}, {settings['interpolation']}); "
            "a model folder knows squares, bicubic and bilinear."
        )
        raise SourceError(msg)
    fill = int(settings.get("fill_color", 0))
    return Preprocessing(side=int(width), resample=resample, fit=fit, pad_rgb=(fill, fill, fill), colour=COLOUR)


def _triple(values: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(values) if isinstance(values, Sequence) else (values,) * 3


def _describe(model: Any, config: dict[str, Any]) -> str:  # noqa: ANN401
    vision = config["vision_cfg"]
    tower = vision.get("timm_model_name") or (
        f"ViT {vision.get('width')}x{vision.get('layers')}/{vision.get('patch_size')}"
    )
    return f"open_clip {type(model).__name__} {tower}"
