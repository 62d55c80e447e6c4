"""The limit in a process of its own: plain Pillow and raw session runs in threads, no queue, no gRPC, no inspection.

`python -m bench.pressure.limit ONNX SIDE` reads a JSON line a run and answers each with one: images a second in the
measured part, and the median time of one image.
"""

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from bench.photos import Photo
from bench.pressure.statistics import percentiles

Pixels = NDArray[np.uint8]


def read_pixels(data: bytes, side: int) -> Pixels:
    """Decode a JPEG at twice the side or more, resize its shorter side, crop its middle.

    Args:
        data: The file.
        side: S, pixels.

    Returns:
        [1,S,S,3].
    """
    image: Image.Image = Image.open(io.BytesIO(data))
    width, height = image.size
    shorter = min(width, height)
    target = (side * width // shorter, side * height // shorter)
    image.draft("RGB", (2 * target[0], 2 * target[1]))
    small = image.convert("RGB").resize(target, Image.Resampling.BICUBIC)
    left, top = (target[0] - side) // 2, (target[1] - side) // 2
    return np.asarray(small.crop((left, top, left + side, top + side)))[None]


def open_session(onnx: str, threads: int) -> ort.InferenceSession:
    """Open the encoder with so many threads a run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def work_of(
    session: ort.InferenceSession, side: int, size: Sequence[int], *, encode_only: bool
) -> Callable[[], object]:
    """Return what one thread does for one image; safe in several at once."""
    photo = Photo((size[0], size[1]))
    if encode_only:
        pixels = read_pixels(photo.next(), side)
        return lambda: session.run(None, {"pixels": pixels})
    return lambda: session.run(None, {"pixels": read_pixels(photo.next(), side)})


def measure(work: Callable[[], object], *, threads: int, seconds: float, warm_seconds: float) -> dict[str, Any]:
    """Work in so many threads, and count what ends in the measured part.

    Returns:
        Images a second, and percentiles of the time of one.
    """
    begin = time.perf_counter() + warm_seconds
    end = begin + seconds
    taken: list[float] = []

    def loop() -> None:
        while (started := time.perf_counter()) < end:
            work()
            if begin <= (ended := time.perf_counter()) < end:
                taken.append((ended - started) * 1000)

    workers = [threading.Thread(target=loop) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"images_a_second": len(taken) / seconds, "image_ms": percentiles(taken)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve runs until stdin ends.

    Returns:
        Exit status.
    """
    onnx, side = (arguments or sys.argv[1:])[:2]
    sessions: dict[int, ort.InferenceSession] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        threads = asked.get("encoder_threads", 1)
        session = sessions.setdefault(threads, None) or open_session(onnx, threads)
        sessions[threads] = session
        work = work_of(session, int(side), asked["size"], encode_only=asked.get("encode_only", False))
        result = measure(work, threads=asked["threads"], seconds=asked["seconds"], warm_seconds=asked["warm_seconds"])
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
