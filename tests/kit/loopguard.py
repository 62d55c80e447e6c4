"""A guard that fails whatever breaks the event loop's budget on a thread that runs a loop.

It listens to every call of Python code in the test's thread and in those that start during the test. Whatever of
`clipwarden.vision` runs where an event loop runs raises there, and the test that caused it fails too; so does judging,
reading or rendering that is longer than the budget by its own estimate. It sees no code in C, such as hashing, that a
function outside `clipwarden.vision` calls, and no server in a process of its own.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import clipwarden.vision
from clipwarden.engine import judging, threads
from clipwarden.serving import requests, wire, wire_policy

_VISION = tuple(str(Path(path)) for path in clipwarden.vision.__path__)
# Values that records compute of themselves, such as `ImageFacts.partial`, are no work.
_RECORDS = ("facts.py", "plan.py", "limits.py")

# What may be long: its code, and what it will take in microseconds by its own estimate, from its arguments.
_ESTIMATES: dict[CodeType, Callable[[dict[str, Any]], float]] = {
    judging.judge_image.__code__: lambda given: judging.judging_microseconds(
        len(given["image"].views), given["selection"].compiled
    ),
    requests.read_embedded_image.__code__: lambda given: (
        requests.A_NUMBER_MICROSECONDS * given["width"] * len(given["request"].embeddings)
    ),
    wire.moderation.__code__: lambda given: wire.microseconds(
        given["judged"], return_embeddings=given["return_embeddings"]
    ),
    wire_policy.policy.__code__: lambda given: wire_policy.microseconds(given["selection"]),
    wire_policy.policy_list.__code__: lambda given: wire_policy.list_microseconds(given["snapshot"], given["ids"]),
}


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

    before, before_in_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(listen)
    sys.setprofile(listen)
    try:
        yield broken
    finally:
        sys.setprofile(before)
        threading.setprofile(before_in_threads)
    assert not broken, f"ran on the event loop: {broken}"


def _why_not(frame: FrameType) -> str | None:
    """Say what of this call breaks the budget; None for nearly all."""
    code = frame.f_code
    if code in _ESTIMATES and _loop_runs_here():
        cost = _ESTIMATES[code](frame.f_locals)
        return f"{code.co_qualname}, {cost:.0f} microseconds" if cost > threads.LOOP_BUDGET_MICROSECONDS else None
    path = code.co_filename
    if path.startswith(_VISION) and not path.endswith(_RECORDS) and _loop_runs_here():
        return f"{code.co_qualname} of {path}"
    return None


def _loop_runs_here() -> bool:
    return asyncio._get_running_loop() is not None
