"""Policies that were loaded, exchanged or refused in, lines of the log out."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from clipwarden.engine.snapshot import Snapshot
from clipwarden.policy.contexts import contexts_with_modes, mode_counts
from clipwarden.policy.language.differences import differences
from clipwarden.policy.language.saying import line_of
from clipwarden.policy.schema import Mode, Policy
from clipwarden.scoring.tables import Tables

MOST_SAID = 20
"""Changes of a policy, or problems of a load, that one line of the log says; `diff` and `lint` say all of them."""
MOST_CHARACTERS = 400
"""Of one of these: a long prompt in full, not a list of them."""

log = logging.getLogger(__name__)


def log_loaded(snapshot: Snapshot) -> None:
    """Log which model, policies and candidates are loaded; warn where a policy enforces nothing."""
    model = snapshot.model
    log.info("model loaded", extra={"model": model.manifest.name, "fingerprint": model.fingerprint})
    for policy_id in snapshot.tables:
        _log_policy("policy loaded", snapshot, policy_id, {})
    for name, tables in snapshot.candidates.items():
        log.info("candidate loaded", extra=_candidate(name, tables))


def log_exchanged(old: Snapshot, new: Snapshot) -> None:
    """Log which policies and candidates have taken the place of others, and what changed in words.

    Args:
        old: What judged until now.
        new: What judges from now on, under the same ids.
    """
    for policy_id, tables in new.tables.items():
        before = old.tables[policy_id]
        if not is_same(before, tables):
            _log_policy("policy reloaded", new, policy_id, _changes(before, tables))
            _warn_of_contexts(policy_id, before, tables)
    for name, tables in new.candidates.items():
        watching = old.candidates.get(name)
        if watching is None:
            log.info("candidate loaded", extra=_candidate(name, tables))
        elif not is_same(watching, tables):
            log.info("candidate reloaded", extra=_candidate(name, tables) | _changes(watching, tables))
    for name in old.candidates.keys() - new.candidates.keys():
        log.info("candidate withdrawn", extra={"candidate": name})


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
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."


def _warn_of_contexts(policy_id: str, before: Tables, after: Tables) -> None:
    declared = {context.name for context in after.compiled.policy.contexts}
    for context in before.compiled.policy.contexts:
        if context.name not in declared:
            log.warning(
                "policy %s declares the context %s no longer: calls that name it are refused, CONTEXT_UNKNOWN",
                policy_id,
                context.name,
                extra={"policy": policy_id, "context": context.name},
            )


def _log_policy(message: str, snapshot: Snapshot, policy_id: str, more: Mapping[str, object]) -> None:
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
    log.info(message, extra={**extra, **more})
    idle = [context for context, by_mode in counts.items() if not by_mode[Mode.ENFORCE]]
    if len(idle) == len(counts):
        log.warning("policy %s enforces nothing: every verdict of it is ALLOW", policy_id, extra=extra)
        return
    for context in idle:
        where = f"in the context {context}" if context else "without a context"
        log.warning("policy %s enforces nothing %s: every verdict there is ALLOW", policy_id, where, extra=extra)


def _candidate(name: str, tables: Tables) -> dict[str, object]:
    modes = {mode.value: count for mode, count in mode_counts(tables.compiled.policy).items()}
    return {"candidate": name, "digest": tables.compiled.digest, **modes, "unbound": tables.unbound}
