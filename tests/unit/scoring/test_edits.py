"""No edit makes a band stricter or milder silently: it moves nothing, or the category has no band and is named."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from clipwarden.errors import PolicyError
from clipwarden.policy import digest as digest_module
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.calibrations import calibrations_enforced, stale_calibrations
from clipwarden.policy.contexts import bounds_in
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    Adjustment,
    Bounds,
    Category,
    Concept,
    Exemption,
    Method,
    Mode,
    Override,
    Policy,
    Pool,
)
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Judgement, ViewRef
from kit.builders import make_attribute, make_calibration, make_category, make_head, make_policy, unit_vectors
from kit.edits import EDITS, FREE, Step, applied, fitted, in_mode, steps, without_band
from kit.policies import DIM, FINGERPRINT, FakeModel

VIEWS = (ViewRef(name="on_white"), ViewRef(name="on_black"))


@cache
def base() -> Policy:
    """Return a policy with every method and condition, its calibrations fitted and its thresholds chosen."""
    exemptions = [Exemption(attribute="museum", gte=0.6)]
    contexts = {"shop": Override(block=0.95), "kids": Override(review=0.3)}
    adjustments = [Adjustment(attribute="swimwear", gte=0.1, add=0.2)]
    margin = {"method": Method.MARGIN, "negatives": ["n0", "n1"], "bias": -1.0, "exemptions": exemptions}
    head = make_head((unit_vectors(2, DIM, seed=5).tolist(), [0.0, 0.5]), ([[2.0, -2.0]], [0.1]))
    categories = [
        make_category("max", prompts=["a", "b"], review=0.4, block=0.7, contexts=contexts, **margin),
        make_category("mean", prompts=["c", ("d", 2.0)], pool=Pool.MEAN, block=0.5, **margin),
        make_category("lse", prompts=["e", "f"], pool=Pool.LSE, review=0.3, **margin),
        make_category("cosine", prompts=["g", "h"], review=0.2, block=0.5, adjustments=adjustments, contexts=contexts),
        make_category("head", head=head, bias=0.3, review=0.4, block=0.8, exemptions=exemptions),
    ]
    museum = replace(make_attribute("museum", prompts=["m"], method=Method.MARGIN), calibration=make_calibration(-0.5))
    attributes = [museum, make_attribute("swimwear", prompts=["s", "t"])]
    bare = make_policy(categories, attributes=attributes, contexts=["shop", "kids"], calibration_scale=0.05)
    policy = replace(bare, model=replace(bare.model, fingerprint=FINGERPRINT))
    return choose_lines(fitted(policy), FINGERPRINT)


# What is judged, and what a band rests on, told without any digest.


@cache
def images() -> np.ndarray:
    """Return embeddings [N*V,D]: anything, and what looks like the policy's own texts."""
    compiled = compile_policy(in_mode(base(), Mode.SHADOW), model=FakeModel())
    noise = unit_vectors(8, DIM, seed=3)
    near = compiled.vectors[:-1] + 0.6 * unit_vectors(len(compiled.vectors) - 1, DIM, seed=4)
    rows = np.concatenate([noise, near / np.linalg.norm(near, axis=1, keepdims=True)]).astype(np.float32)
    return rows[: len(rows) // len(VIEWS) * len(VIEWS)]


def judgements(compiled: CompiledPolicy) -> Iterator[tuple[str | None, int, Judgement]]:
    tables, rows = prepare(compiled), cosines(images(), compiled)
    for context in (None, "shop", "kids"):
        for image in range(len(rows) // len(VIEWS)):
            own = rows[image * len(VIEWS) : (image + 1) * len(VIEWS)]
            found = judge(own, VIEWS, tables, context=context, partial=False, degraded=False)
            yield context, image, found


def bands(compiled: CompiledPolicy) -> dict[str, list[object]]:
    """Return each category's bands, image by image."""
    found: dict[str, list[object]] = {}
    for _, _, judgement in judgements(compiled):
        for result in judgement.categories:
            found.setdefault(result.id, []).append(result.band)
    return found


def number_of(concept: Concept, compiled: CompiledPolicy) -> tuple[object, ...]:
    calibration = compiled.calibration(concept)
    phrases = sorted((str(each.text), each.weight) for each in concept.prompts)
    return (
        compiled.fingerprint,
        concept.method,
        concept.pool,
        concept.head,
        phrases,
        sorted(map(str, concept.negatives)),
        sorted(concept.templates),
        calibration and (calibration.bias, calibration.prevalence),
        compiled.policy.model.calibration_scale if METHODS[concept.method].scale_is_open else None,
    )


def rests_on(category: Category, compiled: CompiledPolicy) -> tuple[object, ...]:
    """Return all that a category's bands rest on, of the policy as it is judged with."""
    attributes = {each.id: number_of(each, compiled) for each in compiled.policy.attributes}
    held = [each for each in category.exemptions if each.attribute not in compiled.dropped_calibrations]
    return (
        number_of(category, compiled),
        category.thresholds and category.thresholds.unit,
        [bounds_in(category, name) for name in (None, "shop", "kids")],
        sorted((str(attributes[each.attribute]), each.gte) for each in held),
        sorted((str(attributes[each.attribute]), each.gte, each.add) for each in category.adjustments),
    )


@cache
def before() -> tuple[dict[str, tuple[object, ...]], dict[str, list[object]]]:
    compiled = compile_policy(in_mode(base(), Mode.SHADOW), model=FakeModel())
    return {each.id: rests_on(each, compiled) for each in compiled.policy.categories}, bands(compiled)


def in_shadow(policy: Policy) -> CompiledPolicy:
    """Compile for the model that the policy names."""
    model = FakeModel(fingerprint=policy.model.fingerprint or FINGERPRINT)
    return compile_policy(in_mode(policy, Mode.SHADOW), model=model)


def silent_changes(policy: Policy) -> list[str]:
    """Name the categories whose bands rest on something else than before, and that have one all the same."""
    compiled = in_shadow(policy)
    rested, old = before()
    now = bands(compiled)
    return [
        each.id
        for each in compiled.policy.categories
        if each.id not in without_band(compiled)
        and (rests_on(each, compiled) != rested[each.id] or now[each.id] != old[each.id])
    ]


def assert_named(policy: Policy) -> None:
    """Assert that a category without a band says why, wherever it counts."""
    compiled = in_shadow(policy)
    for _, _, judgement in judgements(compiled):
        lacking = {result.id for result in judgement.categories if result.band is None}
        assert lacking == without_band(compiled) == set(judgement.shadow_incomplete)
        for result in judgement.categories:
            assert (result.no_band is not None) == (result.id in lacking)
            assert result.scored is not None
            assert (result.bounds == Bounds()) == (result.id in lacking)


def test_the_base_policy_shows_every_band() -> None:
    _, old = before()
    assert {band for each in old.values() for band in each} >= {1, 2, 3}
    for name, found in old.items():
        assert len(set(found)) > 1, name


@given(steps(EDITS), steps(FREE, least=0))
@settings(deadline=None, max_examples=60)
def test_no_edit_moves_a_band_silently(edits: list[Step], free: list[Step]) -> None:
    policy = applied(free, FREE, applied(edits, EDITS, base()))
    assert silent_changes(policy) == []
    assert_named(policy)


# The language refuses what is enforced without thresholds before anything else looks at it.
ENFORCEABLE = {name: edit for name, edit in EDITS.items() if name != "no thresholds"}


@given(steps(ENFORCEABLE))
@settings(deadline=None, max_examples=30)
def test_what_is_enforced_is_refused_or_judges_as_before(edits: list[Step]) -> None:
    policy = in_mode(applied(edits, ENFORCEABLE, base()), Mode.ENFORCE)
    _, old = before()
    try:
        compiled = compile_policy(policy, model=FakeModel(fingerprint=policy.model.fingerprint or FINGERPRINT))
    except PolicyError as error:
        codes = {problem.code for problem in error.problems if problem.severity == "error"}
        assert codes <= {"unbound-thresholds", "stale-calibration"}
        fixes = [problem.fix for problem in error.problems if problem.severity == "error"]
        assert all("Put back what changed" in fix or "chosen_on" in fix for fix in fixes)
    else:
        assert compiled.unbound == {}
        assert stale_calibrations(policy, FINGERPRINT) & calibrations_enforced(policy) == frozenset()
        assert bands(compiled) == old


@given(steps(FREE))
@settings(deadline=None, max_examples=40)
def test_what_moves_no_band_leaves_all_of_them(free: list[Step]) -> None:
    policy = in_mode(applied(free, FREE, base()), Mode.SHADOW)
    compiled = compile_policy(policy, model=FakeModel())
    assert compiled.unbound == {}
    assert bands(compiled) == before()[1]


def test_another_model_unbinds_all_of_them() -> None:
    policy = replace(in_mode(base(), Mode.SHADOW), model=replace(base().model, fingerprint=None))
    assert compile_policy(policy, model=FakeModel()).unbound == {}
    elsewhere = compile_policy(policy, model=FakeModel(fingerprint="sha256:" + "cd" * 32))
    assert set(elsewhere.unbound) == {category.id for category in policy.categories}
    assert all(set(found) == {None} for found in bands(elsewhere).values())


@cache
def every_edit() -> list[Policy]:
    """Return the policies that one edit away from the base differ from it, each once."""
    every = (edit(base(), which, value) for edit in EDITS.values() for which in range(7) for value in (0.15, 0.85))
    found = {policy_digest(policy): policy for policy in every}
    found.pop(policy_digest(base()))
    return [*found.values()]


def test_every_edit_by_itself_is_loud() -> None:
    for policy in every_edit():
        assert without_band(in_shadow(policy))
        assert silent_changes(policy) == []


@pytest.mark.parametrize(
    "term", ["fit", "calibration", "bounds", "contexts", "exemptions", "adjustments", "gte", "add"]
)
def test_a_digest_that_lacks_a_term_is_found_out(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property is one that can fail: without any single term some edit is silent."""
    whole = digest_module._hash

    def lacking(value: dict[str, object]) -> str:
        if "bounds" in value:  # that of lines, not of a fit or a policy
            place = {"gte": ("exemptions", 1), "add": ("adjustments", 2)}.get(term)
            if place:
                key, at = place
                value = {**value, key: [[*item[:at], *item[at + 1 :]] for item in value[key]]}  # type: ignore[attr-defined]
            else:
                value = {name: part for name, part in value.items() if name != term}
        return whole(value)

    edited = every_edit()
    monkeypatch.setattr(digest_module, "_hash", lacking)
    rebound = {each.id: each.thresholds for each in choose_lines(base(), FINGERPRINT).categories}

    def chosen(policy: Policy) -> Policy:
        own = ((each, rebound[each.id]) for each in policy.categories)
        return replace(
            policy,
            categories=tuple(
                replace(each, thresholds=each.thresholds and replace(each.thresholds, chosen_on=old and old.chosen_on))
                for each, old in own
            ),
        )

    assert any(silent_changes(chosen(policy)) for policy in edited)
