"""clipwarden lint --fix: a policy file in, a new version beside it out, with what can be mended without a guess."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clipwarden.cli.changes import show_comparison
from clipwarden.cli.comparison import compare
from clipwarden.cli.policyfile import PolicyFile, read_policy
from clipwarden.engine.snapshot import find_policy
from clipwarden.errors import ConfigError, FingerprintMismatchError, PolicyError
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import load_manifest, resolve_model
from clipwarden.modelfolder.upgrade import fingerprint_before
from clipwarden.policy.newversion import (
    VersionNotes,
    plan_new_version,
    require_approval,
    require_editable,
    told_metadata,
)
from clipwarden.policy.rebinding import Rebinding, rebindings, taken_over
from clipwarden.policy.schema import By, ChosenOn, Metadata, Policy
from clipwarden.policy.versions import files_around, plan_restoration
from clipwarden.terminal import notice, printable
from clipwarden.textfiles.editing import Entry

_REASON = "taken over on trust by lint --fix; the calibration holds"
_ON_TRUST = (
    "The numbers are taken on trust: the calibrations still hold, but nobody looked whether these thresholds were "
    "chosen after them."
)
_UPGRADE_REASON = "taken over on trust by lint --fix for the upgraded model, whose preprocessing alone changed"
_UPGRADE_ON_TRUST = (
    "The numbers are taken on trust: the upgraded model sees pictures without a profile or transfer function as "
    "before, and JPEGs if it decodes them as before, but nobody looked what pictures these numbers come from."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """Whose fingerprints count.

    Attributes:
        fingerprint: Of the model that is to judge.
        before: Of what it was upgraded from, where the policy holds for that.
    """

    fingerprint: str
    before: str | None = None

    def take_over(self, policy: Policy) -> Policy:
        """Bind what holds for the model before its upgrade to the upgraded one."""
        return taken_over(policy, self.before, self.fingerprint) if self.before else policy


def fix_policy(files: Sequence[str], notes: VersionNotes, *, model: str | None, as_json: bool) -> str:
    """Write a new version of a policy in which thresholds say what they were chosen on, where that is known.

    Args:
        files: One policy file.
        notes: About the new version.
        model: Whose fingerprint counts; None takes that of the policy. Numbers that hold for what it was before
            `models upgrade` are taken over.
        as_json: Whether to print one JSON object.

    Returns:
        The file to go on with: the new one, or the old one where nothing can be mended,
        or where it breaks a rule, which lint will say.

    Raises:
        ConfigError: It is no policy file, names no model, or the version cannot be written.
        FingerprintMismatchError: The model is another than the policy's.
        OSError: The new file cannot be written.
    """
    path = one_file(files)
    old = read_sound(path)
    if old is None:
        return path
    models = models_of(old, model)
    base = models.take_over(old.policy)
    mends = [*_taken(old.policy, base), *rebindings(base, models.fingerprint)]
    done = [mend for mend in mends if mend.digest]
    for mend in mends:
        if mend.why_not:
            notice(printable(f"Not mended: the thresholds of {mend.category}, since {mend.why_not}."))
    target = _write(old, base, done, notes) if done or base != old.policy else None
    if as_json:
        print(json.dumps(_facts(old, target, mends, models)))  # noqa: T201  results go to stdout
    elif target is None:
        notice("There is nothing that --fix may mend; no file was written.")
    else:
        _show(old, target, done, models)
    return str(target or old.path)


def _taken(old: Policy, base: Policy) -> Iterator[Rebinding]:
    """Name the thresholds whose digest is another once they are taken over."""
    for index, (was, category) in enumerate(zip(old.categories, base.categories, strict=True)):
        now = category.thresholds and category.thresholds.chosen_on
        if now and was.thresholds and was.thresholds.chosen_on != now:
            yield Rebinding(index=index, category=category.id, digest=now.digest, taken_over=True)


def read_sound(path: str) -> PolicyFile | None:
    """Read a policy file that `--fix` is to mend; where it breaks rules, say so and return None."""
    try:
        return read_policy(path)
    except PolicyError:
        notice("--fix mends nothing in a file that breaks rules: mend what stands here first, and run it again.")
        return None


def one_file(files: Sequence[str]) -> str:
    """Return the path of the one policy file that --fix is to mend.

    Raises:
        ConfigError: There are several, or it is none that a version can be written beside.
    """
    if len(files) != 1:
        raise ConfigError("--fix mends one policy file at a time.")
    path = find_policy(files[0])
    require_editable(path, "mend")
    return str(path)


def models_of(old: PolicyFile, model: str | None) -> Models:
    """Say whose fingerprints count.

    Raises:
        ConfigError: Neither the policy nor anybody names a model.
        FingerprintMismatchError: They name different ones.
    """
    if model is None:
        if old.fingerprint is None:
            raise ConfigError("The policy names no model to check its calibrations against. Name one with --model.")
        return Models(fingerprint=old.fingerprint)
    manifest = load_manifest(resolve_model(model))
    given, before = fingerprint(manifest), fingerprint_before(manifest, old.fingerprint)
    if old.fingerprint not in (None, given, before):
        raise FingerprintMismatchError(f"The policy is bound to model {old.fingerprint}; {model} is {given}.")
    return Models(fingerprint=given, before=None if old.fingerprint == given else before)


def _write(old: PolicyFile, base: Policy, done: Sequence[Rebinding], notes: VersionNotes) -> Path:
    names = ", ".join(mend.category for mend in done)
    why = f"chosen_on written on trust for {names}" if names else "taken over for the upgraded model"
    told = told_metadata(old.path, old.policy, notes, reason=f"lint --fix: {why}")
    require_approval(old.policy, (mend.category for mend in done), told, why="are taken over on trust")
    entries = [*_refitted(old.policy, base)]
    for mend in done:
        written = {name: str(value) for name, value in asdict(_chosen_on(mend, told)).items() if value is not None}
        entries.append(Entry(path=("categories", mend.index, "thresholds"), key="chosen_on", value=written))
    return plan_new_version(old.path, old.policy, _expected(base, done, told), entries, by="--fix").write()


def _refitted(old: Policy, base: Policy) -> Iterator[Entry]:
    """Say what is another under the upgraded model, but for thresholds."""
    if old.model.fingerprint != base.model.fingerprint:
        yield Entry(path=("model",), key="fingerprint", value=base.model.fingerprint)
    for name in ("categories", "attributes"):
        for index, (was, now) in enumerate(zip(getattr(old, name), getattr(base, name), strict=True)):
            if was.calibration != now.calibration:
                yield Entry(path=(name, index, "calibration"), key="fitted_on", value=now.calibration.fitted_on)


def _expected(policy: Policy, done: Sequence[Rebinding], told: Metadata) -> Policy:
    categories = list(policy.categories)
    for mend in done:
        category = categories[mend.index]
        if category.thresholds:
            bound = replace(category.thresholds, chosen_on=_chosen_on(mend, told))
            categories[mend.index] = replace(category, thresholds=bound)
    return replace(policy, metadata=told, categories=tuple(categories))


def _chosen_on(mend: Rebinding, told: Metadata) -> ChosenOn:
    """Say that people took the numbers over: no tool chose them on these images."""
    reason = _UPGRADE_REASON if mend.taken_over else _REASON
    return ChosenOn(digest=mend.digest or "", by=By.HAND, reason=reason, approved_by=told.approved_by)


def _show(old: PolicyFile, target: Path, done: Sequence[Rebinding], models: Models) -> None:
    new = read_policy(str(target))
    show_comparison(compare(old, new))
    metadata = new.policy.metadata
    names = ", ".join(mend.category for mend in done)
    trust = _UPGRADE_ON_TRUST if models.before else _ON_TRUST
    notice(
        printable(
            f"{target} was written by {metadata.author}{f': `chosen_on` for {names}' if names else ''}. "
            f"{trust} Look at what they stop before it goes live:"
        ),
        style="green",
    )
    _show_command("moderate", "FOLDER", "--policy", str(target), "--explain")
    show_next(old, target)


def show_next(old: PolicyFile, target: Path) -> None:
    """Print the commands that make a new version live."""
    files = files_around(old.path, old.policy.metadata.version)
    version = str(read_policy(str(target)).policy.metadata.version)
    _show_command("diff", str(old.path), str(target))
    try:
        plan_restoration(files, version)
    except ConfigError as error:
        notice(printable(f"Before it can be made live: {error}"), style="yellow")
    _show_command("restore", str(files.live), version)


def _show_command(*words: str) -> None:
    notice(printable(f"  clipwarden {shlex.join(words)}"), style="bold")


def _facts(old: PolicyFile, target: Path | None, mends: Sequence[Rebinding], models: Models) -> dict[str, object]:
    return {
        "file": str(old.path),
        "upgraded_from": models.before,
        "written": str(target) if target else None,
        "mended": [mend.category for mend in mends if mend.digest],
        "not_mended": {mend.category: mend.why_not for mend in mends if mend.why_not},
        "comparison": compare(old, read_policy(str(target))).facts if target else None,
    }
