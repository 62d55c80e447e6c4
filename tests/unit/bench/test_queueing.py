"""The simulation behind the choice of batching, and the figures that the design page shows."""

from pathlib import Path

import numpy as np
import pytest
from bench.queueing import FIXED_SECONDS, FORMS, SECONDS_PER_IMAGE, latencies, main

DESIGN = Path(__file__).parents[3] / "docs" / "design.md"


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert capsys.readouterr().out.strip() in DESIGN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FORMS)
def test_nobody_is_answered_before_a_batch_of_one_could_be(name: str) -> None:
    waited = latencies(FORMS[name], images=2000)
    assert waited.shape == (2000,)
    assert waited.min() >= FIXED_SECONDS + SECONDS_PER_IMAGE - 1e-12
    assert np.isfinite(waited).all()
