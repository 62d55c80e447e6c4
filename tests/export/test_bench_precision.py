"""The comparison of precisions tells equal folders from different ones, and finds where a verdict turns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.agreement import agree, ask, at_medians
from bench.precision import main

from clipwarden.policy.schema import Mode
from clipwarden_export.verification.decisions import category_scores, load_unbound
from kit.builders import make_category, make_head, make_policy
from kit.cli import write_policy
from kit.pictures import natural_picture
from kit.toymodel import build_toy_model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and one of the same shape that is another model."""
    root = tmp_path_factory.mktemp("folders")
    return build_toy_model(root / "one"), build_toy_model(root / "other", seed=8, max_batch=1)


def test_a_folder_agrees_with_itself_and_not_with_another(folders: tuple[Path, Path], tmp_path: Path) -> None:
    policy = load_unbound(write_policy(tmp_path / "policy.yaml", folders[0], mode="enforce"))
    pictures, done = [natural_picture(seed, (64, 64)) for seed in range(24)], []
    one, other = (ask(folder, pictures, policy, done.append) for folder in folders)
    assert sum(done) == 2 * (24 + len(one.side.texts))

    same = agree(one, one, policy)
    assert (same.images.worst_cosine, same.prompts.top_prompt_agreement) == (1.0, 1.0)
    assert (same.decisions.mean, same.decisions.worst, same.decisions.whole) == (1.0, 1.0, 1.0)

    differing = agree(one, other, policy)
    assert differing.images.worst_cosine < 0.9
    assert differing.decisions.worst <= differing.decisions.mean < 0.9
    assert differing.decisions.worst_category.startswith("colour.")


def test_thresholds_stand_at_the_medians_of_every_category_that_is_scored(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    policy = load_unbound(write_policy(tmp_path / "policy.yaml", folders[0], mode="enforce"))
    answers = ask(folders[0], [natural_picture(seed, (64, 64)) for seed in range(24)], policy, lambda _done: None)
    scores = category_scores(policy, answers.side, answers.images)
    strict = at_medians(policy, scores)
    # colour.green is disabled.
    assert [category.id for category in strict.categories] == ["colour.red", "colour.blue"]
    assert {category.mode for category in strict.categories} == {Mode.ENFORCE}
    bounds = [category.thresholds.bounds.review for category in strict.categories]
    assert bounds == list(np.median(scores[:, :2], axis=0))


def test_a_policy_without_a_text_is_compared_by_its_decisions_alone(folders: tuple[Path, Path]) -> None:
    """A head or learned vectors, as imports bring them."""
    head = make_head((np.eye(1, 16).tolist(), [0.0]))
    policy = make_policy([make_category("nsfw", head=head, block=0.5)])
    policy = replace(policy, model=replace(policy.model, fingerprint=None))
    pictures = [natural_picture(seed, (64, 64)) for seed in range(12)]
    one, other = (ask(folder, pictures, policy, lambda _done: None) for folder in folders)
    found = agree(one, other, policy)
    assert found.prompts is None
    assert found.decisions.worst < 1.0
    assert agree(one, one, policy).decisions.worst == 1.0


def test_the_report_names_the_machine_sizes_agreement_and_ratios(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = write_policy(tmp_path / "policy.yaml", folders[0], mode="enforce")
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(8):
        natural_picture(seed, (64, 64)).save(photos / f"{seed}.png")
    settings = {"rounds": 1, "threads": "1,2", "policy": policy, "images": photos}
    arguments = [*map(str, folders), *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "int8: VNNI or its like: " in output
    assert "other: fp32, image.onnx 0 MB" in output
    assert "max_batch 1" in output
    assert "verdict the same, thresholds at median scores: 100.00%" in output
    assert output.count("(1.00x)") == 6
    assert "images a second on 2 threads, and the ratio to one" in output


def test_nonsense_threads_are_wrong_usage(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(folders[0]), "--threads", "0"])
    assert "--threads" in capsys.readouterr().err
