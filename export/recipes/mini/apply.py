"""Write fitted biases, thresholds and modes into a policy file, its comments and prompts untouched."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest, lines_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.fitting import Labelled, bias_at, fit_platt
from recipes.mini.gather import gather_evidence
from recipes.mini.heldout import HeldOut
from recipes.mini.labels import read_labels
from recipes.mini.lines import choose_lines
from recipes.mini.moderation import gather_cases, score_cases
from recipes.mini.sets import SELECTION_SETS

# Prior of one offending sticker in fifty; thresholds come from rates, so it only shapes how scores read.
PREVALENCE: Final = 0.02
# Training drawings choose lines beside those that the model never saw: they are many, and of forty families.
CHOOSING: Final = ("selection", "training")

_OWNED: Final = ("  mode:", "  calibration:", "  thresholds:")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a category's lines say after the fit.

    Attributes:
        mode: `enforce` or `shadow`.
        bias: `b`, at the policy's prevalence.
        review: Score from which a person looks.
        block: Score from which it is blocked.
    """

    mode: str
    bias: float
    review: float
    block: float


def fit_policy(path: Path, model: Model, held: HeldOut) -> dict[str, Setting]:
    """Fit a policy without its report sets and write the result into its file, every category in shadow.

    The calibration comes from the selection sets alone, which the model never saw; so do the lines, and from the
    training sets beside them.

    Args:
        path: The policy in YAML.
        model: The model it will be bound to.
        held: The drawings; report sets are not read.

    Returns:
        The settings by category.
    """
    bare = _rewrite(path.read_text(), {}, "model: {calibration_scale: 1.0}")
    compiled = compile_policy(parse_policy(bare, file=str(path)).policy, model=model)
    ids = tuple(category.id for category in compiled.policy.categories)
    evidence = gather_evidence(held, CHOOSING, ids)
    margins = score_cases(held.vectors(evidence.rows, "clean"), compiled).margin
    slope, biases = _calibrate(held, compiled)
    everything = np.ones(len(evidence.rows), np.bool_)
    settings = {}
    for index, name in enumerate(ids):
        scores = sigmoid(slope * margins[:, index] + biases[index])
        lines = choose_lines(scores, evidence, name, everything)
        settings[name] = Setting(mode="shadow", bias=biases[index], **lines)
    _write(path, bare, model.fingerprint, slope, settings)
    return settings


def _calibrate(held: HeldOut, compiled: CompiledPolicy) -> tuple[float, list[float]]:
    """Fit the slope and biases on the selection sets."""
    cases = gather_cases(held, SELECTION_SETS, read_labels())
    scores = score_cases(held.vectors(cases.rows, "clean"), compiled)
    truths = [cases.truth[c.id] for c in scores.categories]
    fit = fit_platt(
        [
            Labelled(margins=scores.margin[t != "ambiguous", i], positive=t[t != "ambiguous"] == "positive")
            for i, t in enumerate(truths)
        ]
    )
    return float(f"{fit.slope:.4g}"), [round(bias_at(bias, PREVALENCE), 3) for bias in fit.biases]


def set_modes(path: Path, enforced: frozenset[str]) -> None:
    """Write modes into a fitted policy file; nothing else changes.

    Args:
        path: The policy in YAML.
        enforced: Categories to enforce; the others stay in shadow.
    """
    current, out = "", []
    for line in path.read_text().splitlines():
        started = re.match(r"- id: (\S+)", line)
        current = started[1] if started else current
        mode = "enforce" if current in enforced else "shadow"
        out.append(f"  mode: {mode}" if current and line.startswith("  mode:") else line)
    path.write_text("\n".join(out) + "\n")
    load_policy(path)


def _write(path: Path, bare: str, fingerprint: str, slope: float, settings: Mapping[str, Setting]) -> None:
    policy = parse_policy(bare, file=str(path)).policy
    model_line = f'model: {{fingerprint: "{fingerprint}", calibration_scale: {slope}}}'
    lines: dict[str, list[str]] = {}
    for category in policy.categories:
        setting = settings[category.id]
        digest = fit_digest(category, fingerprint=fingerprint, calibration_scale=slope)
        lines[category.id] = [
            f"  mode: {setting.mode}",
            f'  calibration: {{bias: {setting.bias}, prevalence: {PREVALENCE}, fitted_on: "{digest}"}}',
            f"  thresholds: {{unit: score, review: {setting.review}, block: {setting.block}}}",
        ]
    fitted = parse_policy(_rewrite(bare, lines, model_line), file=str(path)).policy
    for category in fitted.categories:
        chosen = lines_digest(category, fitted, fingerprint=fingerprint)
        lines[category.id][-1] = lines[category.id][-1].removesuffix("}") + f', chosen_on: "{chosen}"}}'
    path.write_text(_rewrite(bare, lines, model_line))
    load_policy(path)  # a file that does not load is found here, not by its reader


def _rewrite(text: str, lines: Mapping[str, list[str]], model_line: str) -> str:
    """Replace the lines this module owns: those of each category, at its end, and the model's."""
    out: list[str] = []
    current = ""
    for line in text.splitlines():
        started = re.match(r"- id: (\S+)", line)
        if started:
            out += lines.get(current, [])
            current = started[1]
        if current and line.startswith(_OWNED):
            continue
        out.append(model_line if line.startswith("model:") else line)
    return "\n".join([*out, *lines.get(current, [])]) + "\n"
