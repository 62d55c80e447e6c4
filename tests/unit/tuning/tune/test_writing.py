"""A tuned version says what was proposed and nothing else, judges by it, and puts nothing into force by itself."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from clipwarden.cli.main import app
from clipwarden.errors import ConfigError, FingerprintMismatchError
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.newversion import VersionNotes
from clipwarden.policy.schema import Bounds, By, Mode, Override
from clipwarden.policy.shipped import shipped_policy
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.tune.carrying import Carried
from clipwarden.tuning.tune.proposals import Proposal
from clipwarden.tuning.tune.writing import plan_version, to_refit, write_version
from kit.builders import make_evidence
from kit.policies import FINGERPRINT

SAM = VersionNotes(author="sam")
BOTH = VersionNotes(author="sam", approved_by="kim")
FITTED = Fitted(slope=0.41, bias=-5.5, prevalence=0.0003)
TEXT = """\
# Ours.
api: clipwarden/v1
metadata: {id: shop, version: "1.0"}  # kept by us
contexts:
  club: {description: "for adults"}
  kids: {description: "for all"}
categories:
- id: weapons  # the worst
  severity: 3
  definition: "Weapons."
  prompts: ["a rifle"]
  mode: shadow
  # Nobody looked at these yet.
  contexts:
    club: {mode: disabled}
- id: drugs
  severity: 2
  definition: "Drugs."
  prompts: ["a joint"]
  thresholds:  # of June
    # Few are missed.
    block: 0.8  # none was wrong
    unit: score
- {id: alike, severity: 1, definition: "Alike.", prompts: ["a toy"], scoring: {method: cosine}}
"""


def proposed(category: str = "weapons", **changed: object) -> Proposal:
    told = {"calibration": FITTED, "bounds": Bounds(review=0.02, block=0.6), "evidence": make_evidence()}
    return Proposal(category=category, **told | changed)  # type: ignore[arg-type]  # as told


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def stickers(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_bytes(shipped_policy("stickers").read_bytes())
    return path


def model_of(path: Path) -> str:
    return load_policy(path).policy.model.fingerprint or ""


def test_what_is_proposed_is_written_and_comments_and_order_stay(shop: Path) -> None:
    alike = proposed("alike", calibration=None, bounds=Bounds(review=0.25))
    drugs = proposed("drugs", bounds=Bounds(review=0.00002))
    target = write_version(shop, [proposed(), drugs, alike], SAM, fingerprint=FINGERPRINT)
    assert target == shop.with_name("shop-1.1.yaml")
    assert shop.read_text() == TEXT
    written = target.read_text()
    left = [line for line in TEXT.splitlines() if line not in written.splitlines()]
    assert left == [
        'metadata: {id: shop, version: "1.0"}  # kept by us',
        "    block: 0.8  # none was wrong",
        '- {id: alike, severity: 1, definition: "Alike.", prompts: ["a toy"], scoring: {method: cosine}}',
    ]
    policy = load_policy(target).policy
    assert not unbound_lines(policy, FINGERPRINT)
    assert not stale_calibrations(policy, FINGERPRINT)
    weapons, drugged, cosines = policy.categories
    assert weapons.calibration == dataclasses.replace(weapons.calibration, slope=0.41, bias=-5.5, prevalence=0.0003)
    assert weapons.thresholds is not None
    assert weapons.thresholds.bounds == Bounds(review=0.02, block=0.6)
    assert weapons.thresholds.chosen_on is not None
    assert (weapons.thresholds.chosen_on.by, weapons.thresholds.chosen_on.evidence) == (By.FIT, make_evidence())
    assert drugged.thresholds is not None
    assert drugged.thresholds.bounds == Bounds(review=0.00002)
    assert cosines.calibration is None
    assert {each.mode for each in policy.categories} == {Mode.SHADOW}
    assert policy.metadata.reason == "tune: weapons, drugs, alike"
    # The calibration stands before the thresholds, and both before what they are not about.
    keys = [line.strip().partition(":")[0] for line in written.partition("weapons")[2].splitlines() if line[:2] == "  "]
    assert keys.index("calibration") < keys.index("thresholds") < keys.index("contexts")


def test_the_plan_is_what_is_written_and_writing_it_again_is_refused(shop: Path) -> None:
    plan = plan_version(shop, [proposed()], SAM, fingerprint=FINGERPRINT)
    assert sorted(shop.parent.iterdir()) == [shop]
    assert plan.version.write() == plan.path
    assert load_policy(plan.path).policy == plan.policy
    with pytest.raises(ConfigError, match="written meanwhile"):
        plan.version.write()


def test_a_file_that_changed_meanwhile_is_left_alone(shop: Path) -> None:
    plan = plan_version(shop, [proposed()], SAM, fingerprint=FINGERPRINT)
    shop.write_text(TEXT + "# more\n")
    with pytest.raises(ConfigError, match="changed meanwhile"):
        plan.version.write()
    assert not plan.path.exists()


def test_lint_strict_finds_nothing_to_mend_and_a_bundle_tells_the_evidence(stickers: Path) -> None:
    plan = plan_version(stickers, [proposed("drugs")], SAM, fingerprint=model_of(stickers))
    assert plan.findings == ()
    plan.version.write()
    assert run("lint", plan.path, "--strict").exit_code == 0
    bundle = plan.path.with_suffix(".bundle")
    assert run("compile", plan.path, "--model", "mini", "-o", bundle).exit_code == 0
    shown = run("policies", bundle)
    assert "labelled: 412" in shown.stdout
    assert parse_policy(shown.stdout).policy == plan.policy


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_tuning_again_replaces_what_tuning_wrote(shop: Path) -> None:
    first = write_version(shop, [proposed()], SAM, fingerprint=FINGERPRINT)
    again = proposed(calibration=None, bounds=Bounds(block=0.7), evidence=make_evidence(looks=3, promises=()))
    plan = plan_version(first, [again], SAM, fingerprint=FINGERPRINT, refit=True)
    policy = plan.policy
    assert plan.path.name == "shop-1.2.yaml"
    assert policy.metadata.reason == "tune --refit after a text edit: weapons"
    weapons = policy.categories[0]
    assert weapons.thresholds is not None
    assert weapons.thresholds.bounds == Bounds(block=0.7)
    assert weapons.thresholds.chosen_on is not None
    assert weapons.thresholds.chosen_on.evidence == make_evidence(looks=3, promises=())
    assert weapons.calibration == load_policy(first).policy.categories[0].calibration
    assert plan.version.data.decode().count("# ") == TEXT.count("# ")


def test_an_enforced_category_changes_only_when_a_second_person_stands_for_it(stickers: Path) -> None:
    model = model_of(stickers)
    with pytest.raises(ConfigError, match=r"weapons change, and would be enforced.*--approved-by.*Nothing was written"):
        plan_version(stickers, [proposed()], SAM, fingerprint=model)
    with pytest.raises(ConfigError, match="cannot be the second person"):
        plan_version(stickers, [proposed()], VersionNotes(author="sam", approved_by="Sam"), fingerprint=model)
    with pytest.raises(ConfigError, match="weapons is enforced, and no line keeps what was asked"):
        plan_version(stickers, [proposed(bounds=Bounds())], BOTH, fingerprint=model)
    plan = plan_version(stickers, [proposed()], BOTH, fingerprint=model)
    thresholds = plan.policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.chosen_on is not None
    assert thresholds.chosen_on.approved_by == plan.policy.metadata.approved_by == "kim"
    modes = [(was.mode, now.mode) for was, now in zip(plan.version.old.categories, plan.policy.categories, strict=True)]
    assert all(was is now for was, now in modes)
    assert [*stickers.parent.iterdir()] == [stickers]


def test_a_category_in_shadow_may_lose_its_lines_and_its_calibration(stickers: Path) -> None:
    gone = proposed("drugs", calibration=None, removes_calibration=True, bounds=Bounds())
    drugs = plan_version(stickers, [gone], SAM, fingerprint=model_of(stickers)).policy.categories[1]
    assert (drugs.thresholds, drugs.calibration) == (None, None)


CONTEXTS = TEXT.replace(
    "    club: {mode: disabled}\n",
    "    club: {review: 0.3, block: 0.9}\n    kids: {review: 0.15, mode: disabled}  # for all\n"
    "  thresholds: {unit: score, review: 0.1, block: 0.6}\n",
)


def tuned_contexts(shop: Path, **changed: object) -> tuple[dict[str, Override], dict[str, Carried]]:
    shop.write_text(CONTEXTS)
    first = write_version(shop, [proposed(bounds=Bounds(review=0.1, block=0.6))], SAM, fingerprint=FINGERPRINT)
    assert load_policy(first).policy.categories[0].contexts == {"kids": Override(mode=Mode.DISABLED)}  # none had held
    contexts = {"club": Bounds(review=0.3, block=0.9), "kids": Bounds(review=0.15)}
    held = write_version(
        first,
        [proposed(calibration=None, bounds=Bounds(review=0.1, block=0.6), contexts=contexts)],
        SAM,
        fingerprint=FINGERPRINT,
    )
    plan = plan_version(held, [proposed(**changed)], SAM, fingerprint=FINGERPRINT)
    assert all(note.context in note.sentence for note in plan.contexts)
    return dict(plan.policy.categories[0].contexts), {note.context: note.carried for note in plan.contexts}


def test_bounds_of_contexts_that_held_stay_where_the_scores_stay(shop: Path) -> None:
    contexts, carried = tuned_contexts(shop, calibration=None, bounds=Bounds(review=0.2, block=0.7))
    assert contexts == {"club": Override(review=0.3, block=0.9), "kids": Override(review=0.15, mode=Mode.DISABLED)}
    assert set(carried.values()) == {Carried.KEPT}


def test_bounds_of_contexts_move_with_the_calibration(shop: Path) -> None:
    other = Fitted(slope=0.45, bias=-5.4, prevalence=0.01)
    contexts, carried = tuned_contexts(shop, calibration=other, bounds=Bounds(review=0.2, block=0.99))
    assert set(carried.values()) == {Carried.MAPPED}
    for name, score in (("club", 0.3), ("kids", 0.15)):
        margin = (np.log(score / (1 - score)) + 5.5) / 0.41
        moved = contexts[name].review
        assert moved == pytest.approx(float(sigmoid(np.array([0.45 * margin - 5.4]))[0]), rel=1e-5)
    assert contexts["kids"].mode is Mode.DISABLED


def test_bounds_of_contexts_that_would_cross_the_new_ones_are_taken_out_and_named(shop: Path) -> None:
    contexts, carried = tuned_contexts(shop, calibration=None, bounds=Bounds(review=0.05, block=0.12))
    assert carried == {"club": Carried.KEPT, "kids": Carried.REMOVED}
    assert contexts == {"club": Override(review=0.3, block=0.9), "kids": Override(mode=Mode.DISABLED)}


@pytest.mark.parametrize(
    ("proposals", "message"),
    [
        ([], "Nothing is proposed"),
        ([proposed("weapon")], 'no category "weapon".*Did you mean "weapons"'),
        ([proposed(), proposed()], 'two proposals for "weapons"'),
        ([proposed("alike")], "takes no calibration"),
        ([proposed(removes_calibration=True)], "removed and written at once"),
        ([proposed(bounds=Bounds(review=0.9, block=0.1))], "breaks a rule"),
        ([proposed(contexts={"nowhere": Bounds(review=0.1)})], "breaks a rule"),
    ],
)
def test_contradictions_are_one_sentence_and_write_nothing(shop: Path, proposals: list[Proposal], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_version(shop, proposals, SAM, fingerprint=FINGERPRINT)
    assert [*shop.parent.iterdir()] == [shop]


def test_shipped_policies_and_bundles_are_not_tuned_in_place() -> None:
    with pytest.raises(ConfigError, match="Tune a copy: clipwarden policies stickers"):
        plan_version(shipped_policy("stickers"), [proposed()], SAM, fingerprint=FINGERPRINT)


def test_a_policy_of_another_model_is_refused(stickers: Path) -> None:
    with pytest.raises(FingerprintMismatchError, match="bound to model"):
        plan_version(stickers, [proposed("drugs")], SAM, fingerprint=FINGERPRINT)


def test_a_text_edit_asks_for_refitting_and_says_why(stickers: Path) -> None:
    model = model_of(stickers)
    assert to_refit(load_policy(stickers).policy, model) == {}
    stickers.write_text(stickers.read_text().replace('"smoking weed"', '"smoking a joint"').replace("0.0198", "0.02"))
    edited = load_policy(stickers).policy
    why = to_refit(edited, model)
    assert list(why) == ["drugs", "substances.tobacco"]
    assert "a text" in why["drugs"]
    assert "edited" in why["substances.tobacco"]
    with pytest.raises(ConfigError, match="fitted on something else"):
        plan_version(stickers, [proposed("drugs", calibration=None)], SAM, fingerprint=model)
    both = [proposed("drugs"), proposed("substances.tobacco")]
    plan = plan_version(stickers, both, SAM, fingerprint=model, refit=True)
    assert to_refit(plan.policy, model) == {}
    assert to_refit(parse_policy(TEXT).policy, model) == {"drugs": "Nothing says what its thresholds were chosen on."}
