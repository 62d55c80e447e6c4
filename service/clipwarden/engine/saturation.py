"""An encoder, a decoder and a way to run them in; images a second, and whether bits stay, out."""

import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.engine.encoderplan import EncoderPlan
from clipwarden.engine.waiting import Pixels, Vectors
from clipwarden.machine import affinity_cpus, busy_seconds

MOST_BATCH = 8
"""Largest batch that is tried: larger ones only add latency. Source: queue simulation at 1 + 12 n ms a batch."""
RUNS_A_SLICE = 2
"""Runs that each thread makes in a slice at least, however slow the encoder."""
PHOTO_SIZE = (1600, 1200)
"""Of the built-in image, in pixels: what a phone's photograph is scaled to before it is sent."""

Encode = Callable[[Pixels], Vectors]


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What the encoder is tried with.

    Attributes:
        encoders: By threads of a run.
        decode: Makes the pixels of one image, uint8 [V,S,S,3]; called in several threads.
        varied: uint8 [N,S,S,3], as different from each other as can be; N at least `MOST_BATCH`.
        max_batch: Most views of a run that the model allows.
    """

    encoders: Mapping[int, Encode]
    decode: Callable[[], Pixels]
    varied: Pixels
    max_batch: int


def built_in_photo() -> bytes:
    """Draw a JPEG that takes a decoder as long as a photograph of `PHOTO_SIZE` does: smooth shapes, edges and grain."""
    width, height = PHOTO_SIZE
    random = np.random.default_rng(11)
    shapes = Image.fromarray(random.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize(PHOTO_SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    grain = random.normal(0, 6, (height, width, 1)).astype(np.float32)
    data = io.BytesIO()
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=85)
    return data.getvalue()


def exact_batch(load: Load, threads: int, *, at_once: int) -> int:
    """Find the largest batch up to which each embedding has the bits that one thread makes of the image alone.

    Every size up to it is tried, since a batch may come out smaller than it could be; images stand at several positions
    beside several neighbours, and other runs are at work at the same time.

    Args:
        load: The encoder; `varied` is what it sees.
        threads: Of a run.
        at_once: Runs at the same time.

    Returns:
        0 where not even a batch of one has the same bits.
    """
    encode, images = load.encoders[threads], load.varied
    expected = np.concatenate([load.encoders[1](image[None]) for image in images])

    def same(rows: NDArray[np.intp]) -> bool:
        return np.array_equal(encode(images[rows]), expected[rows])

    with ThreadPoolExecutor(at_once) as pool:
        for size in range(1, min(load.max_batch, MOST_BATCH) + 1):
            if not all(pool.map(same, _neighbourhoods(len(images), size))):
                return size - 1
    return min(load.max_batch, MOST_BATCH)


def _neighbourhoods(count: int, size: int) -> Sequence[NDArray[np.intp]]:
    """Deal all images into batches of a size, twice, in other company and at other places."""
    shuffle = np.random.default_rng(size)
    orders = [np.arange(count), shuffle.permutation(count)]
    return [np.resize(np.roll(order, -start), size) for order in orders for start in range(0, count, size)]


class Neighbours:
    """What other programs take of the CPUs from now on."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        """Return the time, and that which others have had of processors."""
        return time.perf_counter(), (busy_seconds() or 0.0) - time.process_time()

    def taken(self, cpus: float) -> float:
        """Return the share of so many CPUs that others left no room for; 0 where nobody counts it."""
        (then, had), (now, have) = self._before, self._now()
        if busy_seconds() is None:
            return 0.0
        room = affinity_cpus() - (have - had) / (now - then)
        return min(1.0, max(0.0, 1 - room / cpus))


def images_a_second(load: Load, plan: EncoderPlan, seconds: float) -> float:
    """Decode and encode at saturation: as many decodes as the plan has are always at work or done ahead.

    Each thread takes as many images as a run has views: whatever number of views an image has, they fill its runs.
    """
    encode, batch = load.encoders[plan.encoder_threads], plan.max_batch
    with ThreadPoolExecutor(plan.decode_threads) as decoders:
        ahead = plan.encoder_runs * batch + plan.decode_threads
        decoded = deque(decoders.submit(load.decode) for _ in range(ahead))

        def run() -> int:
            taken = [decoded.popleft() for _ in range(batch)]  # one step each, so that threads may share the line
            decoded.extend(decoders.submit(load.decode) for _ in taken)
            for views in _runs_of(np.concatenate([pixels.result() for pixels in taken]), batch):
                encode(views)
            return batch

        rate = _rate(run, threads=plan.encoder_runs, seconds=seconds)
        decoders.shutdown(cancel_futures=True)
    return rate


def views_a_second(load: Load, plan: EncoderPlan, seconds: float) -> float:
    """Encode at saturation, with nothing beside it."""
    encode = load.encoders[plan.encoder_threads]
    pixels = np.resize(load.varied, (plan.max_batch, *load.varied.shape[1:]))

    def run() -> int:
        return len(encode(pixels))

    return _rate(run, threads=plan.encoder_runs, seconds=seconds)


def _rate(run: Callable[[], int], *, threads: int, seconds: float) -> float:
    """Add up what threads get done a second, each by its own time: none waits for the last.

    An error in one of them, or Ctrl-C, ends the others after the run that they are in.
    """
    end, stop = time.perf_counter() + seconds, Event()

    def work(_: int) -> float:
        started, done, runs = time.perf_counter(), 0, 0
        with _setting_on_error(stop):
            while not stop.is_set() and (runs < RUNS_A_SLICE or time.perf_counter() < end):
                done += run()
                runs += 1
        return done / (time.perf_counter() - started)

    with ThreadPoolExecutor(threads) as pool, _setting_on_error(stop):
        return sum(pool.map(work, range(threads)))


@contextmanager
def _setting_on_error(stop: Event) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stop.set()
        raise


def lone_seconds(load: Load, plan: EncoderPlan) -> float:
    """Time one image, from its bytes to its embedding, with nothing else at work; its views are split over the runs."""
    encode = load.encoders[plan.encoder_threads]
    with ThreadPoolExecutor(plan.encoder_runs) as runs:
        started = time.perf_counter()
        deque(runs.map(encode, _runs_of(load.decode(), plan.max_batch)))
        return time.perf_counter() - started


def _runs_of(pixels: Pixels, max_batch: int) -> Sequence[Pixels]:
    """Split views as the batcher does: none of the plan's runs has more than its batch."""
    return [pixels[first : first + max_batch] for first in range(0, len(pixels), max_batch)]
