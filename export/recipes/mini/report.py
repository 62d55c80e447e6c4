"""Gather every figure of the model card into one record, and write it as tables."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from clipwarden.modelfolder.load import Model, load_model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Mode
from recipes.mini.export import load_tower
from recipes.mini.graphs import PixelTower
from recipes.mini.heldout import HeldOut
from recipes.mini.labels import read_labels
from recipes.mini.moderation import Scores, category_report, gather_cases, score_cases
from recipes.mini.recall import NameVectors, recall_table
from recipes.mini.sets import REPORT_SETS, SELECTION_SETS
from recipes.mini.trained import read_trained

HEADLINE: Final = {"report": "emojione", "selection": "noto-v1"}
_SETS: Final = {"report": REPORT_SETS, "selection": SELECTION_SETS}
_HARD_VIEWS: Final = ("clutter", "rotated_15", "quarter_canvas", "jpeg_q30")
_BATCH: Final = 128
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is measured.

    Attributes:
        work: The work folder.
        model: The exported model.
        compiled: The policy compiled for it.
        held: The held-out drawings.
    """

    work: Path
    model: Model
    compiled: CompiledPolicy
    held: HeldOut


def load_subject(work: Path, model_folder: Path, policy_file: Path, threads: int) -> Subject:
    """Load the model and the policy.

    Args:
        work: The work folder.
        model_folder: The exported model.
        policy_file: A policy in YAML.
        threads: Of onnxruntime.

    Returns:
        What is measured.
    """
    model = load_model(model_folder, threads=threads)
    compiled = compile_policy(load_policy(policy_file).policy, model=model)
    return Subject(work=work, model=model, compiled=compiled, held=HeldOut(work, model))


def evaluate(subject: Subject, role: str) -> Record:
    """Measure everything on the sets of one role.

    Args:
        subject: What is measured.
        role: `selection`, as often as needed, or `report`, once, at the end.

    Returns:
        The record, also written to `report.json` or `selection.json` in the work folder.
    """
    if subject.model.text is None:
        message = "the model folder has no text encoder to embed names with"
        raise ValueError(message)
    record: Record = {
        "role": role,
        "fingerprint": subject.model.fingerprint,
        "policy": subject.compiled.digest,
        "recall": recall_table(subject.held, NameVectors(subject.model.text), _SETS[role], HEADLINE[role]),
        "moderation": {view: _moderation(subject, role, view) for view in ("clean", *_HARD_VIEWS)},
        "parity": _parity(subject, role),
    }
    (subject.work / f"{role}.json").write_text(json.dumps(record, indent=1))
    return record


def _moderation(subject: Subject, role: str, view: str) -> list[dict[str, object]]:
    cases = gather_cases(subject.held, _SETS[role], read_labels(), sample=view != "clean")
    scores = score_cases(subject.held.vectors(cases.rows, view), subject.compiled)
    return [category_report(scores, cases, i) for i in range(len(scores.categories))]


def _parity(subject: Subject, role: str) -> Record:
    """Compare verdicts of the exported graph with those of the fp32 training graph, clean views.

    Weights that ship are seldom exported anew, and their checkpoint stays where they were trained: then the figures
    measured there are repeated, with the version of the policy that they were measured under.
    """
    if not (subject.work / "checkpoint.pt").exists():
        known: Record = read_trained()["parity"][role]
        return known
    rows = np.concatenate([subject.held.rows_of(s) for s in _SETS[role]])
    exported = subject.held.vectors(rows, "clean")
    trained = _trained_vectors(subject, rows)
    bands = [verdicts(score_cases(v, subject.compiled)) for v in (exported, trained)]
    return {
        "drawings": len(rows),
        "verdicts_changed": int((bands[0] != bands[1]).sum()),
        "policy": subject.compiled.policy.metadata.version,
        "greatest_distance": float(np.linalg.norm(exported - trained, axis=1).max()),
    }


def _trained_vectors(subject: Subject, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    tower = PixelTower(load_tower(subject.work)[0]).eval()
    blocks = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BATCH):
            pictures = [subject.held.picture(int(row), "clean") for row in rows[start : start + _BATCH]]
            blocks.append(tower(torch.from_numpy(np.stack(pictures))).numpy())
    return np.concatenate(blocks)


def verdicts(scores: Scores) -> npt.NDArray[np.int64]:
    """Judge cases by the enforced categories.

    Args:
        scores: Of the cases.

    Returns:
        0 allow, 1 review, 2 block, int64 [K].
    """
    worst = np.zeros(len(scores.score), np.int64)
    for column, category in enumerate(scores.categories):
        if category.thresholds is None or category.mode is not Mode.ENFORCE:
            continue
        bounds = category.thresholds.bounds
        for level, threshold in ((1, bounds.review), (2, bounds.block)):
            if threshold is not None:
                worst = np.maximum(worst, np.where(scores.score[:, column] >= threshold, level, 0))
    return worst


def tables(record: Record) -> str:
    """Write a record as Markdown.

    Args:
        record: What `evaluate` returned.

    Returns:
        Tables under short headings.
    """
    parts = ["### Recall\n", _recall_markdown(record["recall"])]
    for view, categories in record["moderation"].items():
        parts += [f"\n### Moderation, {view.replace('_', ' ')}\n", _moderation_markdown(categories)]
    parts += ["\n### Cosine, max margin and the margin of the policy (AUROC against all, clean)\n"]
    parts += [_methods_markdown(record["moderation"]["clean"])]
    parity = record["parity"]
    changed = f"{parity['verdicts_changed']} of {parity['drawings']} verdicts changed"
    drift = f"greatest L2 distance {parity['greatest_distance']:.1e}"
    under = f"measured with version {parity['policy']} of the policy"
    parts += [f"\nExported graph against the fp32 training graph, {under}: {changed}; {drift}.\n"]
    return "\n".join(parts)


def _recall_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    head = "| set | view | names | image to name @1 | @5 | name to image @1 | @5 |\n|---|---|---|---|---|---|---|"
    lines = [
        f"| {r['icon_set']}{' (pictures only)' if r['subset'] == 'pictures' else ''} | {r['view']} | {r['names']} | "
        + " | ".join(
            f"{r[key]:.3f}" for key in ("image_to_name_1", "image_to_name_5", "name_to_image_1", "name_to_image_5")
        )
        + " |"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _moderation_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    head = (
        "| category | mode | positives (families) | AUROC, all | AUROC, hard negatives | review: found | wrong "
        "| wrong among hard | block: found | wrong | Brier skill | calibration error |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    lines = []
    for r in rows:
        bands = [cell for band in ("review", "block") for cell in _band_cells(r.get(band), hard=band == "review")]
        lines.append(
            f"| {r['category']} | {r['mode']} | {r['positives']} ({r['families']}) | {_interval(r['auroc'])} | "
            f"{_interval(r['auroc_hard'])} | {' | '.join(bands)} | "
            f"{_plain(r.get('brier_skill'))} | {_plain(r.get('calibration_error'))} |"
        )
    return "\n".join([head, *lines])


def _methods_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    head = "| category | cosine | max margin | margin |\n|---|---|---|---|"
    lines = [
        f"| {r['category']} | {r['auroc_cosine']:.3f} | {r['auroc_max_margin']:.3f} | {r['auroc']['value']:.3f} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _band_cells(band: Mapping[str, Any] | None, *, hard: bool) -> list[str]:
    if band is None:
        return ["-"] * (3 if hard else 2)
    found, wrong, tricky = band["recall"], band["false_positive_rate"], band["false_positive_rate_hard"]
    cells = [
        f"{found['hits']} of {found['of']}",
        f"{100 * wrong['value']:.2f} % ({100 * wrong['low']:.2f}-{100 * wrong['high']:.2f})",
    ]
    return [*cells, f"{tricky['hits']} of {tricky['of']}"] if hard else cells


def _interval(record: Mapping[str, float]) -> str:
    return f"{record['value']:.3f} ({record['low']:.3f}-{record['high']:.3f})"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
