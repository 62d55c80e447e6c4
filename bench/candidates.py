"""What candidates cost the callers who never hear of them: one image at a time, with 0, 1, 2 and 4 of them."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.measure import Ratio, Timing, time_together
from bench.photos import Photo
from bench.scoring import TEXTS, make_compiled
from bench.serving import ServerLoop, make_model
from bench.vit import VIT_B_32, Geometry, int8_vit
from clipwarden.engine.candidates import with_candidates
from clipwarden.engine.snapshot import Snapshot, make_snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Pool

COUNTS = (0, 1, 2, 4)


def run(*, rounds: int = 100, geometry: Geometry = VIT_B_32, folder: Path | None = None) -> list[Ratio]:
    """Measure an image through servers that have candidates against the same image through one that has none.

    Twice: until its answer is read, by the clock on the wall, which other work on the machine disturbs; and until
    its candidates have judged it too, in processor time, which is what the next image may have to wait for. Answers go
    out before candidates judge, but here the client shares the server's loop and core, and reads them late: a client
    of its own waits less.

    Args:
        rounds: How often each is timed.
        geometry: Of the encoder.
        folder: Where the encoder is kept; see `int8_vit`.

    Returns:
        One ratio for each number of candidates, twice.
    """
    model = make_model(int8_vit(geometry, folder=folder), geometry)
    photo = Photo((geometry.side, geometry.side))
    with ExitStack() as stack:
        servers = {count: stack.enter_context(ServerLoop(_watched(model, count))) for count in COUNTS}

        def settle() -> None:
            for server in servers.values():
                server.settle()

        def judge_and_settle(server: ServerLoop) -> None:
            server.moderate(photo)
            server.settle()

        answers = {f"{count}": partial(server.moderate, photo) for count, server in servers.items()}
        whole = {f"{count}": partial(judge_and_settle, server) for count, server in servers.items()}
        latency = time_together(answers, rounds=rounds, clock=time.perf_counter, settle=settle)
        processor = time_together(whole, rounds=rounds)
    return [
        *_ratios("until the answer", latency, clock="on the wall"),
        *_ratios("until all have judged", processor, clock="processor time"),
    ]


def _ratios(what: str, timings: Mapping[str, Timing], *, clock: str) -> list[Ratio]:
    return [
        Ratio(
            name=f"1 image {what}, {count} candidates of {TEXTS} texts / none",
            cost=timing,
            reference=timings["0"],
            clock=clock,
        )
        for count, timing in timings.items()
        if count != "0"
    ]


def _watched(model: Model, count: int) -> Snapshot:
    candidates = [
        _versioned(make_compiled(Pool.MAX, seed=number), version=f"{number}") for number in range(1, count + 1)
    ]
    return with_candidates(make_snapshot(model, [make_compiled(Pool.MAX)]), candidates)


def _versioned(compiled: CompiledPolicy, *, version: str) -> CompiledPolicy:
    policy = compiled.policy
    return replace(compiled, policy=replace(policy, metadata=replace(policy.metadata, version=version)))
