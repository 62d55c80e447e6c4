"""A policy file and categories that are to stop uploads in; a new version that enforces them, to be shown first, out.

Nothing that chooses numbers puts them into force. This does, and nothing else: it changes no number, and takes only
categories whose numbers hold, by the word of a second person.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipwarden.errors import ConfigError, PolicyError, Problem, Severity
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.language.category_keys import CATEGORY
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
from clipwarden.policy.rests import chooser_of, stops_unlabelled
from clipwarden.policy.schema import Category, Metadata, Mode, Policy
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
    """

    version: NewVersion
    categories: tuple[Category, ...]
    findings: tuple[Problem, ...]


def plan_enforcement(path: Path, ids: Sequence[str], notes: VersionNotes) -> Enforcement:
    """Work out a version in which categories count in the verdict; writes nothing.

    Args:
        path: The policy file (no bundle, none that ships with clipwarden).
        ids: Of the categories. What contexts say of one stays as it is.
        notes: About the new version; somebody else than its author has to approve.

    Returns:
        The version.

    Raises:
        ConfigError: There is no such category, it is enforced already, its numbers do not hold, nobody else than who
            chose them and writes this stands for them, or nobody labelled what they stop and no reason is given.
        PolicyError: The file breaks rules, or would.
        OSError: The file cannot be read.
    """
    require_editable(path, "enforce")
    loaded = load_policy(path)
    old = loaded.policy
    wanted = _wanted(old, ids)
    _require_hold(path, old, wanted)
    told = told_metadata(path, old, notes, reason=f"enforce: {', '.join(wanted)}")
    new = _enforced(old, wanted, told)
    _require_second(new, wanted, told)
    _require_other_than_chooser(old, wanted, told)
    _require_reason(path, old, wanted, notes)
    text = path.read_bytes().decode("utf-8-sig")
    version = plan_new_version(path, old, new, [*_entries(text, old, new)], by="enforce")
    findings = new_findings(loaded, version)
    if errors := [each for each in findings if each.severity is Severity.ERROR]:
        raise PolicyError(errors)
    categories = tuple(each for each in new.categories if each.id in wanted)
    return Enforcement(version=version, categories=categories, findings=findings)


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


def _enforced(old: Policy, wanted: Sequence[str], told: Metadata) -> Policy:
    categories = (_raised(each, told) if each.id in wanted else each for each in old.categories)
    return replace(old, metadata=told, categories=tuple(categories))


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
        chooser = chooser_of(category, old.metadata.author) if category.id in wanted else None
        if chooser and told.approved_by and chooser.casefold() == told.approved_by.casefold():
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
