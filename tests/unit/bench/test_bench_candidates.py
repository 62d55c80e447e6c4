"""The benchmark of candidates runs, on an encoder too small to mean anything, and its candidates do judge."""

from pathlib import Path

import pytest
from bench import candidates
from bench.vit import Geometry

from clipwarden.engine.judging import judge_image
from clipwarden.serving import candidates as watching

# Of the width that the benchmark's policy is made for.
TINY = Geometry(side=32, patch=16, width=32, layers=1, heads=2, hidden=64, dim=512)


def test_every_number_of_candidates_is_measured_until_its_answer_and_until_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions: list[str] = []

    def judge(image: object, selection: object) -> object:
        versions.append(selection.compiled.policy.metadata.version)  # type: ignore[attr-defined]
        return judge_image(image, selection)  # type: ignore[arg-type]

    monkeypatch.setattr(watching, "judge_image", judge)
    ratios = candidates.run(rounds=1, geometry=TINY, folder=tmp_path)
    assert [(ratio.name, ratio.clock) for ratio in ratios] == [
        (f"1 image until {end}, {count} candidates of 1000 texts / none", clock)
        for end, clock in (("the answer", "on the wall"), ("all have judged", "processor time"))
        for count in (1, 2, 4)
    ]
    assert all(ratio.cost.median_seconds > 0 for ratio in ratios)
    # Twice a round that counts and one that does not, and 1 + 2 + 4 candidates.
    assert len(versions) == 2 * 2 * 7
    assert set(versions) == {"1", "2", "3", "4"}
