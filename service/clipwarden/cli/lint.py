"""clipwarden lint: policy files in; every finding with its line, column and mend out; or a key in, its meaning out."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from clipwarden.cli.exits import Exit
from clipwarden.errors import ConfigError, FingerprintMismatchError, PolicyError, Problem, Severity
from clipwarden.terminal import notice, printable, stdout
from clipwarden.textfiles.findings import Positions, in_file_order

if TYPE_CHECKING:
    from clipwarden.cli.lintpictures import Trial
    from clipwarden.modelfolder.load import Model
    from clipwarden.policy.schema import Policy


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
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="FOLDER", help="Say what each line would do to these pictures, with --model."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 3 on warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line a finding, or a key.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a mended version beside the file, NAME-VERSION.yaml, then check that.")
    ] = False,
    own_slopes: Annotated[
        bool,
        typer.Option("--own-slopes", help="With --fix: give each calibration the slope that it has from the file."),
    ] = False,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="With --fix: the new version. Default: the next free one.")
    ] = None,
    author: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --fix: who writes it. Default: the login name.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --fix: why. Default: what was mended.")
    ] = None,
    approved_by: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --fix: who else stands for it. Default: nobody.")
    ] = None,
) -> Exit:
    """Check policy files and say what to mend.

    Every finding comes as `FILE:LINE:COLUMN: error|warning|note: MESSAGE MEND [RULE]`, which editors and CI can read;
    what has no place in a file, as in a bundle, as `FILE: error|...`. Notes are nothing to mend: they tell what
    somebody waived, and what lines would stop.

    Thresholds and calibrations that no longer hold are found where the policy names its model's fingerprint. With
    --model the policy is also checked against that model: texts that its tokenizer would cut off, prompts and
    negatives that it can hardly tell apart, words that it does not know, another fingerprint.

    With --on it also says how many of a folder's pictures each line would stop, equal files counted once, and warns of
    lines that fire on most of them or that lie far above all; for the embedded model it says so of drawings that ship
    with it.

    With --explain no file is read: it tells what a key of the policy language is for, what may stand behind it, and
    what holds without it.

    With --fix thresholds of old policies get a `chosen_on` where the category's `fitted_on` still holds, and those of
    the attributes it asks for. That takes the numbers on trust, since nobody can know whether they were chosen after
    the fit. Nothing else is mended, and no file is changed: NAME-VERSION.yaml is new, NAME.yaml stays live until
    `clipwarden restore`. It needs the model's fingerprint, from the policy or --model. Where --model was written by
    `clipwarden models upgrade`, numbers that hold for the folder it was made from are taken over, on the same trust:
    pictures without a colour profile get the scores that they got before.

    With --fix --own-slopes each calibration of a margin that still holds gets `slope`, which it had from
    `model.calibration_scale` so far: nothing is judged otherwise, and from then on one category can be fitted again
    without voiding the others. What does not hold gets none.

    **Examples**

    - `clipwarden lint policies/*.yaml`

    - `clipwarden lint mine.yaml --model ./clip-b32 --strict`

    - `clipwarden lint mine.yaml --model ./clip-b32 --on uploads/`

    - `clipwarden lint --explain thresholds.review`

    - `clipwarden lint mine.yaml --fix --approved-by kim@example.com`

    **Exit codes**: 0 no errors (with --strict: no warnings either) · 3 errors · 2 wrong usage · 4 unusable model.
    """
    if on and not model:
        raise ConfigError('--on needs --model, which is to see the pictures: a model folder, or "mini".')
    if explain and not (files or fix):
        return _explain(explain, as_json=as_json)
    notes = {"version": version, "author": author, "reason": reason, "approved_by": approved_by}
    if not fix and any(notes.values()):
        raise ConfigError("--version, --author, --reason and --approved-by are about the version that --fix writes.")
    if own_slopes and not fix:
        raise ConfigError("--own-slopes is about what --fix writes: write --fix --own-slopes.")
    if fix and files and not explain:
        files = [_fix(files, notes, own_slopes=own_slopes, model=model, as_json=as_json)]
    if files and not explain:
        return _lint(files, model=model, on=on, strict=strict, as_json=as_json)
    raise ConfigError("Name policies to check, or a key to --explain.")


def _fix(
    files: Sequence[str], notes: Mapping[str, str | None], *, own_slopes: bool, model: str | None, as_json: bool
) -> str:
    from clipwarden.cli.fixing import fix_policy
    from clipwarden.cli.slopes import fix_slopes
    from clipwarden.policy.newversion import VersionNotes

    mend = fix_slopes if own_slopes else fix_policy
    return mend(files, VersionNotes(**notes), model=model, as_json=as_json)


def _lint(files: Sequence[str], *, model: str | None, on: str | None, strict: bool, as_json: bool) -> Exit:
    from clipwarden.cli.loading import load_named_model
    from clipwarden.engine.snapshot import find_policy

    paths = [find_policy(name) for name in files]
    loaded = None if model is None else load_named_model(model)
    trial = None if loaded is None else _trial(loaded, on)
    problems = [problem for path in paths for problem in findings_of(path, loaded, trial)]
    problems = [*(trial.about_pictures if trial else ()), *problems]
    for problem in problems:
        _show(problem, as_json=as_json)
    if trial and trial.advice:
        notice(trial.advice)
    counts = Counter(problem.severity for problem in problems)
    untried = "" if model or counts[Severity.ERROR] or counts[Severity.WARNING] else _untried(paths)
    notice(_summary(len(paths), counts, untried), style=_style(counts))
    refused = counts[Severity.ERROR] or (strict and counts[Severity.WARNING])
    return Exit.POLICY if refused else Exit.OK


def _untried(paths: Sequence[Path]) -> str:
    """Say what a policy was not checked for, and which model to name for that."""
    from clipwarden.cli.policyfile import read_policy

    (model, *others) = {_option(read_policy(str(path)).fingerprint) for path in paths}
    return f"; texts and numbers were not tried with the model: add `--model {'FOLDER' if others else model}`"


def _option(model: str | None) -> str:
    """Write the model of a fingerprint as `--model` takes it."""
    from clipwarden.modelfolder.fingerprint import fingerprint
    from clipwarden.modelfolder.load import EMBEDDED_MODEL, embedded_model_path, load_manifest

    return EMBEDDED_MODEL if model == fingerprint(load_manifest(embedded_model_path())) else "FOLDER"


def _raised(problem: Problem) -> Problem:
    """Make an error of a warning that only what runs already may pass over."""
    return replace(problem, severity=Severity.ERROR) if problem.strict else problem


def _trial(model: "Model", folder: str | None) -> "Trial | None":
    from clipwarden.cli.lintpictures import trial_on

    return trial_on(model, folder)


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


def findings_of(path: Path, model: "Model | None" = None, trial: "Trial | None" = None) -> Sequence[Problem]:
    """Return what lint says about a file, for commands that put policies in force too."""
    return [_raised(problem) for problem in _check(path, model, trial)]


def _check(path: Path, model: "Model | None", trial: "Trial | None") -> Sequence[Problem]:
    from clipwarden.cli.loading import progress_bar, vector_cache
    from clipwarden.policy.bundle.bindings import lint_without_model
    from clipwarden.policy.bundle.compile import compile_to_measure
    from clipwarden.policy.bundle.lint import lint_with_model
    from clipwarden.policy.bundle.load import is_bundle
    from clipwarden.policy.language.load import load_policy
    from clipwarden.policy.language.subjects import waived
    from clipwarden.policy.versions import misnamed_version, reused_version

    if is_bundle(path):
        return _check_bundle(path, model, trial)
    try:
        loaded = load_policy(path)
    except PolicyError as error:
        return error.problems
    versions = filter(None, (reused_version(path), misnamed_version(path)))
    known = {*loaded.warnings, *waived(loaded.policy, loaded.positions), *versions}
    if model is None:
        return in_file_order({*known, *lint_without_model(loaded.policy, loaded.positions)})
    cache = vector_cache()
    with progress_bar(f"Embedding the texts of {path.name}") as advance:
        found = lint_with_model(loaded.policy, model, loaded.positions, cache=cache, progress=advance)
    found = tuple(_told_of_upgrade(each, loaded.policy, model) for each in found)
    if trial and (compiled := compile_to_measure(loaded.policy, model=model, cache=cache)):
        found = (*found, *trial.look(compiled, loaded.positions))
    return in_file_order({*known, *found})


def _told_of_upgrade(problem: Problem, policy: "Policy", model: "Model") -> Problem:
    """Say the way over where a policy is bound to what the model was before `clipwarden models upgrade`."""
    from clipwarden.modelfolder.upgrade import fingerprint_before

    if problem.code != "fingerprint-mismatch" or policy.model.fingerprint != fingerprint_before(
        model.manifest, policy.model.fingerprint
    ):
        return problem
    fix = (
        f"`clipwarden lint {shlex.quote(problem.file)} --fix --model {_option(model.fingerprint)} --approved-by NAME` "
        "takes its numbers over on trust; or choose them again for this one and write its fingerprint."
    )
    message = f"{problem.message.removesuffix('.')}, which is what that one became by `clipwarden models upgrade`."
    return replace(problem, message=message, fix=fix)


def _check_bundle(path: Path, model: "Model | None", trial: "Trial | None") -> Sequence[Problem]:
    from clipwarden.policy.bundle.file import read_bundle
    from clipwarden.policy.bundle.load import COMPILE_AGAIN, load_bundle
    from clipwarden.policy.language.subjects import waived

    found: list[Problem] = []
    try:
        if model:
            compiled = load_bundle(path, model, found.append, to_judge=False)
        else:
            compiled = read_bundle(path, on_warning=found.append, to_judge=False)
    except PolicyError as error:
        return error.problems
    except FingerprintMismatchError as error:
        message = str(error).removesuffix(f" {COMPILE_AGAIN}")
        other = Problem(
            file=str(path), line=0, column=0, message=message, fix=COMPILE_AGAIN, code="fingerprint-mismatch"
        )
        return in_file_order({*found, other})
    positions = Positions(file=str(path))
    return in_file_order(
        {*found, *waived(compiled.policy, positions), *(trial.look(compiled, positions) if trial else ())}
    )


def _show(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        facts = asdict(problem)
        print(json.dumps(facts | facts.pop("facts")))  # noqa: T201  results go to stdout
        return
    rest = str(problem).removeprefix(f"{problem.where} {problem.severity}: ")
    style = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}[problem.severity]
    line = Text.assemble((printable(problem.where), "bold"), " ", (f"{problem.severity}:", style), " ", printable(rest))
    # One finding is one line, however long: editors and grep read it.
    stdout().print(line, soft_wrap=True)


def _summary(files: int, counts: Counter[Severity], untried: str) -> str:
    found = [
        f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
        if counts[severity]
    ]
    if not (counts[Severity.ERROR] or counts[Severity.WARNING]):
        found.insert(0, "nothing to mend")
    return f"{files} polic{'y' if files == 1 else 'ies'} checked: {', '.join(found)}{untried}."


def _style(counts: Counter[Severity]) -> str:
    if counts[Severity.ERROR]:
        return "bold red"
    return "yellow" if counts[Severity.WARNING] else "green"
