"""The imported safety checker gives the verdicts of diffusers' own class, and a wrong import would not."""

import json
import math
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner, Result

from clipwarden.client import AsyncClient
from clipwarden.engine.snapshot import load_snapshot
from clipwarden.errors import PolicyError
from clipwarden.modelfolder.load import Model, load_manifest, load_model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.schema import Mode, Verdict
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef
from clipwarden.serving.server import running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.preprocess import fit_to_side
from clipwarden_export.cli import app
from clipwarden_export.exits import Exit
from clipwarden_export.importers.imported import POLICY_NAME, write_policy
from clipwarden_export.importers.safetychecker import (
    ADJUSTMENT,
    VECTORS_NAME,
    Rule,
    load_safety_checker,
    policy_arrays,
    policy_document,
)
from kit.checkpoints import varied_pictures, varied_pngs
from kit.safetychecker import (
    StableDiffusionSafetyChecker,
    Verdicts,
    diffusers_verdicts,
    embed,
    forward_verdicts,
    make_checker,
    save_checker,
)
from kit.serving import settings_for_test

Bools = NDArray[np.bool_]
FULL = (ViewRef(name="full"),)


@pytest.fixture(scope="module")
def checker() -> StableDiffusionSafetyChecker:
    return make_checker(varied_pictures())


@pytest.fixture(scope="module")
def expected(checker: StableDiffusionSafetyChecker) -> Verdicts:
    return diffusers_verdicts(checker, varied_pictures())


@pytest.fixture(scope="module")
def source(checker: StableDiffusionSafetyChecker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checker(checker, tmp_path_factory.mktemp("source") / "checker")


@pytest.fixture(scope="module")
def imported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command publishes: policy.yaml, concepts.safetensors and the model folder."""
    folder = tmp_path_factory.mktemp("imported") / "checker"
    result = run("safety-checker", source, "-o", folder, "--json")
    assert result.exit_code == Exit.OK, result.output
    outcome = json.loads(result.stdout)
    assert (outcome["categories"], outcome["folder"]) == (17, str(folder))
    assert outcome["figures"]["passed"] is True
    return folder


@pytest.fixture(scope="module")
def model(imported: Path) -> Model:
    return load_model(imported / "model")


@pytest.fixture(scope="module")
def vectors(model: Model) -> NDArray[np.float32]:
    """Our own embeddings of the pictures, by the exported graph behind our own preprocessing."""
    return np.concatenate(
        [model.image.encode(fit_to_side(each, model.manifest.image)[None]) for each in varied_pictures()]
    )


def run(*arguments: object) -> Result:
    # Wide enough that no sentence is wrapped, and plain.
    terminal = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=terminal).invoke(app, ["import", *(str(argument) for argument in arguments)])


def judged(folder: Path, model: Model, vectors: NDArray[np.float32], *, chosen_anew: bool = False) -> Bools:
    """Which of the pictures a policy folder blocks, by the scorer that the server runs."""
    policy = load_policy(folder / POLICY_NAME).policy
    compiled = compile_policy(choose_lines(policy, model.fingerprint) if chosen_anew else policy, model=model)
    tables, rows = prepare(compiled), cosines(vectors, compiled)
    return np.array([verdict_of(row, tables) is Verdict.BLOCK for row in rows])


def verdict_of(row: NDArray[np.float32], tables: object) -> Verdict:
    return judge(row[None], FULL, tables, context=None, partial=False, degraded=False).verdict


def test_verdicts_and_adjustment_decide_a_fifth_of_the_pictures_each(expected: Verdicts) -> None:
    count = len(varied_pictures())
    assert count >= 50
    by_adjustment = expected.flagged & ~expected.alone
    for group in (expected.alone, by_adjustment, ~expected.flagged, expected.special, ~expected.special):
        assert group.sum() >= count / 5


def test_scored_verdicts_equal_those_of_forward_onnx(
    expected: Verdicts, imported: Path, model: Model, vectors: NDArray[np.float32]
) -> None:
    assert judged(imported, model, vectors).tolist() == expected.flagged.tolist()


async def test_served_verdicts_equal_those_of_forward_onnx(expected: Verdicts, imported: Path) -> None:
    snapshot = load_snapshot(str(imported / "model"), [str(imported / POLICY_NAME)], threads=1)
    async with running_server(settings_for_test(), snapshot) as server, AsyncClient(server.address) as client:
        results = await client.moderate_batch(varied_pngs(), timeout=300)
    found = [result.unwrap() for result in results]
    assert {each.verdict for each in found} == {pb.VERDICT_ALLOW, pb.VERDICT_BLOCK}
    assert [each.verdict == pb.VERDICT_BLOCK for each in found] == expected.flagged.tolist()
    raised = [any(category.HasField("adjustment") for category in each.categories) for each in found]
    assert raised == expected.special.tolist()


def shift_thresholds(folder: Path) -> None:
    def shift(line: str) -> str:
        head, mark, tail = line.partition("block: ")
        number, comma, rest = tail.partition(",")
        return f"{head}{mark}{float(number) + 0.005}{comma}{rest}" if mark else line

    rewrite(folder, shift)


def drop_adjustments(folder: Path) -> None:
    lines = (folder / POLICY_NAME).read_text().splitlines()
    kept = [line for line in lines if "adjustments:" not in line and "when:" not in line and "add:" not in line]
    (folder / POLICY_NAME).write_text("\n".join(kept))


def always_adjust(folder: Path) -> None:
    def lower(line: str) -> str:
        head, mark, _ = line.partition("gte: ")
        return f"{head}{mark}-1.0}}" if mark else line

    rewrite(folder, lower)


def double_adjustment(folder: Path) -> None:
    rewrite(folder, lambda line: line.replace(f"add: {ADJUSTMENT!r}", f"add: {2 * ADJUSTMENT!r}"))


def shuffle_vectors(folder: Path) -> None:
    tensors = load_file(folder / VECTORS_NAME)
    names = [name for name in tensors if name.startswith("concept")]
    moved = dict(zip(names, [tensors[name] for name in names[1:] + names[:1]], strict=True))
    save_file({**tensors, **moved}, folder / VECTORS_NAME)


def swap_special(folder: Path) -> None:
    tensors = load_file(folder / VECTORS_NAME)
    tensors["special_care_0"], tensors["special_care_2"] = tensors["special_care_2"], tensors["special_care_0"]
    save_file(tensors, folder / VECTORS_NAME)


def lose_a_concept(folder: Path) -> None:
    """Block by sixteen of them: the last one's bound out of reach."""
    lines = (folder / POLICY_NAME).read_text().splitlines()
    places = [number for number, line in enumerate(lines) if "block: " in line]
    for place in places[::2]:
        lines[place] = lines[place].partition("block: ")[0] + "block: 1.0}"
    (folder / POLICY_NAME).write_text("\n".join(lines))


def rewrite(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / POLICY_NAME
    path.write_text("\n".join(change(line) for line in path.read_text().splitlines()))


MUTATIONS = (
    shift_thresholds,
    drop_adjustments,
    always_adjust,
    double_adjustment,
    shuffle_vectors,
    swap_special,
    lose_a_concept,
)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_wrong_import_fails_the_comparison_of_verdicts(  # noqa: PLR0917 - fixtures
    mutate: Callable[[Path], None],
    expected: Verdicts,
    imported: Path,
    model: Model,
    vectors: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    for name in (POLICY_NAME, VECTORS_NAME):
        shutil.copyfile(imported / name, tmp_path / name)
    before = [(tmp_path / name).read_bytes() for name in (POLICY_NAME, VECTORS_NAME)]
    mutate(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in (POLICY_NAME, VECTORS_NAME)] != before
    with pytest.raises(PolicyError, match=r"were chosen on|what the thresholds"):
        judged(tmp_path, model, vectors)
    assert judged(tmp_path, model, vectors, chosen_anew=True).tolist() != expected.flagged.tolist()


@pytest.mark.parametrize("layout", ["old", "pipeline"])
def test_every_layout_is_read_alike(
    layout: str, checker: StableDiffusionSafetyChecker, source: Path, tmp_path: Path
) -> None:
    plain, other = (
        load_safety_checker(str(folder)) for folder in (source, save_checker(checker, tmp_path / layout, layout=layout))
    )
    assert other.tower.image == plain.tower.image
    assert np.array_equal(other.tower.embed(varied_pictures()[:4]), plain.tower.embed(varied_pictures()[:4]))
    assert np.array_equal(other.rule.concepts, plain.rule.concepts)
    assert np.array_equal(other.rule.special_thresholds, plain.rule.special_thresholds)


def torch_rule(rule: Rule, cosine: float, special: float) -> bool:
    """The arithmetic of `forward_onnx` on given cosines, in torch's float32."""
    special_cosines, concept_cosines = torch.tensor([[special]]), torch.tensor([[cosine]])
    special_scores = special_cosines - torch.from_numpy(rule.special_thresholds) + 0.0
    adjustment = (torch.any(special_scores > 0, dim=1) * 0.01).unsqueeze(1).expand(-1, 1)
    scores = (concept_cosines - torch.from_numpy(rule.thresholds)) + adjustment
    return bool(torch.any(scores > 0, dim=1))


def neighbours(value: float, steps: int = 3) -> list[float]:
    """The float32 at and around a value."""
    around = [np.float32(value)]
    for direction in (-np.inf, np.inf):
        near = np.float32(value)
        for _ in range(steps):
            near = np.nextafter(near, np.float32(direction))
            around.append(near)
    return [float(each) for each in around]


@pytest.mark.parametrize("threshold", [0.18, 0.195, 0.2, 0.2216796875, 0.0625, 0.5])
def test_a_cosine_at_the_bound_is_judged_as_in_float32(threshold: float, model: Model, tmp_path: Path) -> None:
    rule = Rule(
        concepts=np.eye(1, model.manifest.dim, dtype=np.float32),
        thresholds=np.array([threshold], dtype=np.float32),
        special=np.eye(1, model.manifest.dim, k=1, dtype=np.float32),
        special_thresholds=np.array([threshold], dtype=np.float32),
    )
    document = policy_document(rule, fingerprint=model.fingerprint, source="bounds", mode=Mode.ENFORCE, rounded=False)
    tables = prepare(write_policy(tmp_path, document, notes=(), arrays=policy_arrays(rule), model=model))
    verdicts = set()
    for cosine in neighbours(threshold) + neighbours(float(rule.thresholds[0]) - ADJUSTMENT):
        for special in neighbours(threshold, steps=1):
            ours = verdict_of(np.array([cosine, special, 0.0], dtype=np.float32), tables) is Verdict.BLOCK
            assert ours == torch_rule(rule, cosine, special), (cosine, special)
            verdicts.add(ours)
    assert verdicts == {True, False}


def test_rounding_path_disagrees_at_the_boundary_and_rounded_follows_it(
    checker: StableDiffusionSafetyChecker, expected: Verdicts, model: Model, source: Path, tmp_path: Path
) -> None:
    """`forward` rounds to three decimals: a concept passed by 0.0003 is flagged by `forward_onnx` alone."""
    picture = next(each for each, flagged in zip(varied_pictures(), expected.flagged, strict=True) if not flagged)
    rule = load_safety_checker(str(source)).rule
    concepts = rule.concepts / np.linalg.norm(rule.concepts, axis=1, keepdims=True)
    cosine = float(embed(checker, [picture])[0] @ concepts[0])
    blocked = {}
    checker = deepcopy(checker)  # whose thresholds change here alone
    for passed_by in (0.0003, 0.0007):
        with torch.no_grad():
            checker.concept_embeds_weights.fill_(1.0)
            checker.concept_embeds_weights[0] = cosine - passed_by
            checker.special_care_embeds_weights.fill_(3.0)
            onnx = diffusers_verdicts(checker, [picture]).flagged[0]
            rounding = forward_verdicts(checker, [picture])[0]
        near = replace(rule, thresholds=np.array([cosine - passed_by, *[0.99] * 16], dtype=np.float32))
        near = replace(near, special_thresholds=np.full(3, 0.99, dtype=np.float32))
        ours = {}
        for rounded in (False, True):
            folder = tmp_path / f"{passed_by}-{rounded}"
            folder.mkdir()
            document = policy_document(
                near, fingerprint=model.fingerprint, source="near", mode=Mode.ENFORCE, rounded=rounded
            )
            write_policy(folder, document, notes=(), arrays=policy_arrays(near), model=model)
            pixels = fit_to_side(picture, model.manifest.image)[None]
            ours[rounded] = bool(judged(folder, model, model.image.encode(pixels))[0])
        assert (ours[False], ours[True]) == (onnx, rounding)
        blocked[passed_by] = (onnx, rounding)
    assert blocked == {0.0003: (True, False), 0.0007: (True, True)}


def test_model_folder_says_what_it_is_and_serves_without_a_text_encoder(source: Path, imported: Path) -> None:
    manifest = load_manifest(imported / "model")
    assert (manifest.text, manifest.background, manifest.source) == (None, (), source.name)
    assert (manifest.license, manifest.dim, manifest.image.side) == ("apache-2.0", 64, 64)
    assert manifest.architecture == "StableDiffusionSafetyChecker ViT 64x2/16"
    assert manifest.verification is not None
    assert manifest.verification["passed"] is True
    policy = load_policy(imported / POLICY_NAME)
    assert policy.warnings == ()
    assert [len(policy.policy.categories), len(policy.policy.attributes)] == [17, 3]
    assert sorted(path.name for path in imported.iterdir()) == [VECTORS_NAME, "model", POLICY_NAME]
    assert str(source.parent) not in (imported / POLICY_NAME).read_text()


def test_verify_says_what_to_do_with_a_folder_of_images_alone(imported: Path) -> None:
    arguments = ("verify", str(imported / "model"), "--against", "no-such-checkpoint")
    result = CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, arguments)
    assert result.exit_code == Exit.MODEL
    assert "tower: `clipwarden-export import safety-checker SOURCE --model FOLDER" in result.stderr


def test_import_binds_to_an_existing_folder_only_if_it_is_the_checkers_tower(
    source: Path, imported: Path, tiny_model: Path, tmp_path: Path
) -> None:
    own = run("safety-checker", source, "-o", tmp_path / "own", "--model", imported / "model", "--mode", "shadow")
    assert own.exit_code == Exit.OK, own.output
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [VECTORS_NAME, POLICY_NAME]
    policy = load_policy(tmp_path / "own" / POLICY_NAME).policy
    assert policy.model.fingerprint == load_model(imported / "model").fingerprint
    assert {category.mode for category in policy.categories} == {Mode.SHADOW}
    other = run("safety-checker", source, "-o", tmp_path / "other", "--model", tiny_model)
    assert other.exit_code == Exit.BELOW_BAR
    assert "Below the bar" in other.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def broken(source: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    shutil.copytree(source, folder)
    change(folder)
    return folder


def without(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        del weights[name]
        save_file(weights, folder / "model.safetensors")

    return change


def with_threshold(value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights["concept_embeds_weights"][3] = value
        save_file(weights, folder / "model.safetensors")

    return change


DAMAGES = {
    "no rule": (without("concept_embeds"), "is no safety checker of Stable Diffusion: it has no concept_embeds"),
    "no projection": (without("visual_projection.weight"), "visual_projection.weight"),
    "no layer": (without("vision_model.post_layernorm.bias"), "lacks 1 of the vision tower's weights"),
    "no processor": (lambda folder: (folder / "preprocessor_config.json").unlink(), "has no preprocessor_config.json"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "no readable config.json"),
    "impossible threshold": (with_threshold(1.5), "a cosine lies between -1 and 1"),
    "threshold NaN": (with_threshold(math.nan), "a cosine lies between -1 and 1"),
    "a pickle": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "could run code on loading",
    ),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_checker_that_is_not_whole_is_refused_and_leaves_nothing(
    damage: str, source: Path, imported: Path, tmp_path: Path
) -> None:
    change, sentence = DAMAGES[damage]
    folder = broken(source, tmp_path / "source", change)
    result = run("safety-checker", folder, "-o", tmp_path / "out", "--model", imported / "model")
    assert result.exit_code == Exit.SOURCE, result.output
    assert sentence in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_of_something_else_is_never_replaced(source: Path, imported: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for extra, sentence in (((), "pass --overwrite"), (("--overwrite",), "is no import of ours")):
        result = run("safety-checker", source, "-o", tmp_path / "mine", "--model", imported / "model", *extra)
        assert result.exit_code == Exit.FAILED
        assert sentence in result.stderr
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    result = run("safety-checker", "no-such", "-o", tmp_path / "new", "--images", tmp_path / "no-photos")
    assert result.exit_code == Exit.FAILED
    assert "no-photos holds no image" in result.stderr  # before anything is fetched
    result = run("safety-checker", source, "-o", tmp_path / "no" / "where", "--model", imported / "model")
    assert result.exit_code == Exit.FAILED
    assert "does not exist; make it first" in result.stderr
