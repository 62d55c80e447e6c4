"""clipwarden enforce: a policy and categories in; a version that stops uploads by them, out."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.terminal import notice, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clipwarden.policy.enforcing import Enforcement
    from clipwarden.policy.schema import Category


def enforce(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="Policy file.")],
    categories: Annotated[list[str], typer.Argument(metavar="CATEGORY...", help="What is to stop uploads.")],
    *,
    approved_by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who stands for it: neither who writes it nor who chose its limits.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Default: the next free one.", show_default=False)
    ] = None,
    author: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who writes it. Default: the login name.", show_default=False)
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why. Default: what is enforced.", show_default=False)
    ] = None,
    waive_slice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CATEGORY:SLICE",
            help="Enforce though this slice fails or is not known; --reason says why. Repeatable.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and say everything, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a version of a policy in which categories that only watched stop uploads.

    NAME-VERSION.yaml is written beside the file, with `mode: enforce` for the categories and the names of who wrote it
    and who approved it; numbers, comments and order stay. What changes, and what the limits promise, is printed.
    Nothing stops before the version is live: `clipwarden restore` makes it so.

    Refused where a category has no limits, where they do not hold any more, where a slice of traffic fails or is not
    known (`tune --slice-ceiling`) and is not waived by name, where nobody stands for them but who wrote this or chose
    them, and, unless --reason says why, where nobody labelled what they stop. Waivers are written into the file with
    their reason. What contexts say of a category stays as it is.

    **Examples**

    - `clipwarden enforce mine-1.0.2.yaml weapons --approved-by lee --dry-run`

    - `clipwarden enforce mine-1.0.2.yaml weapons drugs --author kim --approved-by lee --reason "limits of October"`

    - `clipwarden enforce mine-1.0.2.yaml drugs --approved-by lee --waive-slice drugs:country=is --reason "few uploads"`

    **Exit codes**: 0 written · 2 wrong usage, or something does not hold · 3 unusable policy · 1 a file cannot be
    written.
    """
    from clipwarden.engine.snapshot import find_policy
    from clipwarden.policy.enforcing import plan_enforcement
    from clipwarden.policy.newversion import VersionNotes

    path = find_policy(policy)
    notes = VersionNotes(version=version, author=author, reason=reason, approved_by=approved_by)
    plan = plan_enforcement(path, categories, notes, tuple(waive_slice or ()))
    written = None if dry_run else plan.version.write()
    if as_json:
        print(json.dumps(_facts(plan, written)))  # noqa: T201  results go to stdout
        return
    _show(plan)
    _show_written(plan, written)


def _show(plan: "Enforcement") -> None:
    from clipwarden.cli.changes import show_comparison
    from clipwarden.cli.comparison import compare_version

    show_comparison(compare_version(plan.version))
    for category in plan.categories:
        for line in _said(category):
            notice(printable(line))
    for problem in plan.findings:
        notice(printable(str(problem)))


def _said(category: "Category") -> "Iterator[str]":
    """Say what a category's limits rest on, and where they stop nothing all the same."""
    from clipwarden.policy.rests import told_promises
    from clipwarden.policy.slices import findings_of

    chosen = category.thresholds and category.thresholds.chosen_on
    promises = told_promises(category)
    for promise in promises:
        yield f"{category.id}, {promise}."
    for found in findings_of(chosen.evidence if chosen else None):
        yield f"{category.id}, slice {found.sentence}."
    if chosen and not promises:
        yield f"{category.id}: {chosen.reason or 'nothing says what its limits promise'}."
    for name, override in category.contexts.items():
        if override.mode is not None:
            yield f"{category.id} in {name}: stays {override.mode.value}, which the context says."


def _show_written(plan: "Enforcement", written: "Path | None") -> None:
    from clipwarden.cli.fixing import show_next
    from clipwarden.cli.policyfile import read_policy

    metadata, names = plan.version.new.metadata, ", ".join(category.id for category in plan.categories)
    stops = f"{names} will stop uploads once it is live"
    if written is None:
        notice(printable(f"Nothing was written. {plan.version.target} would be version {metadata.version}: {stops}."))
        return
    told = f"{written} was written by {metadata.author} and approved by {metadata.approved_by}: {stops}. Next:"
    notice(printable(told), style="green")
    show_next(read_policy(str(plan.version.source)), written)


def _facts(plan: "Enforcement", written: "Path | None") -> dict[str, object]:
    from clipwarden.cli.comparison import compare_version

    return {
        "file": str(plan.version.source),
        "target": str(plan.version.target),
        "written": written is not None,
        "enforced": [category.id for category in plan.categories],
        "waived": {name: list(slices) for name, slices in plan.waived.items()},
        "findings": [str(problem) for problem in plan.findings],
        "comparison": compare_version(plan.version).facts,
    }
