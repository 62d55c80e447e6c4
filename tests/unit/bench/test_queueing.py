"""The simulation behind the choice of queue and batch, and the figures that the design page shows."""

import math
from pathlib import Path

import numpy as np
import pytest
from bench.queueing import (
    BATCHED_FIXED_SECONDS,
    BATCHED_WAYS,
    CORES,
    FIXED_SECONDS,
    FORMS,
    ONE_THREAD_SECONDS,
    ORDERS,
    SECONDS_PER_IMAGE,
    WAYS,
    Image,
    Waiting,
    cpu_latencies,
    latencies,
    main,
    shares,
    simulate,
)

DESIGN = Path(__file__).parents[3] / "docs" / "design.md"


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    page = DESIGN.read_text(encoding="utf-8")
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert len(tables) == 4
    assert [table for table in tables if table not in page] == []


@pytest.mark.parametrize("name", FORMS)
def test_nobody_is_answered_before_a_batch_of_one_could_be(name: str) -> None:
    waited = latencies(FORMS[name], images=2000)
    assert waited.shape == (2000,)
    assert waited.min() >= FIXED_SECONDS + SECONDS_PER_IMAGE - 1e-12
    assert np.isfinite(waited).all()


@pytest.mark.parametrize("views", [1, 5])
@pytest.mark.parametrize("name", [*WAYS, *BATCHED_WAYS])
def test_every_image_is_answered_and_none_before_its_views_could_be(name: str, views: int) -> None:
    way = {**WAYS, **BATCHED_WAYS}[name]
    waited = cpu_latencies(way, views=views, images=500)
    assert np.isfinite(waited).all()
    assert waited.min() >= way.seconds(math.ceil(views / way.runs)) - 1e-9


def test_views_are_split_over_free_runs() -> None:
    image = Image(arrived=0.0, left=5)
    simulate([image], Waiting(most=8), runs=2, seconds=lambda views: BATCHED_FIXED_SECONDS + views)
    assert image.answered == BATCHED_FIXED_SECONDS + 3
    assert image.left == 0


@pytest.mark.parametrize("name", ORDERS)
def test_what_is_answered_in_time_is_no_more_than_there_is_to_be_had(name: str) -> None:
    loud, light, waited = shares(ORDERS[name](), images=1000)
    assert 0 <= loud <= CORES / ONE_THREAD_SECONDS / 90 + 0.05
    assert 0 <= light <= 1
    assert waited.min() >= ONE_THREAD_SECONDS - 1e-9
