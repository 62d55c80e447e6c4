"""A policy file and what tuning found for its categories in; a new version of it, to be shown and then written, out.

Comments and order stay as they are, and only what is proposed is written: calibration, thresholds, and what they were
chosen on with its evidence. No mode is touched, so that nothing is ever raised to enforce; and an enforced category
changes its numbers only when a second person stands for them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipwarden.errors import ConfigError, FingerprintMismatchError, Problem
from clipwarden.policy.calibrations import is_stale, stale_calibrations
from clipwarden.policy.contexts import enforced_anywhere
from clipwarden.policy.digest import fit_digest, lines_digests
from clipwarden.policy.entries import entries_of
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.methods import METHODS
from clipwarden.policy.newversion import (
    NewVersion,
    VersionNotes,
    new_findings,
    plan_new_version,
    require_approval,
    require_editable,
    told_metadata,
)
from clipwarden.policy.schema import Bounds, Calibration, Category, ChosenOn, Metadata, Policy, Thresholds
from clipwarden.policy.slices import findings_of, said_of
from clipwarden.textfiles.wording import closest
from clipwarden.tuning.tune.carrying import ContextNote, carry_contexts
from clipwarden.tuning.tune.proposals import Proposal

_NAMED_IN_REASON = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A new version, and what to say before it is written.

    Attributes:
        version: To be shown (`cli.comparison.compare_version`) and written (`version.write()`).
        contexts: What became of bounds of contexts.
        findings: What `lint` without a model says of it that it did not say of the old one.
    """

    version: NewVersion
    contexts: tuple[ContextNote, ...]
    findings: tuple[Problem, ...]

    @property
    def policy(self) -> Policy:
        """The policy that will be written: judge with it to predict verdicts."""
        return self.version.new

    @property
    def path(self) -> Path:
        """The file that it will be."""
        return self.version.target


def plan_version(
    path: Path, proposals: Sequence[Proposal], notes: VersionNotes, *, fingerprint: str, refit: bool = False
) -> Plan:
    """Work out a new version of a policy; writes nothing.

    Args:
        path: The policy file (no bundle, none that ships with clipwarden).
        proposals: At most one a category.
        notes: About the new version.
        fingerprint: Of the model whose scores these numbers are; written where the policy names no model.
        refit: Whether this is the same again after a text was edited, which the reason then says.

    Returns:
        The version.

    Raises:
        PolicyError: The file breaks rules.
        ConfigError: There is no such category, a proposal does not fit its method or contradicts itself, an enforced
            category would lose its lines, or change its numbers without a second person; nothing is written.
        FingerprintMismatchError: The policy is bound to another model.
        OSError: The file cannot be read.
    """
    require_editable(path, "tune")
    loaded = load_policy(path)
    old = loaded.policy
    if old.model.fingerprint not in (None, fingerprint):
        raise FingerprintMismatchError(f"The policy is bound to model {old.model.fingerprint}; this is {fingerprint}.")
    wanted = _by_category(old, proposals)
    told = told_metadata(path, old, notes, reason=_reason(wanted, refit=refit))
    new, contexts = _proposed(old, wanted, told, fingerprint)
    require_approval(old, _moved(old, new, fingerprint), told, why="change")
    text = path.read_bytes().decode("utf-8-sig")
    version = plan_new_version(path, old, new, entries_of(text, old, new), by="tune --write")
    return Plan(version=version, contexts=contexts, findings=new_findings(loaded, version))


def write_version(
    path: Path, proposals: Sequence[Proposal], notes: VersionNotes, *, fingerprint: str, refit: bool = False
) -> Path:
    """Plan a version and write it, for scripts; arguments and errors as for `plan_version`.

    Returns:
        The new file.
    """
    return plan_version(path, proposals, notes, fingerprint=fingerprint, refit=refit).version.write()


def to_refit(policy: Policy, fingerprint: str) -> Mapping[str, str]:
    """Name the categories whose calibration or thresholds do not hold any more, and why: `--refit` is about those.

    Args:
        policy: As parsed.
        fingerprint: Of the model that is to judge.

    Returns:
        Sentences by category id, in file order. A category's own evidence (`thresholds.chosen_on.evidence`) says what
        was asked for the last time.
    """
    stale, unbound = stale_calibrations(policy, fingerprint), unbound_lines(policy, fingerprint)
    why = {}
    for category in policy.categories:
        if category.id in stale:
            why[category.id] = "Its calibration was fitted on something else: a text, the scoring or the model changed."
        elif unbound.get(category.id) is Unbound.CHOSEN_ON_OTHER:
            why[category.id] = "Its thresholds were chosen on something else, or were edited since."
        elif category.id in unbound:
            why[category.id] = "Nothing says what its thresholds were chosen on."
    return why


def _by_category(policy: Policy, proposals: Sequence[Proposal]) -> Mapping[str, Proposal]:
    ids = [category.id for category in policy.categories]
    found: dict[str, Proposal] = {}
    for each in proposals:
        if each.category not in ids:
            meant = closest(each.category, ids)
            hint = f' Did you mean "{meant}"?' if meant else ""
            raise ConfigError(f'The policy has no category "{each.category}".{hint}')
        if each.category in found:
            raise ConfigError(f'There are two proposals for "{each.category}".')
        found[each.category] = each
    if not found:
        raise ConfigError("Nothing is proposed, so that there is nothing to write.")
    return found


def _reason(wanted: Mapping[str, Proposal], *, refit: bool) -> str:
    names, more = [*wanted][:_NAMED_IN_REASON], len(wanted) - _NAMED_IN_REASON
    named = f"{', '.join(names)}{f' and {more} more' if more > 0 else ''}"
    return f"tune --refit after a text edit: {named}" if refit else f"tune: {named}"


def _proposed(
    old: Policy, wanted: Mapping[str, Proposal], told: Metadata, fingerprint: str
) -> tuple[Policy, tuple[ContextNote, ...]]:
    """Say what the policy is to be, and what became of its contexts."""
    held = {each.id for each in old.categories} - unbound_lines(old, fingerprint).keys()
    contexts: list[ContextNote] = []
    categories = []
    for category in old.categories:
        if each := wanted.get(category.id):
            now = _tuned(old, category, each, fingerprint)
            now, notes = carry_contexts(old, category, now, each, held=category.id in held)
            contexts += notes
            categories.append(now)
        else:
            categories.append(category)
    new = replace(old, metadata=told, model=replace(old.model, fingerprint=fingerprint), categories=tuple(categories))
    digests = lines_digests(new.categories, new, fingerprint=fingerprint)
    chosen = (_chosen(each, digests[each.id], wanted.get(each.id), told) for each in new.categories)
    return replace(new, categories=tuple(chosen)), tuple(contexts)


def _tuned(policy: Policy, category: Category, proposal: Proposal, fingerprint: str) -> Category:
    facts = METHODS[category.method]
    if proposal.calibration and "calibration" not in facts.takes:
        raise ConfigError(f"{category.id} is scored by `method: {category.method}`, which takes no calibration.")
    if proposal.calibration and proposal.removes_calibration:
        raise ConfigError(f"The calibration of {category.id} cannot be removed and written at once.")
    if not (proposal.calibration or proposal.removes_calibration) and is_stale(category, policy, fingerprint):
        raise ConfigError(
            f"The calibration of {category.id} was fitted on something else, so that no threshold can stand on it: fit "
            "it again (`clipwarden tune --refit`), or remove it."
        )
    if enforced_anywhere(category) and proposal.bounds == Bounds():
        raise ConfigError(
            f"{category.id} is enforced, and no line keeps what was asked, so that it would have no band. Write `mode: "
            "shadow` first, or ask for less. Nothing was written."
        )
    none = proposal.bounds == Bounds()
    standing = [each for each in findings_of(proposal.evidence) if each.is_open]
    if enforced_anywhere(category) and standing:
        raise ConfigError(
            f"{category.id} is enforced, and by the new limits slice {said_of(standing)}. Ask about slices again "
            "with --slice-ceiling, or write `mode: shadow` first; `clipwarden enforce --waive-slice` lets slices "
            "through by name. Nothing was written."
        )
    return replace(
        category,
        calibration=_calibration(policy, category, proposal, fingerprint),
        thresholds=None if none else Thresholds(unit=facts.unit, bounds=proposal.bounds),
    )


def _calibration(policy: Policy, category: Category, proposal: Proposal, fingerprint: str) -> Calibration | None:
    fitted = proposal.calibration
    if fitted is None:
        return None if proposal.removes_calibration else category.calibration
    draft = Calibration(slope=fitted.slope, bias=fitted.bias, prevalence=fitted.prevalence, fitted_on="")
    digest = fit_digest(
        replace(category, calibration=draft),
        fingerprint=fingerprint,
        calibration_scale=policy.model.calibration_scale,
        plan=policy.plan,
    )
    return replace(draft, fitted_on=digest)


def _chosen(category: Category, digest: str, proposal: Proposal | None, told: Metadata) -> Category:
    if proposal is None or category.thresholds is None:
        return category
    second = told.approved_by if enforced_anywhere(category) else None
    chosen = ChosenOn(digest=digest, approved_by=second, evidence=proposal.evidence)
    return replace(category, thresholds=replace(category.thresholds, chosen_on=chosen))


def _moved(old: Policy, new: Policy, fingerprint: str) -> Iterable[str]:
    """Name the categories that will stop other images than they do, or that stopped none."""
    before = unbound_lines(old, fingerprint)
    for was, now in zip(old.categories, new.categories, strict=True):
        if was != now and (was.id in before or _numbers(was) != _numbers(now)):
            yield was.id


def _numbers(category: Category) -> tuple[object, ...]:
    bounds = category.thresholds and category.thresholds.bounds
    return category.calibration, bounds, category.contexts
