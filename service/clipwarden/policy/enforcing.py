"""A policy file and categories that are to stop uploads in; a new version that enforces them, to be shown first, out.

Nothing that chooses numbers puts them into force. This does, and nothing else: it changes no number, and takes only
categories whose numbers hold, by the word of a second person.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipwarden.errors import ConfigError, PolicyError, Problem, Severity
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.language.category_keys import CATEGORY, MAX_SLICE_TEXT
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.newversion import (
    NewVersion,
    VersionNotes,
    new_findings,
    plan_new_version,
    require_approval,
    require_editable,
    told_metadata,
)
from clipwarden.policy.rests import choosers_of, stops_unlabelled
from clipwarden.policy.schema import Category, Metadata, Mode, Policy
from clipwarden.policy.slices import findings_of, open_slices, said_of
from clipwarden.textfiles.editing import Entry, layout_of
from clipwarden.textfiles.rendering import Word
from clipwarden.textfiles.wording import closest

MOST_LABELLED = 3
"""Categories that one sample serves."""
_KEYS = CATEGORY.names
_BEFORE_MODE = _KEYS[: _KEYS.index("mode")]
_UNBOUND: Mapping[Unbound, str] = {
    Unbound.NOT_CHOSEN: "nothing says what its thresholds were chosen on",
    Unbound.CHOSEN_ON_OTHER: "its thresholds were chosen on something else, or were edited since",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Enforcement:
    """A version that enforces more, and what to say before it is written.

    Attributes:
        version: To be shown and written (`version.write()`).
        categories: What it enforces that its source does not, in file order.
        findings: What lint says of it that it did not say of the source: warnings only.
        waived: By category, names of slices that do not pass and were let through.
    """

    version: NewVersion
    categories: tuple[Category, ...]
    findings: tuple[Problem, ...]
    waived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan_enforcement(path: Path, ids: Sequence[str], notes: VersionNotes, waive: Sequence[str] = ()) -> Enforcement:
    """Work out a version in which categories count in the verdict; writes nothing.

    Args:
        path: The policy file (no bundle, none that ships with clipwarden).
        ids: Of the categories. What contexts say of one stays as it is.
        notes: About the new version; somebody else than its author has to approve.
        waive: Slices that may fail or be unknown, as `CATEGORY:SLICE=VALUE`; the notes say why.

    Returns:
        The version.

    Raises:
        ConfigError: There is no such category, it is enforced already, its numbers do not hold, a slice of it does not
            pass and is not waived, nobody stands for them but who chose them or writes this, or nobody labelled what
            they stop and no reason is given.
        PolicyError: The file breaks rules, or would.
        OSError: The file cannot be read.
    """
    require_editable(path, "enforce")
    loaded = load_policy(path)
    old = loaded.policy
    wanted = _wanted(old, ids)
    _require_hold(path, old, wanted)
    told = told_metadata(path, old, notes, reason=f"enforce: {', '.join(wanted)}")
    waived = _waived(old, wanted, waive, notes)
    new = _enforced(old, wanted, told, waived)
    _require_second(new, wanted, told)
    _require_other_than_chooser(old, wanted, told)
    _require_reason(path, old, wanted, notes)
    _require_slices(path, new, wanted)
    text = path.read_bytes().decode("utf-8-sig")
    version = plan_new_version(path, old, new, [*_entries(text, old, new)], by="enforce")
    findings = new_findings(loaded, version)
    if errors := [each for each in findings if each.severity is Severity.ERROR]:
        raise PolicyError(errors)
    categories = tuple(each for each in new.categories if each.id in wanted)
    return Enforcement(version=version, categories=categories, findings=findings, waived=waived)


def _wanted(policy: Policy, ids: Sequence[str]) -> tuple[str, ...]:
    modes = {category.id: category.mode for category in policy.categories}
    for each in ids:
        if each not in modes:
            meant = closest(each, [*modes])
            hint = f'Did you mean "{meant}"?' if meant else f"It has: {', '.join(modes)}."
            raise ConfigError(f'The policy has no category "{each}". {hint} Nothing was written.')
    wanted = tuple(each for each in modes if each in ids and modes[each] is not Mode.ENFORCE)
    if not wanted:
        raise ConfigError(f"Enforced already: {', '.join(dict.fromkeys(ids))}. Nothing was written.")
    return wanted


def _require_hold(path: Path, policy: Policy, wanted: Sequence[str]) -> None:
    for category in policy.categories:
        why = _why_not(policy, category) if category.id in wanted else None
        if why:
            tune = f"`clipwarden tune {path} --store STORE --labels LABELS --write`"
            raise ConfigError(
                f"{category.id} cannot be enforced: {why}. Choose its limits on pictures first ({tune}). Nothing was "
                "written."
            )


def _why_not(policy: Policy, category: Category) -> str | None:
    """Say why a category's numbers stop nothing that anybody chose."""
    if category.thresholds is None:
        return "it has no limits"
    if policy.model.fingerprint is None:
        return "the policy names no model, so that its limits are bound to none"
    if category.id in stale_calibrations(policy, policy.model.fingerprint):
        return "its calibration was fitted on something else"
    unbound = unbound_lines(policy, policy.model.fingerprint).get(category.id)
    return None if unbound is None else _UNBOUND[unbound]


def _waived(
    policy: Policy, wanted: Sequence[str], waive: Sequence[str], notes: VersionNotes
) -> Mapping[str, tuple[str, ...]]:
    """Read which slices are let through, by category; each has to be one that stands in the way."""
    standing = {each.id: [found.name for found in open_slices(each)] for each in policy.categories}
    waived: dict[str, list[str]] = {}
    for text in waive:
        name, _, asked = text.partition(":")
        known = standing.get(name, []) if name in wanted else []
        if asked not in known:
            meant = closest(asked, known)
            there = f"Did you mean {name}:{meant}?" if meant else _there(wanted, standing)
            raise ConfigError(
                f"--waive-slice {text} names no slice that stands in the way. {there} Nothing was written."
            )
        waived.setdefault(name, []).append(asked)
    if waived and not (notes.reason or "").strip():
        raise ConfigError("Say why these slices may be let through with --reason. Nothing was written.")
    return {name: tuple(names) for name, names in waived.items()}


def _there(wanted: Sequence[str], standing: Mapping[str, Sequence[str]]) -> str:
    named = [f"{name}:{each}" for name in wanted for each in standing[name]]
    return f"There is {', '.join(named)}." if named else "None does."


def _require_slices(path: Path, new: Policy, wanted: Sequence[str]) -> None:
    for category in new.categories:
        standing = open_slices(category) if category.id in wanted else ()
        if standing:
            let = " ".join(shlex.join(("--waive-slice", f"{category.id}:{each.name}")) for each in standing)
            raise ConfigError(
                f"{category.id} cannot be enforced: slice {said_of(standing)}. Mend that and choose its limits again "
                f"(`clipwarden tune {path} --store STORE --labels LABELS --slice-ceiling SHARE --write`), or let them "
                f"through by name and say why ({let} --reason TEXT). Nothing was written."
            )


def _enforced(old: Policy, wanted: Sequence[str], told: Metadata, waived: Mapping[str, Sequence[str]]) -> Policy:
    categories = (
        _raised(_let_through(each, waived.get(each.id, ()), told), told) if each.id in wanted else each
        for each in old.categories
    )
    return replace(old, metadata=told, categories=tuple(categories))


def _let_through(category: Category, names: Sequence[str], told: Metadata) -> Category:
    """Write into the evidence why slices that do not pass may be enforced, and who says so."""
    thresholds = category.thresholds
    if not names or thresholds is None or thresholds.chosen_on is None or thresholds.chosen_on.evidence is None:
        return category
    chosen, evidence = thresholds.chosen_on, thresholds.chosen_on.evidence
    why = f"{told.reason} ({told.author}, approved by {told.approved_by})"
    slices = tuple(
        replace(each, waived=why).sentence if each.name in names and each.is_open else each.sentence
        for each in findings_of(evidence)
    )
    if max(map(len, slices)) > MAX_SLICE_TEXT:
        raise ConfigError("--reason is too long to stand beside the names of slices. Nothing was written.")
    chosen = replace(chosen, evidence=replace(evidence, slices=slices))
    return replace(category, thresholds=replace(thresholds, chosen_on=chosen))


def _raised(category: Category, told: Metadata) -> Category:
    now = replace(category, mode=Mode.ENFORCE)
    if not (thresholds := now.thresholds) or not (chosen := thresholds.chosen_on) or not _is_told(category):
        return now
    approved = replace(chosen, approved_by=told.approved_by)
    return replace(now, thresholds=replace(thresholds, chosen_on=approved))


def _is_told(category: Category) -> bool:
    """Tell whether a digest stands beside what it rests on; approval of one that stands alone is in the metadata."""
    chosen = category.thresholds and category.thresholds.chosen_on
    return bool(chosen and (chosen.reason or chosen.evidence))


def _require_second(new: Policy, wanted: Sequence[str], told: Metadata) -> None:
    if told.approved_by is None:
        raise ConfigError(
            f"Once it is live, {', '.join(wanted)} will stop uploads. Say who besides {told.author} stands for that "
            "with --approved-by NAME. Nothing was written."
        )
    require_approval(new, wanted, told, why="are put into force")


def _require_other_than_chooser(old: Policy, wanted: Sequence[str], told: Metadata) -> None:
    """Refuse the word of whoever chose the numbers, under whichever name this version is written."""
    for category in old.categories:
        choosers = choosers_of(category, old.metadata.author) if category.id in wanted else ()
        for chooser in choosers:
            if told.approved_by is None or chooser.casefold() != told.approved_by.casefold():
                continue
            raise ConfigError(
                f"{chooser} chose the limits of {category.id} and cannot be the second person who stands for them; "
                f"name another with --approved-by, and the author with --author {shlex.quote(chooser)}. Nothing was "
                "written."
            )


def _require_reason(path: Path, old: Policy, wanted: Sequence[str], notes: VersionNotes) -> None:
    """Ask why where nobody has looked at a picture that a limit stops."""
    blind = [each.id for each in old.categories if each.id in wanted and stops_unlabelled(each)]
    if blind and not (notes.reason or "").strip():
        draw = f"`clipwarden sample {path} --store STORE -n 600 --categories {','.join(blind[:MOST_LABELLED])}`"
        raise ConfigError(
            f"Nobody labelled what the block limits of {', '.join(blind)} stop: they say how much is stopped, and "
            f"nothing of whether rightly. Label some ({draw}) and tune by that, or say with --reason TEXT why they "
            "are to stop uploads all the same. Nothing was written."
        )


def _entries(text: str, old: Policy, new: Policy) -> Iterator[Entry]:
    for index, (was, now) in enumerate(zip(old.categories, new.categories, strict=True)):
        if was.mode is not now.mode:
            path = ("categories", index)
            yield Entry(path=path, key="mode", value=Word(now.mode.value), after=_BEFORE_MODE)
        if was.thresholds != now.thresholds and now.thresholds and now.thresholds.chosen_on:
            place = ("categories", index, "thresholds", "chosen_on")
            if layout_of(text, place):
                approved = now.thresholds.chosen_on.approved_by
                yield Entry(path=place, key="approved_by", value=approved, after=("digest", "by", "reason"))
            evidence, before = now.thresholds.chosen_on.evidence, was.thresholds and was.thresholds.chosen_on
            if evidence and before and before.evidence and before.evidence.slices != evidence.slices:
                yield Entry(path=(*place, "evidence"), key="slices", value=evidence.slices)
