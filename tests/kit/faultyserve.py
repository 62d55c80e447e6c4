"""The command line, with faults that a test switches on: run as a script, `python faultyserve.py FOLDER serve ...`.

A file in FOLDER named `FAULT-COLOUR` afflicts every run of the encoder that holds a picture of that colour (`any`:
every run) for as long as the file is there: `throw` raises, `nan` answers not-a-numbers, `hold` does not return. FOLDER
also counts the decodes that were begun, by the length of `decodes`. While `start-held` is there, nothing is loaded;
while `loop-held` is, the event loop does not turn. Everything else is the product.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clipwarden.cli.main import main
from clipwarden.engine import pipeline
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.session import Session
from clipwarden.serving import loading
from clipwarden.serving.metrics import Metrics

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


class FaultySession:
    """onnxruntime's session of the image encoder, or what a test makes of it."""

    def __init__(self, session: Session, faults: Path) -> None:
        self._session = session
        self._faults = faults

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  the session's own
        return getattr(self._session, name)

    def run(self, names: Any, feed: dict[str, np.ndarray]) -> Any:  # noqa: ANN401  as above
        (pixels,) = feed.values()
        while self._afflicts("hold", pixels):
            time.sleep(0.005)
        if self._afflicts("throw", pixels):
            raise RuntimeError("thrown by the test")
        outputs = self._session.run(names, feed)
        return [np.full_like(output, np.nan) for output in outputs] if self._afflicts("nan", pixels) else outputs

    def _afflicts(self, fault: str, pixels: np.ndarray) -> bool:
        for file in self._faults.glob(f"{fault}-*"):
            colour = file.name.partition("-")[2]
            # The centre: pictures have a border, and warm-up and probes are black.
            if colour == "any" or (pixels[:, 16, 16] == COLOURS[colour]).all(axis=1).any():
                return True
        return False


def _wait_while(file: Path) -> None:
    while file.exists():
        time.sleep(0.005)


def install(faults: Path) -> None:
    """Put the taps in."""
    make, decode = ImageEncoder.__init__, pipeline.decode_file

    def make_faulty(self: ImageEncoder, session: Session, **facts: Any) -> None:  # noqa: ANN401  its own
        make(self, FaultySession(session, faults), **facts)  # type: ignore[arg-type]

    def decode_counted(*arguments: Any, **settings: Any) -> Any:  # noqa: ANN401  its own
        with (faults / "decodes").open("ab", buffering=0) as file:
            file.write(b".")
        return decode(*arguments, **settings)

    load, note_lag = loading.load, Metrics.note_lag

    def load_later(settings: Any) -> Any:  # noqa: ANN401  its own
        _wait_while(faults / "start-held")
        return load(settings)

    def hold_loop(self: Metrics, seconds: float) -> None:
        _wait_while(faults / "loop-held")
        note_lag(self, seconds)

    loading.load = load_later
    Metrics.note_lag = hold_loop  # type: ignore[method-assign]
    ImageEncoder.__init__ = make_faulty  # type: ignore[method-assign,assignment]
    pipeline.decode_file = decode_counted


if __name__ == "__main__":
    install(Path(sys.argv.pop(1)))
    run: Callable[[], None] = main
    run()
