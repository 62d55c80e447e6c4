"""clipwarden lint --fix --own-slopes: a policy file in; a new version with a slope in each calibration, out."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipwarden.cli.changes import show_comparison
from clipwarden.cli.comparison import compare_version
from clipwarden.cli.fixing import models_of, one_file, read_sound, show_next
from clipwarden.cli.policyfile import PolicyFile
from clipwarden.errors import ConfigError
from clipwarden.policy.entries import entries_of
from clipwarden.policy.newversion import NewVersion, VersionNotes, plan_new_version, told_metadata
from clipwarden.policy.ownslopes import OwnSlopes, own_slopes
from clipwarden.terminal import notice, printable


def fix_slopes(files: Sequence[str], notes: VersionNotes, *, model: str | None, as_json: bool) -> str:
    """Write a new version of a policy in which each calibration of a margin has the slope that it had from the file.

    Args:
        files: One policy file.
        notes: About the new version.
        model: Whose fingerprint counts; None takes that of the policy.
        as_json: Whether to print one JSON object.

    Returns:
        The file to go on with: the new one, or the old one where nothing is to be done, or where it breaks a rule.

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
    if models.before:
        raise ConfigError("This policy holds for the model before its upgrade: run --fix without --own-slopes first.")
    sloped = own_slopes(old.policy, models.fingerprint)
    for concept, why in sloped.refused.items():
        notice(printable(f"No slope of its own for {concept}, since {why}."))
    version = _plan(old, sloped, notes) if sloped.given else None
    target = None if version is None else version.write()
    if as_json:
        print(json.dumps(_facts(old, sloped, version, target)))  # noqa: T201  results go to stdout
    elif version is None or target is None:
        notice("There is no calibration that --own-slopes may give a slope; no file was written.")
    else:
        show_comparison(compare_version(version))
        notice(
            printable(
                f"{target} was written by {version.new.metadata.author}. It judges as before, score for score: the "
                "digest is another since it names the slopes."
            ),
            style="green",
        )
        show_next(old, target)
    return str(target or old.path)


def _plan(old: PolicyFile, sloped: OwnSlopes, notes: VersionNotes) -> NewVersion:
    why = f"lint --fix --own-slopes: {len(sloped.given)} calibrations have slopes of their own; it judges as before"
    wanted = replace(sloped.policy, metadata=told_metadata(old.path, old.policy, notes, reason=why))
    text = old.path.read_bytes().decode("utf-8-sig")
    return plan_new_version(old.path, old.policy, wanted, entries_of(text, old.policy, wanted), by="--fix")


def _facts(old: PolicyFile, sloped: OwnSlopes, version: NewVersion | None, target: Path | None) -> dict[str, object]:
    return {
        "file": str(old.path),
        "written": str(target) if target else None,
        "given": list(sloped.given),
        "refused": dict(sloped.refused),
        "comparison": compare_version(version).facts if version else None,
    }
