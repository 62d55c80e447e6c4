"""Write fitted biases, thresholds and modes into a policy file, its comments and prompts untouched."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.digest import fit_digest, lines_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.fitting import (
    bias_at,
    fit_platt,
    threshold_for,
)
from recipes.mini.heldout import HeldOut
from recipes.mini.labels import read_labels
from recipes.mini.moderation import gather_cases, score_cases
from recipes.mini.sets import SELECTION_SETS

# Prior of one offending sticker in fifty; thresholds come from rates, so it only shapes how scores read.
PREVALENCE: Final = 0.02
REVIEW_FALSE_POSITIVES: Final = 0.015
BLOCK_FALSE_POSITIVES: Final = 0.002

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


def fit_policy(path: Path, model: Model, held: HeldOut, shadow: frozenset[str]) -> dict[str, Setting]:
    """Fit a policy on the selection sets and write the result into its file.

    Args:
        path: The policy in YAML.
        model: The model it will be bound to.
        held: The held-out drawings; only selection sets are read.
        shadow: Categories that stay in shadow.

    Returns:
        The settings by category.
    """
    bare = _rewrite(path.read_text(), {}, "model: {calibration_scale: 1.0}")
    compiled = compile_policy(parse_policy(bare, file=str(path)).policy, model=model)
    cases = gather_cases(held, SELECTION_SETS, read_labels())
    scores = score_cases(held.vectors(cases.rows, "clean"), compiled)
    truths = [cases.truth[c.id] for c in scores.categories]
    clear = [t != "ambiguous" for t in truths]
    fit = fit_platt(
        [(scores.margin[k, i], t[k] == "positive") for i, (t, k) in enumerate(zip(truths, clear, strict=True))]
    )
    slope = float(f"{fit.slope:.4g}")
    settings = {}
    for index, (category, truth) in enumerate(zip(scores.categories, truths, strict=True)):
        bias = round(bias_at(fit.biases[index], PREVALENCE), 3)
        negatives = sigmoid(slope * scores.margin[(truth != "positive") & (truth != "ambiguous"), index] + bias)
        settings[category.id] = Setting(
            mode="shadow" if category.id in shadow else "enforce",
            bias=bias,
            review=threshold_for(negatives, REVIEW_FALSE_POSITIVES),
            block=threshold_for(negatives, BLOCK_FALSE_POSITIVES),
        )
    _write(path, bare, model.fingerprint, slope, settings)
    return settings


def _write(path: Path, bare: str, fingerprint: str, slope: float, settings: Mapping[str, Setting]) -> None:
    policy = parse_policy(bare, file=str(path)).policy
    lines: dict[str, list[str]] = {}
    for category in policy.categories:
        setting = settings[category.id]
        digest = fit_digest(category, fingerprint=fingerprint, calibration_scale=slope)
        lines[category.id] = [
            f"  mode: {setting.mode}",
            f'  calibration: {{bias: {setting.bias}, prevalence: {PREVALENCE}, fitted_on: "{digest}"}}',
            f"  thresholds: {{unit: score, review: {setting.review}, block: {setting.block}}}",
        ]
    model_line = f'model: {{fingerprint: "{fingerprint}", calibration_scale: {slope}}}'
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
