"""Print what decodes are estimated to cost beside what they take: `python -m bench.costs`.

Processor time of one decode alone, the least of a few; the estimate is that of a machine which has not learnt yet how
fast it is, so that the column of ratios should be even rather than 1.
"""

import io
import time
from collections.abc import Iterator

import numpy as np
import pillow_heif
from PIL import Image

from bench.measure import describe_machine
from bench.photos import jpeg
from clipwarden.engine.costs import DecodeCosts
from clipwarden.machine import prepare_process
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image, read_header
from clipwarden.vision.opening import readable_formats
from clipwarden.vision.plan import WHOLE, ViewPlan

MODEL = Preprocessing(side=224)
SIZES = ((224, 224), (640, 480), (1600, 1200), (3200, 2400))
TRIES = 4


def pictures(size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    """Encode one picture in every kind that costs differently, by name.

    Args:
        size: (width, height) in pixels.
    """
    rgb = Image.open(io.BytesIO(jpeg(*size))).convert("RGB")
    rgba = rgb.copy()
    rgba.putalpha(200)
    yield "JPEG", _encoded(rgb, "JPEG", quality=85)
    yield "JPEG, grey", _encoded(rgb.convert("L"), "JPEG", quality=85)
    yield "JPEG, progressive", _encoded(rgb, "JPEG", quality=85, progressive=True)
    yield "JPEG, one colour", _encoded(Image.new("RGB", size, "olive"), "JPEG")
    yield "JPEG, CMYK", _encoded(rgb.convert("CMYK"), "JPEG", quality=85)
    yield "PNG", _encoded(rgb, "PNG")
    yield "PNG, palette", _encoded(rgb.quantize(256), "PNG")
    yield "PNG, see-through", _encoded(rgba, "PNG")
    yield "WebP", _encoded(rgb, "WEBP", quality=80)
    yield "WebP, lossless", _encoded(rgb, "WEBP", lossless=True)
    yield "GIF", _encoded(rgb.quantize(256), "GIF")
    yield "BMP", _encoded(rgb, "BMP")
    yield "TIFF", _encoded(rgb, "TIFF")
    yield "TIFF, LZW", _encoded(rgb, "TIFF", compression="tiff_lzw")
    yield "AVIF", _encoded(rgb, "AVIF", speed=8)
    if "HEIC" in readable_formats():
        heic = io.BytesIO()
        pillow_heif.from_pillow(rgb).save(heic, quality=70)
        yield "HEIC", heic.getvalue()


def decode_seconds(data: bytes, tries: int = TRIES, plan: ViewPlan = WHOLE) -> float:
    """Measure the processor time of a decode; the least of several."""
    taken = []
    for _ in range(tries):
        started = time.process_time()
        decode_image(data, preprocessing=MODEL, plan=plan)
        taken.append(time.process_time() - started)
    return min(taken)


def estimated_seconds(data: bytes) -> float:
    """Estimate it by the file's header."""
    return DecodeCosts().seconds(read_header(data, preprocessing=MODEL), len(data))


def main() -> None:
    """Print a Markdown table."""
    prepare_process()
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    print("| image | pixels | ms | estimated | ratio |\n|---|---|---|---|---|")
    ratios = []
    for size in SIZES:
        for name, data in pictures(size):
            took, estimated = decode_seconds(data), estimated_seconds(data)
            ratios.append(estimated / took)
            columns = f"{size[0]} x {size[1]} | {took * 1e3:.2f} | {estimated * 1e3:.2f} | {ratios[-1]:.2f}"
            print(f"| {name} | {columns} |", flush=True)
    print(f"\nratios: median {np.median(ratios):.2f}, all but a tenth between", end=" ")
    print(" and ".join(f"{edge:.2f}" for edge in np.quantile(ratios, (0.05, 0.95))))


def _encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, image_format, **options)
    return data.getvalue()


if __name__ == "__main__":
    main()
