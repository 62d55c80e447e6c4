"""clipwarden restore: a policy's name and a version in; that version live, and the one that was kept, out."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.errors import ConfigError, PolicyError, Severity
from clipwarden.terminal import notice, printable

if TYPE_CHECKING:
    from pathlib import Path

    from clipwarden.cli.comparison import Comparison
    from clipwarden.policy.versions import Restoration

_TAKEN = "Servers that watch it take it by themselves; send the others SIGHUP."


def restore(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The live policy file, with or without .yaml.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that is to become live.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and say everything, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a version of a policy live again, and keep the one that was.

    NAME.yaml is the live file, which servers load; NAME-VERSION.yaml beside it is one version. The version is checked
    first, and refused where a server would refuse to load it; what lint alone refuses is a warning here, so that
    yesterday's version can come back. Then NAME.yaml is kept as NAME-(its version).yaml, unless it already is, and
    replaced in one step. No version is ever overwritten. What changes is printed.

    Servers that watch the file take it by themselves; the others do at SIGHUP.

    **Examples**

    - `clipwarden restore policies/marketplace 1.4.0 --dry-run`

    - `clipwarden restore policies/marketplace.yaml 1.4.0`

    **Exit codes**: 0 the version is live · 2 there is no such version, or what is live cannot be kept · 3 the version
    is refused · 1 a file cannot be written. Unless it is 0, what was live still is.
    """
    from clipwarden.policy.versions import files_of, plan_restoration

    files = files_of(name)
    plan = plan_restoration(files, version)
    comparison = _check(plan, version)
    if not dry_run:
        plan.carry_out()
    if as_json:
        print(json.dumps(_facts(plan, comparison, version, written=not dry_run)))  # noqa: T201  results go to stdout
        return
    if comparison is not None:
        from clipwarden.cli.changes import show_comparison

        show_comparison(comparison)
    notice(printable(_said(plan, version, written=not dry_run)), style="yellow" if dry_run else "green")


def _check(plan: "Restoration", version: str) -> "Comparison | None":
    """Refuse what no server loads, and warn of the rest; compare with what is live, if that can be read."""
    from clipwarden.cli.comparison import compare
    from clipwarden.cli.lint import findings_of
    from clipwarden.cli.policyfile import read_policy

    source = plan.files.of(version)
    problems = findings_of(source)
    if any(problem.severity is Severity.ERROR and not problem.strict for problem in problems):
        raise PolicyError(problems)
    for problem in problems:
        notice(printable(str(replace(problem, severity=Severity.WARNING) if problem.strict else problem)))
    new = read_policy(str(source))
    if plan.before is None:
        return None
    try:
        old = read_policy(str(plan.files.live))
    except PolicyError:
        notice(printable(f"{plan.files.live} cannot be used as it is, so that it is compared with nothing."))
        return None
    ours, theirs = old.policy.metadata.id, new.policy.metadata.id
    if ours != theirs:
        raise ConfigError(f'{source} is a version of "{theirs}", but {plan.files.live} is "{ours}".')
    return compare(old, new)


def _said(plan: "Restoration", version: str, *, written: bool) -> str:
    live = plan.files.live
    if plan.before == plan.after:
        return f"Version {version} is live already: {live} is as {plan.files.of(version)}."
    kept = f" What was live is kept in {plan.keep}." if plan.keep else ""
    if not written:
        kept = f", and what is live would be kept in {plan.keep}" if plan.keep else ""
        return f"Nothing was written. {live} would become version {version}{kept}."
    return f"Version {version} is live: {live} is as {plan.files.of(version)}.{kept} {_TAKEN} {_stops(live)}"


def _stops(live: "Path") -> str:
    """Count what a policy stops by: whoever made a version live that only watches is to see it."""
    from clipwarden.policy.contexts import enforced_anywhere
    from clipwarden.policy.language.load import load_policy
    from clipwarden.policy.schema import Mode

    categories = load_policy(live).policy.categories
    stop = sum(enforced_anywhere(each) for each in categories)
    watch = sum(each.mode is Mode.SHADOW and not enforced_anywhere(each) for each in categories)
    nothing = " Nothing stops an upload." if categories and not stop else ""
    return f"{stop} of its categories {'stops' if stop == 1 else 'stop'}, {watch} only {_watch(watch)}.{nothing}"


def _watch(count: int) -> str:
    return "watches" if count == 1 else "watch"


def _facts(plan: "Restoration", comparison: "Comparison | None", version: str, *, written: bool) -> dict[str, object]:
    return {
        "live": str(plan.files.live),
        "version": version,
        "source": str(plan.files.of(version)),
        "kept": str(plan.keep) if plan.keep else None,
        "written": written and plan.before != plan.after,
        "comparison": None if comparison is None else comparison.facts,
    }
