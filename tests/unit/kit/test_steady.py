"""The steady load notes each request's fate: verdicts of every kind of caller, and what a server refuses or drops."""

from collections.abc import AsyncIterator

import pytest

from clipwarden.modelfolder.load import Model
from kit.serving import Rig, colours_snapshot, serving
from kit.steady import Access, SteadyLoad
from kit.steadychecks import Timeline, Version, faults, unheard
from kit.steadypolicies import version


@pytest.fixture
def first(toy_model: Model) -> Version:
    return version(toy_model, 0)


@pytest.fixture
async def rig(toy_model: Model, first: Version) -> AsyncIterator[Rig]:
    async with serving(toy_model, live=first.text, cache_bytes=0) as rig:
        yield rig


def load_on(rig: Rig) -> SteadyLoad:
    assert rig.server.address
    return SteadyLoad(access=Access(target=rig.server.address), pause_seconds=0.002)


async def test_every_caller_is_answered_and_nothing_is_wrong(rig: Rig, first: Version) -> None:
    async with load_on(rig).running() as load:
        await load.round()
    assert not faults(load.answers, {"": Timeline(first=first)})
    assert not unheard(load.answers, load.callers, [first])
    assert {len(answer.images) for answer in load.answers} == {1, 4}


async def test_what_a_server_refuses_or_cannot_do_is_lost(rig: Rig, first: Version) -> None:
    async with load_on(rig).running() as load:
        rig.encoder.broken = lambda _: True
        await load.round()
        rig.encoder.broken = lambda _: False
        await load.round()
        rig.server.gate.close()
        await load.round()
    lost = [answer for answer in load.answers if answer.failure]
    assert {answer.caller for answer in lost} == load.callers
    assert {str(answer.failure).partition(":")[0] for answer in lost} >= {"UNAVAILABLE", "INTERNAL"}
    assert len(faults(load.answers, {"": Timeline(first=first)})) == len(lost)


@pytest.mark.parametrize("told", [False, True])
async def test_a_swap_is_well_where_it_was_offered_and_found_where_it_was_not(
    toy_model: Model, rig: Rig, first: Version, *, told: bool
) -> None:
    second, timeline = version(toy_model, 1), Timeline(first=first)
    async with load_on(rig).running() as load:
        if told:
            timeline.offer(second)
        rig.server.snapshot = colours_snapshot(rig.server.snapshot.model, live=second.text)
        timeline.told()
        await load.round()
    assert not unheard(load.answers, load.callers, [first, second])
    assert bool(faults(load.answers, {"": timeline})) is not told
