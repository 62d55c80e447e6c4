"""Torch modules that put casting, normalisation and unit norm around a checkpoint's two towers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class ImageTower(nn.Module):
    """uint8 [N,S,S,3] in, unit vectors float32 [N,D] out.

    Args:
        model: Holds the weights; kept so that export finds them.
        embed: Maps normalised float32 [N,3,S,S] to float32 [N,D]; a method of `model`.
        mean: Three channel means, on the scale of 0-1.
        std: Three channel standard deviations, on the scale of 0-1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, model: nn.Module, embed: Callable[[Tensor], Tensor], *, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.model = model
        self.embed = embed
        # One multiply and one add on pixels 0-255: (x / 255 - mean) / std.
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", scale.float(), persistent=False)
        self.register_buffer("shift", shift.float(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 [N,S,S,3]."""
        normalised = pixels.to(torch.float32) * self.scale + self.shift
        # [N,S,S,3] -> [N,3,S,S]
        return unit(self.embed(normalised.permute(0, 3, 1, 2)))


class TextTower(nn.Module):
    """Ids and mask int64 [N,L] in, unit vectors float32 [N,D] out.

    Args:
        model: Holds the weights.
        embed: Maps ids and mask int64 [N,L] to float32 [N,D]; a method of `model`.
    """

    def __init__(self, model: nn.Module, embed: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.embed = embed

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed ids int64 [N,L] under a mask int64 [N,L]."""
        return unit(self.embed(input_ids, attention_mask))


def unit(vectors: Tensor) -> Tensor:
    """Scale rows float32 [N,D] to unit norm."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / norms
