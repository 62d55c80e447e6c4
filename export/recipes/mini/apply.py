"""Write fitted biases, thresholds and modes into a policy file, its comments and prompts untouched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.entries import entries_of
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.lines import choose_lines as bind_lines
from clipwarden.policy.schema import Bounds, Calibration, Category, Mode, ModelBinding, Policy, Thresholds, Unit
from clipwarden.scoring.score import sigmoid
from clipwarden.textfiles.editing import Entry, edit_maps
from clipwarden.textfiles.rendering import Word
from clipwarden.tuning.fitting import Labelled, bias_at, fit_platt
from clipwarden.vision.plan import WHOLE, ViewPlan
from recipes.mini.gather import gather_evidence
from recipes.mini.heldout import HeldOut
from recipes.mini.labels import read_labels
from recipes.mini.lines import choose_lines
from recipes.mini.moderation import gather_cases, score_cases
from recipes.mini.sets import SELECTION_SETS
from recipes.mini.uploads import uploaded_margins

# Prior of one offending sticker in fifty; thresholds come from rates, so it only shapes how scores read.
PREVALENCE: Final = 0.02
# Training drawings choose lines beside those that the model never saw: they are many, and of forty families.
CHOOSING: Final = ("selection", "training")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a category's lines say after the fit.

    Attributes:
        bias: `b`, at the policy's prevalence.
        review: Score from which a person looks.
        block: Score from which it is blocked.
    """

    bias: float
    review: float
    block: float


def fit_policy(path: Path, model: Model, held: HeldOut) -> dict[str, Setting]:
    """Fit a policy without its report sets and write the result into its file, every category in shadow.

    The calibration comes from the selection sets alone, which the model never saw; so do the lines, and from the
    training sets beside them. Under another plan than `whole` lines keep their rates also where each drawing is laid
    out as an upload may be, of more views than one; the calibration stays one of drawings alone, which are one view
    under every plan.

    Args:
        path: The policy in YAML.
        model: The model it will be bound to.
        held: The drawings; report sets are not read.

    Returns:
        The settings by category.
    """
    compiled = compile_policy(bare(load_policy(path).policy), model=model)
    ids = tuple(category.id for category in compiled.policy.categories)
    evidence = gather_evidence(held, CHOOSING, ids)
    margins = score_cases(held.vectors(evidence.rows, "clean"), compiled).margin
    laid_out = None if compiled.policy.plan == WHOLE else uploaded_margins(held, model, evidence, compiled)
    slope, biases = _calibrate(held, compiled)
    everything = np.ones(len(evidence.rows), np.bool_)
    settings = {}
    for index, name in enumerate(ids):
        scores = sigmoid(slope * margins[:, index] + biases[index])
        uploads = None if laid_out is None else sigmoid(slope * laid_out[:, index] + biases[index])
        lines = choose_lines(scores, evidence, name, everything, uploads)
        settings[name] = Setting(bias=biases[index], **lines)
    write_settings(path, model.fingerprint, slope, settings)
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


def bare(policy: Policy) -> Policy:
    """Take out of a policy what a fit puts in: every category is left in shadow.

    Args:
        policy: As parsed.

    Returns:
        The policy, bound to no model.
    """
    empty = (replace(each, mode=Mode.SHADOW, calibration=None, thresholds=None) for each in policy.categories)
    return replace(policy, model=ModelBinding(), categories=tuple(empty))


def write_settings(path: Path, fingerprint: str, slope: float, settings: Mapping[str, Setting]) -> None:
    """Write a fit into its file, every category in shadow; comments and all else stay.

    Args:
        path: The policy in YAML.
        fingerprint: Of the model.
        slope: The scale that all categories share.
        settings: By category.
    """
    text = path.read_text()
    old = parse_policy(text, file=str(path)).policy
    model = ModelBinding(fingerprint=fingerprint, calibration_scale=slope)
    categories = tuple(_fitted(each, settings[each.id], model, old.plan) for each in bare(old).categories)
    new = bind_lines(replace(old, model=model, categories=categories), fingerprint)
    _write(path, text, old, new)


def _fitted(category: Category, setting: Setting, model: ModelBinding, plan: ViewPlan) -> Category:
    fingerprint, scale = str(model.fingerprint), model.calibration_scale
    digest = fit_digest(category, fingerprint=fingerprint, calibration_scale=scale, plan=plan)
    return replace(
        category,
        calibration=Calibration(bias=setting.bias, prevalence=PREVALENCE, fitted_on=digest),
        thresholds=Thresholds(unit=Unit.SCORE, bounds=Bounds(review=setting.review, block=setting.block)),
    )


def set_modes(path: Path, enforced: frozenset[str]) -> None:
    """Write modes into a fitted policy file; nothing else changes.

    Args:
        path: The policy in YAML.
        enforced: Categories to enforce; the others stay in shadow.
    """
    text = path.read_text()
    old = parse_policy(text, file=str(path)).policy
    modes = (Mode.ENFORCE if each.id in enforced else Mode.SHADOW for each in old.categories)
    categories = tuple(replace(each, mode=mode) for each, mode in zip(old.categories, modes, strict=True))
    _write(path, text, old, replace(old, categories=categories))


def _write(path: Path, text: str, old: Policy, new: Policy) -> None:
    path.write_text(edit_maps(text, [*_own_entries(old, new), *entries_of(text, old, new)]))
    if load_policy(path).policy != new:  # a file that does not say what was fitted is found here, not by its reader
        message = f"{path} is laid out in a way that the recipe cannot edit"
        raise ValueError(message)


def _own_entries(old: Policy, new: Policy) -> Iterator[Entry]:
    """Say what only the recipe changes: modes, and the scale that all categories share."""
    if old.model.calibration_scale != new.model.calibration_scale:
        yield Entry(path=("model",), key="calibration_scale", value=new.model.calibration_scale)
    for index, (was, now) in enumerate(zip(old.categories, new.categories, strict=True)):
        if was.mode is not now.mode:
            yield Entry(path=("categories", index), key="mode", value=Word(now.mode.value))
