"""What somebody asks of a policy's limits in; the answers shown, and the version that was asked for written, out."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from clipwarden.cli.exits import Exit
from clipwarden.cli.loading import load_named_model, notice_findings, progress_bar, vector_cache
from clipwarden.cli.policyfile import PolicyFile, read_policy
from clipwarden.cli.stages import stage_bar
from clipwarden.cli.tuneasking import ask_confirmation, ask_targets
from clipwarden.cli.tunefacts import facts
from clipwarden.cli.tunetext import show_answers, show_missing, show_plan, show_unasked
from clipwarden.cli.tunewritten import show_written
from clipwarden.errors import ConfigError
from clipwarden.policy.bundle.compile import compile_policy, compile_to_measure
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.newversion import VersionNotes, login_name, tidy
from clipwarden.policy.slices import SliceFinding, open_slices
from clipwarden.terminal import notice, printable
from clipwarden.tuning.labels.model import Design, Labels
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.labels.rows import CellError, category_named
from clipwarden.tuning.scores import require_policy
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.tune.analysis import analyse
from clipwarden.tuning.tune.answers import Analysis, Question
from clipwarden.tuning.tune.looks import Looks, note_look
from clipwarden.tuning.tune.proposing import Grounds, lacking, proposals
from clipwarden.tuning.tune.slices import Gate, gate_again, gate_slices
from clipwarden.tuning.tune.targets import Targets
from clipwarden.tuning.tune.writing import Plan, plan_version, to_refit


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneOptions:
    """What was typed in, read."""

    policy: str
    store: Path
    labels: tuple[Path, ...]
    design: Design | None
    complete: bool
    model: str | None
    only: tuple[str, ...]
    targets: Targets
    slice_ceiling: float | None
    show: int
    engineers: bool
    as_json: bool
    yes: bool
    write: bool
    notes: VersionNotes
    refit: bool

    @property
    def asks(self) -> bool:
        """Whether questions may be asked."""
        return not (self.yes or self.as_json) and sys.stdin.isatty() and sys.stdout.isatty()


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """All that answers rest on."""

    file: PolicyFile
    compiled: CompiledPolicy
    store: Store
    labels: Labels | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The answers to one question.

    Attributes:
        targets: What was asked of each category.
        looks: How often the labels were looked at; None without labels.
        gates: What slices say, where a ceiling was given.
    """

    analysis: Analysis
    targets: dict[str, Targets]
    looks: Looks | None
    gates: tuple[Gate, ...] = ()

    @property
    def exit(self) -> Exit:
        """0, unless something that was asked for cannot be had."""
        return Exit.REVIEW if lacking(self.analysis) or any(not gate.passes for gate in self.gates) else Exit.OK


def run(options: TuneOptions) -> Exit:
    """Answer, show, and write what was asked for.

    Raises:
        ClipwardenError: Something cannot be used; nothing was written.
    """
    inputs = _read(options)
    by_category = _to_refit(options, inputs)
    if options.refit and not by_category:
        notice("Every calibration and threshold holds; there is nothing to fit again.", style="green")
        return Exit.OK
    if options.write and not (options.targets.asks or by_category or options.asks):
        raise ConfigError("--write needs to know what limits are to keep, such as --block-fpr 1% or --block-wrong 3.")
    found = _answer(options, inputs, options.targets, by_category)
    if options.asks and not (options.targets.asks or by_category):
        show_answers(found, inputs, engineers=options.engineers)
        single = len(found.analysis.categories) == 1
        targets = ask_targets(options.targets, inputs.labels, single=single)
        if targets is None:
            show_unasked(inputs)
            return found.exit
        found = _answer(options, inputs, targets, {})
    plan, why_not = _plan(options, inputs, found)
    if options.as_json:
        path = plan.version.write() if plan and options.write else None
        print(json.dumps(facts(found, inputs, plan, why_not, path)))  # noqa: T201  results go to stdout
        return found.exit
    show_answers(found, inputs, engineers=options.engineers)
    show_plan(plan, why_not, engineers=options.engineers)
    if not any(targets.asks for targets in found.targets.values()):
        show_unasked(inputs)
    if plan and (options.write or options.asks) and _confirmed(options, plan):
        kept_back = {each.id for each in plan.policy.categories if open_slices(each)}
        show_written(inputs.file, plan, plan.version.write(), inputs, kept_back=kept_back)
    show_missing(found.analysis.categories, plan)
    return found.exit


def _confirmed(options: TuneOptions, plan: Plan) -> bool:
    return not options.asks or ask_confirmation(plan)


def _read(options: TuneOptions) -> Inputs:
    store = open_store(options.store)
    file = read_policy(options.policy)
    compiled = file.bundle or _compile(options, file)
    require_policy(store, compiled)  # whatever was asked, this store cannot answer
    labels = None
    if options.labels:
        labels = read_labels(
            options.labels,
            categories=[category.id for category in file.policy.categories],
            design=options.design,
            complete=options.complete,
            store=store,
        )
    elif options.design or options.complete:
        raise ConfigError("--design and --complete are about labels; name their file with --labels.")
    return Inputs(file=file, compiled=compiled, store=store, labels=labels)


def _compile(options: TuneOptions, file: PolicyFile) -> CompiledPolicy:
    """Embed a policy's texts; numbers that do not hold are no reason to refuse it here."""
    notice_findings(file.warnings)
    model, cache = load_named_model(options.model), vector_cache()
    with progress_bar("Embedding texts") as progress:
        del progress  # texts that are known come from the cache
        compiled = compile_to_measure(file.policy, model=model, cache=cache)
    return compiled or compile_policy(file.policy, model=model, cache=cache)


def _to_refit(options: TuneOptions, inputs: Inputs) -> Mapping[str, Targets]:
    """Find what no longer holds, and what was asked of it before, or is asked now."""
    if not options.refit:
        return {}
    fallen = to_refit(inputs.file.policy, inputs.compiled.fingerprint)
    only = _only(options, inputs)
    found = {}
    for category in inputs.file.policy.categories:
        if category.id not in fallen or (only and category.id not in only):
            continue
        chosen = category.thresholds.chosen_on if category.thresholds else None
        evidence = chosen.evidence if chosen else None
        if options.targets.asks:
            found[category.id] = options.targets
        elif evidence and Targets.read(evidence.targets).asks:
            found[category.id] = _again(category.id, Targets.read(evidence.targets), options.targets, inputs.labels)
        else:
            raise ConfigError(
                f"Nothing says what was asked of {category.id} when its limits were chosen: say it, such as with "
                "--block-fpr 1% or --review-recall 80%."
            )
    return found


def _again(category: str, before: Targets, now: Targets, labels: Labels | None) -> Targets:
    """Ask as before, at the prevalence that is stated now, if any is; what other labels promise is left to those."""
    if now.prevalence is not None:
        before = replace(before, prevalence=now.prevalence)
    if labels is None:
        return before
    served, left = before.served_by(labels.design)
    if not served.asks:
        raise ConfigError(f"{category} was chosen by other labels ({', '.join(left)}): name those with --labels.")
    if left:
        again = " ".join(f"--{option}" for option in left)
        notice(
            printable(f"{category}: these labels do not serve {again}; tune the new version by the others for that.")
        )
    return served


def _only(options: TuneOptions, inputs: Inputs) -> tuple[str, ...]:
    declared = [category.id for category in inputs.file.policy.categories]
    try:
        return tuple(category_named(name, declared) for name in options.only)
    except CellError as exc:
        raise ConfigError(exc.sentence) from exc


def _answer(options: TuneOptions, inputs: Inputs, targets: Targets, by_category: Mapping[str, Targets]) -> Found:
    only = tuple(by_category) or _only(options, inputs)
    question = Question(
        store=inputs.store,
        compiled=inputs.compiled,
        labels=inputs.labels,
        targets=targets,
        by_category=by_category,
        only=only,
        show=options.show,
    )
    names = question.names
    if targets.prevalence is not None and len(names) > 1:
        raise ConfigError(
            f"--prevalence is how many uploads are like one category, and this is about {', '.join(names)}: choose one "
            "with --only."
        )
    asked = {name: question.targets_of(name) for name in names}
    looks = None if inputs.labels is None else note_look(inputs.labels, inputs.compiled, asked, write=False)
    if looks is not None:
        question = replace(question, looks=looks.counts)
    with stage_bar() as told:
        analysis = analyse(question, told)
    gates: tuple[Gate, ...] = ()
    if options.slice_ceiling is not None:
        gates = gate_slices(question, analysis, options.slice_ceiling)
    elif options.refit:
        gates = gate_again(question, analysis)
    if inputs.labels is not None:  # what was refused showed nothing
        compared = [each.category for each in analysis.categories if each.without]
        looks = note_look(inputs.labels, inputs.compiled, asked, compared=compared)
    return Found(analysis=analysis, targets=asked, looks=looks, gates=gates)


def _plan(options: TuneOptions, inputs: Inputs, found: Found) -> tuple[Plan | None, str | None]:
    """Plan a version; where that cannot be, and nothing was to be written, say why instead."""
    if not any(targets.asks for targets in found.targets.values()):
        return None, None
    grounds = Grounds(
        store=inputs.store,
        labels=inputs.labels,
        compiled=inputs.compiled,
        author=tidy("--author", options.notes.author or login_name()),
        day=datetime.now(UTC).date(),
        slices=_slices(found.gates),
        chosen={} if found.looks is None else found.looks.chosen,
    )
    proposed = proposals(found.analysis, grounds, found.targets)
    if not proposed:
        why = " ".join([*lacking(found.analysis), *_unwritable(found.analysis)])
        if options.write and not lacking(found.analysis):
            raise ConfigError(f"Nothing was written. {why}")
        return None, why
    try:
        plan = plan_version(
            inputs.file.path, proposed, options.notes, fingerprint=inputs.compiled.fingerprint, refit=options.refit
        )
    except ConfigError as exc:
        if options.write:
            raise
        return None, str(exc)
    return plan, None


def _slices(gates: Sequence[Gate]) -> dict[str, list[SliceFinding]]:
    """Keep what slices say in the evidence, too: what does not pass stands in the way of enforcing."""
    said: dict[str, list[SliceFinding]] = {}
    for gate in gates:
        said.setdefault(gate.category, []).extend(gate.findings)
    return said


def _unwritable(analysis: Analysis) -> list[str]:
    return [f"{each.category}: {note}" for each in analysis.categories for note in each.notes]
