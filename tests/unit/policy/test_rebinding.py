"""Which thresholds may be bound on trust: those whose calibrations were fitted on just what the policy holds."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest, policy_digest
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.rebinding import fallen, rebindings, taken_over
from clipwarden.policy.schema import Calibration, Category, ChosenOn, Concept, Policy
from kit.policies import FINGERPRINT, policies


def fitted(concept: Concept, policy: Policy) -> Concept:
    """Give a concept that can have one a calibration that holds."""
    digest = fit_digest(
        concept, fingerprint=FINGERPRINT, calibration_scale=policy.model.calibration_scale, plan=policy.plan
    )
    return replace(concept, calibration=concept.calibration and Calibration(bias=0.0, prevalence=0.5, fitted_on=digest))


@st.composite
def half_fitted(draw: st.DrawFn) -> Policy:
    policy = draw(policies())
    categories = [fitted(each, policy) if draw(st.booleans()) else each for each in policy.categories]
    attributes = [fitted(each, policy) if draw(st.booleans()) else each for each in policy.attributes]
    unbound = [
        replace(each, thresholds=replace(each.thresholds, chosen_on=None))
        if isinstance(each, Category) and each.thresholds and draw(st.booleans())
        else each
        for each in categories
    ]
    return replace(policy, categories=tuple(unbound), attributes=tuple(attributes))  # type: ignore[arg-type]


def mended(policy: Policy) -> Policy:
    categories = list(policy.categories)
    for mend in rebindings(policy, FINGERPRINT):
        thresholds = categories[mend.index].thresholds
        assert categories[mend.index].id == mend.category
        assert (mend.digest is None) == bool(mend.why_not)
        if mend.digest and thresholds:
            bound = replace(thresholds, chosen_on=ChosenOn(digest=mend.digest))
            categories[mend.index] = replace(categories[mend.index], thresholds=bound)
    return replace(policy, categories=tuple(categories))


@given(half_fitted())
@settings(deadline=None, max_examples=40)
def test_what_is_mended_holds_and_what_is_not_has_a_reason(policy: Policy) -> None:
    before, mends = unbound_lines(policy, FINGERPRINT), rebindings(policy, FINGERPRINT)
    assert [mend.category for mend in mends] == [each.id for each in policy.categories if each.id in before]
    after = unbound_lines(mended(policy), FINGERPRINT)
    assert set(after) == {mend.category for mend in mends if mend.why_not}
    stale = stale_calibrations(policy, FINGERPRINT)
    concepts = {each.id: each for each in (*policy.categories, *policy.attributes)}
    for mend in mends:
        category = policy.categories[mend.index]
        asked = [concepts[each.attribute] for each in category.exemptions]
        sure = all(each.calibration and each.id not in stale for each in (category, *asked))
        assert bool(mend.digest) == (sure and before[mend.category] is Unbound.NOT_CHOSEN)


@given(half_fitted())
@settings(deadline=None, max_examples=30)
def test_mending_twice_mends_nothing(policy: Policy) -> None:
    assert [mend for mend in rebindings(mended(policy), FINGERPRINT) if mend.digest] == []


UPGRADED = "sha256:" + "cd" * 32


@given(half_fitted())
@settings(deadline=None, max_examples=15)
def test_what_held_before_an_upgrade_holds_after_it_and_nothing_else_does(policy: Policy) -> None:
    before = mended(policy)
    after = taken_over(before, FINGERPRINT, UPGRADED)
    assert stale_calibrations(after, UPGRADED) == stale_calibrations(before, FINGERPRINT)
    assert unbound_lines(after, UPGRADED).keys() == unbound_lines(before, FINGERPRINT).keys()
    falls, again = fallen(before, FINGERPRINT, UPGRADED), fallen(after, UPGRADED, FINGERPRINT)
    assert falls == again
    # Back again, everything is as it was, the notes about who chose aside.
    back = taken_over(after, UPGRADED, FINGERPRINT)
    assert policy_digest(replace(back, model=before.model)) == policy_digest(before)
