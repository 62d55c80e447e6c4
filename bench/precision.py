"""Compare model folders of one checkpoint in several precisions: `python -m bench.precision FP32 [OTHER ...]`.

Prints file sizes, how far embeddings, top prompts and decisions agree with the first folder's, and images a second as
ratios to it. Says nothing of absolute numbers on a machine that others use: folders take turns, so that a disturbance
hits them alike.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress

from bench.agreement import Advance, Agreement, Answers, agree, ask
from bench.measure import describe_machine
from clipwarden.machine import available_cpus
from clipwarden.modelfolder.batch_dependence import varied_pixels
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.load import load_model
from clipwarden.policy.schema import Policy
from clipwarden.terminal import stderr
from clipwarden_export.verification.decisions import load_unbound, policy_texts
from clipwarden_export.verification.probes import given_images, probe_images

BATCHES = (1, 4, 16)
ROUNDS = 7
PICTURES = 128
Pixels = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and time the folders named on the command line.

    Args:
        arguments: Of the command line; the process's own by default.

    Returns:
        Exit status.
    """
    options = _parse(arguments)
    for name, value in describe_machine().items():
        print(f"{name}: {value}", flush=True)
    pictures = given_images(options.images) if options.images else probe_images(PICTURES, seed=0)
    policy = load_unbound(options.policy) if options.policy else None
    for line in _compare(options.folders, pictures, policy):
        print(line, flush=True)
    for threads in options.threads:
        for line in _race(options.folders, threads, options.rounds):
            print(line, flush=True)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="model folders; the first is the reference")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timings a cell, of which the median counts")
    parser.add_argument(
        "--threads", type=_numbers, default=range(1, available_cpus() + 1), metavar="N,M", help="such as 1,2"
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=f"pictures; default: {PICTURES} generated ones")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="compare its top prompts and decisions, too")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise ValueError(text)
    return numbers


def _compare(folders: Sequence[Path], pictures: Sequence[Image.Image], policy: Policy | None) -> list[str]:
    """Say size, batch rule, closeness and agreement of every folder."""
    each = len(pictures) + (0 if policy is None else len(policy_texts(policy)))
    with _progress("embedding", each * len(folders)) as advance:
        answers = [ask(folder, pictures, policy, advance) for folder in folders]
    lines = ["", f"against {folders[0].name}, on {len(pictures)} pictures"]
    for other in answers:
        lines += [f"  {other.folder.name}: {_size(other)}", *_agreement(agree(answers[0], other, policy))]
    return lines


def _size(answers: Answers) -> str:
    manifest = answers.manifest
    total = sum(record.bytes for record in manifest.files.values())
    rule = "" if manifest.max_batch is None else f"; max_batch {manifest.max_batch}"
    return (
        f"{manifest.precision}, image.onnx {manifest.files['image.onnx'].bytes / 1e6:.0f} MB, "
        f"all files {total / 1e6:.0f} MB{rule}"
    )


def _agreement(found: Agreement) -> list[str]:
    images = found.images
    closeness = (
        f"    cosine worst {images.worst_cosine:.7f}, mean {images.mean_cosine:.7f}; "
        f"worst error {images.relative_error:.2g} of the spread; nearest own {images.nearest_own:.1%}"
    )
    lines = [closeness]
    if found.prompts is not None:
        lines.append(
            f"    top of {found.prompts.prompts} prompts the same on {found.prompts.top_prompt_agreement:.1%}; "
            f"cosines to prompts move by {found.prompts.change_p99:.2g} (99 %)"
        )
    if found.decisions is not None:
        part = found.decisions
        lines.append(
            f"    verdict the same, thresholds at median scores: {part.mean:.2%} (mean over categories alone), "
            f"{part.worst:.2%} ({part.worst_category}, the worst); every category at once {part.whole:.2%}"
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
    with _progress(f"timing, {threads} threads", (rounds + 1) * len(works)) as advance:
        for round_ in range(rounds + 1):
            for key, work in works.items():
                start = time.perf_counter()
                work()
                if round_:  # the first fills caches
                    seconds[key].append(time.perf_counter() - start)
                advance(1)
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


@contextmanager
def _progress(what: str, total: int) -> Iterator[Advance]:
    """Show on stderr how far the work is."""
    with Progress(console=stderr(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


if __name__ == "__main__":
    sys.exit(main())
