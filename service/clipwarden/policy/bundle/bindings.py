"""A policy and a model's fingerprint in; calibrations and thresholds that do not hold out, each with its mend.

Neither needs the model itself, only its name: lint finds them wherever the policy writes a fingerprint.
"""

import shlex
from dataclasses import dataclass

from clipwarden.errors import Problem
from clipwarden.policy.calibrations import calibrations_enforced, fitted_over, stale_calibrations
from clipwarden.policy.contexts import enforced_anywhere, enforced_where, scored_anywhere
from clipwarden.policy.digest import lines_digests
from clipwarden.policy.language.rules import concepts_with_paths
from clipwarden.policy.lines import Unbound, chosen_over, unbound_lines
from clipwarden.policy.methods import METHODS
from clipwarden.policy.rebinding import calibrated_concepts, why_not_on_trust
from clipwarden.policy.schema import Category, Concept, Policy
from clipwarden.textfiles.findings import Findings, Path, Positions
from clipwarden.vision.plan import WHOLE, ViewPlan

_NO_BAND = "it has no band until that is mended, and shadow verdicts say that they are incomplete."
_ENFORCED = ", and an enforced verdict rests on it."
_AFTER = ", after which lint prints the line to add."
_SHADOW = "write `mode: shadow`"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ways:
    """The ways out of numbers that do not hold, with the policy's own file in the commands.

    Attributes:
        file: The policy's.
        plan: Its view plan.
    """

    file: str
    plan: ViewPlan

    @staticmethod
    def around(findings: Findings, policy: Policy) -> "_Ways":
        """Know the policy, and its file, that findings are about."""
        file = "FILE" if findings.file == Positions().file else shlex.quote(findings.file)
        return _Ways(file=file, plan=policy.plan)

    def other_plan(self, before: ViewPlan) -> str:
        """Say that numbers are of a view plan which was the policy's before."""
        return f"on another view plan ({before.name}; the policy looks at {self.plan.name})"

    @property
    def put_back(self) -> str:
        """Undo the edit."""
        return f"Put back what changed (`clipwarden diff OLD {self.file}` says what, OLD being a version that held)"

    @property
    def look(self) -> str:
        """See the scores that thresholds would cut."""
        return f"`clipwarden moderate FOLDER --policy {self.file} --explain`"

    def refit(self, *, enforced: bool) -> str:
        """Fit and choose them again, by what was asked the last time; on pictures seen as the policy looks at them."""
        second = " --approved-by NAME" if enforced else ""
        tune = f"`clipwarden tune {self.file} --store STORE --labels LABELS --refit --write{second}`"
        return tune if self.plan == WHOLE else f"`clipwarden embed SOURCE -o STORE {self.plan.options}`, then {tune}"

    def on_trust(self, *, enforced: bool) -> str:
        """Take the numbers as they are."""
        return f"`clipwarden lint {self.file} --fix{' --approved-by NAME' if enforced else ''}`"


def check_bindings(policy: Policy, fingerprint: str, findings: Findings) -> None:
    """Report calibrations that were fitted, and thresholds that were chosen, on something else than the policy holds.

    Args:
        policy: As parsed.
        fingerprint: Of the model in use.
        findings: Receives errors where an enforced verdict rests on them, else warnings.
    """
    enforced, ways = calibrations_enforced(policy), _Ways.around(findings, policy)
    stale, unbound = stale_calibrations(policy, fingerprint), unbound_lines(policy, fingerprint)
    told = (each for each in policy.categories if each.id in unbound and each.id not in stale)
    calibrated = calibrated_concepts(policy)
    digests = lines_digests(told, policy, fingerprint=fingerprint)
    for path, concept in concepts_with_paths(policy):
        if isinstance(concept, Category) and not (scored_anywhere(concept) and concept.thresholds):
            continue  # `check_scales` tells of a calibration without thresholds
        is_enforced = concept.id in enforced
        report = findings.error if is_enforced else findings.warn
        if concept.id in stale:
            place = findings.positions.find(*path, "calibration", "fitted_on")
            before = fitted_over(concept, policy, fingerprint)
            report(place, "stale-calibration", *_stale(concept, ways, before, enforced=is_enforced))
        elif isinstance(concept, Category) and concept.id in unbound:
            place = findings.positions.find(*path, "thresholds", "chosen_on")
            why = unbound[concept.id]
            trusted = not why_not_on_trust(concept, why, calibrated=calibrated, stale=stale)
            asked = min({each.attribute for each in concept.exemptions} & stale, default=None)
            fix = _choose(why, digests[concept.id], ways, asked=asked, trusted=trusted, enforced=is_enforced)
            before = chosen_over(concept, policy, fingerprint)
            what = ways.other_plan(before) if before else None
            report(place, "unbound-thresholds", _unbound(concept, why, what, enforced=is_enforced), fix)


def check_scales(policy: Policy, findings: Findings) -> None:
    """Warn where a verdict rests on scores whose scale nothing has fixed, and where a calibration decides nothing.

    Of the former every image passes 0.9 on some models.

    Args:
        policy: As parsed.
        findings: Receives warnings.
    """
    for path, category in concepts_with_paths(policy):
        if not isinstance(category, Category) or not scored_anywhere(category):
            continue
        if category.calibration and not category.thresholds:
            _warn_no_thresholds(path, category, _Ways.around(findings, policy), findings)
        open_scale = METHODS[category.method].scale_is_open and category.thresholds and not category.calibration
        if open_scale and enforced_anywhere(category) and not _has_evidence(category):
            _warn_uncalibrated(path, category, _Ways.around(findings, policy), findings)


def _has_evidence(category: Category) -> bool:
    """Tell whether somebody looked at pictures: then it matters less that scores are no probabilities."""
    chosen = category.thresholds and category.thresholds.chosen_on
    return bool(chosen and chosen.evidence)


def _warn_no_thresholds(path: Path, category: Category, ways: _Ways, findings: Findings) -> None:
    message = f'"{category.id}" has a calibration and no thresholds: it has no band, and stops nothing.'
    fix = (
        f"Put its `thresholds` back (`clipwarden diff OLD {ways.file}` says which they were), or "
        "delete the calibration too."
    )
    findings.warn(findings.positions.find(*path, "calibration"), "calibration-without-thresholds", message, fix)


def _warn_uncalibrated(path: Path, category: Category, ways: _Ways, findings: Findings) -> None:
    where = enforced_where(category)
    message = f'"{category.id}" is enforced{where} by thresholds on scores that no calibration has given a scale.'
    fix = (
        f"Judge a folder of images that should pass ({ways.look}) and choose thresholds above their "
        f"scores, or {_SHADOW}."
    )
    findings.warn(findings.positions.find(*path, "thresholds"), "uncalibrated-thresholds", message, fix)


def lint_without_model(policy: Policy, positions: Positions) -> tuple[Problem, ...]:
    """Check what a model's fingerprint alone can tell; where the policy has none, say what was not checked.

    Args:
        policy: As parsed.
        positions: Where the policy was written (`LoadedPolicy.positions`).

    Returns:
        Errors and warnings, in file order; empty when all is well.
    """
    findings = Findings(positions.file, positions.places)
    check_scales(policy, findings)
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


def _unbound(category: Category, why: Unbound, what: str | None = None, *, enforced: bool) -> str:
    """Say that thresholds do not hold, and what they were chosen on, as far as it is known."""
    if why is Unbound.NOT_CHOSEN:
        message = f'Nothing says what the thresholds of "{category.id}" were chosen on'
    else:
        what = what or "on another calibration, other texts, scoring, views or numbers, or another model"
        message = f'The thresholds of "{category.id}" were chosen {what}'
    return message + (_ENFORCED if enforced else f"; {_NO_BAND}")


def _choose(why: Unbound, digest: str, ways: _Ways, *, asked: str | None, trusted: bool, enforced: bool) -> str:
    """Say how thresholds come to hold: as they did, on trust, or by somebody who looks at the scores."""
    written = f"`chosen_on: {_by_hand(digest, enforced=enforced)}`"
    line = f"add to them {written}" if why is Unbound.NOT_CHOSEN else f"write {written} in place of the old one"
    if asked:  # whose own mend will move the digest again
        line = f'mend the calibration of "{asked}" first, after which lint prints the line to add'
    look = f"compare them with the scores of your images ({ways.look}{', in shadow' if enforced else ''}), and {line}"
    again = ways.refit(enforced=enforced)
    first = f"{ways.put_back}; or {again} chooses them again; or " if why is Unbound.CHOSEN_ON_OTHER else ""
    if trusted:
        first = f"{ways.on_trust(enforced=enforced)} takes them over on trust, since the calibration holds; or "
    told = first + look
    return f"{told[:1].upper()}{told[1:]}{f'; or {_SHADOW}' if enforced else ''}."


def _by_hand(digest: str, *, enforced: bool) -> str:
    """Write what a person adds to thresholds that they chose."""
    second = ', approved_by: "..."' if enforced else ""
    return f'{{digest: "{digest}", by: hand, reason: "..."{second}}}'


def _stale(concept: Concept, ways: _Ways, before: ViewPlan | None, *, enforced: bool) -> tuple[str, str]:
    """Say that a calibration fell, and with it what was chosen on it.

    No number of the old scale is worth anything on another: which one does the same nobody knows but who looks.
    """
    what = ways.other_plan(before) if before else "on other texts, templates, scoring or views, or another model"
    message = f'The calibration of "{concept.id}" was fitted {what}'
    shadow = f"; or {_SHADOW}" if enforced else ""
    if not isinstance(concept, Category):
        end = _ENFORCED if enforced else "; it is not used, and no exemption by it holds."
        then = f"choose `gte` on its scores without it ({ways.look})"
        where = f"{shadow} where it exempts" if enforced else ""
        return message + end, f"{ways.put_back}{where}; or delete the calibration and {then}{_AFTER}"
    end = _ENFORCED if enforced else f", and its thresholds fall with it: {_NO_BAND}"
    then = f"choose thresholds on scores without it ({ways.look}{', in shadow' if enforced else ''})"
    again = f"; or fit it again by labelled pictures ({ways.refit(enforced=enforced)})"
    return message + end, f"{ways.put_back}{again}{shadow}; or delete the calibration and {then}{_AFTER}"
