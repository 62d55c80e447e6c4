"""Imported, Q16 gives the verdict of its softmax at every probability, and a wrong import would not."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner, Result

from clipwarden.errors import PolicyError
from clipwarden.modelfolder.load import Model, load_model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef
from clipwarden.vision.preprocess import fit_to_side
from clipwarden_export.cli import app
from clipwarden_export.exits import Exit
from clipwarden_export.importers.imported import POLICY_NAME
from clipwarden_export.importers.q16 import VECTORS_NAME
from kit.checkpoints import varied_pictures

FULL = (ViewRef(name="full"),)
THRESHOLDS = (0.05, 0.5, 0.9)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def vectors(model: Model) -> NDArray[np.float32]:
    pictures = varied_pictures()
    return np.concatenate([model.image.encode(fit_to_side(each, model.manifest.image)[None]) for each in pictures])


@pytest.fixture(scope="module")
def prompts(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Two vectors of different lengths between which the pictures' logits spread by 5 around 0."""
    random = np.random.default_rng(16)
    wide = vectors.astype(np.float64)
    mean = wide.mean(axis=0)
    # Along directions in which the pictures do vary, so that a short difference of two unit vectors spreads them.
    difference = (wide - mean).T @ random.normal(size=len(wide))
    difference *= 0.05 / (wide @ difference).std()
    # Of all pictures' products with their mean none is far from the others: it moves the median to the middle.
    difference -= np.median(wide @ difference) * mean / np.median(wide @ mean)
    common = random.normal(size=wide.shape[1])
    common -= difference * (common @ difference) / (difference @ difference)
    common *= np.sqrt(1 - difference @ difference / 4) / np.linalg.norm(common)
    pair = np.stack([common - difference / 2, common + difference / 2])
    return (pair * [[3.0], [0.7]]).astype(np.float32)


def q16_probabilities(prompts: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Q16 as its authors write it: unit vectors, a factor of 100, a softmax; the second class is inappropriate."""
    features, text = torch.from_numpy(vectors).double(), torch.from_numpy(prompts).double()
    text = text / text.norm(dim=-1, keepdim=True)
    features = features / features.norm(dim=-1, keepdim=True)
    return (100.0 * features @ text.T).softmax(dim=-1)[:, 1].numpy()


def blocked(
    folder: Path, model: Model, vectors: NDArray[np.float32], *, chosen_anew: bool = False
) -> NDArray[np.bool_]:
    policy = load_policy(folder / POLICY_NAME).policy
    compiled = compile_policy(choose_lines(policy, model.fingerprint) if chosen_anew else policy, model=model)
    tables, rows = prepare(compiled), cosines(vectors, compiled)
    verdicts = [judge(row[None], FULL, tables, context=None, partial=False, degraded=False).verdict for row in rows]
    return np.array([verdict is Verdict.BLOCK for verdict in verdicts])


def run(*arguments: object) -> Result:
    # Wide enough that no sentence is wrapped, and plain.
    terminal = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=terminal).invoke(app, ["import", "q16", *(str(argument) for argument in arguments)])


def saved(prompts: NDArray[np.float32], folder: Path) -> Path:
    path = folder / "prompts.npy"
    np.save(path, prompts)
    return path


@pytest.fixture(scope="module")
def imported(
    prompts: NDArray[np.float32], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[float, Path]:
    scratch = tmp_path_factory.mktemp("q16")
    source, folders = saved(prompts, scratch), {}
    for threshold in THRESHOLDS:
        folders[threshold] = scratch / f"{threshold}"
        result = run(source, "-o", folders[threshold], "--model", tiny_model, "--threshold", threshold)
        assert result.exit_code == Exit.OK, result.output
    return folders


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_verdicts_equal_those_of_the_softmax(
    threshold: float,
    imported: dict[float, Path],
    prompts: NDArray[np.float32],
    model: Model,
    vectors: NDArray[np.float32],
) -> None:
    probabilities = q16_probabilities(prompts, vectors)
    assert len(probabilities) >= 50
    assert np.abs(probabilities - threshold).min() > 1e-5, "a picture at the bound proves nothing"
    expected = probabilities >= threshold
    assert 0.2 <= expected.mean() <= 0.8
    assert blocked(imported[threshold], model, vectors).tolist() == expected.tolist()


def test_reported_cosine_gives_the_probability_back(
    imported: dict[float, Path], prompts: NDArray[np.float32], model: Model, vectors: NDArray[np.float32]
) -> None:
    compiled = compile_policy(load_policy(imported[0.5] / POLICY_NAME).policy, model=model)
    definition = compiled.policy.categories[0].definition
    factor = float(definition.partition("sigmoid(")[2].partition(" *")[0])
    found = 1.0 / (1.0 + np.exp(-factor * cosines(vectors, compiled)[:, 0].astype(np.float64)))
    assert found == pytest.approx(q16_probabilities(prompts, vectors), abs=1e-4)


def swapped_classes(prompts: NDArray[np.float32]) -> NDArray[np.float32]:
    return prompts[::-1].copy()


def forgotten_unit_norm(prompts: NDArray[np.float32]) -> NDArray[np.float32]:
    """The difference of the prompts as they are, made to look like two unit vectors' difference."""
    difference = prompts[1] - prompts[0]
    middle = np.random.default_rng(0).normal(size=len(difference)).astype(np.float32)
    middle -= difference * (middle @ difference) / (difference @ difference)
    return np.stack([middle - difference / 2, middle + difference / 2])


@pytest.mark.parametrize("mutate", [swapped_classes, forgotten_unit_norm])
def test_wrong_prompts_fail_the_comparison(  # noqa: PLR0917 - fixtures
    mutate: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    prompts: NDArray[np.float32],
    model: Model,
    vectors: NDArray[np.float32],
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    result = run(saved(mutate(prompts), tmp_path), "-o", tmp_path / "out", "--model", tiny_model)
    assert result.exit_code == Exit.OK, result.output
    expected = q16_probabilities(prompts, vectors) >= 0.5
    assert blocked(tmp_path / "out", model, vectors).tolist() != expected.tolist()


def test_a_shifted_bound_or_a_turned_vector_fails_the_comparison(
    imported: dict[float, Path],
    prompts: NDArray[np.float32],
    model: Model,
    vectors: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    source = imported[0.9]
    expected = q16_probabilities(prompts, vectors) >= 0.9
    text, tensors = (source / POLICY_NAME).read_text(), load_file(source / VECTORS_NAME)
    head, mark, tail = text.partition("block: ")
    bound, comma, rest = tail.partition(",")
    for wrong_text, wrong_tensors in (
        (f"{head}{mark}0.0{comma}{rest}", tensors),
        (f"{head}{mark}{2 * float(bound)!r}{comma}{rest}", tensors),
        (text, {name: np.roll(vector, 1) for name, vector in tensors.items()}),
    ):
        (tmp_path / POLICY_NAME).write_text(wrong_text)
        save_file(wrong_tensors, tmp_path / VECTORS_NAME)
        with pytest.raises(PolicyError, match="were chosen on"):
            blocked(tmp_path, model, vectors)
        assert blocked(tmp_path, model, vectors, chosen_anew=True).tolist() != expected.tolist()


def test_q16s_own_pickle_is_read_once_it_is_named(
    prompts: NDArray[np.float32], imported: dict[float, Path], tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "prompts.p"
    path.write_bytes(pickle.dumps(prompts, protocol=4))
    refused = run(path, "-o", tmp_path / "out", "--model", tiny_model)
    assert refused.exit_code == Exit.SOURCE
    assert "--allow-pickle prompts.p" in refused.stderr
    taken = run(path, "-o", tmp_path / "out", "--model", tiny_model, "--allow-pickle", "prompts.p", "--json")
    assert taken.exit_code == Exit.OK, taken.output
    outcome = json.loads(taken.stdout)
    assert outcome["policy_id"] == "q16"
    of_npy = compile_policy(load_policy(imported[0.5] / POLICY_NAME).policy, model=load_model(tiny_model))
    assert outcome["digest"] == of_npy.digest


@pytest.mark.parametrize(
    ("threshold", "code", "sentence"),
    [
        (0.0, Exit.USAGE, "a probability between 0 and 1"),
        (1.0, Exit.USAGE, "a probability between 0 and 1"),
        (float("nan"), Exit.USAGE, "a probability between 0 and 1"),
        (1 - 1e-16, Exit.USAGE, "no image reaches the probability"),
    ],
)
def test_a_threshold_that_cannot_be_met_is_refused(  # noqa: PLR0917 - fixtures
    threshold: float, code: Exit, sentence: str, prompts: NDArray[np.float32], tiny_model: Path, tmp_path: Path
) -> None:
    near = prompts / np.linalg.norm(prompts, axis=1, keepdims=True)
    near[1] = near[0] + 0.1 * (near[1] - near[0])
    result = run(saved(near, tmp_path), "-o", tmp_path / "out", "--model", tiny_model, "--threshold", threshold)
    assert result.exit_code == code, result.output
    assert sentence in result.stderr
    assert not (tmp_path / "out").exists()


def test_prompts_of_another_shape_or_model_are_refused(
    prompts: NDArray[np.float32], tiny_model: Path, tmp_path: Path
) -> None:
    for wrong, sentence in (
        (prompts[0], "Q16's prompts are [2,D]"),
        (prompts[[0, 0]], "point the same way"),
        (prompts * 0, "zero or not finite"),
        (prompts * np.nan, "zero or not finite"),
        (prompts[:, :32], "embeddings of 32 values, and tiny-clip makes 64"),
    ):
        result = run(saved(wrong, tmp_path), "-o", tmp_path / "out", "--model", tiny_model)
        assert result.exit_code == Exit.SOURCE, result.output
        assert sentence in result.stderr
