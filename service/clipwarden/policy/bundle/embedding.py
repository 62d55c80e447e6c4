"""The little of a model that policies need, as protocols: `clipwarden.modelfolder.load.Model` fits them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Tokens(Protocol):
    """Counts tokens."""

    @property
    def capacity(self) -> int:
        """How many content tokens fit."""

    def content_tokens(self, text: str) -> int:
        """Count a text's tokens before truncation, without special tokens."""


class TextTower(Protocol):
    """Embeds texts."""

    @property
    def tokenizer(self) -> Tokens:
        """The tokenizer in front of it."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed P texts; float32 [P,D], unit rows."""


class Facts(Protocol):
    """What the manifest says."""

    @property
    def name(self) -> str:
        """Short name shown to people."""

    @property
    def dim(self) -> int:
        """D."""

    @property
    def logit_scale(self) -> float:
        """`s`."""

    @property
    def logit_bias(self) -> float | None:
        """SigLIP's bias, or None."""


class EmbeddingModel(Protocol):
    """A model as policies see it."""

    @property
    def manifest(self) -> Facts:
        """Its manifest."""

    @property
    def fingerprint(self) -> str:
        """`sha256:...`."""

    @property
    def text(self) -> TextTower | None:
        """Its text encoder, or None."""

    @property
    def background(self) -> NDArray[np.float32] | None:
        """float32 [K,D] unit rows, or None."""
