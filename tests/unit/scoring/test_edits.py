"""No edit makes a band stricter or milder silently: it moves nothing, or the category has no band and is named."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import PolicyError
from clipwarden.policy import digest as digest_module
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.calibrations import calibrations_enforced, stale_calibrations
from clipwarden.policy.contexts import bounds_in
from clipwarden.policy.digest import fit_digest, policy_digest
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
    Prompt,
    Unit,
)
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Judgement, ViewRef
from kit.builders import make_attribute, make_calibration, make_category, make_head, make_policy, unit_vectors
from kit.policies import DIM, FINGERPRINT, FakeModel

VIEWS = (ViewRef(name="on_white"), ViewRef(name="on_black"))
Edit = Callable[[Policy, int, float], Policy]
"""Given a policy, a number that chooses what to edit, and one in (0, 1) that chooses the new value."""


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


def fitted(policy: Policy) -> Policy:
    scale = policy.model.calibration_scale

    def fit(concept: Concept) -> dict[str, object]:
        right = fit_digest(concept, fingerprint=FINGERPRINT, calibration_scale=scale)
        return {"calibration": concept.calibration and replace(concept.calibration, fitted_on=right)}

    return replace(
        policy,
        categories=tuple(replace(each, **fit(each)) for each in policy.categories),  # type: ignore[arg-type]
        attributes=tuple(replace(each, **fit(each)) for each in policy.attributes),  # type: ignore[arg-type]
    )


# Edits. Each gives a policy that the language could hold; what was chosen on is never written anew.


def edit_concept(policy: Policy, which: int, change: Callable[[Concept], Mapping[str, object]]) -> Policy:
    concepts: list[Concept] = [*policy.categories, *policy.attributes]
    index = which % len(concepts)
    concepts[index] = replace(concepts[index], **change(concepts[index]))  # type: ignore[arg-type]
    split = len(policy.categories)
    return replace(policy, categories=tuple(concepts[:split]), attributes=tuple(concepts[split:]))  # type: ignore[arg-type]


def edit_category(policy: Policy, which: int, change: Callable[[Category], Mapping[str, object]]) -> Policy:
    index = which % len(policy.categories)
    category = policy.categories[index]
    edited = replace(category, **change(category))  # type: ignore[arg-type]
    return replace(policy, categories=(*policy.categories[:index], edited, *policy.categories[index + 1 :]))


def _texts(change: Callable[[tuple[Prompt, ...], float], tuple[Prompt, ...]]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        return edit_concept(
            policy, which, lambda each: {} if each.head else {"prompts": change(each.prompts, value) or each.prompts}
        )

    return edit


def _negatives(change: Callable[[tuple[str, ...], float], tuple[str, ...]]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        return edit_concept(
            policy,
            which,
            lambda each: {"negatives": change(each.negatives, value)} if each.method is Method.MARGIN else {},  # type: ignore[arg-type]
        )

    return edit


def _templates(*templates: str) -> Edit:
    return lambda policy, which, _: edit_concept(policy, which, lambda c: {} if c.head else {"templates": templates})


def _pool(policy: Policy, which: int, value: float) -> Policy:
    pool = [*Pool][int(value * len(Pool))]
    return edit_concept(policy, which, lambda each: {} if each.head else {"pool": pool})


def _weight(policy: Policy, which: int, value: float) -> Policy:
    def change(concept: Concept) -> Mapping[str, object]:
        if concept.pool is Pool.MAX or concept.head:
            return {}
        return {"prompts": (replace(concept.prompts[0], weight=value + 0.5), *concept.prompts[1:])}

    return edit_concept(policy, which, change)


def _to_cosine(policy: Policy, which: int, _: float) -> Policy:
    def change(category: Category) -> Mapping[str, object]:
        if category.method is not Method.MARGIN or category.thresholds is None:
            return {}
        thresholds = replace(category.thresholds, unit=Unit.COSINE)
        return {"method": Method.COSINE, "negatives": (), "calibration": None, "thresholds": thresholds}

    return edit_category(policy, which, change)


def _head(policy: Policy, which: int, value: float) -> Policy:
    return edit_concept(policy, which, lambda each: {"head": make_head(([[value] * DIM], [0.0]))} if each.head else {})


def _calibration(**changes: Callable[[float, float], float]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        def change(concept: Concept) -> Mapping[str, object]:
            own = concept.calibration
            new = {name: make(getattr(own, name), value) for name, make in changes.items()} if own else {}
            return {"calibration": own and replace(own, **new)}  # type: ignore[arg-type]

        return edit_concept(policy, which, change)

    return edit


def _drop_calibration(policy: Policy, which: int, _: float) -> Policy:
    return edit_concept(policy, which, lambda _: {"calibration": None})


def _scale(policy: Policy, _: int, value: float) -> Policy:
    return replace(policy, model=replace(policy.model, calibration_scale=value))


def _thresholds(change: Callable[[Bounds, float], Bounds]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        def new(category: Category) -> Mapping[str, object]:
            own = category.thresholds
            return {"thresholds": own and replace(own, bounds=change(own.bounds, value))}

        return edit_category(policy, which, new)

    return edit


def _contexts(change: Callable[[Mapping[str, Override], float], Mapping[str, Override]]) -> Edit:
    return lambda policy, which, value: edit_category(
        policy, which, lambda each: {"contexts": change(each.contexts, value)}
    )


def _exemptions(change: Callable[[tuple[Exemption, ...], float], tuple[Exemption, ...]]) -> Edit:
    return lambda policy, which, value: edit_category(
        policy, which, lambda each: {"exemptions": change(each.exemptions, value)}
    )


def _adjustments(change: Callable[[tuple[Adjustment, ...], float], tuple[Adjustment, ...]]) -> Edit:
    return lambda policy, which, value: edit_category(
        policy, which, lambda c: {"adjustments": change(c.adjustments, value)} if c.method is Method.COSINE else {}
    )


EDITS: Mapping[str, Edit] = {
    "a prompt more": _texts(lambda prompts, value: (*prompts, Prompt(text=f"p{value}"))),
    "a prompt less": _texts(lambda prompts, _: prompts[1:]),
    "another prompt": _texts(lambda prompts, value: (replace(prompts[0], text=f"p{value}"), *prompts[1:])),
    "a negative more": _negatives(lambda negatives, value: (*negatives, f"n{value}")),
    "a negative less": _negatives(lambda negatives, _: negatives[1:]),
    "another negative": _negatives(lambda negatives, value: (f"n{value}", *negatives[1:])),
    "a template more": _templates("{}", "a photo of {}"),
    "another template": _templates("a drawing of {}"),
    "the pool": _pool,
    "a weight": _weight,
    "the method": _to_cosine,
    "the head": _head,
    "the bias": _calibration(bias=lambda own, value: own + 8 * value - 4),
    "the prevalence": _calibration(prevalence=lambda _, value: value),
    "no calibration": _drop_calibration,
    "the scale": _scale,
    "a threshold": _thresholds(lambda own, value: replace(own, block=value) if own.block else Bounds(review=value)),
    "README's thresholds": _thresholds(lambda *_: Bounds(review=0.6, block=0.9)),
    "a bound less": _thresholds(lambda own, value: Bounds(block=own.block or value)),
    "a context's bound": _contexts(lambda own, value: {**own, "shop": Override(block=value)}),
    "a context less": _contexts(lambda own, _: {name: each for name, each in own.items() if name != "shop"}),
    "an exemption's bound": _exemptions(lambda own, value: tuple(replace(each, gte=value) for each in own)),
    "an exemption more": _exemptions(lambda own, value: (*own, Exemption(attribute="swimwear", gte=value))),
    "an exemption less": _exemptions(lambda *_: ()),
    "an adjustment's bound": _adjustments(lambda own, value: tuple(replace(each, gte=value) for each in own)),
    "an adjustment's rise": _adjustments(lambda own, value: tuple(replace(each, add=value) for each in own)),
    "an adjustment less": _adjustments(lambda *_: ()),
    "claimed to be fitted": lambda policy, *_: fitted(policy),
}


def _people(policy: Policy, which: int, value: float) -> Policy:
    return edit_category(
        policy,
        which,
        lambda _: {
            "severity": int(value * 5),
            "definition": f"d{value}",
            "reason_code": f"r{value}",
            "mode": [*Mode][int(value * len(Mode))],
        },
    )


def _order(policy: Policy, which: int, _: float) -> Policy:
    turned = edit_concept(
        policy, which, lambda each: {"prompts": each.prompts[::-1], "negatives": each.negatives[::-1]}
    )
    return replace(turned, categories=turned.categories[::-1], attributes=turned.attributes[::-1])


def _renamed_attribute(policy: Policy, *_: float) -> Policy:
    names = {attribute.id: f"new_{attribute.id}"[:60] for attribute in policy.attributes}
    return replace(
        policy,
        attributes=tuple(replace(each, id=names[each.id]) for each in policy.attributes),
        categories=tuple(
            replace(
                each,
                exemptions=tuple(replace(item, attribute=names[item.attribute]) for item in each.exemptions),
                adjustments=tuple(replace(item, attribute=names[item.attribute]) for item in each.adjustments),
            )
            for each in policy.categories
        ),
    )


FREE: Mapping[str, Edit] = {"for people": _people, "order": _order, "an attribute's name": _renamed_attribute}


def in_mode(policy: Policy, mode: Mode) -> Policy:
    return replace(policy, categories=tuple(replace(each, mode=mode) for each in policy.categories))


# What is judged, and what a band rests on, told without any digest.


@cache
def images() -> np.ndarray:
    """Return embeddings [N*V,D]: anything, and what looks like the policy's own texts."""
    compiled = compile_policy(in_mode(base(), Mode.SHADOW), model=FakeModel())
    noise = unit_vectors(24, DIM, seed=3)
    near = compiled.vectors[:-1] + 0.6 * unit_vectors(len(compiled.vectors) - 1, DIM, seed=4)
    rows = np.concatenate([noise, near / np.linalg.norm(near, axis=1, keepdims=True)]).astype(np.float32)
    return rows[: len(rows) // len(VIEWS) * len(VIEWS)]


def judgements(compiled: CompiledPolicy) -> Iterator[tuple[str | None, int, Judgement]]:
    tables, rows = prepare(compiled), cosines(images(), compiled)
    for context in (None, "shop", "kids"):
        for image in range(len(rows) // len(VIEWS)):
            own = rows[image * len(VIEWS) : (image + 1) * len(VIEWS)]
            found = judge(own, VIEWS, tables, context=context, frames_total=1, frames_judged=1, degraded=False)
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


def silent_changes(policy: Policy) -> list[str]:
    """Name the categories whose bands rest on something else than before, and that have one all the same."""
    compiled = compile_policy(in_mode(policy, Mode.SHADOW), model=FakeModel())
    rested, old = before()
    now = bands(compiled)
    return [
        each.id
        for each in compiled.policy.categories
        if each.id not in compiled.unbound
        and (rests_on(each, compiled) != rested[each.id] or now[each.id] != old[each.id])
    ]


def assert_named(policy: Policy) -> None:
    """Assert that a category without a band says why, wherever it counts."""
    compiled = compile_policy(in_mode(policy, Mode.SHADOW), model=FakeModel())
    for _, _, judgement in judgements(compiled):
        lacking = {result.id for result in judgement.categories if result.band is None}
        assert lacking == set(compiled.unbound) == set(judgement.shadow_incomplete)
        for result in judgement.categories:
            assert (result.no_band is not None) == (result.id in lacking)
            assert result.scored is not None
            assert (result.bounds == Bounds()) == (result.id in lacking)


def applied(steps: Sequence[tuple[str, int, float]], edits: Mapping[str, Edit], policy: Policy | None = None) -> Policy:
    policy = policy or base()
    for name, which, value in steps:
        policy = edits[name](policy, which, value)
    return policy


def steps(edits: Mapping[str, Edit], least: int = 1) -> st.SearchStrategy[list[tuple[str, int, float]]]:
    value = st.floats(0.05, 0.95).map(lambda each: round(each, 3))
    return st.lists(st.tuples(st.sampled_from(sorted(edits)), st.integers(0, 6), value), min_size=least, max_size=4)


def test_the_base_policy_shows_every_band() -> None:
    _, old = before()
    assert {band for each in old.values() for band in each} >= {1, 2, 3}
    for name, found in old.items():
        assert len(set(found)) > 1, name


@given(steps(EDITS), steps(FREE, least=0))
@settings(deadline=None, max_examples=150)
def test_no_edit_moves_a_band_silently(edits: list[tuple[str, int, float]], free: list[tuple[str, int, float]]) -> None:
    policy = applied(free, FREE, applied(edits, EDITS))
    assert silent_changes(policy) == []
    assert_named(policy)


@given(steps(EDITS))
@settings(deadline=None, max_examples=60)
def test_what_is_enforced_is_refused_or_judges_as_before(edits: list[tuple[str, int, float]]) -> None:
    policy = in_mode(applied(edits, EDITS), Mode.ENFORCE)
    _, old = before()
    try:
        compiled = compile_policy(policy, model=FakeModel())
    except PolicyError as error:
        codes = {problem.code for problem in error.problems if problem.severity == "error"}
        assert codes <= {"unbound-thresholds", "stale-calibration"}
        fixes = [problem.fix for problem in error.problems if problem.severity == "error"]
        assert all("hand" in fix or "`gte`" in fix or "delete it" in fix for fix in fixes)
    else:
        assert compiled.unbound == {}
        assert stale_calibrations(policy, FINGERPRINT) & calibrations_enforced(policy) == frozenset()
        assert bands(compiled) == old


@given(steps(FREE))
@settings(deadline=None, max_examples=40)
def test_what_moves_no_band_leaves_all_of_them(free: list[tuple[str, int, float]]) -> None:
    policy = in_mode(applied(free, FREE), Mode.SHADOW)
    compiled = compile_policy(policy, model=FakeModel())
    assert compiled.unbound == {}
    assert bands(compiled) == before()[1]


def every_edit() -> list[Policy]:
    """Return the policies that one edit away from the base differ from it, each once."""
    every = (edit(base(), which, value) for edit in EDITS.values() for which in range(7) for value in (0.15, 0.85))
    found = {policy_digest(policy): policy for policy in every}
    found.pop(policy_digest(base()))
    return [*found.values()]


def test_every_edit_by_itself_is_loud() -> None:
    for policy in every_edit():
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
