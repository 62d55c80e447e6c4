"""Profiles drawn at random, odd in any part, in files of every format that carries them: always the same ones."""

import random
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.browser.corpus.entry import patches
from tests.browser.corpus.pngs import deep
from tests.browser.parts import encode, iccp, with_chunks
from tests.browser.profiles import (
    ADOBE_PRIMARIES,
    BT2020_PRIMARIES,
    IDENTITY_CURVE,
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    PROPHOTO_PRIMARIES,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SRGB_TABLE,
    SWAPPED_PRIMARIES,
    V_CURVE,
    Curve,
    Floats,
    cmyk_to_xyz,
    colorants,
    gamma_curve,
    lab_nodes,
    lattice,
    mab_tag,
    mft2_tag,
    parametric_curve,
    rgb_to_xyz,
    srgb_to_linear,
    table_curve,
    tones,
    write_profile,
    xyz_to_lab,
)

SIDE = 72
_CHANNELS = {b"RGB ": 3, b"GRAY": 1, b"CMYK": 4}
_GRIDS = {1: 9, 3: 5, 4: 3}
_PRIMARIES = (
    SRGB_PRIMARIES,
    P3_PRIMARIES,
    ADOBE_PRIMARIES,
    BT2020_PRIMARIES,
    PROPHOTO_PRIMARIES,
    SWAPPED_PRIMARIES,
)
# What g, a, b, c, d, e and f of a formula are drawn from: honest, at an edge, or far beyond.
_NUMBERS = (
    (1, 2.2, 2.4, 0.5, 3, -1, 0, 10),
    (1, 0.9, 1 / 1.055, 2, 0.5, -1, 20),
    (0, 0.1, -0.1, 0.05, 1),
    (0, 0.1, 1 / 12.92, 1, -0.2, 5),
    (0, 0.04, 0.5, 1, -1, 2),
    (0, 0.1, -0.1, 1),
    (0, 0.1, -0.2),
)
_KINDS = (1, 3, 4, 5, 7)


class Draws:
    """A stream of files from one seed."""

    def __init__(self, seed: int) -> None:
        self._draw, self._numbers = random.Random(seed), np.random.default_rng(seed)  # noqa: S311

    def files(self, count: int) -> Iterator[tuple[str, bytes]]:
        """Draw files: a name each."""
        carriers: tuple[tuple[str, bytes, Callable[[bytes], bytes]], ...] = (
            ("png", b"RGB ", lambda profile: with_chunks(encode(self._picture(), "PNG"), iccp(profile))),
            ("png of 16 bits", b"RGB ", self._deep),
            ("png of grey", b"GRAY", lambda profile: with_chunks(encode(self._picture("L"), "PNG"), iccp(profile))),
            ("png, palette", b"RGB ", self._palette),
            ("jpeg", b"RGB ", lambda profile: encode(self._picture(), "JPEG", quality=97, icc_profile=profile)),
            ("jpeg of grey", b"GRAY", lambda profile: encode(self._picture("L"), "JPEG", icc_profile=profile)),
            ("jpeg of inks", b"CMYK", lambda profile: encode(self._picture("CMYK"), "JPEG", icc_profile=profile)),
            ("webp", b"RGB ", lambda profile: encode(self._picture(), "WEBP", lossless=True, icc_profile=profile)),
            ("avif", b"RGB ", lambda profile: encode(self._picture(), "AVIF", quality=95, icc_profile=profile)),
        )
        for number in range(count):
            name, space, write = self._draw.choice(carriers)
            yield f"{number}, {name}", write(self._profile(space))

    def _picture(self, mode: str = "RGB") -> Image.Image:
        """Patches, noise and, in half of them, dots of opposite colours."""
        pixels = np.asarray(patches().resize((SIDE, SIDE))).copy()
        pixels[: SIDE // 6] = self._numbers.integers(0, 256, (SIDE // 6, SIDE, 3))
        if self._draw.random() < 0.5:
            pixels[::2, ::2] = 255 - pixels[::2, ::2]
        return Image.fromarray(pixels).convert(mode)

    def _deep(self, profile: bytes) -> bytes:
        high: NDArray[np.uint16] = np.asarray(self._picture()).astype(np.uint16) << 8
        return deep(high + self._numbers.integers(0, 256, high.shape).astype(np.uint16), iccp(profile))

    def _palette(self, profile: bytes) -> bytes:
        return with_chunks(encode(self._picture().quantize(64), "PNG"), iccp(profile), before=b"PLTE")

    def _profile(self, space: bytes) -> bytes:
        lab = self._draw.random() < 0.7
        tags = []
        if space != b"CMYK" and self._draw.random() < 0.6:
            lab = self._draw.random() < 0.1
            one = self._draw.random() < 0.5
            curves = [self._curve()] if one or space == b"GRAY" else [self._curve() for _ in range(3)]
            tags = [(b"kTRC", curves[0])] if space == b"GRAY" else [*colorants(self._matrix()), *tones(*curves)]
        if not tags or self._draw.random() < 0.15:
            names = self._draw.choice(((b"A2B0",), (b"A2B0",), (b"A2B1",), (b"A2B0", b"A2B1"), (b"A2B2",)))
            tags += [(name, self._table(_CHANNELS[space], lab=lab)) for name in names]
        if self._draw.random() < 0.15:
            tags.append((b"cicp", b"cicp\0\0\0\0" + bytes(self._code_points())))
        device = self._draw.choice((b"mntr", b"mntr", b"scnr", b"prtr", b"spac"))
        connection = b"Lab " if lab else b"XYZ "
        return write_profile(space, connection, tags, device=device, version=self._draw.choice((2, 4, 4)))

    def _curve(self) -> Curve:
        kind = self._draw.randrange(14)
        if kind == 0:
            return table_curve(self._numbers.random(self._draw.choice((2, 3, 17, 256, 1024, 4096))))
        if kind == 1:
            return gamma_curve(self._draw.choice((0.1, 0.45, 1, 1.8, 2.2, 2.4, 5, 30, 200)))
        if kind == 2:
            return table_curve(np.linspace(0, 1, self._draw.choice((2, 256, 1024))) ** self._draw.uniform(0.2, 6))
        if kind == 3:
            return table_curve(np.linspace(0, self._draw.choice((1, 3, 10)), 4096) % 1)
        if kind < 9:
            return self._draw.choice((SRGB_TABLE, SRGB_PARAMETRIC, NEGATIVE_CURVE, V_CURVE, IDENTITY_CURVE))
        kind = self._draw.randrange(len(_KINDS))
        return parametric_curve(kind, *(self._draw.choice(each) for each in _NUMBERS[: _KINDS[kind]]))

    def _matrix(self) -> Floats:
        matrix = rgb_to_xyz(self._draw.choice(_PRIMARIES))
        kind = self._draw.randrange(6)
        if kind == 0:
            return matrix @ self._numbers.uniform(-2, 2, (3, 3))
        if kind == 1:
            return matrix * self._draw.choice((0.1, 0.5, 2, 10, 200))
        return matrix

    def _table(self, channels: int, *, lab: bool) -> bytes:
        grid = _GRIDS[channels]
        device = lattice(grid, channels)
        linear = srgb_to_linear(device if channels == 3 else device[:, :1].repeat(3, axis=1))
        light = cmyk_to_xyz(device) if channels == 4 else linear @ self._matrix().T
        colours = xyz_to_lab(light.clip(0, 2))
        if self._draw.random() < 0.3:
            colours = self._numbers.uniform([0, -100, -100], [100, 100, 100], colours.shape)
        if self._draw.random() < 0.4:
            return mft2_tag(colours, channels, grid, np.linspace(0, 1, 256) ** self._draw.choice((1, 1, 0.5, 3)))
        plain = self._draw.random() < 0.4
        line = table_curve([0, 1])
        b, m, a = ([line if plain else self._curve() for _ in range(count)] for count in (3, 3, channels))
        with_matrix = self._draw.random() < 0.5
        return mab_tag(
            b=b,
            m=m if with_matrix else (),
            matrix=(1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0) if plain else self._numbers.uniform(-1.5, 1.5, 12).tolist(),
            nodes=lab_nodes(colours) if lab else light.clip(0, 2) / 2,
            grid=[grid] * channels,
            a=a,
        )

    def _code_points(self) -> tuple[int, int, int, int]:
        pick = self._draw.choice
        return pick((1, 2, 5, 9, 12)), pick((1, 2, 4, 6, 8, 13, 14, 16, 18)), pick((0, 0, 0, 1)), pick((0, 1, 1))
