"""What showing a model the displayed colours costs, beside what it costs to show it the stored ones.

In pairs that take turns, so that a busy machine disturbs both alike. Each file differs from its partner in nothing but
its profile; pictures have the sizes of a phone's camera and of a web page.
"""

import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
from PIL import Image

from bench import profiles
from bench.measure import Ratio, time_together
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.icc import read_profile
from clipwarden.vision.colour.othertags import ProfileError
from clipwarden.vision.decode import decode_image

SIZES = ((4000, 3000), (1200, 900))
ROUNDS = 15
SRGB_BAR = 1.03
"""Most that handling of colour may cost an sRGB picture, over a decode that ignores it."""
P3_BAR = 1.20
"""Most that it may cost a Display P3 picture, which phones write."""

_PROFILES: dict[str, tuple[Callable[[], bytes] | None, float | None]] = {
    "without a profile": (None, SRGB_BAR),
    "sRGB": (profiles.srgb, SRGB_BAR),
    "Display P3": (profiles.display_p3, P3_BAR),
    "V-shaped curve": (profiles.v_curve, None),
}
_HOSTILE: dict[str, Callable[[], bytes]] = {
    "largest table of four inks": profiles.huge_table,
    "most entries in a directory": profiles.many_tags,
}


def run() -> list[Ratio]:
    """Measure what displayed colours cost, and what hostile profiles cost before any pixel is looked at.

    Returns:
        A ratio a profile and size: decoding with colour "srgb" over "ignore"; then a ratio a hostile profile: reading
        it over decoding a phone's picture.
    """
    ratios = [
        _of_pair(f"{name} JPEG, {size[0]} x {size[1]}", _picture(size, make), bar)
        for size in SIZES
        for name, (make, bar) in _PROFILES.items()
    ]
    return [*ratios, *(_of_reading(name, make()) for name, make in _HOSTILE.items())]


def _of_pair(name: str, data: bytes, bar: float | None) -> Ratio:
    works = {colour: partial(decode_image, data, preprocessing=_preprocessing(colour)) for colour in ("srgb", "ignore")}
    timings = time_together(works, rounds=ROUNDS)
    return Ratio(
        name=f"{name}: displayed colours over stored ones", cost=timings["srgb"], reference=timings["ignore"], bar=bar
    )


def _of_reading(name: str, profile: bytes) -> Ratio:
    def read() -> None:
        with suppress(ProfileError):  # finding that out is what it costs
            read_profile(profile)

    photo = _picture(SIZES[0], None)
    works: dict[str, Callable[[], object]] = {
        "read": read,
        "decode": partial(decode_image, photo, preprocessing=_preprocessing("ignore")),
    }
    timings = time_together(works, rounds=ROUNDS)
    return Ratio(
        name=f"reading a hostile profile of {len(profile)} bytes ({name}) over decoding a 12-megapixel JPEG",
        cost=timings["read"],
        reference=timings["decode"],
    )


def _preprocessing(colour: str) -> Preprocessing:
    return Preprocessing(side=224, colour="srgb" if colour == "srgb" else "ignore")


def _picture(size: tuple[int, int], profile: Callable[[], bytes] | None) -> bytes:
    """Draw soft shapes under a little noise, which compress as photographs do."""
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    noisy = np.asarray(coarse) + generator.normal(0, 4, (size[1], size[0], 1)).astype(np.float32)
    buffer = io.BytesIO()
    picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    picture.save(buffer, "JPEG", quality=90, icc_profile=profile() if profile else None)
    return buffer.getvalue()
