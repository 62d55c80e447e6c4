"""`clipwarden diff`: what changed, in words, and what that means."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from clipwarden.cli.changes import groups
from clipwarden.cli.comparison import compare
from clipwarden.cli.policyfile import read_policy
from clipwarden.modelfolder.load import load_manifest
from clipwarden.policy.digest import fit_digest, lines_digest, policy_digest
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.language.saying import line_of
from clipwarden.policy.tensors import dump_tensors
from kit.cli import Run


@pytest.fixture
def policy_file(policy_file: Path) -> Path:
    """Leave out what thresholds were chosen on, which few of these tests are about."""
    policy_file.write_text(re.sub(r', chosen_on: "[^"]*"', "", policy_file.read_text()))
    return policy_file


@pytest.fixture
def other(policy_file: Path) -> Path:
    path = policy_file.with_name("other.yaml")
    path.write_text(policy_file.read_text())
    return path


def edit(path: Path, **texts: str) -> None:
    text = path.read_text()
    for old, new in zip(texts["old"].split("|"), texts["new"].split("|"), strict=True):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_equal_policies_do_not_differ(run: Run, policy_file: Path, other: Path, toy_folder: Path) -> None:
    edit(other, old='prompts: ["red"]', new='prompts:  # comment\n  - "red"')
    for path in (policy_file, other):
        edit(path, old="mode: enforce", new="mode: shadow")
    bundle = other.with_suffix(".bundle")
    assert run("compile", other, "--model", toy_folder, "-o", bundle).exit_code == 0
    digest = policy_digest(load_policy(policy_file).policy)
    for path in (other, bundle):
        result = run("diff", policy_file, path)
        assert (result.exit_code, result.stdout) == (0, f"Nothing changed: both are {digest}.\n")
        assert result.stderr == ""


def test_changes_are_said_by_category_in_the_order_of_the_page(run: Run, policy_file: Path, other: Path) -> None:
    edit(
        other,
        old='"1.0"|block: 0.9}\n  contexts|["red"]|["yellow"]|Blue.|["blue"]|mode: shadow|a statue',
        new='"1.1"|block: 0.95}\n  contexts|["red", "crimson"]|["yellows"]|Bluish.|["cyan"]|mode: enforce|marble',
    )
    result = run("diff", policy_file, other)
    assert result.exit_code == 10
    old, new = (policy_digest(load_policy(path).policy) for path in (policy_file, other))
    assert result.stdout.splitlines() == [
        "The policy",
        '  ~ metadata.version: from "1.0" to "1.1"',
        "colour.red",
        '  + prompts: added "crimson"',
        '  ~ negatives: "yellow" now reads "yellows"',
        "  ~ thresholds.block: from 0.9 to 0.95",
        "colour.blue",
        '  ~ definition: from "Blue." to "Bluish."',
        "  ~ mode: from shadow to enforce",
        '  + prompts: added "cyan"',
        '  - prompts: removed "blue"',
        "museum (attribute)",
        '  + prompts: added "marble"',
        '  - prompts: removed "a statue"',
        f"The judgement changed: the digest was {old} and is {new}.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('  negatives: ["yellow"]\n', "", '- negatives: removed "yellow"'),
        (
            "  contexts: {shop: {review: 0.99999999999, block: 0.999999999999}}\n",
            "",
            "- contexts: removed shop (review 0.99999999999, block 0.999999999999)",
        ),
        ("{review: 0.99999999999,", "{review: 0.7,", '~ contexts["shop"].review: from 0.99999999999 to 0.7'),
        (
            "  thresholds: {unit: cosine, review: 0.5, block: 0.9}\n",
            "",
            "- thresholds: removed unit cosine, review 0.5, block 0.9",
        ),
        ("scoring: {method: cosine}", "scoring: {method: cosine, pool: lse}", "~ scoring.pool: from max to lse"),
        (
            "attributes:\n",
            'attributes:\n- {id: shop, prompts: ["a shop", "a till"]}\n',
            '+ added: prompts ["a shop", "a till"], templates ["{}", "a photo of {}"], scoring method margin, pool max',
        ),
        ('"Red."', '"Red."\n  reason_code: R-1', '+ reason_code: added "R-1"'),
        ("on_error: review", "on_error: block", "~ defaults.on_error: from review to block"),
    ],
)
def test_every_kind_of_change_has_words(policy_file: Path, other: Path, old: str, new: str, line: str) -> None:
    edit(other, old=old, new=new)
    _, group = next(groups(compare(read_policy(str(policy_file)), read_policy(str(other))).changes))
    assert line_of(group[0]) == line


def test_one_change_of_many_categories_is_said_once(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old='"{}", "a photo of {}"', new='"{}", "a drawing on the wall, {}", "a photo of {}"')
    lines = run("diff", policy_file, other).stdout.splitlines()
    assert lines[:2] == [
        "colour.red, colour.blue, colour.green, museum (4 alike)",
        '  + templates: added "a drawing on the wall, {}"',
    ]
    assert len(lines) == 3


def test_a_calibration_that_falls_is_named_with_the_cause(run: Run, policy_file: Path, other: Path) -> None:
    policy = load_policy(policy_file).policy
    fitted = fit_digest(
        policy.categories[0], fingerprint=policy.model.fingerprint or "", calibration_scale=1.0, plan=policy.plan
    )
    calibration = f'  calibration: {{bias: -1, prevalence: 0.1, fitted_on: "{fitted}"}}\n'
    text = policy_file.read_text().replace("  thresholds: {unit: score", f"{calibration}  thresholds: {{unit: score")
    policy_file.write_text(text)
    other.write_text(text.replace('["yellow"]', '["yellow", "orange"]').replace("severity: 3", "severity: 2"))
    said = "Holds no longer: the calibration of colour.red, because of negatives."
    assert said in run("diff", policy_file, other).stdout.splitlines()
    facts = json.loads(run("diff", policy_file, other, "--json").stdout)
    assert facts["voided"] == [{"concept": "colour.red", "part": "calibration", "because": ["negatives"]}]
    back = run("diff", other, policy_file).stdout
    assert "no longer" not in back
    assert "Holds now, and did not before: the calibration of colour.red, because of negatives.\n" in back


def test_thresholds_that_fall_are_named_with_the_cause(run: Run, policy_file: Path, other: Path) -> None:
    policy = load_policy(policy_file).policy
    red, blue = policy.categories[:2]
    for path in (policy_file, other):
        for category in (red, blue):
            bounds = "block: 0.9}\n  contexts" if category is red else "block: 0.9}\n- id: colour.green"
            chosen = lines_digest(category, policy, fingerprint=policy.model.fingerprint or "")
            edit(path, old=bounds, new=bounds.replace("0.9}", f'0.9, chosen_on: "{chosen}"}}'))
    edit(other, old="review: 0.5, block|mode: shadow", new="review: 0.6, block|mode: enforce")
    result = run("diff", policy_file, other)
    assert "Holds no longer: the thresholds of colour.red, colour.blue, because of thresholds.review." in result.stdout
    edit(other, old="review: 0.6", new="review: 0.5")
    assert "no longer" not in run("diff", policy_file, other).stdout
    edit(other, old='["yellow"]', new='["orange"]')
    assert (
        "Holds no longer: the thresholds of colour.red, because of negatives." in run("diff", policy_file, other).stdout
    )


def test_without_a_model_nobody_knows_what_still_holds(run: Run, policy_file: Path, other: Path) -> None:
    for path in (policy_file, other):
        path.write_text(re.sub(r"model: .*\n", "", path.read_text()).replace("mode: enforce", "mode: shadow"))
    edit(other, old='["red"]', new='["crimson"]')
    assert (
        "Whether calibrations and thresholds still hold is not known: neither policy names a model."
        in run("diff", policy_file, other).stdout
    )
    assert json.loads(run("diff", policy_file, other, "--json").stdout)["voided"] is None


def test_same_judgement_is_said(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old='version: "1.0"', new='version: "1.1", owner: me')
    result = run("diff", policy_file, other)
    digest = policy_digest(load_policy(policy_file).policy)
    assert result.exit_code == 10
    assert result.stdout.splitlines()[-1] == (
        f"Same judgement, only texts for people changed: the digest stays {digest}."
    )
    assert result.stderr == ""


def test_texts_that_results_carry_change_no_verdict(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old='"Red."', new='"Reddish."')
    result = run("diff", policy_file, other)
    assert result.stdout.splitlines()[-1].startswith("Same verdicts, only texts that results carry changed: ")
    facts = json.loads(run("diff", policy_file, other, "--json").stdout)
    assert (facts["same_digest"], facts["same_verdicts"]) == (False, True)


def test_one_version_for_two_digests_is_warned_about(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old="severity: 3", new="severity: 4")
    result = run("diff", policy_file, other)
    assert 'Two digests share one name: both are version "1.0" of "colours".' in result.stderr
    assert json.loads(run("diff", policy_file, other, "--json").stdout)["same_version_other_digest"] is True
    edit(other, old='"1.0"', new='"1.1"')
    assert run("diff", policy_file, other).stderr == ""


def test_json_holds_every_change(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old="block: 0.9}\n  contexts", new="block: 0.95}\n  contexts")
    (line,) = run("diff", policy_file, other, "--json").stdout.splitlines()
    facts = json.loads(line)
    assert facts["changes"] == [
        {
            "where": "categories[colour.red].thresholds.block",
            "path": ["categories", "colour.red", "thresholds", "block"],
            "kind": "changed",
            "old": 0.9,
            "new": 0.95,
            "reach": "verdicts",
        }
    ]
    assert facts["old"]["digest"] != facts["new"]["digest"]
    assert (facts["old"]["file"], facts["new"]["kind"]) == (str(policy_file), "policy")


def test_learned_vectors_are_shown_by_content(run: Run, policy_file: Path, other: Path, toy_folder: Path) -> None:
    dim = load_manifest(toy_folder).dim
    for name, path in (("a", policy_file), ("b", other)):
        vector = np.eye(dim, dtype=np.float32)[ord(name) % 2]
        path.with_name(f"{name}.safetensors").write_bytes(dump_tensors({"v": vector}))
        edit(path, old='["blue"]', new=f"[{{vector: v, file: {name}.safetensors}}]")
    lines = run("diff", policy_file, other).stdout.splitlines()
    assert re.fullmatch(r'  ~ prompts\["vector v"\]\.file: from sha256:\w{12}\.\.\. to sha256:\w{12}\.\.\.', lines[1])
    edit(other, old="file: b.", new="file: a.")
    assert run("diff", policy_file, other).exit_code == 0


def test_what_cannot_be_compared_ends_as_other_commands_do(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old="severity: 3", new="severity: 9")
    broken = run("diff", policy_file, other)
    assert (broken.exit_code, broken.stdout) == (3, "")
    assert f"{other}:9:" in broken.stderr
    assert run("diff", policy_file, "nothing.yaml").exit_code == 2
    assert run("diff", policy_file).exit_code == 2
    assert run("diff", "stickers", "default").exit_code == 10


def test_texts_cannot_steer_the_terminal(run: Run, policy_file: Path, other: Path) -> None:
    edit(other, old='"red"', new='"red [bold]ink[/bold] 猫"')
    assert '+ prompts: added "red [bold]ink[/bold] 猫"' in run("diff", policy_file, other).stdout
