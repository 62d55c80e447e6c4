"""Simulate ways to form batches, and print the latency of each: `python -m bench.queueing`.

One encoder, images that come at random (Poisson), and a batch that takes a fixed time and a little an image. No model
runs: the figures are the same on every machine.
"""

import sys
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

IMAGES_PER_SECOND = 1000
FIXED_SECONDS = 0.003
SECONDS_PER_IMAGE = 0.00015
"""With `FIXED_SECONDS`: what a small image encoder takes on a GPU."""
LARGEST_BATCH = 32
IMAGES = 200_000

Seconds = NDArray[np.float64]
Form = Callable[[float, float, float], float]
"""From when the first image of a batch came, the encoder is free, and the last run began: when the batch closes."""


def main() -> int:
    """Print a Markdown table.

    Returns:
        Exit status.
    """
    print("| a batch holds | p50 | p99 |\n|---|---|---|")
    for name, form in FORMS.items():
        p50, p99 = np.percentile(latencies(form), [50, 99]) * 1000
        print(f"| {name} | {p50:.1f} ms | {p99:.1f} ms |")
    return 0


def latencies(form: Form, *, images: int = IMAGES) -> Seconds:
    """Simulate one way to form batches.

    Args:
        form: The way.
        images: How many come.

    Returns:
        `[images]`, seconds from arrival to answer.
    """
    arrivals = np.cumsum(np.random.default_rng(1).exponential(1 / IMAGES_PER_SECOND, images))
    waited = np.empty(images)
    first, free, began = 0, 0.0, 0.0
    while first < images:
        closes = form(arrivals[first], free, began)
        came = int(np.searchsorted(arrivals, closes, side="right"))
        end = max(first + 1, min(came, first + LARGEST_BATCH))
        # A full batch need not wait for its window to close.
        began = max(free, arrivals[end - 1] if end - first == LARGEST_BATCH else closes)
        free = began + FIXED_SECONDS + SECONDS_PER_IMAGE * (end - first)
        waited[first:end] = free - arrivals[first:end]
        first = end
    return waited


FORMS: Mapping[str, Form] = {
    "what waits when the encoder is free (ours)": lambda came, free, _: max(came, free),
    "what waited when the run before it began": lambda came, _, began: max(came, began),
    "what comes within 5 ms of the encoder being free": lambda came, free, _: max(came, free) + 0.005,
    "what comes within 10 ms of the encoder being free": lambda came, free, _: max(came, free) + 0.010,
}


if __name__ == "__main__":
    sys.exit(main())
