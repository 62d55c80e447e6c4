"""clipwarden lint: policy files in; every finding with its line, column and mend out; or a key in, its meaning out."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from clipwarden.cli.exits import Exit
from clipwarden.errors import ConfigError, PolicyError, Problem, Severity
from clipwarden.terminal import notice, printable, stdout

if TYPE_CHECKING:
    from clipwarden.modelfolder.load import Model


def lint(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY...", help="Policy files, bundles, or names of shipped policies."),
    ] = None,
    *,
    explain: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Tell what a key is for, such as thresholds.review, instead of checking."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help='Check against this model folder too, or "mini".')
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 3 on warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line a finding, or a key.")] = False,
) -> Exit:
    """Check policy files and say what to mend.

    Every finding comes as `FILE:LINE:COLUMN: error|warning: MESSAGE MEND [RULE]`, which editors and CI can read.

    Thresholds and calibrations that no longer hold are found where the policy names its model's fingerprint. With
    --model the policy is also checked against that model: texts that its tokenizer would cut off, prompts and
    negatives that it can hardly tell apart, another fingerprint.

    With --explain no file is read: it tells what a key of the policy language is for, what may stand behind it, and
    what holds without it.

    **Examples**

    - `clipwarden lint policies/*.yaml`

    - `clipwarden lint mine.yaml --model ./clip-b32 --strict`

    - `clipwarden lint --explain thresholds.review`

    **Exit codes**: 0 no errors (with --strict: no warnings either) · 3 errors · 2 wrong usage · 4 unusable model.
    """
    if explain and not files:
        return _explain(explain, as_json=as_json)
    if files and not explain:
        return _lint(files, model=model, strict=strict, as_json=as_json)
    raise ConfigError("Name policies to check, or a key to --explain.")


def _lint(files: Sequence[str], *, model: str | None, strict: bool, as_json: bool) -> Exit:
    from clipwarden.cli.loading import load_named_model
    from clipwarden.engine.snapshot import find_policy

    paths = [find_policy(name) for name in files]
    loaded = None if model is None else load_named_model(model)
    problems = [problem for path in paths for problem in _check(path, loaded)]
    for problem in problems:
        _show(problem, as_json=as_json)
    counts = Counter(problem.severity for problem in problems)
    notice(_summary(len(paths), counts), style=_style(counts))
    refused = counts[Severity.ERROR] or (strict and counts[Severity.WARNING])
    return Exit.POLICY if refused else Exit.OK


def _explain(path: str, *, as_json: bool) -> Exit:
    """Print what a key is for, at each place where it may stand."""
    from clipwarden.policy.language.pages import describe, keys_meant

    for facts in map(describe, keys_meant(path)):
        if as_json:
            print(json.dumps(facts))  # noqa: T201  results go to stdout
            continue
        stdout().print(Text(str(facts.pop("key")), style="bold"))
        for name, fact in facts.items():
            for text in _lines(fact):
                stdout().print(Text.assemble((f"  {name:8} ", "dim"), text), soft_wrap=True)
    return Exit.OK


def _lines(fact: object) -> list[str]:
    if isinstance(fact, dict):
        return [f"{word}: {meaning}" for word, meaning in fact.items()]
    return [", ".join(fact) if isinstance(fact, list) else str(fact)]


def _check(path: Path, model: "Model | None") -> Sequence[Problem]:
    from clipwarden.cli.loading import progress_bar, vector_cache
    from clipwarden.policy.bundle.bindings import lint_without_model
    from clipwarden.policy.bundle.lint import lint_with_model
    from clipwarden.policy.bundle.load import is_bundle
    from clipwarden.policy.language.load import load_policy

    if is_bundle(path):
        return _check_bundle(path)
    try:
        loaded = load_policy(path)
    except PolicyError as error:
        return error.problems
    if model is None:
        return _in_order({*loaded.warnings, *lint_without_model(loaded.policy, loaded.positions)})
    with progress_bar(f"Embedding the texts of {path.name}") as advance:
        found = lint_with_model(loaded.policy, model, loaded.positions, cache=vector_cache(), progress=advance)
    return _in_order({*loaded.warnings, *found})


def _in_order(problems: Collection[Problem]) -> Sequence[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column, problem.code))


def _check_bundle(path: Path) -> Sequence[Problem]:
    from clipwarden.policy.bundle.file import read_bundle

    warnings: list[Problem] = []
    try:
        read_bundle(path, on_warning=warnings.append)
    except PolicyError as error:
        return error.problems
    return warnings


def _show(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(problem)))  # noqa: T201  results go to stdout
        return
    place, _, rest = str(problem).partition(f" {problem.severity}: ")
    style = "bold red" if problem.severity is Severity.ERROR else "yellow"
    line = Text.assemble((printable(place), "bold"), " ", (f"{problem.severity}:", style), " ", printable(rest))
    # One finding is one line, however long: editors and grep read it.
    stdout().print(line, soft_wrap=True)


def _summary(files: int, counts: Counter[Severity]) -> str:
    found = ", ".join(
        f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
        if counts[severity]
    )
    return f"{files} polic{'y' if files == 1 else 'ies'} checked: {found or 'nothing to mend'}."


def _style(counts: Counter[Severity]) -> str:
    if counts[Severity.ERROR]:
        return "bold red"
    return "yellow" if counts[Severity.WARNING] else "green"
