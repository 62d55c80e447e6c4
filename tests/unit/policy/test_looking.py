"""What lint says of view plans and floors that do not do what they say, and of numbers made on another plan."""

from dataclasses import replace

import pytest

from clipwarden.policy.bundle.bindings import check_bindings, lint_without_model
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import LoadedPolicy, parse_policy
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.rebinding import rebindings
from clipwarden.policy.schema import Category, Method, Policy
from clipwarden.textfiles.findings import Findings
from clipwarden.vision.plan import WHOLE, ViewPlan, Views
from kit.builders import FINGERPRINT, make_category, make_policy
from kit.policies import FULL_POLICY

AUTO16 = ViewPlan(views=Views.AUTO, frames=16)


def loaded(*lines: str, on_partial: str = "review") -> LoadedPolicy:
    """Read the full policy with some lines more in its defaults."""
    told = "\n  ".join((f"on_partial: {on_partial}", *lines))
    return parse_policy(FULL_POLICY.replace("on_partial: allow", told))


def codes(policy: LoadedPolicy) -> set[str]:
    """Name the rules that a policy's view plan and floors break."""
    ours = {"floor-above-photographs", "more-frames-than-views", "idle-floor"}
    return {problem.code for problem in policy.warnings} & ours


def test_the_keys_are_read_and_absent_ones_leave_things_as_they_were() -> None:
    policy = loaded("views: tiles", "frames: 5", "least_coverage: 1", "least_resolution: 99.5").policy
    assert (policy.plan, policy.least_coverage, policy.least_resolution) == (
        ViewPlan(views=Views.TILES, frames=5),
        1.0,
        99.5,
    )
    plain = loaded().policy
    assert (plain.plan, plain.least_coverage, plain.least_resolution) == (WHOLE, None, None)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (("least_coverage: 0.75",), False),
        (("least_coverage: 0.76",), True),
        (("least_coverage: 1", "views: auto"), False),
    ],
)
def test_a_floor_that_every_photograph_misses_is_a_warning(lines: tuple[str, ...], wrong: bool) -> None:  # noqa: FBT001
    assert codes(loaded(*lines)) == ({"floor-above-photographs"} if wrong else set())


@pytest.mark.parametrize(
    ("views", "frames", "most"),
    [("whole", 64, None), ("auto", 32, None), ("auto", 33, 32), ("tiles", 5, None), ("tiles", 64, 5)],
)
def test_frames_that_there_are_no_views_for_are_a_warning(views: str, frames: int, most: int | None) -> None:
    policy = loaded(f"views: {views}", f"frames: {frames}")
    found = [problem for problem in policy.warnings if problem.code == "more-frames-than-views"]
    assert len(found) == (most is not None)
    if most is not None:
        assert f"at most {most} frames are judged" in found[0].message
        assert f"`frames: {most}`" in found[0].fix


def test_a_floor_is_idle_where_partial_pictures_are_allowed() -> None:
    assert codes(loaded("least_coverage: 0.5", "least_resolution: 9", on_partial="allow")) == {"idle-floor"}
    assert codes(loaded("least_coverage: 0.5", "least_resolution: 9")) == set()


def fitted(plan: ViewPlan, *, slope: float | None = 0.5) -> Policy:
    """Make a policy whose calibration and thresholds hold on a view plan."""
    category = make_category(review=0.5, block=0.9) if slope is None else _margin(slope)
    policy = make_policy([category], plan=plan)
    if category.calibration:
        digest = fit_digest(category, fingerprint=FINGERPRINT, calibration_scale=1.0, plan=plan)
        category = replace(category, calibration=replace(category.calibration, fitted_on=digest))
    return choose_lines(replace(policy, categories=(category,)), FINGERPRINT)


def _margin(slope: float) -> Category:
    return make_category(method=Method.MARGIN, review=0.5, block=0.9, bias=-1.0, slope=slope)


@pytest.mark.parametrize("slope", [0.5, None])
@pytest.mark.parametrize(
    ("before", "after"),
    [(WHOLE, AUTO16), (AUTO16, WHOLE), (AUTO16, ViewPlan(frames=16)), (ViewPlan(views=Views.TILES, frames=9), AUTO16)],
)
def test_numbers_of_another_view_plan_fall_and_lint_says_which_it_was(
    before: ViewPlan, after: ViewPlan, slope: float | None
) -> None:
    findings = Findings("mine.yaml")
    check_bindings(fitted(before, slope=slope), FINGERPRINT, findings)
    assert findings.problems == ()
    check_bindings(replace(fitted(before, slope=slope), plan=after), FINGERPRINT, findings)
    (problem,) = findings.problems
    assert problem.code == ("unbound-thresholds" if slope is None else "stale-calibration")
    assert f"on another view plan ({before.name}; the policy looks at {after.name})" in problem.message
    assert ("--refit" in problem.fix) is True
    assert (f"`clipwarden embed SOURCE -o STORE {after.options}`, then" in problem.fix) == (after != WHOLE)


def test_numbers_of_another_view_plan_are_not_taken_over_on_trust() -> None:
    (found,) = rebindings(replace(fitted(WHOLE), plan=AUTO16), FINGERPRINT)
    assert found.digest is None
    assert "chosen on something else" in found.why_not


def test_another_reason_is_not_taken_for_another_view_plan() -> None:
    policy = fitted(AUTO16)
    changed = replace(policy.categories[0], negatives=("a toy",))
    findings = Findings("mine.yaml")
    check_bindings(replace(policy, categories=(changed,)), FINGERPRINT, findings)
    (problem,) = findings.problems
    assert "other texts, templates, scoring or views, or another model" in problem.message


def test_lint_without_a_model_tells_it_by_the_fingerprint() -> None:
    policy = replace(fitted(WHOLE), plan=AUTO16)
    found = lint_without_model(policy, Findings("mine.yaml").positions)
    assert [problem.code for problem in found] == ["stale-calibration"]
