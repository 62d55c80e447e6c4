"""Place drawings on random backgrounds, a batch at a time: RGBA in, RGB as a user might upload out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Generator, Tensor
from torch.nn import functional

_TEXTURED: Final = 0.4  # share of drawings on noise, gradients or clutter
_SMALL: Final = 0.2  # share of drawings shrunk to between 0.35 and 0.8 of the side


@dataclass(frozen=True, kw_only=True)
class Augmenter:
    """Random views of drawings, drawn from one seeded generator.

    Attributes:
        side: Side of the output, in pixels.
        rng: The only source of chance.
    """

    side: int
    rng: Generator

    def __call__(self, rgba: Tensor, palette: Tensor) -> Tensor:
        """Draw one view of each drawing.

        Args:
            rgba: uint8 [N,H,H,4], straight alpha.
            palette: bool [N]; False lets the drawing take any one colour.

        Returns:
            float32 [N,3,side,side] in 0..1.
        """
        layer = rgba.permute(0, 3, 1, 2).float().div_(255.0)
        layer[:, :3] *= layer[:, 3:]  # premultiplied, so that sampling mixes edges rightly
        dark = self._uniform(len(layer), 1, 1, 1) < 0.5  # noqa: PLR2004 - dark ground, bright ink
        placed = self._place(layer)
        ground = self._ground(layer, palette, dark)
        view = self._ink(placed, palette, dark) + ground * (1.0 - placed[:, 3:])
        return self._degrade(view).clamp_(0.0, 1.0)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.rng)

    def _chance(self, count: int, share: float) -> Tensor:
        return torch.nonzero(self._uniform(count) < share)[:, 0]

    def _ink(self, placed: Tensor, palette: Tensor, dark: Tensor) -> Tensor:
        """Premultiplied colours [N,3,S,S]: the vendor's, the same tinted, or one colour for all."""
        count, alpha = len(placed), placed[:, 3:]
        flat = self._uniform(count, 3, 1, 1) * 0.45
        flat = torch.where(self._uniform(count, 1, 1, 1) < 0.4, torch.zeros(()), flat)  # noqa: PLR2004
        flat = torch.where(dark, 1.0 - flat, flat)
        fade = 0.5 + 0.7 * self._uniform(count, 1, 1, 1)
        gain = 0.75 + 0.5 * self._uniform(count, 1, 1, 1)
        shift = 0.5 - 0.5 * gain + 0.2 * (self._uniform(count, 3, 1, 1) - 0.5)
        keep = self._uniform(count, 1, 1, 1) < 0.3  # noqa: PLR2004 - the vendor's own colours
        fade, gain = (torch.where(keep, torch.ones(()), each) for each in (fade, gain))
        shift = torch.where(keep, torch.zeros(()), shift)
        colour = placed[:, :3]
        grey = colour.mean(1, keepdim=True)
        tinted = (grey + (colour - grey) * fade) * gain + shift * alpha
        return torch.where(palette[:, None, None, None], tinted, flat * alpha)

    def _matrices(self, count: int, scale: Tensor, degrees: float, roam: Tensor) -> Tensor:
        """Inverse affine maps [N,2,3] that show a drawing at `scale` of the side."""
        angle = (2.0 * self._uniform(count) - 1.0) * math.radians(degrees)
        angle = torch.where(self._uniform(count) < 0.35, torch.zeros(()), angle)  # noqa: PLR2004
        stretch = torch.exp(0.24 * (self._uniform(count) - 0.5))
        shear = 0.2 * (self._uniform(count) - 0.5)
        sx, sy = 1.0 / (scale * stretch), stretch / scale
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = torch.stack(
            [
                torch.stack([cos * sx, (sin + shear * cos) * sx], -1),
                torch.stack([-sin * sy, (cos - shear * sin) * sy], -1),
            ],
            1,
        )
        centre = (2.0 * self._uniform(count, 2) - 1.0) * roam[:, None]
        offset = -(rows @ centre[:, :, None])
        return torch.cat([rows, offset], dim=2)

    def _place(self, layer: Tensor) -> Tensor:
        count = len(layer)
        scale = 0.75 + 0.35 * self._uniform(count)
        small = self._chance(count, _SMALL)
        scale[small] = torch.exp(self._uniform(len(small)) * math.log(0.8 / 0.35)) * 0.35
        roam = (1.05 - scale).clamp_min(0.05)
        maps = self._matrices(count, scale, 20.0, roam)
        placed = sample(layer, maps, self.side)
        tiny = torch.nonzero(scale * self.side < 0.55 * layer.shape[-1])[:, 0]
        if len(tiny):  # a mip level, so that thin lines thin out instead of breaking up
            half = functional.avg_pool2d(layer[tiny], 2)
            placed[tiny] = sample(half, maps[tiny], self.side)
        return placed

    def _ground(self, layer: Tensor, palette: Tensor, dark: Tensor) -> Tensor:
        count, side = len(layer), self.side
        plain = self._uniform(count, 3, 1, 1) * 0.5
        plain = torch.where(self._uniform(count, 1, 1, 1) < 0.6, torch.zeros(()), plain)  # noqa: PLR2004
        ground = plain.expand(count, 3, side, side).clone()
        rich = self._chance(count, _TEXTURED)
        if len(rich):
            ground[rich] = self._texture(layer, palette, len(rich))
        return torch.where(dark, ground, 1.0 - ground)

    def _texture(self, layer: Tensor, palette: Tensor, count: int) -> Tensor:
        """Gradients, with noise of a random grain and pieces of other drawings, in 0..0.65."""
        side = self.side
        ramp = torch.linspace(0.0, 1.0, side)
        direction = 2.0 * torch.pi * self._uniform(count, 1, 1)
        mix = torch.cos(direction) * ramp[None, None, :] + torch.sin(direction) * ramp[None, :, None]
        mix = ((mix + 1.0) / 2.5)[:, None].clamp_(0.0, 1.0)
        one, other = self._uniform(2, count, 3, 1, 1)
        texture = one * mix + other * (1.0 - mix)
        noisy = self._chance(count, 0.5)
        if len(noisy):
            grain = int(torch.randint(2, 5, (1,), generator=self.rng))
            small = self._uniform(len(noisy), 3, side // 2**grain + 1, side // 2**grain + 1)
            if grain == 2:  # noqa: PLR2004 - the finest grain is sharp, the others smooth
                cloud = self._uniform(len(noisy), 3, side, side)
            else:
                cloud = functional.interpolate(small, side, mode="bilinear", align_corners=False)
            strength = self._uniform(len(noisy), 1, 1, 1)
            texture[noisy] = texture[noisy] * (1.0 - strength) + cloud * strength
        cluttered = self._chance(count, 0.6)
        if len(cluttered):
            texture[cluttered] = self._clutter(layer, palette, texture[cluttered])
        pale: Tensor = texture * (0.45 + 0.4 * self._uniform(count, 1, 1, 1))
        return pale

    def _clutter(self, layer: Tensor, palette: Tensor, texture: Tensor) -> Tensor:
        count = len(texture)
        for _ in range(2):
            others = torch.randint(0, len(layer), (count,), generator=self.rng)
            scale = 0.4 + 1.4 * self._uniform(count)
            maps = self._matrices(count, scale, 180.0, torch.full((count,), 1.0))
            piece = sample(layer[others], maps, self.side)
            flat = self._uniform(count, 3, 1, 1) * piece[:, 3:]
            colour = torch.where(palette[others][:, None, None, None], piece[:, :3], flat)
            texture = colour + texture * (1.0 - piece[:, 3:])
        return texture

    def _degrade(self, view: Tensor) -> Tensor:
        count = len(view)
        dim = self._chance(count, 0.1)
        view[dim] = view[dim] * (0.25 + 0.6 * self._uniform(len(dim), 1, 1, 1))
        soft = self._chance(count, 0.15)
        if len(soft):
            view[soft] = functional.avg_pool2d(functional.pad(view[soft], (1, 1, 1, 1), mode="replicate"), 3, 1)
        grainy = self._chance(count, 0.15)
        if len(grainy):
            noise = torch.randn(view[grainy].shape, generator=self.rng)
            view[grainy] += noise * (0.12 * self._uniform(len(grainy), 1, 1, 1))
        blocky = self._chance(count, 0.12)
        if len(blocky):
            step = 0.02 + 0.14 * self._uniform(len(blocky), 1, 1, 1, 1, 1)
            view[blocky] = quantise_blocks(view[blocky], step)
        return view


def sample(layer: Tensor, maps: Tensor, side: int) -> Tensor:
    """Read pictures through affine maps, zeros outside.

    Args:
        layer: [N,C,H,W].
        maps: Inverse affine maps [N,2,3].
        side: Side of the output, in pixels.

    Returns:
        [N,C,side,side].
    """
    grid = functional.affine_grid(maps, [len(layer), 1, side, side], align_corners=False)
    return functional.grid_sample(layer, grid, align_corners=False)


def quantise_blocks(view: Tensor, step: Tensor) -> Tensor:
    """Imitate JPEG: round the cosine transform of 8x8 blocks, the more the higher the frequency.

    Args:
        view: [N,3,S,S], S divisible by 8.
        step: Coarseness, [N,1,1,1,1,1] in units of the full range.

    Returns:
        [N,3,S,S].
    """
    basis = _cosine_basis()
    count, channels, side, _ = view.shape
    blocks = view.reshape(count, channels, side // 8, 8, side // 8, 8)
    turned = torch.einsum("ui,ncaibj,vj->ncaubv", basis, blocks, basis)
    rank = torch.arange(8.0)
    weight = (1.0 + rank[:, None] + rank[None, :])[:, None, :] * step
    rounded = (turned / weight).round() * weight
    return torch.einsum("ui,ncaubv,vj->ncaibj", basis, rounded, basis).reshape(view.shape)


def _cosine_basis() -> Tensor:
    k, i = torch.arange(8.0)[:, None], torch.arange(8.0)[None, :]
    basis = torch.cos(math.pi * (2 * i + 1) * k / 16) / 2.0
    basis[0] /= math.sqrt(2.0)
    return basis
