"""Threads of our own: who is told of what ends, and that no thread outlives its use."""

import asyncio
import gc
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from clipwarden.engine.pool import Piece, ThreadPool
from kit.serving import eventually

Number = Piece[int]


def pool_of(size: int, told: Callable[[Number], None], stuck: Callable[[Number], None]) -> ThreadPool[Number]:
    return ThreadPool("test", size=size, on_end=told, on_stuck=stuck)


async def test_one_timer_finds_whatever_is_stuck_and_what_comes_back_is_lent_again() -> None:
    ended: list[Number] = []
    stuck: list[Number] = []
    gates = [threading.Event(), threading.Event()]
    pieces = [Number(lambda gate=gate: gate.wait(timeout=60) + 1) for gate in gates]  # type: ignore[misc]
    pool = pool_of(2, ended.append, stuck.append)
    pool.begin(pieces[0], stall_seconds=math.inf)
    pool.begin(pieces[1], stall_seconds=0.01)  # begun later, and late before
    await eventually(lambda: stuck == [pieces[1]])
    assert (pool.stuck, pool.free, pieces[0].stuck, pieces[1].stuck) == (1, 0, False, True)
    gates[1].set()
    await eventually(lambda: ended == [pieces[1]])
    assert (pool.stuck, pool.free, pieces[1].value) == (0, 1, 2)
    gates[0].set()
    await eventually(lambda: len(ended) == 2)
    pool.close()


async def test_the_time_of_what_is_under_way_counts_as_it_passes() -> None:
    ended: list[Number] = []
    gates = [threading.Event(), threading.Event()]
    pool = pool_of(2, ended.append, ended.append)
    assert pool.busy_seconds == 0
    began = time.monotonic()
    for gate in gates:
        pool.begin(Number(lambda gate=gate: gate.wait(timeout=60) + 1), stall_seconds=60)  # type: ignore[misc]
    begun = time.monotonic()
    await eventually(lambda: pool.busy_seconds > 0.1)
    before, seen = pool.busy_seconds, time.monotonic()
    assert before <= 2 * (seen - began)
    assert pool.busy_seconds >= 2 * (seen - begun) - 1e-6
    gates[0].set()
    await eventually(lambda: len(ended) == 1)
    one = pool.busy_seconds
    await eventually(lambda: pool.busy_seconds > one)
    gates[1].set()
    await eventually(lambda: len(ended) == 2)
    assert before <= one <= pool.busy_seconds == pool.busy_seconds <= 2 * (time.monotonic() - began)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is a process's")
async def test_threads_are_as_nice_as_asked() -> None:
    ended: list[Number] = []
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for niceness in (0, 5):
        pool = ThreadPool[Number]("test", size=1, on_end=ended.append, on_stuck=ended.append, niceness=niceness)
        pool.begin(Number(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())), stall_seconds=60)
        await eventually(lambda: len(ended) == 1)
        assert ended.pop().value == min(own + niceness, 19)
        pool.close()
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


async def test_piece_for_which_no_thread_starts_ends_with_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Number] = []
    pool = pool_of(1, ended.append, ended.append)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("no thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pool.begin(Number(lambda: 1), stall_seconds=60)
        assert pool.free == 0
        await eventually(lambda: len(ended) == 1)
    assert isinstance(ended[0].error, RuntimeError)
    pool.begin(Number(lambda: 2), stall_seconds=60)
    await eventually(lambda: [piece.value for piece in ended] == [None, 2])
    pool.close()


@pytest.mark.parametrize("closed", [True, False])
async def test_threads_end_with_their_pool(closed: bool) -> None:  # noqa: FBT001
    ended: list[Number] = []
    threads: list[threading.Thread] = []
    pool = pool_of(1, ended.append, ended.append)
    pool.begin(Number(lambda: threads.append(threading.current_thread()) or 1), stall_seconds=math.inf)
    await eventually(lambda: len(ended) == 1)
    assert threads[0].is_alive()
    if closed:
        pool.close()
    else:
        del pool
        gc.collect()
    await asyncio.to_thread(threads[0].join, 60)
    assert not threads[0].is_alive()


PROGRAM = """
import asyncio, time
from clipwarden.engine.pool import Piece, ThreadPool
def work():
    time.sleep(0.05)
    print("done", flush=True)
async def main():
    pools.append(ThreadPool("test", size=2, on_end=print, on_stuck=print))
    pools[0].begin(Piece(work), stall_seconds=60)
pools = []
asyncio.run(main())
print("end", flush=True)
"""


def test_program_that_ends_waits_for_what_its_threads_are_at() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["end", "done"]


HANGING = """
import asyncio, sys, threading
from clipwarden.engine import pool
async def main():
    hung = asyncio.Event()
    pools.append(pool.ThreadPool("test", size=2, on_end=print, on_stuck=lambda _: hung.set()))
    pools[0].begin(pool.Piece(threading.Event().wait), stall_seconds={stall_seconds})
    {wait}
pools = []
pool.LEAVE_SECONDS = {leave_seconds}
asyncio.run(main())
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("stall_seconds", "leave_seconds", "wait"),
    [(0.01, 1000, "await hung.wait()"), (0.2, 1000, "pass"), ("float('inf')", 0.01, "pass")],
    ids=["known as stuck", "stuck as the program ends", "of which nobody says when it is stuck"],
)
def test_program_ends_without_a_thread_that_never_comes_back(
    stall_seconds: object, leave_seconds: float, wait: str
) -> None:
    program = HANGING.format(stall_seconds=stall_seconds, leave_seconds=leave_seconds, wait=wait)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "", "")
