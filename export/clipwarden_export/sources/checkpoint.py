"""What every kind of checkpoint is turned into before it is exported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from clipwarden.modelfolder.manifest import Preprocessing, TextSettings

Item = TypeVar("Item")


class Origin(Protocol):
    """The checkpoint run by the library it was made with: the reference for every comparison.

    It uses the origin's own image processor and tokenizer, never ours, so that a mistake in the preprocessing or
    padding we derived shows up as a difference.
    """

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed RGB images of any size; float32 [N,D], unit norm."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; float32 [P,D], unit norm."""

    def token_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokenise texts, truncated and padded as the checkpoint was trained; int64 [P,L]."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint, loaded and described.

    Attributes:
        name: Short name shown to people.
        architecture: Free text, such as `CLIPModel ViT 768x12/32`.
        source: Hub id or folder name, as the user gave it.
        revision: Commit or version of the source.
        license: SPDX identifier or the licence's name; `unknown` where the source does not say.
        dim: D.
        logit_scale: s, already exponentiated.
        logit_bias: SigLIP's bias, else None.
        image: Preprocessing, derived from the origin's image processor.
        text: Text settings, derived from the origin's tokenizer and configuration.
        tokenizer: tokenizer.json, as the `tokenizers` library reads it.
        image_tower: uint8 [N,S,S,3] -> float32 [N,D], unit norm; in eval mode.
        text_tower: ids and mask int64 [N,L] -> float32 [N,D], unit norm; in eval mode.
        origin: The reference.
    """

    name: str
    architecture: str
    source: str
    revision: str
    license: str
    dim: int
    logit_scale: float
    logit_bias: float | None
    image: Preprocessing
    text: TextSettings
    tokenizer: bytes
    image_tower: nn.Module
    text_tower: nn.Module
    origin: Origin


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into parts of at most `size` items, in order."""
    return (items[start : start + size] for start in range(0, len(items), size))
