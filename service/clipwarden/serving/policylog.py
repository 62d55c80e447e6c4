"""Policies that were loaded, exchanged or refused in, lines of the log out.

Telling in words what has changed takes tens of milliseconds where hundreds of prompts have. So lines are made in the
thread that loads (`lines_of_exchange`), and written by the loop once they are true (`write_lines`).
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clipwarden.engine.snapshot import Snapshot
from clipwarden.policy.contexts import contexts_with_modes, mode_counts
from clipwarden.policy.language.differences import differences
from clipwarden.policy.language.saying import line_of
from clipwarden.policy.schema import Mode, Policy
from clipwarden.scoring.tables import Tables
from clipwarden.serving.reusedversions import reuses_version

MOST_SAID = 20
"""Changes of a policy, or problems of a load, that one line of the log says; `diff` and `lint` say all of them."""
MOST_CHARACTERS = 1000
"""Of one of these: a long prompt in full, not a list of them."""
END_CHARACTERS = 300
"""How many of them are of the end, where sentences say what to write instead."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log that is yet to be written."""

    message: str
    extra: Mapping[str, object] = field(default_factory=dict)
    level: int = logging.INFO


def write_lines(lines: Iterable[Line]) -> None:
    """Write what was made earlier."""
    for line in lines:
        log.log(line.level, "%s", line.message, extra=line.extra)


def log_loaded(snapshot: Snapshot) -> None:
    """Log which model, policies and candidates are loaded; warn where a policy enforces nothing."""
    model = snapshot.model
    log.info("model loaded", extra={"model": model.manifest.name, "fingerprint": model.fingerprint})
    for policy_id in snapshot.tables:
        write_lines(_of_policy("policy loaded", snapshot, policy_id, {}))
    for name, tables in snapshot.candidates.items():
        log.info("candidate loaded", extra=_candidate(name, tables))


def lines_of_exchange(old: Snapshot, new: Snapshot) -> tuple[Line, ...]:
    """Say which policies and candidates take the place of others, and what changes in words.

    Args:
        old: What judges.
        new: What is to judge, under the same ids.

    Returns:
        Nothing where nobody could tell the two apart.
    """
    return (*_of_exchanged_policies(old, new), *_of_exchanged_candidates(old, new))


def _of_exchanged_policies(old: Snapshot, new: Snapshot) -> Iterator[Line]:
    for policy_id, tables in new.tables.items():
        before = old.tables[policy_id]
        if not is_same(before, tables):
            yield from _of_policy("policy reloaded", new, policy_id, _changes(before, tables))
            yield from _of_contexts(policy_id, before, tables)
            yield from _of_version(policy_id, before, tables)


def _of_exchanged_candidates(old: Snapshot, new: Snapshot) -> Iterator[Line]:
    for name, tables in new.candidates.items():
        watching = old.candidates.get(name)
        if watching is None:
            yield Line("candidate loaded", _candidate(name, tables))
        elif not is_same(watching, tables):
            yield Line("candidate reloaded", _candidate(name, tables) | _changes(watching, tables))
    for name in old.candidates.keys() - new.candidates.keys():
        yield Line("candidate withdrawn", {"candidate": name})


def log_fault(fault: Exception) -> str:
    """Log a fault of ours that ended a load, and return what is said of it elsewhere."""
    log.error("policies not reloaded, those of before stay: a fault of ours", exc_info=fault)
    return f"A fault of ours: {type(fault).__name__}."


def log_refused(problems: Sequence[str], *, candidates_only: bool) -> None:
    """Log why what the files hold now is not used.

    Args:
        problems: A sentence each.
        candidates_only: Whether the live policies are those of the files.
    """
    what = "candidates" if candidates_only else "policies"
    extra = {"problems": [_short(problem) for problem in problems[:MOST_SAID]]} | _left_out(problems)
    log.error("%s not reloaded, those of before stay: %s", what, _short(problems[0]), extra=extra)


def is_same(one: Tables, other: Tables) -> bool:
    """Tell whether two policies agree in all that results, callers and metrics can see of them, notes too."""
    return one.compiled.policy == other.compiled.policy and np.array_equal(one.compiled.vectors, other.compiled.vectors)


def _changes(before: Tables, after: Tables) -> dict[str, object]:
    lines = list(_lines(before.compiled.policy, after.compiled.policy))
    metadata = before.compiled.policy.metadata
    return {
        "previous_digest": before.compiled.digest,
        "previous_version": metadata.version,
        "changes": lines[:MOST_SAID],
    } | _left_out(lines)


def _lines(old: Policy, new: Policy) -> Iterator[str]:
    for change in differences(old, new):
        yield _short(f"{change.concept}: {line_of(change)}" if change.concept else line_of(change))


def _left_out(lines: Sequence[str]) -> dict[str, object]:
    return {"left_out": len(lines) - MOST_SAID} if len(lines) > MOST_SAID else {}


def _short(text: str) -> str:
    """Leave out the middle of a long text, from a space to a space where it has some."""
    if len(text) <= MOST_CHARACTERS:
        return text
    begin, end = text[: MOST_CHARACTERS - END_CHARACTERS], text[-END_CHARACTERS:]
    return f"{begin.rsplit(' ', 1)[0]} ... {end.split(' ', 1)[-1]}"


def _of_contexts(policy_id: str, before: Tables, after: Tables) -> Iterator[Line]:
    declared = {context.name for context in after.compiled.policy.contexts}
    for context in before.compiled.policy.contexts:
        if context.name not in declared:
            gone = f"policy {policy_id} declares the context {context.name} no longer"
            refused = "calls that name it are refused, CONTEXT_UNKNOWN"
            yield Line(f"{gone}: {refused}", {"policy": policy_id, "context": context.name}, logging.WARNING)


def _of_version(policy_id: str, before: Tables, after: Tables) -> Iterator[Line]:
    if reuses_version(before, after):
        version = after.compiled.policy.metadata.version
        what = f'policy {policy_id} judges otherwise than before and still says version "{version}"'
        why = "its former text may be refused when you go back. Change metadata.version with every edit"
        extra = {"policy": policy_id, "digest": after.compiled.digest, "previous_digest": before.compiled.digest}
        yield Line(f"{what}: {why}.", extra, logging.WARNING)


def _of_policy(message: str, snapshot: Snapshot, policy_id: str, more: Mapping[str, object]) -> Iterator[Line]:
    tables = snapshot.tables[policy_id]
    policy = tables.compiled.policy
    counts = {context: mode_counts(policy, context) for context in (None, *contexts_with_modes(policy))}
    extra = {
        "policy": policy_id,
        "version": policy.metadata.version,
        "digest": tables.compiled.digest,
        "default": policy_id == snapshot.default_policy_id,
        **{mode.value: count for mode, count in counts[None].items()},
        "contexts": {name: by_mode for name, by_mode in counts.items() if name},
        "dropped_calibrations": sorted(tables.compiled.dropped_calibrations),
        "unbound": tables.unbound,
    }
    yield Line(message, {**extra, **more})
    idle = [context for context, by_mode in counts.items() if not by_mode[Mode.ENFORCE]]
    if len(idle) == len(counts):
        everywhere = f"policy {policy_id} enforces nothing: every verdict of it is ALLOW"
        yield Line(everywhere, extra, logging.WARNING)
        return
    for context in idle:
        where = f"in the context {context}" if context else "without a context"
        there = f"policy {policy_id} enforces nothing {where}: every verdict there is ALLOW"
        yield Line(there, extra, logging.WARNING)


def _candidate(name: str, tables: Tables) -> dict[str, object]:
    modes = {mode.value: count for mode, count in mode_counts(tables.compiled.policy).items()}
    return {"candidate": name, "digest": tables.compiled.digest, **modes, "unbound": tables.unbound}
