"""clipwarden lint: policy files in; every finding with its line, column and mend out; or a key in, its meaning out."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from clipwarden.cli.exits import Exit
from clipwarden.cli.loading import load_named_model, progress_bar, vector_cache
from clipwarden.engine.snapshot import find_policy
from clipwarden.errors import PolicyError, Problem, Severity
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.file import read_bundle
from clipwarden.policy.bundle.lint import lint_with_model
from clipwarden.policy.bundle.load import is_bundle
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.language.pages import describe, keys_meant
from clipwarden.terminal import notice, printable, stdout


def lint_policies(files: Sequence[str], *, model: str | None, strict: bool, as_json: bool) -> Exit:
    """Check policies and print every finding.

    Args:
        files: Policy files, bundles, or names of shipped policies.
        model: Model folder to check against too, or None.
        strict: Whether a warning is enough to end with `Exit.POLICY`.
        as_json: Print JSON lines.

    Raises:
        ConfigError: There is no such file.
        ModelError: The model cannot be used.
    """
    paths = [find_policy(name) for name in files]
    loaded = None if model is None else load_named_model(model)
    problems = [problem for path in paths for problem in _check(path, loaded)]
    for problem in problems:
        _show(problem, as_json=as_json)
    counts = Counter(problem.severity for problem in problems)
    notice(_summary(len(paths), counts), style=_style(counts))
    refused = counts[Severity.ERROR] or (strict and counts[Severity.WARNING])
    return Exit.POLICY if refused else Exit.OK


def explain_key(path: str, *, as_json: bool) -> None:
    """Print what a key of the policy language is for, at each place where it may stand.

    Args:
        path: A key, or the end of the path to it.
        as_json: Print JSON lines.

    Raises:
        ConfigError: There is no such key.
    """
    for facts in map(describe, keys_meant(path)):
        if as_json:
            print(json.dumps(facts))  # noqa: T201  results go to stdout
            continue
        stdout().print(Text(str(facts.pop("key")), style="bold"))
        for name, fact in facts.items():
            for text in _lines(fact):
                stdout().print(Text.assemble((f"  {name:8} ", "dim"), text), soft_wrap=True)


def _lines(fact: object) -> list[str]:
    if isinstance(fact, dict):
        return [f"{word}: {meaning}" for word, meaning in fact.items()]
    return [", ".join(fact) if isinstance(fact, list) else str(fact)]


def _check(path: Path, model: Model | None) -> Sequence[Problem]:
    if is_bundle(path):
        return _check_bundle(path)
    try:
        loaded = load_policy(path)
    except PolicyError as error:
        return error.problems
    if model is None:
        return loaded.warnings
    with progress_bar(f"Embedding the texts of {path.name}") as advance:
        found = lint_with_model(loaded.policy, model, loaded.positions, cache=vector_cache(), progress=advance)
    return sorted({*loaded.warnings, *found}, key=lambda problem: (problem.line, problem.column, problem.code))


def _check_bundle(path: Path) -> Sequence[Problem]:
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
