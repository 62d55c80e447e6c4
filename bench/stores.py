"""What a store costs: images/s of `embed` against `moderate`, bytes a picture, and time and memory to open a million.

`python -m bench.stores` makes up a store of a million pictures on disk (2 GB at width 512), opens it in a process of
its own, and embeds drawings that differ by a pixel with the embedded model.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.measure import describe_machine
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.records import PictureRecord, UploadRecord
from clipwarden.tuning.store.store import open_store
from clipwarden.tuning.store.storefile import Charter
from clipwarden.tuning.store.writing import writing
from clipwarden.vision.facts import FileFacts, ImageFacts
from clipwarden.vision.plan import WHOLE

PICTURES = 1_000_000
WIDTH = 512
IMAGES = 1_000
_START = datetime(2026, 10, 1, tzinfo=UTC)


def main() -> None:
    """Measure, and print it."""
    options = _parse()
    if options.open is not None:
        print(json.dumps(_opened(options.open)))
        return
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.images:
            _show_embedding(Path(folder), options.images)
        if options.pictures:
            _show_opening(Path(folder), options.pictures, options.width)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stores", description=__doc__)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of the made-up store; 0 leaves it out")
    parser.add_argument("--width", type=int, default=WIDTH, help="of its vectors")
    parser.add_argument("--images", type=int, default=IMAGES, help="that are embedded; 0 leaves that out")
    parser.add_argument("--folder", help="where stores are made")
    parser.add_argument("--open", type=Path, help="open this store, and print what that took")
    return parser.parse_args()


def _show_embedding(folder: Path, count: int) -> None:
    images = folder / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((64, 48)).resize((640, 480), Image.Resampling.BICUBIC)
    for number in range(count):
        picture.putpixel((0, 0), (number // 65536, number // 256 % 256, number % 256))
        picture.save(images / f"{number:06}.jpg", quality=90, comment=str(number).encode())
    store = folder / "store"
    embed = ["embed", str(images), "-o", str(store)]
    moderate = ["moderate", str(images), "--only", "NOT-JUDGED", "--json"]
    # By turns, and the better of two each: what else runs here slows both.
    times: dict[str, list[float]] = {"embed": [], "moderate": []}
    for turn in range(2):
        times["moderate"].append(_seconds(moderate))
        times["embed"].append(_seconds([*embed[:-1], f"{store}{turn}"]))
    again = _seconds([*embed[:-1], f"{store}0"])
    for name, found in times.items():
        print(f"{name}: {count / min(found):.1f} images/s, start included")
    print(f"embed is {min(times['moderate']) / min(times['embed']):.2f} times as fast as moderate")
    print(f"embed again, nothing new: {count / again:.0f} images/s, start included")


def _seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "clipwarden", *arguments], check=False, capture_output=True)
    return time.perf_counter() - started


def _show_opening(folder: Path, pictures: int, width: int) -> None:
    store = folder / "made-up"
    _make(store, pictures, width)
    on_disk = sum(path.stat().st_size for path in store.rglob("*.parquet"))
    print(f"{pictures:,} pictures of width {width}: {on_disk / pictures:.0f} bytes each on disk, vectors {4 * width}")
    run = subprocess.run(
        [sys.executable, "-m", "bench.stores", "--open", str(store)], check=True, capture_output=True, text=True
    )
    found = json.loads(run.stdout)
    print(f"opened in {found['open_seconds']:.1f} s; {found['bytes'] / pictures:.0f} bytes of memory each, at most")
    print(
        f"all vectors read, block by block, in {found['read_seconds']:.1f} s; "
        f"{found['read_bytes'] / pictures:.0f} bytes of memory each, at most"
    )


def _make(store: Path, pictures: int, width: int) -> None:
    sight = Sight(model="made up", fingerprint="sha256:0", provider="none", precision="fp32", plan=WHOLE, width=width)
    generator = np.random.default_rng(0)
    vectors = (generator.normal(size=width).astype(np.float32) for _ in range(pictures))
    fill_store(store, sight, (vector / np.linalg.norm(vector) for vector in vectors))


def fill_store(store: Path, sight: Sight, vectors: Iterable[NDArray[np.float32]]) -> None:
    """Write a store of a picture of one view for each vector, uploaded once, a second apart, from three countries.

    Args:
        store: Where.
        sight: What is said to have seen them.
        vectors: Float32 unit vectors [D].
    """
    charter = Charter(source=Source.TRAFFIC, since=date(2026, 10, 1), until=date(2026, 10, 31), sight=sight)
    with writing(store, charter) as writer:
        for number, vector in enumerate(vectors):
            digest = hashlib.sha256(number.to_bytes(8)).hexdigest()
            file = FileFacts(format="JPEG", width=640, height=480, sha256=digest, bytes=50_000)
            writer.add_picture(
                PictureRecord(
                    sha256=digest,
                    facts=ImageFacts(file=file),
                    views=(ViewRef(name="full"),),
                    vectors=vector[np.newaxis],
                )
            )
            writer.add_upload(
                UploadRecord(
                    uri=f"/data/uploads/{number:012}.jpg",
                    sha256=digest,
                    time=_START + timedelta(seconds=number),
                    slices={"country": ("DE", "FR", "PL")[number % 3]},
                )
            )
            if writer.is_due:
                writer.write()


def _opened(store: Path) -> dict[str, float]:
    # A child begins with its parent's peak; this forgets it. Source: proc(5), clear_refs.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, started = _peak_bytes(), time.perf_counter()
    opened = open_store(store)
    seconds, held = time.perf_counter() - started, _peak_bytes() - before
    started = time.perf_counter()
    for _ in opened.blocks():
        pass
    return {
        "open_seconds": seconds,
        "bytes": held,
        "read_seconds": time.perf_counter() - started,
        "read_bytes": _peak_bytes() - before,
    }


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
