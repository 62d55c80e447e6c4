"""What differs between two policies, and how far it can reach."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.policy import schema
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.differences import Change, Item, Kind, Reach, differences
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.language.pages import keys_meant
from clipwarden.policy.language.saying import line_of
from clipwarden.policy.schema import Category, LearnedVector, Policy, Prompt, Thresholds
from kit.policies import DIM, FULL_POLICY, policies, unit_vector

FULL = parse_policy(FULL_POLICY).policy


def edited(old: str, new: str) -> tuple[Change, ...]:
    """Replace a text of the full policy, which must be there once, and compare."""
    assert FULL_POLICY.count(old) == 1
    return differences(FULL, parse_policy(FULL_POLICY.replace(old, new)).policy)


def facts(changes: tuple[Change, ...]) -> list[tuple[str, str, object, object]]:
    return [(change.where, change.kind.value, change.old, change.new) for change in changes]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("block: 0.92", "block: 0.95", ("categories[weapons].thresholds.block", "changed", 0.92, 0.95)),
        ("mode: enforce", "mode: shadow", ("categories[weapons].mode", "changed", "enforce", "shadow")),
        (
            ', "a pistol on a table"',
            "",
            ("categories[weapons].prompts[a pistol on a table]", "removed", "a pistol on a table", None),
        ),
        ('"a rifle"', '"a rifle", "a bomb"', ("categories[weapons].prompts[a bomb]", "added", None, "a bomb")),
        (
            "a toy water gun",
            "a toy gun",
            ("categories[weapons].negatives[a toy gun]", "reworded", "a toy water gun", "a toy gun"),
        ),
        ("weight: 2", "weight: 3", ("categories[drugs.hard].prompts[white powder].weight", "changed", 2, 3)),
        ("pool: lse", "pool: mean", ("categories[drugs.hard].scoring.pool", "changed", "lse", "mean")),
        ("gte: 0.8", "gte: 0.7", ("categories[weapons].exemptions[museum].when.gte", "changed", 0.8, 0.7)),
        ("{review: 0.3}", "{review: 0.2}", ("categories[weapons].contexts[kids].review", "changed", 0.3, 0.2)),
        ("on_error: block", "on_error: review", ("defaults.on_error", "changed", "block", "review")),
        ("calibration_scale: 0.5", "calibration_scale: 1", ("model.calibration_scale", "changed", 0.5, 1)),
        (
            "a stricter surface",
            "for children",
            ("contexts[kids].description", "changed", "a stricter surface", "for children"),
        ),
        ("reason_code: WPN-1", "reason_code: W", ("categories[weapons].reason_code", "changed", "WPN-1", "W")),
        (
            "review_by: 2999-06-01",
            "review_by: 2999-06-02",
            ("metadata.review_by", "changed", "2999-06-01", "2999-06-02"),
        ),
        (', reason: "a test"', "", ("metadata.reason", "removed", "a test", None)),
        (
            "a bedroom",
            "a big bedroom",
            ("attributes[museum].negatives[a big bedroom]", "reworded", "a bedroom", "a big bedroom"),
        ),
    ],
)
def test_each_change_is_named_where_the_file_writes_it(old: str, new: str, expected: tuple[object, ...]) -> None:
    assert facts(edited(old, new)) == [expected]


def test_a_whole_category_comes_and_goes_as_one_change() -> None:
    fewer = dataclasses.replace(FULL, categories=FULL.categories[:2])
    (gone,) = differences(FULL, fewer)
    assert (gone.where, gone.kind, gone.new) == ("categories[retired]", Kind.REMOVED, None)
    (come,) = differences(fewer, FULL)
    assert come.new == {
        "id": "retired",
        "severity": 0,
        "definition": "No longer scored.",
        "mode": "disabled",
        "prompts": ["an old thing"],
        "templates": ["{}", "a photo of {}"],
        "scoring": {"method": "margin", "pool": "max"},
    }


def test_values_are_shown_under_the_keys_of_a_file() -> None:
    bare = edited("  thresholds: {unit: cosine, review: 0.2}\n", "")
    assert facts(bare)[0][2] == {"unit": "cosine", "review": 0.2}
    without = edited("  exemptions: [{when: {attribute: museum, gte: 0.8}, effect: block_to_review}]\n", "")
    assert facts(without)[0][2] == {"when": {"attribute": "museum", "gte": 0.8}, "effect": "block_to_review"}


def with_prompt(text: schema.Phrase, weight: float = 1.0) -> Policy:
    category = dataclasses.replace(FULL.categories[0], prompts=(Prompt(text=text, weight=weight),))
    return dataclasses.replace(FULL, categories=(category,))


def vector(name: str, seed: str) -> LearnedVector:
    return LearnedVector(name=name, values=unit_vector(seed, DIM).tobytes())


def test_learned_vectors_are_compared_by_content() -> None:
    old, same, other = vector("a", "x"), vector("b", "x"), vector("a", "y")
    (renamed,) = differences(with_prompt(old), with_prompt(same))
    assert (renamed.kind, renamed.reach) == (Kind.REWORDED, Reach.RESULTS)
    (moved,) = differences(with_prompt(old), with_prompt(other))
    assert (moved.where, moved.kind) == ("categories[weapons].prompts[vector a].file", Kind.CHANGED)
    assert (moved.old, moved.new, moved.reach) == (old.content, other.content, Reach.VERDICTS)
    assert differences(with_prompt(old), with_prompt(vector("a", "x"))) == ()


def test_heads_are_compared_by_content() -> None:
    def trained(seed: str) -> Policy:
        layer = schema.HeadLayer(place=0, weight=unit_vector(seed).tobytes(), bias=unit_vector("b", 1).tobytes())
        parts = {"prompts": (), "negatives": (), "templates": (), "method": schema.Method.HEAD, "head": (layer,)}
        return dataclasses.replace(FULL, categories=(dataclasses.replace(FULL.categories[0], **parts),))

    (change,) = differences(trained("a"), trained("b"))
    assert (change.where, change.kind) == ("categories[weapons].scoring.file", Kind.CHANGED)
    assert str(change.old).startswith("sha256:") != str(change.new)
    assert differences(trained("a"), trained("a")) == ()


def test_changes_come_in_the_order_of_the_page() -> None:
    text = FULL_POLICY.replace("a toy water gun", "a banana").replace("mode: enforce", "mode: shadow")
    text = text.replace("on_partial: allow", "on_partial: block").replace('"1.4.0"', '"2"').replace("WPN-1", "W")
    paths = [change.where for change in differences(FULL, parse_policy(text).policy)]
    assert paths == [
        "metadata.version",
        "defaults.on_partial",
        "categories[weapons].mode",
        "categories[weapons].negatives[a banana]",
        "categories[weapons].negatives[a toy water gun]",
        "categories[weapons].reason_code",
    ]


def test_another_answer_to_cut_files_is_named() -> None:
    judging = parse_policy(FULL_POLICY.replace("on_partial: allow", "on_partial: allow\n  on_truncated: judge")).policy
    (change,) = differences(FULL, judging)
    assert (change.where, change.kind, change.reach) == ("defaults.on_truncated", Kind.CHANGED, Reach.VERDICTS)
    assert (change.old, change.new) == ("refuse", "judge")


def test_another_view_plan_is_named_by_its_keys_and_said_in_words() -> None:
    said = "on_partial: allow\n  views: auto\n  frames: 16\n  least_coverage: 0.5"
    looking = parse_policy(FULL_POLICY.replace("on_partial: allow", said)).policy
    changes = differences(FULL, looking)
    assert {change.reach for change in changes} == {Reach.VERDICTS}
    assert [line_of(change) for change in changes] == [
        "~ defaults.views: from whole to auto (as few overlapping squares as it takes to see all of it)",
        "~ defaults.frames: from 1 to 16 (animations: up to 16 frames instead of 1)",
        "+ defaults.least_coverage: added 0.5",
    ]
    back = [line_of(change) for change in differences(looking, FULL)]
    assert back[1] == "~ defaults.frames: from 16 to 1 (animations: up to 1 frame instead of 16)"


@given(policies())
@settings(deadline=None, max_examples=30)
def test_a_policy_does_not_differ_from_itself_in_any_order(policy: Policy) -> None:
    def turned(concept: schema.Concept) -> schema.Concept:
        parts = {name: getattr(concept, name)[::-1] for name in ("prompts", "negatives", "templates")}
        return dataclasses.replace(concept, **parts)

    categories = tuple(turned(category) for category in reversed(policy.categories))
    again = dataclasses.replace(
        policy, categories=categories, attributes=policy.attributes[::-1], contexts=policy.contexts[::-1]
    )
    assert differences(policy, policy) == ()
    assert differences(policy, again) == ()


@given(policies(), policies(), st.data())
@settings(deadline=None, max_examples=50)
def test_a_change_beyond_notes_is_found_exactly_when_digests_differ(
    old: Policy, other: Policy, data: st.DataObject
) -> None:
    # Two policies drawn apart share nothing; a mixture of both is a more likely edit.
    mixed = {
        field.name: getattr(other if data.draw(st.booleans()) else old, field.name)
        for field in dataclasses.fields(Policy)
    }
    for new in (other, Policy(**mixed)):
        found = differences(old, new)
        judging = [change for change in found if change.reach is not Reach.NOTES]
        assert (policy_digest(old) == policy_digest(new)) == (judging == [])
        assert (found == ()) == (differences(new, old) == ())


SCALARS: dict[object, object] = {
    str: "another",
    bool: True,
    float: 0.125,
    int: 4,
    bytes: b"\0\0\0?",
    date: date(2001, 1, 1),
}


def another(kind: object, value: object) -> object:
    """Make up another value of a field's type; of a record, one that differs in its last field."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    if typing.get_origin(kind) is Mapping or typing.get_origin(kind) is dict:
        return {**typing.cast("dict[str, object]", value), "new": made(typing.get_args(kind)[1])}
    if typing.get_origin(kind) is tuple:
        return (*typing.cast("tuple[object, ...]", value), made(typing.get_args(kind)[0]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(member for member in kind if member is not value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return made(kind) if value != made(kind) else None
    return SCALARS[kind]


def made(kind: object) -> object:
    """Make a value of a type, with every optional field filled."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: filled(hints[field.name]) for field in dataclasses.fields(kind)})
    return filled(kind)


def filled(kind: object) -> object:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return made(next(option for option in typing.get_args(kind) if option is not type(None)))
    if origin is tuple:
        return (made(typing.get_args(kind)[0]),)
    if origin is Mapping:
        return {"name": made(typing.get_args(kind)[1])}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return made(kind)
    return {str: "text", bool: False, float: 0.5, int: 1, bytes: b"\0\0\x80?", date: date(2000, 1, 1)}[
        typing.cast("type", kind)
    ]


def is_only_word(kind: object) -> bool:
    """Tell a type of one value, such as the only effect of exemptions."""
    return isinstance(kind, type) and issubclass(kind, Enum) and len(kind) == 1


def variants(record: object) -> Iterator[tuple[str, object]]:
    """Yield a record changed in one field, for each field at or below it, and the field's name."""
    hints = typing.get_type_hints(type(record))
    for field in dataclasses.fields(typing.cast("Policy", record)):
        value = getattr(record, field.name)
        where = f"{type(record).__name__}.{field.name}"
        if not is_only_word(hints[field.name]):
            yield where, dataclasses.replace(record, **{field.name: another(hints[field.name], value)})  # type: ignore[type-var]
        inner = value[0] if isinstance(value, tuple) and value else value
        inner = next(iter(inner.values())) if isinstance(inner, dict) else inner
        if dataclasses.is_dataclass(inner):
            for name, changed in variants(inner):
                held = (
                    (changed,)
                    if isinstance(value, tuple)
                    else {"name": changed}
                    if isinstance(value, dict)
                    else changed
                )
                yield name, dataclasses.replace(record, **{field.name: held})  # type: ignore[type-var]


WHOLE = typing.cast("Policy", made(Policy))
VARIANTS = list(variants(WHOLE))


@pytest.mark.parametrize(("field", "changed"), VARIANTS, ids=[name for name, _ in VARIANTS])
def test_every_field_of_the_schema_is_compared(field: str, changed: Policy) -> None:
    found = differences(WHOLE, changed)
    assert found != (), field
    assert differences(changed, WHOLE) != ()
    judging = [change for change in found if change.reach is not Reach.NOTES]
    assert (policy_digest(WHOLE) == policy_digest(changed)) == (judging == [])


def test_every_record_of_the_schema_is_among_those_compared() -> None:
    records = {
        kind.__name__
        for kind in vars(schema).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == schema.__name__
    }
    fields = {name.partition(".")[0] for name, _ in VARIANTS}
    assert records - fields <= {"Concept", "LearnedVector"}


@pytest.mark.parametrize(("field", "changed"), VARIANTS, ids=[name for name, _ in VARIANTS])
def test_every_path_is_one_that_lint_explains(field: str, changed: Policy) -> None:
    for change in differences(WHOLE, changed):
        # A map's items have a name in the language, a list's have none.
        pairs = zip(("", *change.path), change.path, strict=False)
        keys = ["NAME" if above == "contexts" else part for above, part in pairs if named(above, part)]
        assert keys_meant(".".join(keys).removesuffix(".NAME")), field


def named(above: str, part: str) -> bool:
    return above == "contexts" or not isinstance(part, Item)


def test_texts_that_only_results_carry_are_told_from_what_moves_a_verdict() -> None:
    assert [change.reach for change in edited("Real firearms.", "Firearms.")] == [Reach.RESULTS]
    assert [change.reach for change in edited("team@example.com", "us@example.com")] == [Reach.NOTES]
    assert [change.reach for change in edited("block: 0.92", "block: 0.93")] == [Reach.VERDICTS]


def test_a_field_may_come_to_a_record_that_was_not_there() -> None:
    category = FULL.categories[2]
    bound = dataclasses.replace(
        category, thresholds=Thresholds(unit=schema.Unit.SCORE, bounds=schema.Bounds(review=0.5))
    )
    with_bound = dataclasses.replace(FULL, categories=(*FULL.categories[:2], bound))
    (change,) = differences(FULL, with_bound)
    assert (change.kind, change.concept) == (Kind.ADDED, "retired")
    assert isinstance(bound, Category)


def test_lists_that_share_nothing_are_not_taken_for_reworded_ones() -> None:
    def texts(word: str) -> Policy:
        prompts = tuple(Prompt(text=f"{word} number {place}") for place in range(40))
        return dataclasses.replace(FULL, categories=(dataclasses.replace(FULL.categories[0], prompts=prompts),))

    kinds = [change.kind for change in differences(texts("a rifle"), texts("the rifle"))]
    assert sorted(kinds) == [Kind.ADDED] * 40 + [Kind.REMOVED] * 40


def test_two_waivers_of_one_rule_are_told_apart_by_their_texts() -> None:
    text = """\
api: clipwarden/v1
metadata: {id: shop}
categories:
- id: weapons
  severity: 1
  definition: d
  prompts: [a muslim smoking, a hijab]
  waive:
  - {rule: identity, texts: [a muslim smoking], reason: asked, approved_by: kim}
  - {rule: identity, texts: [a hijab], reason: asked, approved_by: lee}
"""
    old, new = (parse_policy(each).policy for each in (text, text.replace("kim", "sam")))
    (change,) = differences(old, new)
    assert (change.old, change.new, change.path[-1]) == ("kim", "sam", "approved_by")
