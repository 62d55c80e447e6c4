"""Tone curves of ICC profiles and of sRGB: encoded values of 0-1 in, light out, and back."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEVELS: Floats = np.linspace(0, 1, 256, dtype=np.float32)
"""All values that 8 bits can have."""

# Steps that light is encoded by: at the curve's steepest (12.92) one is a fifth of a level of 255.
_ENCODING_STEPS = 16384


class ProfileError(Exception):
    """The profile is one that Chromium does not apply."""


class Curve(Protocol):
    """A function of one channel."""

    def __call__(self, values: Floats) -> Floats:
        """Compute it for values of 0-1, any shape."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampledCurve:
    """Equidistant samples with straight lines between them: at least two, of 0-1."""

    samples: Floats

    def __call__(self, values: Floats) -> Floats:
        """Compute it; outside 0-1 it stays what it is at the ends."""
        last = len(self.samples) - 1
        position = np.clip(values, 0, 1) * np.float32(last)
        below = np.minimum(position.astype(np.intp), last - 1)
        lower = self.samples.take(below)
        result: Floats = lower + (self.samples.take(below + 1) - lower) * (position - below.astype(np.float32))
        return result


@dataclass(frozen=True, kw_only=True, slots=True)
class ParametricCurve:
    """`(a x + b) ^ g + e` from d on, `c x + f` below it (ICC.1:2022, 10.18, all five types)."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def __call__(self, values: Floats) -> Floats:
        """Compute it; odd around zero, as skcms has it: between stages values may leave 0-1."""
        if self == IDENTITY:
            return values
        size = np.abs(values)
        with np.errstate(over="ignore"):
            # Powers beyond a float's range take ten times as long; what is beyond `_HUGE` is cut off below.
            root = 1 / max(self.g, 1.0)
            base = np.minimum(self.a * size + self.b, _HUGE**root)
            base = np.where(base < _TINY**root, 0, base)
            # 0 ** 0 is 0, as in skcms.
            power = np.where(base > 0, base**self.g, 0) + self.e
        result = np.where(size < self.d, self.c * size + self.f, power)
        signed: Floats = (np.where(values < 0, -result, result)).clip(-_HUGE, _HUGE).astype(np.float32)
        return signed


# What a hostile exponent reaches stays a number that can be multiplied.
_HUGE = 1e6
# And what is as dark as this is black.
_TINY = 1e-30
IDENTITY = ParametricCurve(g=1.0)
# IEC 61966-2-1, with the threshold that ICC profiles and browsers use.
SRGB = ParametricCurve(g=2.4, a=1 / 1.055, b=0.055 / 1.055, c=1 / 12.92, d=0.04045)


def srgb_values(light: Floats) -> Floats:
    """Encode light as sRGB does, clipped to its range: 0-1, any shape."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # noqa: PLR2004


_ENCODED = (srgb_values(np.linspace(0, 1, _ENCODING_STEPS + 1, dtype=np.float32)) * 255).round().astype(np.uint8)


def encode_srgb(light: Floats) -> NDArray[np.uint8]:
    """Encode light as levels of sRGB.

    Args:
        light: Linear, any shape.

    Returns:
        uint8, the same shape, within a quarter of a level before rounding.
    """
    steps = np.clip(light, 0, 1) * np.float32(_ENCODING_STEPS) + np.float32(0.5)
    return _ENCODED.take(steps.astype(np.intp))
