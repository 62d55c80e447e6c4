"""What near-duplicates, `sample` and `tune` cost on a large store: seconds, and memory at most.

`python -m bench.grouping` makes up a store of 200,000 pictures as wide as the embedded model's vectors, which lie as
such vectors do (few directions hold most of what differs; one picture in twenty is a copy), and runs the commands with
the shipped policy of 13 categories, each in a process of its own. `--group N` groups N vectors of width 512 instead;
`--every-pair` does so by measuring every pair, as tests do to judge it.
"""

import argparse
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.measure import describe_machine
from bench.stores import fill_store
from clipwarden.modelfolder.load import embedded_model_path, load_model
from clipwarden.tuning.design.groups import near_duplicates
from clipwarden.tuning.store.info import Sight
from clipwarden.vision.plan import WHOLE

PICTURES = 200_000
WIDTH = 512
_START = datetime(2026, 10, 1, tzinfo=UTC)
_FALL = 0.45  # of the spread along a direction with its rank: as of 19,770 drawings seen by the embedded model
_COPIES = 20  # one picture in so many


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.grouping", description=__doc__)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of the made-up store")
    parser.add_argument("--group", type=int, help="only group so many vectors")
    parser.add_argument("--width", type=int, default=WIDTH, help="of those")
    parser.add_argument("--every-pair", action="store_true", help="measure every pair")
    parser.add_argument("--folder", help="where the store is made")
    options = parser.parse_args()
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    if options.group:
        _show_grouping(options.group, options.width, every_pair=options.every_pair)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        _show_commands(Path(folder), options.pictures)


def vectors_like_real(count: int, width: int) -> NDArray[np.float32]:
    """Make vectors up, `[count,width]`, unit rows."""
    rng = np.random.default_rng(0)
    spread = (np.arange(1, width + 1) ** -_FALL).astype(np.float32)
    made = rng.standard_normal((count, width), np.float32)
    made *= 0.8 * spread / np.sqrt((spread * spread).sum())
    middle = rng.standard_normal(width, np.float32)
    made += 0.5 * middle / np.linalg.norm(middle)
    copies = rng.choice(count, count // _COPIES, replace=False)
    noise = rng.standard_normal((len(copies), width), np.float32) / np.sqrt(width, dtype=np.float32)
    made[copies] = made[rng.integers(0, count, len(copies))] + noise * rng.uniform(0, 0.3, (len(copies), 1))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def _show_grouping(count: int, width: int, *, every_pair: bool) -> None:
    vectors = vectors_like_real(count, width)
    started = time.perf_counter()
    if every_pair:
        sys.path.insert(0, "tests")
        every_pair_linkage = importlib.import_module("kit.everypair").complete_linkage  # only a checkout has it
        groups = len(np.unique(every_pair_linkage(vectors, 0.05)[0]))
    else:
        groups = int(near_duplicates(vectors).max()) + 1
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} vectors of width {width}: {groups:,} groups in {seconds:.1f} s, {peak:,.0f} MiB at most")


def _show_commands(folder: Path, pictures: int) -> None:
    store = folder / "uploads.store"
    _make(store, pictures)
    sample = ("sample", "default", "--store", str(store))
    tune = ("tune", "default", "--store", str(store), "--yes", "--only", "weapons")
    top = str(folder / "top.jsonl")
    runs: Sequence[tuple[str, ...]] = (
        (*sample, "-n", "600", "--categories", "weapons", "-o", str(folder / "sample.jsonl")),
        (*sample, "--from-the-top", "weapons", "-o", top),
        (*sample, "--from-the-top", "weapons", "-o", str(folder / "again.jsonl")),
        (*tune, "--block-fpr", "0.5%"),
        (*tune, "--labels", top, "--wrong-stops", "0.5%"),
    )
    for arguments in runs:
        print(_run(arguments, folder), flush=True)
    for name in ("top.jsonl", "top.html"):
        print(f"{name}: {(folder / name).stat().st_size / 2**20:.1f} MiB")


def _run(arguments: Sequence[str], folder: Path) -> str:
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "clipwarden", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, used = os.wait4(child.pid, 0)
    seconds, code = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    assert child.stderr is not None  # noqa: S101  a pipe
    said = child.stderr.read().decode() if code not in {0, 10} else ""
    shown = " ".join(arguments).replace(f"{folder}/", "")
    return f"{seconds:6.1f} s {used.ru_maxrss / 1024:6,.0f} MiB  exit {code}  clipwarden {shown}{said}"


def _make(store: Path, pictures: int) -> None:
    model = load_model(embedded_model_path(), threads=1)
    sight = Sight(
        model="made up",
        fingerprint=model.fingerprint,
        provider="CPUExecutionProvider",
        precision="fp32",
        plan=WHOLE,
        width=model.manifest.dim,
    )
    fill_store(store, sight, vectors_like_real(pictures, sight.width))


if __name__ == "__main__":
    main()
