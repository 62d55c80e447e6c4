"""What candidates cost the callers who never hear of them: one image after another, with 0, 1, 2 and 4 beside it."""

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.measure import Ratio, time_together
from bench.scoring import TEXTS, make_compiled
from bench.serving import ServerLoop, jpeg, make_model
from bench.vit import VIT_B_32, Geometry, int8_vit
from clipwarden.engine.candidates import with_candidates
from clipwarden.engine.snapshot import Snapshot, make_snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Pool

COUNTS = (0, 1, 2, 4)

CLOCKS = {"clock on the wall": time.perf_counter, "processor time": time.process_time}
"""Latency is what the first shows, on a machine that has nothing else to do; the second is what the machine loses."""


def run(
    *, rounds: int = 20, images: int = 20, geometry: Geometry = VIT_B_32, folder: Path | None = None
) -> list[Ratio]:
    """Measure images through servers that have candidates against the same through one that has none.

    Each caller's next image finds the candidates of the one before still at work, if they are: what they take from it
    is in the figure.

    Args:
        rounds: How often each is timed.
        images: Judged in one timing, one after another.
        geometry: Of the encoder.
        folder: Where the encoder is kept; see `int8_vit`.

    Returns:
        One ratio for each number of candidates and each clock.
    """
    model, data = make_model(int8_vit(geometry, folder=folder), geometry), jpeg(geometry.side, geometry.side)
    ratios = []
    with ExitStack() as stack:
        servers = {str(count): stack.enter_context(ServerLoop(_watched(model, count))) for count in COUNTS}
        works = {name: partial(server.moderate_in_turn, data, times=images) for name, server in servers.items()}
        for clock, read in CLOCKS.items():
            timings = time_together(works, rounds=rounds, clock=read)
            without = timings.pop("0")
            ratios += [
                Ratio(
                    name=f"{images} images in turn, candidates of {TEXTS} texts: {name} / none",
                    cost=timing,
                    reference=without,
                    clock=clock,
                )
                for name, timing in timings.items()
            ]
    return ratios


def _watched(model: Model, count: int) -> Snapshot:
    candidates = [
        _versioned(make_compiled(Pool.MAX, seed=number), version=str(number)) for number in range(1, count + 1)
    ]
    return with_candidates(make_snapshot(model, [make_compiled(Pool.MAX)]), candidates)


def _versioned(compiled: CompiledPolicy, *, version: str) -> CompiledPolicy:
    policy = compiled.policy
    return replace(compiled, policy=replace(policy, metadata=replace(policy.metadata, version=version)))
