"""Slopes of their own: every score and band stays, and what does not hold gets none."""

import dataclasses

import numpy as np
import pytest

from clipwarden.policy.bundle.compile import bind_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden.policy.bundle.vectors import embedded_texts
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.lines import choose_lines, unbound_lines
from clipwarden.policy.ownslopes import own_slopes
from clipwarden.policy.schema import By, Category, ChosenOn, Exemption, Method, Policy, Thresholds
from clipwarden.scoring.score import cosines, score_rows
from clipwarden.scoring.tables import prepare
from clipwarden.vision.plan import WHOLE
from kit.builders import (
    FINGERPRINT,
    judge_rows,
    make_attribute,
    make_calibration,
    make_category,
    make_evidence,
    make_head,
    make_policy,
    unit_vectors,
)

SCALE = 0.3313
DIM = 32
HEAD = make_head((np.eye(1, DIM).tolist(), [0]))


@pytest.fixture
def policy() -> Policy:
    """Return a policy with each kind of concept, whose calibrations and lines hold."""
    margin = {"method": Method.MARGIN, "review": 0.2}
    exempt = Exemption(attribute="museum", gte=0.5)
    categories = [
        make_category("weapons", bias=-2.0, block=0.6, exemptions=[exempt], **margin),  # type: ignore[arg-type]
        make_category("sloped", bias=-1.0, slope=0.7, **margin),  # type: ignore[arg-type]
        make_category("bare", exemptions=[exempt], block=0.5, **margin),  # type: ignore[arg-type]
        make_category("alike", review=0.2),
        make_category("headed", bias=1.0, review=0.5, head=HEAD),
    ]
    museum = dataclasses.replace(make_attribute(method=Method.MARGIN), calibration=make_calibration(0.5))
    return held(make_policy(categories, attributes=[museum], calibration_scale=SCALE))


def held(policy: Policy) -> Policy:
    """Make every calibration and line one that holds."""

    def fitted(concept: Category) -> Category:
        if concept.calibration is None:
            return concept
        digest = fit_digest(concept, fingerprint=FINGERPRINT, calibration_scale=SCALE, plan=WHOLE)
        return dataclasses.replace(concept, calibration=dataclasses.replace(concept.calibration, fitted_on=digest))

    categories = tuple(map(fitted, policy.categories))
    attributes = tuple(map(fitted, policy.attributes))  # type: ignore[arg-type]  # concepts both
    return choose_lines(dataclasses.replace(policy, categories=categories, attributes=attributes), FINGERPRINT)


def compiled(policy: Policy) -> CompiledPolicy:
    texts = sorted(embedded_texts(policy))
    vectors = dict(zip(texts, unit_vectors(len(texts), DIM, seed=1), strict=True))
    facts = ModelFacts(name="random", fingerprint=FINGERPRINT, dim=DIM, logit_scale=100.0, logit_bias=None)
    return bind_policy(policy, vectors, unit_vectors(300, DIM, seed=2), facts)


def test_every_score_and_every_band_is_the_same(policy: Policy) -> None:
    sloped = own_slopes(policy, FINGERPRINT)
    assert sloped.given == ("weapons", "museum")
    assert sloped.refused == {}
    pictures = unit_vectors(200, DIM, seed=3)
    before, after = compiled(policy), compiled(sloped.policy)
    rows = cosines(pictures, before)
    old, new = (score_rows(rows, prepare(each)) for each in (before, after))
    assert np.array_equal(old.score, new.score)
    for row in rows:
        one, other = judge_rows(before, row[None]), judge_rows(after, row[None])
        assert (one.verdict, one.shadow_verdict) == (other.verdict, other.shadow_verdict)
        assert [each.band for each in one.categories] == [each.band for each in other.categories]


def test_all_that_held_holds_and_moving_the_scale_voids_it_no_more(policy: Policy) -> None:
    sloped = own_slopes(policy, FINGERPRINT).policy
    assert not stale_calibrations(sloped, FINGERPRINT)
    assert not unbound_lines(sloped, FINGERPRINT)
    moved = dataclasses.replace(sloped, model=dataclasses.replace(sloped.model, calibration_scale=0.5))
    assert not stale_calibrations(moved, FINGERPRINT)
    assert set(unbound_lines(moved, FINGERPRINT)) == {"bare"}  # it has no calibration, and goes by the file's scale
    assert own_slopes(sloped, FINGERPRINT).given == ()


def test_what_does_not_hold_is_refused_and_left_as_it_is(policy: Policy) -> None:
    first, *rest = policy.categories
    edited = dataclasses.replace(policy, categories=(dataclasses.replace(first, negatives=("a toy",)), *rest))
    sloped = own_slopes(edited, FINGERPRINT)
    assert sloped.given == ("museum",)
    assert list(sloped.refused) == ["weapons"]
    assert sloped.policy.categories[0] == edited.categories[0]
    assert set(unbound_lines(sloped.policy, FINGERPRINT)) == {"weapons"}


def test_who_chose_the_lines_stays_said(policy: Policy) -> None:
    first, *rest = policy.categories
    assert first.thresholds is not None
    assert first.thresholds.chosen_on is not None
    told = ChosenOn(digest=first.thresholds.chosen_on.digest, by=By.HAND, reason="seen", evidence=make_evidence())
    first = dataclasses.replace(first, thresholds=dataclasses.replace(first.thresholds, chosen_on=told))
    sloped = own_slopes(dataclasses.replace(policy, categories=(first, *rest)), FINGERPRINT).policy
    thresholds = sloped.categories[0].thresholds
    assert isinstance(thresholds, Thresholds)
    assert thresholds.chosen_on == dataclasses.replace(told, digest=thresholds.chosen_on.digest)  # type: ignore[union-attr]
    assert thresholds.chosen_on != told
