"""Modes in contexts: what they change, what enforcing there asks for, and what a policy says of itself then."""

import dataclasses
from pathlib import Path

import pytest

from clipwarden.errors import PolicyError, Severity
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.file import read_bundle, write_bundle
from clipwarden.policy.bundle.lint import lint_with_model
from clipwarden.policy.bundle.vectors import embedded_texts, scored_concepts
from clipwarden.policy.calibrations import calibrations_enforced
from clipwarden.policy.contexts import (
    contexts_with_modes,
    enforced_anywhere,
    enforced_in,
    enforced_where,
    mode_counts,
    mode_in,
    modes_line,
    no_longer_enforced,
    scored_anywhere,
)
from clipwarden.policy.digest import canonical, policy_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import Bounds, Mode, Override, Policy
from kit.builders import make_category, make_policy
from kit.lines import chosen_text
from kit.policies import FULL_POLICY, FakeModel

BAD = Path(__file__).parent / "bad"
SHOP = Override(review=0.8, block=0.99)
STALE = '{bias: 1.0, prevalence: 0.1, fitted_on: "sha256:' + "1" * 64 + '"}'
IN_SHADOW = FULL_POLICY.replace("  mode: enforce\n", "  mode: shadow\n")


def with_kids(text: str, override: str) -> str:
    """Give the weapons of the full policy another override in the context `kids`."""
    assert "kids: {review: 0.3}" in text
    return text.replace("kids: {review: 0.3}", f"kids: {override}")


def findings(text: str) -> list[tuple[str, str, int]]:
    loaded = parse_policy(chosen_text(text))
    return [
        (each.severity.value, each.code, each.line)
        for each in lint_with_model(loaded.policy, FakeModel(), loaded.positions)
    ]


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


# Reading.


def test_a_mode_alone_or_beside_bounds_is_read() -> None:
    text = with_kids(FULL_POLICY, "{mode: disabled}").replace(
        "{review: 0.8, block: 0.99}", "{mode: shadow, block: 0.99}"
    )
    weapons = parse_policy(text).policy.categories[0]
    assert weapons.contexts == {
        "hunting-shop": Override(mode=Mode.SHADOW, block=0.99),
        "kids": Override(mode=Mode.DISABLED),
    }
    assert [mode_in(weapons, name) for name in (None, "hunting-shop", "kids", "other")] == [
        Mode.ENFORCE,
        Mode.SHADOW,
        Mode.DISABLED,
        Mode.ENFORCE,
    ]


def test_a_mode_alone_needs_no_thresholds() -> None:
    text = FULL_POLICY.replace("  mode: disabled\n", "  mode: disabled\n  contexts: {kids: {mode: shadow}}\n")
    loaded = parse_policy(text)
    assert loaded.warnings == ()
    assert loaded.policy.categories[2].contexts == {"kids": Override(mode=Mode.SHADOW)}


@pytest.mark.parametrize(
    ("override", "code", "mode"),
    [
        ("{mode: enforce}", "idle-mode", "enforce"),
        ("{mode: enforce, review: 0.3}", "idle-mode", "enforce"),
        ("{review: 0.3, mode: disabled}", "idle-bounds", "disabled"),
    ],
)
def test_what_does_nothing_in_a_context_is_a_warning(override: str, code: str, mode: str) -> None:
    text = with_kids(FULL_POLICY, override)
    (problem,) = parse_policy(text).warnings
    assert (problem.severity, problem.code) == (Severity.WARNING, code)
    line = text.splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith(mode)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("override-crosses", "review 0.8 here is not below block 0.7, inherited from `thresholds` on line 9."),
        (
            "override-crosses-inherited-review",
            "review 0.5, inherited from `thresholds` on line 9, is not below block 0.5 here.",
        ),
        ("override-crosses-itself", "review (0.9) must lie below block (0.8) in categories[0].contexts.shop."),
    ],
)
def test_an_override_that_crosses_names_what_it_inherits_and_where_that_is_written(name: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(BAD / f"{name}.yaml")
    assert [problem.message for problem in caught.value.problems] == [message]


def test_enforcing_in_a_context_says_where_when_something_lacks() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(BAD / "enforce-in-context-without-thresholds.yaml")
    (problem,) = caught.value.problems
    assert problem.message == '"weapons" is enforced in the context "shop", but has no thresholds.'


# Digests.


def test_an_override_without_a_mode_has_the_canonical_form_that_it_had_before_there_were_modes() -> None:
    assert canonical(SHOP) == canonical(Bounds(review=0.8, block=0.99)) == {"review": 0.8, "block": 0.99}
    assert canonical(Override(mode=Mode.SHADOW)) == {"review": None, "block": None, "mode": "shadow"}


def test_a_mode_in_a_context_moves_the_digest() -> None:
    texts = [with_kids(FULL_POLICY, f"{{{mode}review: 0.3}}") for mode in ("", "mode: shadow, ", "mode: disabled, ")]
    assert len({policy_digest(parse_policy(text).policy) for text in texts}) == len(texts)


# Where a category counts.


@pytest.mark.parametrize(
    ("own", "overrides", "enforced", "where"),
    [
        (Mode.ENFORCE, {}, (None,), ""),
        (Mode.ENFORCE, {"b": Override(mode=Mode.ENFORCE), "a": Override(mode=Mode.DISABLED)}, (None, "b"), ""),
        (Mode.SHADOW, {"a": Override(block=0.5)}, (), None),
        (Mode.DISABLED, {"a": Override(mode=Mode.SHADOW)}, (), None),
        (Mode.SHADOW, {"a": Override(mode=Mode.ENFORCE)}, ("a",), ' in the context "a"'),
        (
            Mode.DISABLED,
            {"b": Override(mode=Mode.ENFORCE), "a": Override(mode=Mode.ENFORCE)},
            ("a", "b"),
            ' in 2 contexts, such as "a",',
        ),
    ],
)
def test_a_category_is_enforced_where_it_or_a_context_says_so(
    own: Mode, overrides: dict[str, Override], enforced: tuple[str | None, ...], where: str | None
) -> None:
    category = make_category(mode=own, block=0.9, contexts=overrides)
    assert enforced_in(category) == enforced
    assert enforced_anywhere(category) is bool(enforced)
    if where is not None:
        assert enforced_where(category) == where


def test_a_category_is_scored_if_any_context_scores_it() -> None:
    modes = [(Mode.DISABLED, None), (Mode.DISABLED, Mode.DISABLED), (Mode.DISABLED, Mode.SHADOW)]
    modes += [(Mode.DISABLED, Mode.ENFORCE), (Mode.SHADOW, Mode.DISABLED), (Mode.ENFORCE, None)]
    categories = [
        make_category(f"c{number}", mode=own, block=0.5, contexts={"shop": Override(block=0.6, mode=there)})
        for number, (own, there) in enumerate(modes)
    ]
    assert [scored_anywhere(category) for category in categories] == [False, False, True, True, True, True]
    policy = make_policy(categories, contexts=["shop"])
    assert [concept.id for concept in scored_concepts(policy)] == ["c2", "c3", "c4", "c5"]
    assert embedded_texts(policy) == ("c2", "c3", "c4", "c5")


def test_modes_are_counted_and_told_by_context() -> None:
    policy = make_policy(
        [
            make_category("a", mode=Mode.ENFORCE, block=0.5, contexts={"shop": Override(mode=Mode.DISABLED)}),
            make_category("b", mode=Mode.SHADOW, block=0.5, contexts={"kids": Override(mode=Mode.ENFORCE)}),
            make_category("c", mode=Mode.SHADOW, block=0.5, contexts={"plain": Override(block=0.6, mode=Mode.SHADOW)}),
        ],
        contexts=["shop", "plain", "kids", "unused"],
    )
    assert mode_counts(policy) == {Mode.SHADOW: 2, Mode.ENFORCE: 1, Mode.DISABLED: 0}
    assert mode_counts(policy, "shop") == {Mode.SHADOW: 2, Mode.ENFORCE: 0, Mode.DISABLED: 1}
    assert mode_counts(policy, "plain") == mode_counts(policy, "unused") == mode_counts(policy)
    assert contexts_with_modes(policy) == ("kids", "shop")
    assert modes_line(policy) == "2 shadow, 1 enforce; in kids: 1 shadow, 2 enforce; in shop: 2 shadow, 1 disabled"


# What enforcing asks for holds in contexts too.


def test_thresholds_without_a_scale_are_warned_about_where_a_context_enforces_them() -> None:
    assert findings(with_kids(IN_SHADOW, "{review: 0.3}")) == []
    text = with_kids(IN_SHADOW, "{mode: enforce}")
    assert findings(text) == [("warning", "uncalibrated-thresholds", line_of(text, "thresholds: {unit: score"))]


@pytest.mark.parametrize(
    ("override", "severity"),
    [("{mode: enforce}", "error"), ("{mode: disabled}", "warning"), ("{block: 0.95}", "warning")],
)
def test_a_stale_calibration_weighs_by_the_strictest_context(override: str, severity: str) -> None:
    fitted = f"  calibration: {STALE}\n  reason_code"
    text = with_kids(IN_SHADOW, override).replace("  reason_code", fitted)
    assert findings(text) == [(severity, "stale-calibration", line_of(text, fitted))]


def test_what_a_context_enforces_rests_on_the_attributes_of_its_exemptions() -> None:
    policy = parse_policy(with_kids(IN_SHADOW, "{mode: enforce}")).policy
    assert calibrations_enforced(policy) == {"weapons", "museum"}
    assert calibrations_enforced(parse_policy(IN_SHADOW).policy) == frozenset()
    text = with_kids(IN_SHADOW, "{mode: enforce}").replace(
        'negatives: ["a bedroom"]', f'negatives: ["a bedroom"], calibration: {STALE}'
    )
    stale = parse_policy(chosen_text(text)).policy
    with pytest.raises(PolicyError) as caught:
        compile_policy(stale, model=FakeModel())
    assert [(problem.code, problem.severity) for problem in caught.value.problems] == [
        ("stale-calibration", Severity.ERROR)
    ]
    shadow = dataclasses.replace(stale, categories=parse_policy(chosen_text(IN_SHADOW)).policy.categories)
    assert compile_policy(shadow, model=FakeModel()).dropped_calibrations == {"museum"}


@pytest.mark.parametrize(("override", "severity"), [("{mode: enforce}", "error"), ("{mode: disabled}", "warning")])
def test_thresholds_that_do_not_hold_weigh_by_the_strictest_context(override: str, severity: str) -> None:
    text = chosen_text(with_kids(IN_SHADOW, override)).replace("review: 0.55", "review: 0.56")
    loaded = parse_policy(text)
    found = lint_with_model(loaded.policy, FakeModel(), loaded.positions)
    (problem,) = (each for each in found if each.code == "unbound-thresholds")
    assert (problem.severity.value, problem.line) == (severity, line_of(text, "review: 0.56"))


def test_a_bundle_keeps_modes_and_the_vectors_of_what_a_context_alone_scores(tmp_path: Path) -> None:
    text = FULL_POLICY.replace("  mode: disabled\n", "  mode: disabled\n  contexts: {kids: {mode: shadow}}\n")
    compiled = compile_policy(parse_policy(chosen_text(text)).policy, model=FakeModel())
    plain = compile_policy(parse_policy(chosen_text(FULL_POLICY)).policy, model=FakeModel())
    assert len(compiled.vectors) == len(plain.vectors) + 1
    write_bundle(compiled, tmp_path / "policy.bundle")
    again = read_bundle(tmp_path / "policy.bundle")
    assert again.policy == compiled.policy
    assert again.digest == compiled.digest


# From one version to the next.


def colours(**modes: tuple[Mode, dict[str, Override]]) -> Policy:
    """Make a policy of categories, their modes and overrides, that declares the contexts `shop` and `kids`."""
    categories = tuple(make_category(name, mode=mode, contexts=overrides) for name, (mode, overrides) in modes.items())
    return make_policy(categories, contexts=("shop", "kids"))


def test_what_is_enforced_no_longer_is_named_with_where() -> None:
    off, on = Override(mode=Mode.SHADOW), Override(mode=Mode.ENFORCE)
    old = colours(red=(Mode.ENFORCE, {}), blue=(Mode.SHADOW, {"kids": on}), green=(Mode.SHADOW, {}))
    assert no_longer_enforced(old, old) == ()
    assert no_longer_enforced(old, colours(red=(Mode.ENFORCE, {"shop": off}), blue=(Mode.ENFORCE, {}))) == (
        'red in the context "shop"',
    )
    assert no_longer_enforced(old, colours(red=(Mode.DISABLED, {"shop": on}))) == ("red", 'blue in the context "kids"')
    fewer = dataclasses.replace(colours(red=(Mode.ENFORCE, {})), contexts=())
    assert no_longer_enforced(old, fewer) == ()  # calls in the contexts that are gone are refused
    assert no_longer_enforced(fewer, old) == ()
