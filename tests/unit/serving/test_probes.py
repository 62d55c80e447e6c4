"""What probes are told, look by look: a restart is asked for when it helps, and by no load."""

import asyncio
import json
from http import HTTPStatus

import pytest

from clipwarden.serving.health import Health, State
from clipwarden.serving.http import Request, Response
from clipwarden.serving.probes import DEAF_STALLS, LIVEZ, LOOKS, LOST_STALLS, READYZ, Probes


@pytest.fixture
def health() -> Health:
    health = Health([])
    health.set_serving(True)
    return health


@pytest.fixture
async def probes(health: Health) -> Probes:
    return Probes(health, stall_seconds=1.0)


def ask(probes: Probes, path: str, query: str = "", **headers: str) -> Response:
    return probes.pages[path](Request(method="GET", path=path, query=query, headers=headers))


def statuses(probes: Probes) -> tuple[int, int]:
    return ask(probes, READYZ).status, ask(probes, LIVEZ).status


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_loop_that_does_not_turn_is_not_ready_and_later_not_live(probes: Probes) -> None:
    probes.look()
    for _ in range(LOOKS):
        probes.look()
    assert statuses(probes) == (200, 200)
    probes.look()
    assert statuses(probes) == (503, 200)
    assert ask(probes, READYZ).body == b"stalled\n"
    for _ in range((DEAF_STALLS - 1) * LOOKS):
        probes.look()
    assert statuses(probes) == (503, 503)
    assert ask(probes, LIVEZ).body == b"the event loop does not turn\n"
    await turn()
    probes.look()
    assert statuses(probes) == (200, 200)


async def test_loop_that_turns_once_in_many_looks_is_alive(probes: Probes) -> None:
    for _ in range(20):
        for _ in range(DEAF_STALLS * LOOKS):
            probes.look()
        assert statuses(probes)[1] == 200
        await turn()


@pytest.mark.parametrize("state", [State.STALLED, State.UNHEALTHY])
async def test_health_that_stays_lost_asks_for_a_restart_and_one_good_look_takes_that_back(
    probes: Probes, health: Health, state: State
) -> None:
    health.set_serving(False, otherwise=state)
    for _ in range(LOST_STALLS * LOOKS):
        probes.look()
        await turn()
    assert statuses(probes) == (503, 200)
    probes.look()
    assert statuses(probes) == (503, 503)
    assert ask(probes, LIVEZ).body == f"{state} for too long\n".encode()
    health.set_serving(True)
    probes.look()
    assert statuses(probes) == (200, 200)


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING])
async def test_starting_and_draining_may_take_as_long_as_they_take(
    probes: Probes, health: Health, state: State
) -> None:
    health.set_serving(False, otherwise=state)
    for _ in range(100 * LOOKS):
        probes.look()
        await turn()
    assert statuses(probes) == (503, 200)
    assert ask(probes, READYZ).body == f"{state}\n".encode()


async def test_notices_are_told_while_the_server_is_ready(probes: Probes, health: Health) -> None:
    health.note("policies", "half of them")
    assert (ask(probes, READYZ).status, ask(probes, READYZ).body) == (
        HTTPStatus.OK,
        b"serving\npolicies: half of them\n",
    )
    told = {"state": "serving", "notices": {"policies": "half of them"}}
    for answer in (ask(probes, READYZ, "verbose"), ask(probes, READYZ, accept="text/html, application/json")):
        assert json.loads(answer.body) == told
        assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(ask(probes, LIVEZ, "verbose=1").body) == {"state": "live", "notices": {}}


async def test_loop_that_is_gone_is_no_fault_of_a_look(health: Health) -> None:
    loop = asyncio.new_event_loop()

    async def make() -> Probes:
        return Probes(health, stall_seconds=1.0)

    probes = await asyncio.to_thread(loop.run_until_complete, make())
    loop.close()
    for _ in range(2):
        probes.look()
    assert ask(probes, LIVEZ).status == HTTPStatus.OK
