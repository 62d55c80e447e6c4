"""A planned version in; what people read of it before it is written, and what to do with it afterwards, out."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from clipwarden.cli.changes import show_comparison
from clipwarden.cli.comparison import compare_version
from clipwarden.cli.policyfile import PolicyFile
from clipwarden.errors import ConfigError
from clipwarden.policy.contexts import enforced_anywhere
from clipwarden.policy.enforcing import MOST_LABELLED
from clipwarden.policy.language.differences import Change
from clipwarden.policy.rests import stops_unlabelled, told_promises
from clipwarden.policy.schema import Category, Mode
from clipwarden.policy.versions import files_around, plan_restoration
from clipwarden.terminal import notice, printable, stdout
from clipwarden.textfiles.rendering import plain_number
from clipwarden.tuning.tune.writing import Plan

if TYPE_CHECKING:
    from clipwarden.cli.tunerun import Inputs

_BOOKS = ("chosen_on", "fitted_on")
"""What a version says for tools, and in sentences that are told by themselves."""


def show_changes(plan: Plan, *, engineers: bool) -> None:
    """Print what would change, what the new limits promise, and what that moves in force.

    Args:
        plan: Of the version.
        engineers: Whether digests and all of the evidence are shown too.
    """
    comparison = compare_version(plan.version)
    show_comparison(comparison, None if engineers else tuple(_brief(comparison.changes)))
    for was, now in _pairs(plan):
        for promise in () if engineers or was == now or _moves(was, now) else told_promises(now):
            _say(f"{now.id}, {promise}.")
        for line in _in_force(was, now):
            _say(line)


def show_written(old: PolicyFile, plan: Plan, path: object, inputs: "Inputs", *, kept_back: Iterable[str]) -> None:
    """Say what was written, and what to do with it.

    Args:
        old: The policy before.
        plan: What was written.
        path: Where.
        inputs: What it rests on.
        kept_back: Ids of categories that nothing of `enforce` is to be said of.
    """
    metadata = plan.policy.metadata
    moved = [now for was, now in _pairs(plan) if _moves(was, now)]
    notice(printable(f"{_told(plan, path, moved)} Next:"), style="green")
    files = files_around(old.path, old.policy.metadata.version)
    _command("lint", str(path), "--strict")
    _command("diff", str(old.path), str(path))
    live = files.live if files.live.exists() else old.path
    _command("serve", "--policy", str(live), "--candidate", str(path))
    held = frozenset(kept_back)
    watching = [now for was, now in _pairs(plan) if was != now and now.mode is Mode.SHADOW and now.id not in held]
    for each in watching:
        if not stops_unlabelled(each):
            _command("enforce", str(path), each.id, "--author", str(metadata.author), "--approved-by", "NAME")
    blind = [each.id for each in watching if stops_unlabelled(each)]
    if blind:
        _label_first(str(path), str(inputs.store.path), blind)
    if moved:  # else it only watches: `enforce` prints what makes its version live
        try:
            plan_restoration(files, str(metadata.version))
        except ConfigError as error:
            notice(printable(f"Before it can be made live: {error}"))
        _command("restore", str(files.live), str(metadata.version))


def _told(plan: Plan, path: object, moved: list[Category]) -> str:
    metadata = plan.policy.metadata
    if not moved:
        return f"{path} was written by {metadata.author}: version {metadata.version}. Nothing was raised to enforce."
    names = ", ".join(each.id for each in moved)
    return (
        f"{path} was written by {metadata.author} and approved by {metadata.approved_by}: version {metadata.version}. "
        f"Once it is live, {names} {'stops' if len(moved) == 1 else 'stop'} uploads by the new numbers; nothing else "
        "was raised to enforce."
    )


def _label_first(path: str, store: str, names: list[str]) -> None:
    notice(
        printable(
            f"Nobody labelled what {', '.join(names)} would stop. Label some before it is enforced"
            f"{', three categories at a time' if len(names) > MOST_LABELLED else ''}:"
        )
    )
    _command("sample", path, "--store", store, "-n", "600", "--categories", ",".join(names[:MOST_LABELLED]))


def _pairs(plan: Plan) -> Iterator[tuple[Category, Category]]:
    yield from zip(plan.version.old.categories, plan.version.new.categories, strict=True)


def _moves(was: Category, now: Category) -> bool:
    return was != now and enforced_anywhere(now)


def _in_force(was: Category, now: Category) -> Iterator[str]:
    """Say what becomes of limits that stop uploads already: from what number and promise to which."""
    if not _moves(was, now):
        return
    yield f"{now.id} is enforced: once this version is live, uploads are stopped by these limits."
    before, after = _limits(was), _limits(now)
    for name in ("block", "review"):
        if name in before or name in after:
            yield f"  {name} was {_limit(was, before, name)}"
            yield f"  {name} is {_limit(now, after, name)}"


def _limits(category: Category) -> dict[str, float]:
    bounds = category.thresholds.bounds if category.thresholds else None
    numbers = {"block": bounds.block, "review": bounds.review} if bounds else {}
    return {name: number for name, number in numbers.items() if number is not None}


def _limit(category: Category, numbers: dict[str, float], name: str) -> str:
    if name not in numbers:
        return "none."
    promised = [each for each in told_promises(category) if each.startswith(f"{name}: ")]
    said = "; ".join(each.removeprefix(f"{name}: ") for each in promised) or "nothing says what it promised"
    return f"{plain_number(numbers[name])}: {said}."


def _brief(changes: Iterable[Change]) -> Iterator[Change]:
    """Leave out what is kept for tools, and what sentences of their own say."""
    for change in changes:
        if "chosen_on" in change.path and change.path[-1] != "approved_by":
            continue
        if "fitted_on" not in change.path:
            yield replace(change, old=_without_books(change.old), new=_without_books(change.new))


def _without_books(value: object) -> object:
    return {key: inner for key, inner in value.items() if key not in _BOOKS} if isinstance(value, dict) else value


def _say(text: str) -> None:
    stdout().print(printable(text), soft_wrap=True, markup=False, highlight=False)


def _command(*words: str) -> None:
    notice(printable(f"  clipwarden {shlex.join(words)}"), style="bold")
