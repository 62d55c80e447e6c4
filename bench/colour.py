"""What showing a model the displayed colours costs, beside what it costs to show it the stored ones.

In pairs that take turns, so that a busy machine disturbs both alike. Each file differs from its partner in nothing but
its profile; pictures have the sizes of a phone's camera and of a web page.
"""

import io
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from PIL import Image

from bench import profiles
from bench.measure import Ratio, Timing, time_together
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.cost import nanoseconds_a_pixel
from clipwarden.vision.colour.curves import ProfileError
from clipwarden.vision.colour.icc import read_profile
from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.pixels import Converter
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
# What may keep a decode thread busy longest; random pixels, whose nodes lie anywhere.
_CONVERTED: dict[str, Callable[[], bytes]] = {
    "V-shaped curve": profiles.v_curve,
    "largest table of four inks": profiles.huge_table,
}
_CONVERTED_PIXELS = 100_000


def run(sizes: Sequence[tuple[int, int]] = SIZES, rounds: int = ROUNDS) -> list[Ratio]:
    """Measure what displayed colours cost, and what hostile profiles cost before any pixel is looked at.

    Args:
        sizes: Of the pictures, (width, height) in pixels.
        rounds: How often each is timed.

    Returns:
        A ratio a profile and size: decoding with colour "srgb" over "ignore"; then a ratio a hostile profile: reading
        it over decoding the first picture; and one a table: converting pixels by it over what is estimated.
    """
    ratios = [
        _of_pair(f"{name} JPEG, {size[0]} x {size[1]}", picture(size, make), bar, rounds)
        for size in sizes
        for name, (make, bar) in _PROFILES.items()
    ]
    photo = picture(sizes[0], None)
    ratios += [_of_reading(name, make(), photo, rounds) for name, make in _HOSTILE.items()]
    return [*ratios, *(_of_converting(name, make(), rounds) for name, make in _CONVERTED.items())]


def _of_pair(name: str, data: bytes, bar: float | None, rounds: int) -> Ratio:
    works = {colour: partial(decode_image, data, preprocessing=_preprocessing(colour)) for colour in ("srgb", "ignore")}
    timings = time_together(works, rounds=rounds)
    return Ratio(
        name=f"{name}: displayed colours over stored ones", cost=timings["srgb"], reference=timings["ignore"], bar=bar
    )


def _of_reading(name: str, profile: bytes, photo: bytes, rounds: int) -> Ratio:
    def read() -> None:
        with suppress(ProfileError):  # finding that out is what it costs
            read_profile(profile)

    works: dict[str, Callable[[], object]] = {
        "read": read,
        "decode": partial(decode_image, photo, preprocessing=_preprocessing("ignore")),
    }
    timings = time_together(works, rounds=rounds)
    return Ratio(
        name=f"reading a hostile profile ({name}; {len(profile)} bytes, {_peak_bytes(read)} held meanwhile) over "
        "decoding a JPEG",
        cost=timings["read"],
        reference=timings["decode"],
    )


def _of_converting(name: str, profile: bytes, rounds: int) -> Ratio:
    """Hold `colour.cost`, by which images are refused, against a measurement of this machine."""
    space = read_profile(profile).space
    channels = len(space.inputs) if isinstance(space, LutSpace) else 3
    pixels = np.random.default_rng(0).integers(0, 256, (_CONVERTED_PIXELS, channels), dtype=np.uint8)
    taken = time_together({"convert": partial(Converter(space).convert, pixels)}, rounds=rounds)["convert"]
    estimate = nanoseconds_a_pixel(space) * len(pixels) / 1e9
    return Ratio(
        name=f"converting {len(pixels)} random pixels by a hostile profile ({name}) over the estimate",
        cost=taken,
        reference=Timing(median_seconds=estimate, best_seconds=estimate, rounds=0),
    )


def _peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _preprocessing(colour: str) -> Preprocessing:
    return Preprocessing(side=224, colour="srgb" if colour == "srgb" else "ignore")


def picture(size: tuple[int, int], profile: Callable[[], bytes] | None) -> bytes:
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
