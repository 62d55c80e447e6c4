"""A guard that fails whatever breaks the event loop's budget: seeing, or long judging, on a thread that runs a loop.

It listens to every call of Python code in the threads of this process, so that no list of functions can be out of date:
whatever of `clipwarden.vision` runs where an event loop runs, raises there, and the test that caused it fails too.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import clipwarden.vision
from clipwarden.scoring.score import score_rows

MOST_CELLS = 10_000
"""Views times texts that may be judged on the loop: the budget of a millisecond at vectors of 512 numbers."""

_VISION = tuple(str(Path(path)) for path in clipwarden.vision.__path__)
# Values that records compute of themselves, such as `ImageFacts.partial`, are no work.
_RECORDS = ("facts.py", "plan.py", "limits.py")
_JUDGING = score_rows.__code__


class LoopBudgetError(AssertionError):
    """Something ran on the event loop that belongs in a thread."""


@contextmanager
def guarded_loops() -> Iterator[list[str]]:
    """Guard the loops of this thread, and of threads that start inside the block.

    Yields:
        What broke the budget so far; empty in a test that passes.
    """
    broken: list[str] = []

    def listen(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (why := _why_not(frame)):
            broken.append(why)
            raise LoopBudgetError(why)

    before = sys.getprofile()
    threading.setprofile(listen)
    sys.setprofile(listen)
    try:
        yield broken
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    assert not broken, f"ran on the event loop: {broken}"


def _why_not(frame: FrameType) -> str | None:
    """Say what of this call breaks the budget; None for nearly all."""
    code = frame.f_code
    if code is _JUDGING:
        cells = frame.f_locals["rows"].size
        return f"judging {cells} cells" if cells > MOST_CELLS and _loop_runs_here() else None
    path = code.co_filename
    if path.startswith(_VISION) and not path.endswith(_RECORDS) and _loop_runs_here():
        return f"{code.co_qualname} of {path}"
    return None


def _loop_runs_here() -> bool:
    return asyncio._get_running_loop() is not None
