"""Drawings in; how high each comes as it may be uploaded, over all views of a plan, out: what lines of a plan stand on.

Each drawing is laid out once, as the mix of `layouts` deals. Whoever stands beside another is harmless too.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.progress import track

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.tuning.metrics import Floats
from clipwarden.vision.plan import Views
from clipwarden.vision.rendering import Picture, render
from recipes.mini.evidence import Evidence, Mask
from recipes.mini.heldout import SEED, HeldOut, Vectors
from recipes.mini.layouts import Layout, deal
from recipes.mini.moderation import score_cases

_CHUNK: Final = 16
_Job = tuple[int, Layout]
Rows = npt.NDArray[np.int64]


def uploaded_margins(held: HeldOut, model: Model, evidence: Evidence, compiled: CompiledPolicy) -> Floats:
    """Compute the greatest margin of each drawing over the views of a policy's plan.

    Args:
        held: The drawings.
        model: That embeds them.
        evidence: What is known of them; only harmless drawings that count in rates are laid out.
        compiled: The policy.

    Returns:
        [K,C], in logits; NaN of the others.
    """
    harmless = _harmless(evidence)
    rows = evidence.rows[harmless]
    layouts = deal(np.random.default_rng(SEED), len(rows))
    alone = np.array([layout.name == "single" for layout in layouts])
    margins = score_cases(held.vectors(rows, "clean"), compiled).margin
    jobs = [(at, layout) for at, layout in enumerate(layouts) if not alone[at]]
    vectors, counts = _embedded(held, model, rows, jobs, compiled.policy.plan.views)
    starts = np.cumsum([0, *counts[:-1]])
    margins[~alone] = np.maximum.reduceat(score_cases(vectors, compiled).margin, starts, axis=0)
    found = np.full((len(evidence.rows), margins.shape[1]), np.nan)
    found[harmless] = margins
    return found


def _harmless(evidence: Evidence) -> Mask:
    harmless: Mask = evidence.listed & np.all([evidence.negative(name) for name in evidence.truth], axis=0)
    return harmless


def _embedded(held: HeldOut, model: Model, rows: Rows, jobs: Sequence[_Job], views: Views) -> tuple[Vectors, list[int]]:
    """Embed pictures: all their views, and how many each has; once a model, plan and mix, and kept."""
    path = held.cache / f"uploads-{views.value}-{len(jobs)}.npz"
    if not path.exists():
        chunks = [jobs[at : at + _CHUNK] for at in range(0, len(jobs), _CHUNK)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = pool.map(partial(_chunk, held, model, rows, views), chunks)
            parts = list(track(done, f"embed uploads under {views.value}", total=len(chunks)))
        np.savez(
            path, vectors=np.concatenate([each for each, _ in parts]), counts=np.concatenate([n for _, n in parts])
        )
    with np.load(path) as kept:
        return kept["vectors"], kept["counts"].tolist()


def _chunk(
    held: HeldOut,
    model: Model,
    rows: Rows,
    views: Views,
    jobs: Sequence[_Job],
) -> tuple[Vectors, list[int]]:
    pixels = [render(_picture(held, rows, *job), model.manifest.image, views).pixels for job in jobs]
    return model.image.encode(np.concatenate(pixels)), [len(each) for each in pixels]


def _picture(held: HeldOut, rows: Rows, at: int, layout: Layout) -> Picture:
    chance = np.random.default_rng([SEED, int(rows[at])])
    others = [held.rgba(int(rows[other])) for other in chance.integers(0, len(rows), layout.others)]
    image = layout.compose(held.rgba(int(rows[at])), others, int(chance.integers(layout.places)), chance)
    return Picture(image=image, size=image.size)
