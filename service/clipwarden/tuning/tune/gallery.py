"""Labelled pictures and a limit in; those that are judged wrongly, nearest to the limit first, and why, out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import Tables
from clipwarden.scoring.verdict import CategoryResult
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.cases import Cases


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A picture that was judged wrongly, with what spoke for and against it.

    Attributes:
        sha256: Its digest.
        uri: Its first address.
        score: What thresholds are compared with, by the policy as it is.
        raw: Before calibration.
        distance: From the limit, before calibration; below 0 where it is missed.
        prompt: The winning one; None of a head.
        contrast: The winning negative, or None.
        view: On which ground, as in `on_black`.
        frame: Of an animation.
    """

    sha256: str
    uri: str
    score: float
    raw: float
    distance: float
    prompt: str | None
    contrast: str | None
    view: str
    frame: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Which pictures pay, nearest to the limit first.

    Attributes:
        limit: Which limit, in words.
        at: It, before calibration.
        misses: Harmful ones below it.
        missed: How many there are.
        false_alarms: Harmless ones that reach it.
        alarmed: How many there are.
    """

    limit: str
    at: float
    misses: tuple[Shown, ...]
    missed: int
    false_alarms: tuple[Shown, ...]
    alarmed: int


def gallery(cases: Cases, store: Store, tables: Tables, *, limit: str, at: float, show: int) -> Gallery:
    """Find the pictures that pay for a limit.

    Args:
        cases: Labelled pictures.
        store: Their vectors.
        tables: Of the policy.
        limit: Which limit, in words.
        at: It, before calibration.
        show: How many of each kind.

    Returns:
        Misses and false alarms.
    """
    stopped = cases.scores >= at
    missed, alarmed = cases.positive & ~stopped, ~cases.positive & stopped
    return Gallery(
        limit=limit,
        at=at,
        misses=_shown(cases, store, tables, _nearest(cases, missed, at, show), at),
        missed=int(missed.sum()),
        false_alarms=_shown(cases, store, tables, _nearest(cases, alarmed, at, show), at),
        alarmed=int(alarmed.sum()),
    )


def _nearest(cases: Cases, chosen: NDArray[np.bool_], at: float, show: int) -> list[int]:
    rows = np.flatnonzero(chosen)
    rows = rows[[cases.sha256[row] not in cases.escalated for row in rows.tolist()]]
    order = np.lexsort((cases.u[rows], np.abs(cases.scores[rows] - at)))
    return [int(row) for row in rows[order][:show]]


def _shown(cases: Cases, store: Store, tables: Tables, rows: list[int], at: float) -> tuple[Shown, ...]:
    if not rows:
        return ()
    judged = _judged(cases, store, tables, rows)
    names = _addresses(store, cases.picture[rows])
    return tuple(
        Shown(
            sha256=cases.sha256[row],
            uri=name,
            score=result.scored.score,
            raw=float(cases.scores[row]),
            distance=float(cases.scores[row]) - at,
            prompt=None if result.scored.prompt is None else str(result.scored.prompt.phrase),
            contrast=None if result.scored.contrast is None else str(result.scored.contrast.phrase),
            view=result.scored.view.name,
            frame=result.scored.view.frame,
        )
        for row, name, result in zip(rows, names, judged, strict=True)
        if result.scored is not None
    )


def _judged(cases: Cases, store: Store, tables: Tables, rows: list[int]) -> list[CategoryResult]:
    """Ask the server's own code what it made of each picture."""
    pictures = cases.picture[rows]
    block = store.vectors(pictures)
    table = cosines(block.embeddings, tables.compiled)
    ends = [*block.starts[1:].tolist(), len(table)]
    found = []
    for picture, begin, end in zip(pictures.tolist(), block.starts.tolist(), ends, strict=True):
        first = int(store.pictures.starts[picture])
        judgement = judge(
            table[begin:end],
            store.pictures.views[first : first + end - begin],
            tables,
            context=None,
            partial=bool(store.pictures.partial[picture]),
            degraded=bool(store.pictures.degraded[picture]),
        )
        found.append(next(each for each in judgement.categories if each.id == cases.category))
    return found


def _addresses(store: Store, pictures: NDArray[np.intp]) -> list[str]:
    """Find the first upload of each picture."""
    return [store.uploads.uri[upload] for upload in store.first_uploads[pictures].tolist()]
