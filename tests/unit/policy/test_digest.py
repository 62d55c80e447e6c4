"""Both directions: no order moves a digest, and every judging value does."""

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from enum import Enum
from typing import TypeVar, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.policy import schema
from clipwarden.policy.digest import canonical, fit_digest, lines_digest, policy_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import (
    ADDED_LATER,
    ANY_ORDER,
    Adjustment,
    Attribute,
    By,
    Calibration,
    Category,
    ChosenOn,
    Concept,
    Evidence,
    HeadLayer,
    LearnedVector,
    Metadata,
    Policy,
    Waivable,
    Waiver,
)
from clipwarden.policy.shipped import shipped_policy
from clipwarden.vision.plan import WHOLE, ViewPlan, Views
from kit.builders import make_evidence
from kit.policies import FINGERPRINT, FULL_POLICY, policies, unit_vector

T = TypeVar("T")
NOT_JUDGING = {
    *((Metadata, name) for name in ("version", "owner", "reason", "author", "approved_by", "review_by")),
    *((ChosenOn, name) for name in ("by", "reason", "approved_by", "evidence")),
    *((Evidence, field.name) for field in dataclasses.fields(Evidence)),
    *((kind, "waive") for kind in (Category, Attribute)),
    *((Waiver, name) for name in ("rule", "texts", "reason", "approved_by")),
}
CALIBRATION = Calibration(bias=-2.0, prevalence=0.01, fitted_on="sha256:" + "1" * 64)
OLD_DIGEST = "sha256:3d18c7d11acf59886ff470b3651fa6e316448c14d23d39f02f1fd852b987d48c"
OLD_FIT = "sha256:7f2b55213241e1d28740c302b12d3644a590028e4f091f6089d9a7bea2735e7b"
SHIPPED = {
    "default": "sha256:7f04407b7623e495bd9cc6627ec972ffc32a7e9e593c4744243a9af98274b96c",
    "stickers": "sha256:09e3fb8ae0143ef7d83927ac06bb755a70170668ff0686dd67e1ff014c6bbecc",
}
DEEP_DIGEST = "sha256:5d54b546b2a97b385451de15724b44c3a1df46363862a23cfe310824863491a4"
DEEP_FITS = {
    "weapons": "sha256:8afd47c75978cb1738fb4d7bed701123339ee8bfd548a0c58f462696ac3d9e88",
    "drugs.hard": "sha256:4f4597c9ec5f265a8b03a4610a393dd3b970dc9a713010075e079fce53dbddc7",
    "retired": "sha256:1c952065e5305ad5f097ea1b5fb5be93a661f8ea8a95e64386d47b0b1844009b",
    "museum": "sha256:46361cf85f5c3c6ae38f5c98e585210c920c8444339e5e8e8ea10c4b8a1cf188",
    "headed": "sha256:4636275275e2c6ae5d712d9c392bc6866f87338ef7e0440a200f5fbe86fb992c",
    "deep": "sha256:9b7d983440de8bef86c733bb928771abf03a735865472de5beebc05e30041f35",
}
HEAD = (HeadLayer(place=0, weight=unit_vector("weight").tobytes(), bias=b"bias"),)
DEEP_HEAD = (
    HeadLayer(place=0, weight=unit_vector("weight").tobytes() * 2, bias=b"biasbias"),
    HeadLayer(place=1, weight=b"weightof", bias=b"last"),
)
CHOSEN_ON = ChosenOn(
    digest="sha256:" + "4" * 64, by=By.HAND, reason="seen", approved_by="m.okafor", evidence=make_evidence()
)
WAIVE = (Waiver(rule=Waivable.IDENTITY, texts=("a hijab",), reason="an archive", approved_by="m.okafor"),)
VECTOR = LearnedVector(name="learned", values=unit_vector("learned").tobytes())


def rich_policy() -> Policy:
    """Return a policy in which every field of the schema holds something."""
    policy = parse_policy(FULL_POLICY).policy
    first, second, *rest = policy.categories
    second = dataclasses.replace(second, adjustments=(Adjustment(attribute="museum", gte=0.15, add=0.01),))
    attribute = dataclasses.replace(
        policy.attributes[0], calibration=CALIBRATION, negatives=("a bedroom", VECTOR), waive=WAIVE
    )
    assert first.thresholds is not None
    thresholds = dataclasses.replace(first.thresholds, chosen_on=CHOSEN_ON)
    first = dataclasses.replace(first, calibration=CALIBRATION, thresholds=thresholds, waive=WAIVE)
    categories = (first, second, *rest)
    headed = dataclasses.replace(policy.attributes[0], id="headed", head=HEAD)
    return dataclasses.replace(policy, categories=categories, attributes=(attribute, headed))


def shuffle(value: object, rng: random.Random) -> object:
    """Return an equal value with every mapping, and every tuple that says `ANY_ORDER`, in another order."""
    if isinstance(value, tuple):
        return tuple(shuffle(item, rng) for item in value)
    if isinstance(value, Mapping):
        return dict(shuffled([(key, shuffle(item, rng)) for key, item in value.items()], rng))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: shuffle(getattr(value, field.name), rng) for field in dataclasses.fields(value)}
        sets = {field.name for field in dataclasses.fields(value) if "any_order" in field.metadata}
        changes |= {name: tuple(shuffled(changes[name], rng)) for name in sets}
        return dataclasses.replace(value, **changes)
    return value


def shuffled(items: Iterable[T], rng: random.Random) -> list[T]:
    result = list(items)
    rng.shuffle(result)
    return result


def variants(value: object, hint: object) -> Iterator[object]:
    """Yield values that differ from `value` in one place, at any depth; `hint` is its annotation."""
    if value is None:
        yield from (example(each) for each in get_args(hint) if each is not type(None))
    elif isinstance(value, Enum):
        yield from (other for other in type(value) if other is not value)
    elif isinstance(value, str):
        yield value + "x"
    elif isinstance(value, bytes):
        yield value[::-1]
    elif isinstance(value, int | float):
        yield value + 0.125
    elif isinstance(value, date):
        yield value + timedelta(days=1)
    elif isinstance(value, tuple):
        yield from tuple_variants(value, get_args(hint)[0])
    elif isinstance(value, Mapping):
        yield from mapping_variants(value, get_args(hint)[1])
    else:
        yield from (changed for _, _, changed in dataclass_variants(value))
    if value is not None and type(None) in get_args(hint):
        yield None


def example(kind: object) -> object:
    """Return some value of an optional field's type."""
    simple = {
        str: "x",
        float: 0.25,
        date: date(2030, 1, 1),
        Calibration: CALIBRATION,
        ChosenOn: CHOSEN_ON,
        Evidence: make_evidence(),
        schema.Mode: schema.Mode.SHADOW,
    }
    if kind in simple:
        return simple[kind]  # type: ignore[index]
    assert kind is schema.Thresholds, f"no example of {kind}: add one"
    return schema.Thresholds(unit=schema.Unit.SCORE, bounds=schema.Bounds(block=0.5))


def tuple_variants(items: tuple[object, ...], hint: object) -> Iterator[object]:
    if hint is str or str in get_args(hint):
        yield (*items, "another")
    for index, item in enumerate(items):
        yield items[:index] + items[index + 1 :]
        for changed in variants(item, hint):
            yield (*items[:index], changed, *items[index + 1 :])


def mapping_variants(items: Mapping[str, object], hint: object) -> Iterator[object]:
    for key, item in items.items():
        rest = {other: value for other, value in items.items() if other != key}
        yield rest
        yield rest | {key + "x": item}
        for changed in variants(item, hint):
            yield rest | {key: changed}


def dataclass_variants(value: object) -> Iterator[tuple[type, str, object]]:
    """Yield the class, the field and the changed value, for a change in each field of one dataclass."""
    assert dataclasses.is_dataclass(value)
    assert not isinstance(value, type)
    hints = get_type_hints(type(value))
    for field in dataclasses.fields(value):
        found = list(variants(getattr(value, field.name), hints[field.name]))
        # `Exemption.effect` and `Waiver.rule` have one value so far; a second one will be tried by itself.
        lonely = isinstance(now := getattr(value, field.name), Enum) and len(type(now)) == 1
        empty = getattr(value, field.name) in ((), {})  # filled in another category of the same policy
        assert found or lonely or empty, f"no variant of {type(value).__name__}.{field.name}"
        for changed in found:
            yield type(value), field.name, dataclasses.replace(value, **{field.name: changed})


def all_fields(value: object) -> Iterator[tuple[type, str]]:
    """Yield every dataclass field that occurs within a value."""
    if isinstance(value, tuple):
        for item in value:
            yield from all_fields(item)
    elif isinstance(value, Mapping):
        yield from all_fields(tuple(value.values()))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield type(value), field.name
            yield from all_fields(getattr(value, field.name))


def judges_alike(left: Policy, right: Policy) -> bool:
    """Tell whether two policies differ in nothing but what is for people."""
    return _judging(left) == _judging(right)


def _judging(policy: Policy) -> Policy:
    categories = tuple(
        dataclasses.replace(each, thresholds=_without_names(each.thresholds), waive=()) for each in policy.categories
    )
    attributes = tuple(dataclasses.replace(each, waive=()) for each in policy.attributes)
    metadata = schema.Metadata(id=policy.metadata.id)
    return dataclasses.replace(policy, metadata=metadata, categories=categories, attributes=attributes)


def _without_names(thresholds: schema.Thresholds | None) -> schema.Thresholds | None:
    if thresholds is None or thresholds.chosen_on is None:
        return thresholds
    return dataclasses.replace(thresholds, chosen_on=ChosenOn(digest=thresholds.chosen_on.digest))


def test_rich_policy_reaches_every_field_of_the_schema() -> None:
    # A dataclass added to the schema must be added to FULL_POLICY, or nothing here would test it.
    types = (kind for kind in vars(schema).values() if isinstance(kind, type))
    classes = [kind for kind in types if dataclasses.is_dataclass(kind) and kind is not Concept]
    wanted = {(kind, field.name) for kind in classes for field in dataclasses.fields(kind)}
    assert set(all_fields(rich_policy())) == wanted


def test_every_judging_value_moves_the_digest() -> None:
    policy = rich_policy()
    seen = {policy_digest(policy): "the policy itself"}
    moved = kept = 0
    for _, field, changed in dataclass_variants(policy):
        assert isinstance(changed, Policy)
        digest = policy_digest(changed)
        if judges_alike(changed, policy):
            assert digest == policy_digest(policy), field
            kept += 1
        else:
            assert digest not in seen, f"{field} moved nothing, or as {seen.get(digest)} did: {changed}"
            seen[digest] = field
            moved += 1
    assert kept >= len(NOT_JUDGING)
    assert moved > 120


@given(policies(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_every_permutation_keeps_the_digest(policy: Policy, rng: random.Random) -> None:
    shuffled = shuffle(policy, rng)
    assert isinstance(shuffled, Policy)
    assert policy_digest(shuffled) == policy_digest(policy)


@given(policies())
@settings(deadline=None, max_examples=40)
def test_any_change_of_any_policy_moves_the_digest(policy: Policy) -> None:
    for _, field, changed in dataclass_variants_of_any(policy):
        assert isinstance(changed, Policy)
        same = policy_digest(changed) == policy_digest(policy)
        assert same == judges_alike(changed, policy), field


def dataclass_variants_of_any(policy: Policy) -> list[tuple[type, str, object]]:
    """Like `dataclass_variants`, for policies whose tuples may be empty."""
    hints = get_type_hints(Policy)
    return [
        (Policy, field.name, dataclasses.replace(policy, **{field.name: changed}))
        for field in dataclasses.fields(Policy)
        for changed in variants_or_none(getattr(policy, field.name), hints[field.name])
    ]


def variants_or_none(value: object, hint: object) -> list[object]:
    if isinstance(value, tuple):
        return [value[:index] + value[index + 1 :] for index in range(len(value))]
    return list(variants(value, hint))


def test_integers_and_floats_that_are_equal_digest_equal() -> None:
    text = FULL_POLICY.replace("weight: 2", "weight: 2.0").replace("calibration_scale: 0.5", "calibration_scale: 5e-1")
    assert text != FULL_POLICY
    assert policy_digest(parse_policy(text).policy) == policy_digest(parse_policy(FULL_POLICY).policy)


def test_writing_a_default_out_keeps_the_digest() -> None:
    text = FULL_POLICY.replace("  reason_code: WPN-1\n", "  reason_code: WPN-1\n  templates: ['a photo of {}', '{}']\n")
    assert policy_digest(parse_policy(text).policy) == policy_digest(parse_policy(FULL_POLICY).policy)


def test_digest_can_be_recomputed_from_the_json_alone() -> None:
    # The values here are such that Python's sorted compact JSON is RFC 8785 already, but for whole floats.
    policy = parse_policy(FULL_POLICY).policy
    plain = json.dumps(
        {"schema": "clipwarden/v1", "policy": whole(canonical(policy))}, sort_keys=True, separators=(",", ":")
    )
    assert policy_digest(policy) == "sha256:" + hashlib.sha256(plain.encode()).hexdigest()


def whole(value: object) -> object:
    """Return a JSON value with 1.0 as 1, as RFC 8785 writes it."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_features_that_came_later_leave_the_digests_of_other_policies_alone() -> None:
    # Both as they were before learned vectors and adjustments existed.
    policy = parse_policy(FULL_POLICY).policy
    assert policy_digest(policy) == OLD_DIGEST
    assert fit_digest(policy.categories[0], fingerprint=FINGERPRINT, calibration_scale=1.0, plan=policy.plan) == OLD_FIT


def test_whether_cut_files_are_judged_counts_in_the_digest_alone() -> None:
    policy = parse_policy(FULL_POLICY).policy
    judging = dataclasses.replace(policy, on_truncated=schema.OnTruncated.JUDGE)
    assert policy_digest(judging) != policy_digest(policy)
    said = FULL_POLICY.replace("on_partial: allow", "on_partial: allow\n  on_truncated: refuse")
    assert policy_digest(parse_policy(said).policy) == OLD_DIGEST
    lines = [lines_digest(each.categories[0], each, fingerprint=FINGERPRINT) for each in (policy, judging)]
    assert lines[0] == lines[1]


def test_the_view_plan_counts_in_every_digest_and_floors_in_the_policys_alone() -> None:
    policy = parse_policy(FULL_POLICY).policy
    told = FULL_POLICY.replace("on_partial: allow", "on_partial: allow\n  views: whole\n  frames: 1")
    assert policy_digest(parse_policy(told).policy) == OLD_DIGEST

    def digests(policy: Policy) -> tuple[str, str, str]:
        category = policy.categories[0]
        fitted = fit_digest(category, fingerprint=FINGERPRINT, calibration_scale=1.0, plan=policy.plan)
        return policy_digest(policy), fitted, lines_digest(category, policy, fingerprint=FINGERPRINT)

    plans = [ViewPlan(views=views, frames=frames) for views in Views for frames in (1, 2, 16)]
    seen = [digests(dataclasses.replace(policy, plan=plan)) for plan in plans]
    assert [len(set(column)) for column in zip(*seen, strict=True)] == [len(plans)] * 3
    for floor in ({"least_coverage": 0.5}, {"least_resolution": 0.5}):
        changed = digests(dataclasses.replace(policy, **floor))  # type: ignore[arg-type]
        assert changed[0] != OLD_DIGEST
        assert changed[1:] == digests(policy)[1:]


def test_shipped_policies_keep_their_digests_and_fits() -> None:
    for name, digest in SHIPPED.items():
        policy = load_policy(shipped_policy(name)).policy
        assert policy_digest(policy) == digest
        fitted = [each for each in (*policy.categories, *policy.attributes) if each.calibration]
        assert len(fitted) == (7 if name == "stickers" else 0)
        for concept in fitted:
            assert concept.calibration is not None
            assert concept.calibration.fitted_on == fit_digest(
                concept,
                fingerprint=policy.model.fingerprint or "",
                calibration_scale=policy.model.calibration_scale,
                plan=policy.plan,
            )


def test_policies_with_heads_vectors_and_adjustments_keep_their_digests_and_fits() -> None:
    # As they were when digests took every tuple for a set, and thresholds did not say what they were chosen on.
    policy = rich_policy()
    first, *rest = policy.categories
    assert first.thresholds is not None
    unchosen = dataclasses.replace(first, thresholds=dataclasses.replace(first.thresholds, chosen_on=None))
    policy = dataclasses.replace(policy, categories=(unchosen, *rest))
    deep = dataclasses.replace(policy.attributes[1], id="deep", head=DEEP_HEAD)
    policy = dataclasses.replace(policy, attributes=(*policy.attributes, deep))
    assert policy_digest(policy) == DEEP_DIGEST
    concepts = (*policy.categories, *policy.attributes)
    assert {each.id: fit(each, scale=0.5) for each in concepts} == DEEP_FITS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Later(Category):
    """A category with keys that do not exist yet."""

    crop: tuple[float, ...] = dataclasses.field(default=(0.0, 0.0, 1.0, 1.0), metadata=ADDED_LATER)
    tags: frozenset[str] = dataclasses.field(default=frozenset(), metadata=ADDED_LATER)
    notes: tuple[str, ...] = dataclasses.field(default_factory=tuple, metadata=ANY_ORDER | ADDED_LATER)
    strict: bool = dataclasses.field(default=True, metadata=ADDED_LATER)


def later(category: Category, **values: object) -> Later:
    """Return the category with keys that were added after it was written."""
    own = {field.name: getattr(category, field.name) for field in dataclasses.fields(category)}
    return Later(**own, **values)  # type: ignore[arg-type]


CROPS = st.lists(st.floats(0, 1).map(lambda value: value + 0.0), max_size=4).map(tuple)


@given(policies())
@settings(deadline=None, max_examples=20)
def test_a_key_added_later_at_its_default_keeps_every_digest(policy: Policy) -> None:
    for category in policy.categories:
        assert canonical(later(category)) == canonical(category)
        assert fit(later(category)) == fit(category)


@given(
    crop=CROPS | st.just((0.0, 0.0, 1.0, 1.0)),
    tags=st.frozensets(st.text(max_size=3), max_size=3),
    notes=st.lists(st.text(max_size=3), max_size=3),
    strict=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_a_key_added_later_at_any_other_value_moves_the_digest(
    crop: tuple[float, ...], tags: frozenset[str], notes: list[str], *, strict: bool
) -> None:
    category = rich_policy().categories[0]
    plain = later(category)
    for field, value in (("crop", crop), ("tags", tags), ("notes", tuple(notes)), ("strict", strict)):
        changed = dataclasses.replace(plain, **{field: value})
        assert (canonical(changed) == canonical(category)) == (changed == plain)


@given(CROPS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_order_moves_an_ordered_tuple_and_no_set(crop: tuple[float, ...], rng: random.Random) -> None:
    category = later(rich_policy().categories[0], crop=crop, tags=frozenset(map(str, crop)), notes=("a", "b", "b"))
    other = dataclasses.replace(category, crop=tuple(shuffled(crop, rng)))
    assert (canonical(other) == canonical(category)) == (other.crop == crop)
    again = frozenset(shuffled(category.tags, rng))
    sets = dataclasses.replace(category, tags=again, notes=tuple(shuffled(category.notes, rng)))
    assert canonical(sets) == canonical(category)
    assert canonical(dataclasses.replace(category, notes=("a", "b"))) != canonical(category)


def test_fit_digest_moves_with_everything_a_fit_depends_on() -> None:
    concept = dataclasses.replace(rich_policy().attributes[0], calibration=None, head=HEAD)
    base = fit_digest(concept, fingerprint=FINGERPRINT, calibration_scale=1.0, plan=WHOLE)
    hints = get_type_hints(Attribute)
    for name in ("prompts", "negatives", "templates", "method", "pool", "head"):
        for changed in variants(getattr(concept, name), hints[name]):
            other = dataclasses.replace(concept, **{name: changed})  # type: ignore[arg-type]
            if names(other) != names(concept):
                continue  # below
            assert fit_digest(other, fingerprint=FINGERPRINT, calibration_scale=1.0, plan=WHOLE) != base
    assert fit_digest(concept, fingerprint=FINGERPRINT + "x", calibration_scale=1.0, plan=WHOLE) != base
    assert fit_digest(concept, fingerprint=FINGERPRINT, calibration_scale=2.0, plan=WHOLE) != base


def names(concept: Concept) -> list[str]:
    """Return the names of a concept's learned vectors, but for those that were added or left out."""
    return sorted({"learned", *(each.name for each in concept.phrases if isinstance(each, LearnedVector))})


def test_fit_digest_ignores_what_cannot_move_a_score() -> None:
    learned = Attribute(id="a", prompts=(schema.Prompt(text=VECTOR),), templates=("{}",))
    renamed = dataclasses.replace(learned, prompts=(schema.Prompt(text=dataclasses.replace(VECTOR, name="other")),))
    framed = dataclasses.replace(learned, templates=("a photo of {}",))
    headed = Attribute(id="b", prompts=(), templates=(), method=schema.Method.HEAD, head=HEAD)
    assert fit(renamed) == fit(framed) == fit(learned) != fit(learned, scale=2.0)
    assert fit(headed, scale=2.0) == fit(headed) != fit(learned)
    beside_a_text = dataclasses.replace(learned, negatives=("a toy",))
    assert fit(dataclasses.replace(beside_a_text, templates=framed.templates)) != fit(beside_a_text)


def fit(concept: Concept, *, scale: float = 1.0) -> str:
    return fit_digest(concept, fingerprint=FINGERPRINT, calibration_scale=scale, plan=WHOLE)


def test_fit_digest_ignores_thresholds_names_and_the_calibration_itself() -> None:
    category = rich_policy().categories[0]
    base = fit_digest(category, fingerprint=FINGERPRINT, calibration_scale=1.0, plan=WHOLE)
    other = dataclasses.replace(category, id="other", calibration=None, thresholds=None, severity=0, exemptions=())
    assert fit_digest(other, fingerprint=FINGERPRINT, calibration_scale=1.0, plan=WHOLE) == base


def test_a_slope_of_its_own_frees_a_fit_from_the_scale_and_binds_the_lines() -> None:
    category = dataclasses.replace(
        parse_policy(FULL_POLICY).policy.categories[0], method=schema.Method.MARGIN, exemptions=()
    )
    shared = schema.Calibration(bias=-2.0, prevalence=0.01, fitted_on=OLD_FIT)
    fits, lines = [], []
    for calibration in (None, shared, dataclasses.replace(shared, slope=0.5), dataclasses.replace(shared, slope=0.7)):
        concept = dataclasses.replace(category, calibration=calibration)
        fits.append([fit(concept, scale=scale) for scale in (0.5, 2.0)])
        lines.append([chosen(concept, scale=scale) for scale in (0.5, 2.0)])
    assert fits[0] == fits[1]
    assert fits[2] == fits[3]
    assert len({*fits[1], *fits[2]}) == 3
    # Whoever writes a slope beside a fit that had none, or another slope, has to choose the lines again.
    assert len({each for pair in lines for each in pair}) == 6


def chosen(category: schema.Category, *, scale: float) -> str:
    policy = dataclasses.replace(rich_policy(), categories=(category,))
    policy = dataclasses.replace(policy, model=dataclasses.replace(policy.model, calibration_scale=scale))
    return lines_digest(category, policy, fingerprint=FINGERPRINT)


def test_fit_digest_decides_on_every_field_that_concepts_share() -> None:
    # A field added to Concept is part of every fit until somebody decides otherwise.
    names = {field.name for field in dataclasses.fields(Concept)}
    assert names == {"id", "calibration", "prompts", "negatives", "templates", "method", "pool", "head", "waive"}


def test_a_type_the_schema_does_not_have_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="set"):
        canonical({1, 2})
