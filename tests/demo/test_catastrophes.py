"""Edits that once moved most verdicts without a word, on the shipped policy, model and drawings."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

import clipwarden
from clipwarden import Moderator
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.snapshot import EMBEDDED_MODEL, resolve_model
from clipwarden.errors import PolicyError, Problem
from clipwarden.modelfolder.load import Model, load_model
from clipwarden.policy.bundle.bindings import lint_without_model
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.load import LoadedPolicy, parse_policy
from clipwarden.policy.schema import Mode
from clipwarden.policy.shipped import shipped_policy
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Judgement, NoBand, ScoreKind
from clipwarden.textfiles.findings import in_file_order
from kit.edits import EDITS, FREE, Step, applied, in_mode, steps, without_band

IMAGES = sorted((Path(clipwarden.__path__[0]) / "demo" / "images").glob("*.png"))
SHIPPED = shipped_policy("stickers").read_text(encoding="utf-8")
IN_SHADOW = SHIPPED.replace("mode: enforce", "mode: shadow")
EDITED = next(category.id for category in parse_policy(SHIPPED).policy.categories if category.mode is Mode.ENFORCE)
"""Enforced as shipped, so that each edit can be tried in either mode."""


def edited(text: str, key: str, change: Callable[[str], str]) -> str:
    """Change one line of the category."""
    head, begin, rest = text.partition(f"- id: {EDITED}\n")
    body, end, tail = rest.partition("\n- id: ")
    line = next(line for line in body.splitlines() if line.startswith(f"  {key}: "))
    changed = change(line)
    assert changed != line
    return head + begin + body.replace(line, changed) + end + tail


def one_more_negative(text: str) -> str:
    return edited(text, "negatives", lambda line: line.replace("[", '["a cup of coffee", ', 1))


def numbers_of_the_readme(text: str) -> str:
    def paste(line: str) -> str:
        return re.sub(r"review: [\d.]+, block: [\d.]+", "review: 0.6, block: 0.9", line)

    return edited(text, "thresholds", paste)


def bias_moved_by_4(text: str) -> str:
    def move(line: str) -> str:
        return re.sub(r"bias: (-?[\d.]+)", lambda found: f"bias: {float(found[1]) + 4:g}", line)

    return edited(text, "calibration", move)


CATASTROPHES = [one_more_negative, numbers_of_the_readme, bias_moved_by_4]
every = pytest.mark.parametrize("edit", CATASTROPHES, ids=lambda edit: edit.__name__)


def judged(text: str, folder: Path) -> list[Judged]:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with Moderator(policies=path) as moderator:
        return [moderator.moderate(image) for image in IMAGES]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    found = judged(IN_SHADOW, tmp_path_factory.mktemp("before"))
    assert {each.judgement.shadow_verdict.name for each in found} == {"ALLOW", "REVIEW", "BLOCK"}
    assert not any(each.judgement.shadow_incomplete for each in found)
    return found


@every
def test_in_shadow_the_category_has_no_band_and_is_named(
    edit: Callable[[str], str], before: list[Judged], tmp_path: Path
) -> None:
    for old, new in zip(before, judged(edit(IN_SHADOW), tmp_path), strict=True):
        assert new.judgement.shadow_incomplete == (EDITED,)
        (mine,) = (result for result in new.categories if result.id == EDITED)
        assert (mine.band, mine.no_band) == (None, NoBand.CHOSEN_ON_OTHER)
        assert mine.scored is not None
        assert (mine.scored.kind is ScoreKind.UNCALIBRATED) == (edit is one_more_negative)
        others = [(result.id, result.band) for result in old.categories if result.id != EDITED]
        assert [(result.id, result.band) for result in new.categories if result.id != EDITED] == others
        assert new.judgement.shadow_verdict == max(band for _, band in others if band)


@every
def test_where_it_is_enforced_the_policy_is_refused_by_lint_and_at_load_alike(
    edit: Callable[[str], str], tmp_path: Path
) -> None:
    text = edit(SHIPPED)
    loaded = parse_policy(text, file=str(tmp_path / "mine.yaml"))
    (problem,) = lint_without_model(loaded.policy, loaded.positions)
    assert problem.severity == "error"
    with pytest.raises(PolicyError) as caught:
        judged(text, tmp_path)
    assert caught.value.problems == (problem,)


@every
def test_what_the_refusal_offers_is_the_way_out(edit: Callable[[str], str], tmp_path: Path) -> None:
    text = edit(SHIPPED)
    loaded = parse_policy(text)
    problem = found_in(text)[0]
    assert "; or write `mode: shadow`" in problem.fix
    if problem.code == "stale-calibration":
        # No number is offered for the scores that are left: whoever deletes the calibration has to choose anew.
        assert "sha256:" not in problem.fix
        text = edited(text, "calibration", lambda _: "")
        problem = found_in(text)[-1]
    assert problem.code == "unbound-thresholds"
    text = pasted(text, problem.fix)
    assert [each.severity for each in found_in(text) if each.code != "uncalibrated-thresholds"] == []
    assert enforced(parse_policy(text)) == enforced(loaded)
    assert not any(each.judgement.shadow_incomplete for each in judged(text, tmp_path))


def found_in(text: str) -> tuple[Problem, ...]:
    loaded = parse_policy(text)
    return in_file_order(lint_without_model(loaded.policy, loaded.positions))


SCALE_CHANGED = re.sub(r"calibration_scale: [\d.]+", "calibration_scale: 3.224", SHIPPED, count=1)


def test_where_the_scale_changed_no_mend_of_lint_keeps_the_old_numbers_at_work() -> None:
    found = found_in(SCALE_CHANGED)
    calibrated = [each.id for each in parse_policy(SHIPPED).policy.categories if each.calibration]
    assert len(calibrated) == len(found) > 1
    assert not any(re.search(r"thresholds: \{|sha256:", each.fix) for each in found)
    assert all("Put back what changed (`clipwarden diff OLD " in each.fix for each in found)


def enforced(loaded: LoadedPolicy) -> list[str]:
    return [each.id for each in loaded.policy.categories if each.mode is Mode.ENFORCE]


def pasted(text: str, fix: str) -> str:
    """Do what the message says."""
    chosen = re.search(r"`(chosen_on: \{.*?\})`", fix.replace('"..."', '"somebody looked"'))
    assert chosen is not None
    return edited(text, "thresholds", lambda own: re.sub(r'chosen_on: "[^"]*"', lambda _: chosen[1], own))


# Random edits of the shipped policy, judged by the shipped model.

EDITED_HERE = {name: edit for name, edit in EDITS.items() if name != "the fingerprint"}  # that names another model


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(resolve_model(EMBEDDED_MODEL))


@pytest.fixture(scope="module")
def embedded() -> list[EmbeddedImage]:
    with Moderator() as moderator:
        return [moderator.embed(image) for image in IMAGES]


def bands(compiled: CompiledPolicy, images: list[EmbeddedImage]) -> tuple[dict[str, list[object]], list[Judgement]]:
    """Judge the drawings: each category's bands, and the judgements."""
    tables = prepare(compiled)
    whole = {"context": None, "partial": False, "degraded": False}
    found = [judge(cosines(each.embeddings, compiled), each.views, tables, **whole) for each in images]  # type: ignore[arg-type]
    return {
        category.id: [judgement.categories[index].band for judgement in found]
        for index, category in enumerate(compiled.policy.categories)
    }, found


CACHE = VectorCache()


@given(edits=steps(EDITED_HERE), free=steps(FREE, least=0))
@settings(deadline=None, max_examples=15)
def test_no_edit_of_the_shipped_policy_moves_a_band_silently(
    edits: list[Step], free: list[Step], model: Model, embedded: list[EmbeddedImage]
) -> None:
    shipped = in_mode(parse_policy(SHIPPED).policy, Mode.SHADOW)
    edited = in_mode(applied(free, FREE, applied(edits, EDITED_HERE, shipped)), Mode.SHADOW)
    old, before = bands(compile_policy(shipped, model=model, cache=CACHE), embedded)
    compiled = compile_policy(edited, model=model, cache=CACHE)
    new, after = bands(compiled, embedded)
    for name, found in new.items():
        assert found == ([None] * len(found) if name in without_band(compiled) else old[name])
    for judgement, earlier in zip(after, before, strict=True):
        assert set(judgement.shadow_incomplete) == without_band(compiled)
        if not judgement.shadow_incomplete:
            assert judgement.shadow_verdict is earlier.shadow_verdict
