"""The little of a model that policies need, as protocols: `clipwarden.modelfolder.load.Model` fits them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


class Tokens(Protocol):
    """Counts tokens."""

    @property
    def capacity(self) -> int:
        """How many content tokens fit."""

    def content_tokens(self, text: str) -> int:
        """Count a text's tokens before truncation, without special tokens."""

    def pieces(self, text: str) -> Sequence[str | None]:
        """Cut a text into its tokens, before truncation and without special ones; None for one it does not know."""


class TextTower(Protocol):
    """Embeds texts."""

    @property
    def tokenizer(self) -> Tokens:
        """The tokenizer in front of it."""

    @property
    def at_once(self) -> int:
        """How many texts are best embedded at the same time, in a thread each."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed P texts; float32 [P,D], unit rows."""


class Facts(Protocol):
    """What a manifest says."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """All that judging has to know of a model once texts are vectors.

    Attributes:
        name: Short name shown to people.
        fingerprint: `sha256:...`.
        dim: D.
        logit_scale: `s`; dimensionless.
        logit_bias: SigLIP's bias, or None.
    """

    name: str
    fingerprint: str
    dim: int
    logit_scale: float
    logit_bias: float | None

    @classmethod
    def of(cls, facts: Facts, fingerprint: str) -> Self:
        """Take them from a manifest."""
        return cls(
            name=facts.name,
            fingerprint=fingerprint,
            dim=facts.dim,
            logit_scale=facts.logit_scale,
            logit_bias=facts.logit_bias,
        )


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
