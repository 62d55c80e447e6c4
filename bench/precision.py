"""Time model folders of one checkpoint in several precisions: `python -m bench.precision FP32 [OTHER ...]`.

Prints images a second as ratios to the first folder, with file sizes and how far the embeddings differ. Says nothing of
absolute numbers on a machine that others use: folders take turns, so that a disturbance hits them alike.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.measure import describe_machine
from clipwarden.vision.cpu import available_cpus
from clipwarden.vision.encoder import ImageEncoder
from clipwarden.vision.independence import varied_pixels
from clipwarden.vision.model import load_model

BATCHES = (1, 4, 16)
ROUNDS = 7
Pixels = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the folders named on the command line.

    Args:
        arguments: Of the command line; the process's own by default.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="model folders; the first is the reference")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timings a cell, of which the median counts")
    options = parser.parse_args(arguments)
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    for line in _compare(options.folders):
        print(line)
    for threads in range(1, available_cpus() + 1):
        for line in _race(options.folders, threads, options.rounds):
            print(line)
    return 0


def _compare(folders: Sequence[Path]) -> list[str]:
    """Say size, batch rule and closeness to the first folder."""
    lines = ["", "folder: precision, image.onnx, all files; cosine to the first folder (worst, mean) on 16 pictures"]
    reference: NDArray[np.float32] | None = None
    for folder in folders:
        model = load_model(folder)
        manifest = model.manifest
        vectors = model.image.encode(varied_pixels(manifest.image.side, 16))
        reference = vectors if reference is None else reference
        cosines = (reference * vectors).sum(axis=1)
        sizes = [record.bytes / 1e6 for record in manifest.files.values()]
        lines.append(
            f"  {folder.name}: {manifest.precision}, {manifest.files['image.onnx'].bytes / 1e6:.0f} MB, "
            f"{sum(sizes):.0f} MB; {cosines.min():.5f}, {cosines.mean():.5f}"
            + ("" if manifest.max_batch is None else f"; max_batch {manifest.max_batch}")
        )
    return lines


def _race(folders: Sequence[Path], threads: int, rounds: int) -> list[str]:
    """Time every folder at every batch size on so many threads, taking turns."""
    works = {
        (folder, batch): _work(folder, batch, threads, varied_pixels(load_model(folder).manifest.image.side, batch))
        for folder in folders
        for batch in BATCHES
    }
    seconds: dict[tuple[Path, int], list[float]] = {key: [] for key in works}
    for round_ in range(rounds + 1):
        for key, work in works.items():
            start = time.perf_counter()
            work()
            if round_:  # the first fills caches
                seconds[key].append(time.perf_counter() - start)
    rates = {key: key[1] / statistics.median(taken) for key, taken in seconds.items()}
    lines = ["", f"images a second on {threads} thread{'s' * (threads > 1)}, and the ratio to {folders[0].name}"]
    for folder in folders:
        cells = [f"batch {b}: {rates[folder, b]:.1f} ({rates[folder, b] / rates[folders[0], b]:.2f}x)" for b in BATCHES]
        lines.append(f"  {folder.name}: " + ", ".join(cells))
    return lines


def _work(folder: Path, batch: int, threads: int, pixels: Pixels) -> Callable[[], object]:
    """Embed a batch as a server would: a graph that may not batch runs in one-thread sessions side by side."""
    if load_model(folder, check_golden=False).manifest.max_batch != 1 or batch == 1:
        encoder = load_model(folder, threads=threads, check_golden=False).image
        return lambda: encoder.encode(pixels)
    encoders = [load_model(folder, threads=1, check_golden=False).image for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def encode_share(share: tuple[ImageEncoder, Pixels]) -> object:
        return share[0].encode(share[1])

    shares = list(zip(encoders, np.array_split(pixels, threads), strict=True))
    return lambda: list(pool.map(encode_share, shares))


if __name__ == "__main__":
    sys.exit(main())
