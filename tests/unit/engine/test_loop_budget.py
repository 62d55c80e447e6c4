"""What the event loop may be given: a budget of about a millisecond, held by a guard and by a ratio."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from bench.scoring import make_compiled

from clipwarden.engine.judging import judge_image, judging_microseconds
from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.snapshot import Snapshot
from clipwarden.engine.threads import LOOP_BUDGET_MICROSECONDS
from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.policy.schema import Pool
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef
from clipwarden.vision.decode import read_header
from clipwarden.vision.facts import ImageFacts
from kit.loopguard import LoopBudgetError, guarded_loops
from kit.pictures import encode, natural_picture

MODEL = Preprocessing(side=32)


async def test_guard_refuses_seeing_on_the_loop() -> None:
    data = encode(natural_picture(1), "PNG")
    with pytest.raises(LoopBudgetError, match="read_header"), guarded_loops():
        read_header(data, preprocessing=MODEL)


async def test_guard_lets_threads_see() -> None:
    data = encode(natural_picture(1), "PNG")
    with guarded_loops() as broken:
        assert (await asyncio.to_thread(read_header, data, preprocessing=MODEL)).format == "PNG"
    assert broken == []


async def test_guard_refuses_long_judging_on_the_loop(toy_model: Model) -> None:
    compiled = make_compiled(Pool.MAX)
    tables = {"bench": prepare(compiled)}
    selection = Snapshot(model=toy_model, tables=tables, default_policy_id="bench").select()

    def judging(views: int) -> None:
        image = EmbeddedImage(
            embeddings=np.tile(compiled.vectors[:1], (views, 1)),
            views=[ViewRef(name="full")] * views,
            facts=ImageFacts(),
            fingerprint=compiled.fingerprint,
        )
        judge_image(image, selection)

    with guarded_loops():
        judging(2)
    with pytest.raises(LoopBudgetError, match="judge_image"), guarded_loops():
        judging(8)


def test_what_broke_the_budget_out_of_sight_fails_the_test_all_the_same() -> None:
    async def serve() -> None:
        with suppress(LoopBudgetError):  # as a server does, which answers INTERNAL
            read_header(encode(natural_picture(1), "PNG"), preprocessing=MODEL)

    with pytest.raises(AssertionError, match="ran on the event loop"), guarded_loops():
        asyncio.run(serve())


@pytest.mark.parametrize(("views", "texts"), [(1, 6000), (6, 1000), (64, 90)])
def test_judging_that_stays_on_the_loop_takes_its_share_of_the_budget(views: int, texts: int) -> None:
    # A clock that the machine cannot fool: hashing 1 MiB takes about half of the budget, and both slow down together.
    compiled = make_compiled(Pool.LSE, texts=texts)
    tables, refs = prepare(compiled), [ViewRef(name="full")] * views
    vectors = np.tile(compiled.vectors[:1], (views, 1))
    assert 0.5 < judging_microseconds(views, compiled) / LOOP_BUDGET_MICROSECONDS <= 1

    def judging() -> None:
        judge(cosines(vectors, compiled), refs, tables, context=None, partial=False, degraded=False)

    block = bytes(2**20)
    assert _least_seconds(judging) < 5 * _least_seconds(lambda: hashlib.sha256(block).digest())


def _least_seconds(work: Callable[[], object], tries: int = 15) -> float:
    """Time some work; the least of several tries is what it takes when nobody interrupts."""
    taken = []
    for _ in range(tries):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)
