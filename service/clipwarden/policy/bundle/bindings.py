"""A policy and a model's fingerprint in; calibrations and thresholds that do not hold out, each with its mend.

Neither needs the model itself, only its name: lint finds them wherever the policy writes a fingerprint.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from clipwarden.errors import Problem
from clipwarden.policy.calibrations import calibrations_enforced, is_stale
from clipwarden.policy.contexts import scored_anywhere
from clipwarden.policy.digest import lines_digest
from clipwarden.policy.language.rules import concepts_with_paths
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.schema import Bounds, Calibration, Category, Concept, Override, Policy, Thresholds
from clipwarden.textfiles.findings import Findings, Path, Positions

AnyBounds = TypeVar("AnyBounds", Bounds, Override)

_TOLERANCE = 0.001
"""Logits by which a bound may move when it is written without its calibration: 0.025 % of a score at most."""
_DIGITS = range(3, 18)

_PUT_BACK = "Put back what changed, or fit and choose again"
_WITHOUT = f"{_PUT_BACK}; or delete the calibration"
_OR_SHADOW = "; or write `mode: shadow`"
_NO_BAND = "it has no band until that is mended, and shadow verdicts say that they are incomplete."
_ENFORCED = ", and an enforced verdict rests on it."


def check_bindings(policy: Policy, fingerprint: str, findings: Findings) -> None:
    """Report calibrations that were fitted, and thresholds that were chosen, on something else than the policy holds.

    Args:
        policy: As parsed.
        fingerprint: Of the model in use.
        findings: Receives errors where an enforced verdict rests on them, else warnings.
    """
    enforced = calibrations_enforced(policy)
    unbound = unbound_lines(policy, fingerprint)
    for path, concept in concepts_with_paths(policy):
        if isinstance(concept, Category) and not scored_anywhere(concept):
            continue
        report = findings.error if concept.id in enforced else findings.warn
        if is_stale(concept, policy, fingerprint):
            place = findings.positions.find(*path, "calibration", "fitted_on")
            report(place, "stale-calibration", *_stale(concept, policy, fingerprint, enforced=concept.id in enforced))
        elif isinstance(concept, Category) and concept.id in unbound:
            place = findings.positions.find(*path, "thresholds", "chosen_on")
            told = _unbound(concept, unbound[concept.id], enforced=concept.id in enforced)
            digest = lines_digest(concept, policy, fingerprint=fingerprint)
            fix = _choose(unbound[concept.id], digest, enforced=concept.id in enforced)
            report(place, "unbound-thresholds", told, fix)


def lint_without_model(policy: Policy, positions: Positions) -> tuple[Problem, ...]:
    """Check what a model's fingerprint alone can tell; where the policy has none, say what was not checked.

    Args:
        policy: As parsed.
        positions: Where the policy was written (`LoadedPolicy.positions`).

    Returns:
        Errors and warnings, in file order; empty when all is well.
    """
    findings = Findings(positions.file, positions.places)
    if policy.model.fingerprint:
        check_bindings(policy, policy.model.fingerprint, findings)
        return findings.problems
    for path, concept in concepts_with_paths(policy):
        _say_unchecked(path, concept, findings)
    return findings.problems


def _say_unchecked(path: Path, concept: Concept, findings: Findings) -> None:
    thresholds = concept.thresholds if isinstance(concept, Category) else None
    place = findings.positions.find(*path, "thresholds" if thresholds else "calibration")
    if isinstance(concept, Category) and thresholds and not thresholds.chosen_on:
        told = _unbound(concept, Unbound.NOT_CHOSEN, enforced=False)
        findings.warn(place, "unbound-thresholds", told, "Check with `--model`, which prints the line to add.")
    elif thresholds or concept.calibration:
        message = f'Nothing tells whether the numbers of "{concept.id}" still hold, since the policy names no model.'
        fix = 'Check with `--model`, or add `model: {fingerprint: "sha256:..."}` (`clipwarden models` prints it).'
        findings.warn(place, "numbers-unchecked", message, fix)


def _unbound(category: Category, why: Unbound, *, enforced: bool) -> str:
    if why is Unbound.NOT_CHOSEN:
        message = f'Nothing says what the thresholds of "{category.id}" were chosen on'
    else:
        message = f'The thresholds of "{category.id}" were chosen on other texts, scoring, numbers or another model'
    return message + (_ENFORCED if enforced else f"; {_NO_BAND}")


def _choose(why: Unbound, digest: str, *, enforced: bool) -> str:
    where = ", in shadow" if enforced else ""
    look = f"compare them with the scores of your images (`clipwarden moderate --explain`{where}), and add to them"
    first = look[0].upper() + look[1:] if why is Unbound.NOT_CHOSEN else f"{_PUT_BACK}; or {look}"
    return f"{first} `chosen_on: {_by_hand(digest, enforced=enforced)}`{_OR_SHADOW if enforced else ''}."


def _by_hand(digest: str, *, enforced: bool) -> str:
    """Write what a person adds to thresholds that they chose."""
    second = ', approved_by: "..."' if enforced else ""
    return f'{{digest: "{digest}", by: hand, reason: "..."{second}}}'


def _stale(concept: Concept, policy: Policy, fingerprint: str, *, enforced: bool) -> tuple[str, str]:
    """Say that a calibration fell, and with it what was chosen on it; offer the same numbers for the scores left."""
    message = f'The calibration of "{concept.id}" was fitted on other texts, templates, scoring or another model'
    if not isinstance(concept, Category):
        end = _ENFORCED if enforced else "; it is not used, and no exemption by it holds."
        return message + end, _without_gte(concept, policy, enforced=enforced)
    if concept.thresholds is None:
        return f"{message}; it is not used.", f"{_WITHOUT}."
    end = _ENFORCED if enforced else f", and its thresholds fall with it: {_NO_BAND}"
    return message + end, _without_bounds(concept, concept.thresholds, policy, fingerprint, enforced=enforced)


def _without_gte(attribute: Concept, policy: Policy, *, enforced: bool) -> str:
    """Say what exemptions would ask of an attribute without its calibration."""
    asked = (each for category in policy.categories for each in category.exemptions)
    numbers = sorted({each.gte for each in asked if each.attribute == attribute.id})
    shadow = f"{_OR_SHADOW} where it exempts" if enforced else ""
    return f"{_WITHOUT}{_instead('gte', numbers, attribute.calibration)}{shadow}."


def _without_bounds(
    category: Category, thresholds: Thresholds, policy: Policy, fingerprint: str, *, enforced: bool
) -> str:
    """Write the thresholds that do the same without the calibration."""
    bounds = _bare_bounds(thresholds.bounds, category.calibration)
    contexts = {name: _bare_bounds(each, category.calibration) for name, each in category.contexts.items()}
    bare = replace(category, calibration=None, thresholds=replace(thresholds, bounds=bounds), contexts=contexts)
    chosen = _by_hand(lines_digest(bare, policy, fingerprint=fingerprint), enforced=enforced)
    own = "".join(f"{name}: {value!r}, " for name, value in _written(bounds))
    lines = f"`thresholds: {{unit: {thresholds.unit}, {own}chosen_on: {chosen}}}`"
    overridden = sorted({value for override in category.contexts.values() for _, value in _written(override)})
    others = _instead("contexts", overridden, category.calibration)
    return f"{_WITHOUT} and write, for scores without it, {lines}{others}{_OR_SHADOW if enforced else ''}."


def _instead(key: str, numbers: list[float], calibration: Calibration | None) -> str:
    if not (numbers and calibration):
        return ""
    return f", and under `{key}` write {', '.join(f'{_bare(each, calibration)!r} for {each!r}' for each in numbers)}"


def _bare_bounds(bounds: AnyBounds, calibration: Calibration | None) -> AnyBounds:
    bare = {name: _bare(value, calibration) for name, value in _written(bounds)}
    return replace(bounds, review=bare.get("review"), block=bare.get("block"))


def _written(bounds: Bounds | Override) -> Iterator[tuple[str, float]]:
    pairs = (("review", bounds.review), ("block", bounds.block))
    return ((name, value) for name, value in pairs if value is not None)


def _bare(bound: float, calibration: Calibration | None) -> float:
    """Take a bias out of a bound in (0, 1): `sigmoid(logit(bound) - b)`, in as few digits as tell it apart."""
    if not 0.0 < bound < 1.0 or calibration is None:
        return bound
    logit = math.log(bound / (1.0 - bound)) - calibration.bias
    exact = 1.0 / (1.0 + math.exp(-min(max(logit, -700.0), 36.0)))
    rounded = (float(f"{exact:.{digits}g}") for digits in _DIGITS)
    return next(each for each in rounded if each == exact or _near(each, logit))


def _near(bound: float, logit: float) -> bool:
    return 0.0 < bound < 1.0 and abs(math.log(bound / (1.0 - bound)) - logit) < _TOLERANCE
