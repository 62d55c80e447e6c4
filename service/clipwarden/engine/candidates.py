"""A snapshot and policies that are to watch beside its own in, the snapshot with its candidates out, or ConfigError.

A candidate is another version of a live policy: it has that policy's id, so that its digest is the one it will have
when it goes live, and is told apart by its version, as `id@version`. It is judged on whatever the live policy is judged
on, from the same embedding, which is why its model and its views have to be the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from clipwarden.engine.snapshot import (
    Selection,
    ShowProgress,
    Snapshot,
    load_with_findings,
    log_findings,
    no_progress,
)
from clipwarden.errors import ConfigError, FingerprintMismatchError, Problem, Severity
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.tables import Tables, prepare

MAX_NAME_BYTES = 128
"""Longest name that GetPolicy takes. Source: the proto's comment."""


def load_candidates(
    snapshot: Snapshot,
    paths: Sequence[Path],
    *,
    cache: VectorCache | None = None,
    progress: ShowProgress = no_progress,
    on_findings: Callable[[Sequence[Problem]], None] = log_findings,
) -> Snapshot:
    """Load candidates beside a snapshot's policies. Texts may have to be embedded: keep it off the event loop.

    Args:
        snapshot: Of the live policies.
        paths: YAML files or bundles.
        cache: Vectors of texts embedded before; None embeds all.
        progress: Makes a progress bar of a label.
        on_findings: Told once a candidate what deserves a look and stops nothing, if anything; logs it by default.

    Returns:
        A snapshot that has them as well.

    Raises:
        PolicyError: A candidate cannot be used, were it live.
        FingerprintMismatchError: It belongs to another model.
        ConfigError: As `with_candidates`.
    """
    loaded = []
    for path in paths:
        with progress(f"Embedding the texts of {path.name}") as advance:
            loaded.append(load_with_findings(path, model=snapshot.model, cache=cache, progress=advance))
    watched = with_candidates(snapshot, [candidate for candidate, _ in loaded])
    for path, (candidate, found) in zip(paths, loaded, strict=True):
        live = snapshot.tables[candidate.policy.metadata.id].compiled
        if said := [*found, *_warnings(candidate, live, str(path))]:
            on_findings(said)
    return watched


def with_candidates(snapshot: Snapshot, candidates: Sequence[CompiledPolicy]) -> Snapshot:
    """Put candidates that are already compiled beside a snapshot's policies.

    Args:
        snapshot: Of the live policies.
        candidates: Compiled for its model.

    Returns:
        A snapshot that has them as well, ordered by `id@version`.

    Raises:
        ConfigError: A candidate names no version, too long a one, or one that another candidate has, no live policy
            has its id, or it looks at other views than the live policy.
        FingerprintMismatchError: It belongs to another model than the live policy.
    """
    tables: dict[str, Tables] = {}
    for candidate in candidates:
        name = candidate_name(candidate)
        if name in tables:
            raise ConfigError(f"Two of the candidates are {name}; change metadata.version of one of them.")
        tables[name] = prepare(candidate)
        _require_comparable(snapshot, tables[name], name)
    return replace(snapshot, candidates=dict(sorted(tables.items())))


def candidate_name(candidate: CompiledPolicy) -> str:
    """Name a candidate, `id@version`; no id holds an @.

    Raises:
        ConfigError: It has no version, or one that makes the name longer than GetPolicy takes.
    """
    metadata = candidate.policy.metadata
    if not metadata.version:
        raise ConfigError(
            f"The candidate {metadata.id!r} has no metadata.version, by which log and metrics tell it from the live "
            'policy; give it one, such as version: "2".'
        )
    name = f"{metadata.id}@{metadata.version}"
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        raise ConfigError(
            f"The candidate {name} has a name of {size} bytes; GetPolicy takes at most {MAX_NAME_BYTES}. Shorten its "
            f"metadata.version by {size - MAX_NAME_BYTES} bytes or more."
        )
    return name


def _require_comparable(snapshot: Snapshot, tables: Tables, name: str) -> None:
    candidate = tables.compiled
    live = snapshot.tables.get(candidate.policy.metadata.id)
    if live is None:
        raise ConfigError(
            f"The candidate {name} watches beside no policy: none of that id is loaded, only "
            f"{', '.join(snapshot.tables)}. Give it the metadata.id of the policy that it may replace, or load "
            "a policy of its id with --policy."
        )
    if candidate.fingerprint != live.compiled.fingerprint:
        raise FingerprintMismatchError(
            f"The candidate {name} is of model {candidate.fingerprint}, the live policy of "
            f"{live.compiled.fingerprint}; compile the candidate with the live policy's model."
        )
    own, theirs = (Selection(snapshot=snapshot, tables=each, context=None).plan for each in (tables, live))
    if own != theirs:
        raise ConfigError(
            f"The candidate {name} looks at the views {own.name}, the live policy at {theirs.name}, so that one "
            "embedding cannot serve both; give the candidate the live policy's defaults.views and defaults.frames, or "
            f"try it on a store of its own (`clipwarden embed SOURCE -o STORE {own.options}`, then `clipwarden tune`)."
        )


def _warnings(candidate: CompiledPolicy, live: CompiledPolicy, file: str) -> Iterator[Problem]:
    """Say what of a candidate deserves a look."""

    def warning(message: str, fix: str, code: str) -> Problem:
        return Problem(file=file, line=0, column=0, message=message, fix=fix, severity=Severity.WARNING, code=code)

    name, version = candidate_name(candidate), live.policy.metadata.version
    if candidate.digest == live.digest:
        fix = "Name the file that you changed, or leave the candidate out."
        yield warning(f"The candidate {name} has the live policy's digest: it can only agree.", fix, "same-digest")
    elif candidate.policy.metadata.version == version:
        message = f"The version {version} of {live.policy.metadata.id} stands for two digests, live and candidate."
        yield warning(message, "Give the candidate a metadata.version of its own.", "version-of-two-digests")
    declared = {context.name for context in candidate.policy.contexts}
    missing = sorted({context.name for context in live.policy.contexts} - declared)
    if missing:
        message = (
            f"The candidate {name} lacks contexts of the live policy ({', '.join(missing)}): images that are judged"
        )
        fix = "Declare them under contexts, as the live policy does."
        yield warning(f"{message} in them are not compared.", fix, "context-not-in-candidate")
    own, theirs = candidate.policy.on_truncated, live.policy.on_truncated
    if own is not theirs:
        message = f"The candidate {name} would {own} files that end too early, the live policy would {theirs} them"
        fix = "To compare them too, give both the same defaults.on_truncated."
        yield warning(f"{message}: those files are not compared.", fix, "truncated-not-compared")
