"""Checkpoints of the real classes with seeded weights, saved as the hub keeps them, and references written with their
own libraries. Imports torch: for tests of the exporter only.

They keep the published models' sides, patches, positions and operators; their towers have a layer or two and a quarter
of the width, which changes what an export computes, and not how.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import open_clip
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.fastvit import fastvit_mci0
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from clipwarden_export.verification.background import background_texts
from clipwarden_export.verification.probes import probe_texts
from kit.pictures import drawing, encode, natural_picture

SEED = 1234
CARD = "---\nlicense: apache-2.0\n---\n# Seeded\n"
WORDS = (
    "a photo of A Photo OF cat Dog HOUSE don't it's we'll I'VE 2024 3.14 #1 50% e.g. U.S.A. rock'n'roll",
    "café naïve Ångström ñandú Straße кошка Собака ДОМ γάτα Σκύλος חתול قطة कुत्ता แมว 猫 犬の 写真 고양이 사진",
    "😀 👍🏽 👩‍👩‍👧 🇫🇷 ❤️ , . ! ? ... - ( ) / \" ' : ; @ & x=y <b> [z] {w} ~ ^ _ under_score camelCase",
)
Scores = Callable[[Sequence[Image.Image], str], NDArray[np.float64]]
TokenIds = Callable[[Sequence[str]], NDArray[np.int64]]
Folders = Callable[[str], Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What a checkpoint's own library says: cosines of images to a text, and token ids of texts."""

    scores: Scores
    token_ids: TokenIds


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One architecture: how to save a checkpoint of it, and how to ask its own library."""

    save: Callable[[Path], Path]
    reference: Callable[[Path], Reference]


@cache
def varied_pictures() -> tuple[Image.Image, ...]:
    """52 pictures that no server calls degraded: scenes of many shapes, and drawings."""
    sizes = [(320, 240), (240, 320), (301, 299), (640, 227), (227, 401), (256, 256), (96, 64), (800, 600)]
    scenes = [natural_picture(seed, sizes[seed % len(sizes)]) for seed in range(44)]
    inks = [(220, 60, 40), (20, 90, 200), (30, 160, 60), (90, 20, 120)]
    return (*scenes, *(drawing(side, ink=ink) for ink in inks for side in (128, 301)))


@cache
def varied_pngs() -> tuple[bytes, ...]:
    """The same pictures as a server is sent them."""
    return tuple(encode(picture, "PNG") for picture in varied_pictures())


def varied_strings(count: int = 1000) -> list[str]:
    """Strings that people may write: empty, long, emoji, mixed case, several scripts."""
    random = np.random.default_rng(SEED)
    words = [word for line in WORDS for word in line.split()]
    strings = ["", " ", "\t", "\n", "a", "long " * 200, "UPPER " * 100, "😀" * 90, "猫" * 90, *background_texts()]
    while len(strings) < count:
        picked = random.choice(words, size=int(random.integers(1, 25)))
        strings.append(str(random.choice([" ", "  ", ""])).join(picked))
    return strings[:count]


def save_clip_b32(folder: Path) -> Path:
    """ViT-B/32 with two layers a tower."""
    vision = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "patch_size": 32}
    text = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512}
    return save_clip(folder, vision=vision, text=text, projection=128)


def save_clip_l14(folder: Path) -> Path:
    """ViT-L/14 with one layer a tower."""
    vision = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024, "patch_size": 14}
    text = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
    vision["num_hidden_layers"] = text["num_hidden_layers"] = 1
    return save_clip(folder, vision=vision, text=text, projection=192)


def save_tiny_clip(folder: Path) -> Path:
    """A CLIP of 64 pixels a side and 64 values, for tests that need any checkpoint at all."""
    tower = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128}
    return save_clip(folder, vision={**tower, "patch_size": 16, "image_size": 64}, text=tower, projection=64)


def save_clip(folder: Path, *, vision: dict[str, int], text: dict[str, int], projection: int) -> Path:
    """Save a CLIPModel with its tokenizer and processor as `openai/clip-vit-*` does."""
    tokenizer = clip_tokenizer()
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = transformers.CLIPConfig(
        vision_config={"image_size": 224, "num_hidden_layers": 2, **vision},
        text_config={"num_hidden_layers": 2, "vocab_size": len(tokenizer), **special, **text},
        projection_dim=projection,
    )
    side = config.vision_config.image_size
    crop = {"height": side, "width": side}
    processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=crop)
    model = seeded(transformers.CLIPModel(config))
    with torch.no_grad():
        model.logit_scale.fill_(np.log(100.0))
    return _save(folder, model, tokenizer, processor)


def save_siglip2(folder: Path) -> Path:
    """`google/siglip2-base-patch16-224` with one layer a tower, its Gemma-like tokenizer, its squash."""
    tokenizer = gemma_tokenizer()
    tower = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "num_hidden_layers": 1}
    special = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    config = transformers.SiglipConfig(
        vision_config={**tower, "patch_size": 16, "image_size": 224},
        text_config={**tower, **special, "vocab_size": len(tokenizer), "projection_size": 192},
    )
    model = seeded(transformers.SiglipModel(config))
    with torch.no_grad():
        model.logit_scale.fill_(4.7)
        model.logit_bias.fill_(-16.5)
    # Bilinear and squashed, as its preprocessor_config.json says.
    processor = transformers.SiglipImageProcessorPil(size={"height": 224, "width": 224}, resample=2)
    return _save(folder, model, tokenizer, processor)


def save_open_clip_vit(folder: Path) -> Path:
    """open_clip's own transformer, ViT-B-32 with two layers a tower."""
    config = {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 192, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2},
    }
    return save_open_clip(folder, config)


@register_model
def fastvit_mci0_shallow(*, pretrained: bool = False, **kwargs: object) -> torch.nn.Module:
    """MobileCLIP's tower, with a block or two a stage where the published one has up to ten."""
    tower: torch.nn.Module = fastvit_mci0(pretrained=pretrained, layers=(1, 2, 2, 1), **kwargs)
    return tower


def save_open_clip_mobile(folder: Path) -> Path:
    """MobileCLIP: a convolutional tower of timm's whose branches fold, and a text tower without a causal mask."""
    vision = {"timm_model_name": "fastvit_mci0_shallow", "timm_pool": "avg", "timm_proj": None, "image_size": 128}
    text = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2, "no_causal_mask": True}
    config = {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text, "custom_text": True}
    return save_open_clip(folder, config, mean=[0.0] * 3, std=[1.0] * 3, interpolation="bilinear")


def save_open_clip(folder: Path, config: dict[str, object], **preprocess: object) -> Path:
    """Save an open_clip model as `push_to_hf_hub` does: a configuration and safetensors."""
    folder.mkdir(parents=True)
    name = f"clipwarden-{folder.name}"
    registered = folder / f"{name}.json"
    registered.write_text(json.dumps(config))
    open_clip.add_model_config(registered)
    logging.disable(logging.WARNING)  # it warns that there are no pretrained weights
    model = seeded(open_clip.create_model(name))
    logging.disable(logging.NOTSET)
    registered.unlink()
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    keys = ("mean", "std", "interpolation", "resize_mode")
    settings = {key: model.visual.preprocess_cfg[key] for key in keys} | preprocess
    document = {"model_cfg": config, "preprocess_cfg": settings}
    (folder / "open_clip_config.json").write_text(json.dumps(document))
    (folder / "README.md").write_text(CARD)
    return folder


def seeded(model: torch.nn.Module) -> torch.nn.Module:
    """Give a model weights under which its outputs depend on its inputs, the same in every run.

    Usual initial weights give every image nearly one vector, and every comparison would pass.
    """
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("gamma"):  # fastvit's layer scale starts at 1e-5, which switches its blocks off
                parameter.fill_(0.5)
            elif parameter.ndim > 1:
                fan_in = parameter[0].numel()
                scale = 0.02 if "embed" in name and "patch" not in name else 1.2 * fan_in**-0.5
                parameter.copy_(noise * scale)
            elif name.endswith("bias"):
                parameter.copy_(noise * 0.05)
            elif name.endswith("weight"):  # of a norm: near 1, and not 1, which would hide one that is left out
                parameter.copy_(1.0 + noise * 0.05)
            elif parameter.ndim == 1:  # a class embedding, which would come as torch's own generator stands
                parameter.copy_(noise * parameter.numel() ** -0.5)
    return model.eval()


def transformers_reference(folder: Path) -> Reference:
    """Ask transformers: image processor, model, cosine, as a model card's example does."""
    config = json.loads((folder / "config.json").read_text())
    siglip = config["model_type"] == "siglip"
    model = (transformers.SiglipModel if siglip else transformers.CLIPModel).from_pretrained(folder).eval()
    kind = transformers.SiglipImageProcessorPil if siglip else transformers.CLIPImageProcessorPil
    processor, tokenizer = kind.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)
    length = config["text_config"].get("max_position_embeddings", 64 if siglip else 77)

    def tokenise(texts: Sequence[str]) -> dict[str, torch.Tensor]:
        settings = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "pt"}
        return dict(tokenizer(list(texts), **settings))

    def scores(images: Sequence[Image.Image], text: str) -> NDArray[np.float64]:
        inputs = tokenise([text])
        inputs["pixel_values"] = processor(list(images), return_tensors="pt")["pixel_values"]
        if siglip:
            inputs.pop("attention_mask", None)
        with torch.inference_mode():
            logits = model(**inputs).logits_per_image[:, 0].double()
            bias = model.logit_bias.double() if siglip else 0.0
            return ((logits - bias) / model.logit_scale.double().exp()).numpy()

    return Reference(scores=scores, token_ids=lambda texts: tokenise(texts)["input_ids"].numpy())


def open_clip_reference(folder: Path) -> Reference:
    """Ask open_clip: transform, model, cosine, as its README does."""
    name = f"local-dir:{folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    model.eval()
    tokenizer = open_clip.get_tokenizer(name)

    def scores(images: Sequence[Image.Image], text: str) -> NDArray[np.float64]:
        with torch.inference_mode():
            vectors = model.encode_image(torch.stack([transform(image) for image in images]), normalize=True)
            prompt = model.encode_text(tokenizer([text]), normalize=True)
            return (vectors.double() @ prompt[0].double()).numpy()

    return Reference(scores=scores, token_ids=lambda texts: tokenizer(list(texts)).numpy())


KINDS = {
    "clip-b32": Kind(save=save_clip_b32, reference=transformers_reference),
    "clip-l14": Kind(save=save_clip_l14, reference=transformers_reference),
    "siglip2": Kind(save=save_siglip2, reference=transformers_reference),
    "open_clip-vit": Kind(save=save_open_clip_vit, reference=open_clip_reference),
    "open_clip-mobile": Kind(save=save_open_clip_mobile, reference=open_clip_reference),
}


@cache
def clip_tokenizer() -> transformers.CLIPTokenizer:
    """Train a byte-level BPE in CLIP's manner: lower case, `</w>`, start and end of text, padded with the end."""
    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))  # noqa: S106
    blank = transformers.CLIPTokenizer().backend_tokenizer
    raw.normalizer, raw.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    raw.train_from_iterator(_corpus(), trainer)
    vocabulary = raw.get_vocab()
    # A byte that ends a word has its own token too, as in CLIP's vocabulary.
    for letter in (*(f"{byte}</w>" for byte in sorted(alphabet)), "<|startoftext|>", "<|endoftext|>"):
        vocabulary.setdefault(letter, len(vocabulary))
    merges = [tuple(pair) for pair in json.loads(raw.to_str())["model"]["merges"]]
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


@cache
def gemma_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Train a BPE with byte fallback in Gemma's manner: lower case, blanks as underscores, one end token."""
    raw = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))  # noqa: S106
    raw.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{value:02X}>" for value in range(256))]
    raw.train_from_iterator(
        _corpus(), trainers.BpeTrainer(vocab_size=1200, special_tokens=special, show_progress=False)
    )
    raw.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, **names, model_max_length=64, padding_side="right", model_input_names=["input_ids"]
    )


def _corpus() -> list[str]:
    return [*background_texts(), *probe_texts(400, seed=SEED, words=background_texts())]


def _save(folder: Path, model: torch.nn.Module, *others: object) -> Path:
    for part in (model, *others):
        part.save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    return folder
