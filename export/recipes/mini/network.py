"""The image tower: a small residual network of dense 3x3 convolutions, pixels in, unit vectors out."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from recipes.mini.text import WIDTH

# Dense convolutions: on AVX2 they run at about 140 GFLOP/s on two cores in training, where
# depthwise ones are bound by memory.
STEM: Final = 32
STAGES: Final = ((64, 1), (128, 2), (256, 2))
_SQUEEZE: Final = 8


class SqueezeExcite(nn.Module):
    """Weigh channels by their own averages (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, channels // _SQUEEZE)
        self.up = nn.Linear(channels // _SQUEEZE, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh.

        Args:
            x: [N,C,H,W].

        Returns:
            [N,C,H,W].
        """
        gate = torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; the first may halve the picture."""

    def __init__(self, wide_in: int, wide_out: int, *, halve: bool) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.first = nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(wide_out)
        self.second = nn.Conv2d(wide_out, wide_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(wide_out)
        self.excite = SqueezeExcite(wide_out)
        self.shortcut: nn.Module = nn.Identity()
        if halve:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(2),
                nn.Conv2d(wide_in, wide_out, 1, bias=False),
                nn.BatchNorm2d(wide_out),
            )
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block.

        Args:
            x: [N,C,H,W].

        Returns:
            [N,C',H,W] or half the side.
        """
        y = functional.relu(self.first_norm(self.first(x)), inplace=True)
        y = self.excite(self.second_norm(self.second(y)))
        return functional.relu(y + self.shortcut(x))


class ImageTower(nn.Module):
    """Normalised pixels to a unit vector; works at any side divisible by 16."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(inplace=True),
        ]
        width = STEM
        for wide, depth in STAGES:
            for index in range(depth):
                layers.append(Block(width, wide, halve=index == 0))
                width = wide
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * width, WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed.

        Args:
            pixels: float32 [N,3,S,S] in 0..1.

        Returns:
            Unit vectors, float32 [N,384].
        """
        x = self.body((pixels - 0.5) * 4.0)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        return functional.normalize(self.head(pooled), dim=-1)
