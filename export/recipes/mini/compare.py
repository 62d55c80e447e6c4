"""Two versions of the policy and the drawings of a role in; found, wrongly stopped, slices, fixtures and twins, out."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from clipwarden.policy.schema import Mode
from clipwarden.tuning.metrics import wilson
from recipes.mini.checks import differing_twins, hold_fixtures
from recipes.mini.evidence import Evidence, Mask
from recipes.mini.gather import gather_evidence, members
from recipes.mini.heldout import HeldOut
from recipes.mini.identity import read_fixtures, twin_name, uri_of
from recipes.mini.judged import Judged
from recipes.mini.lines import BLOCK, REVIEW, Bands
from recipes.mini.names import tone_of
from recipes.mini.rules import count_slice

_DETAILS: Final = ("people", "dress", "religion", "flags", "disability")
_TONES: Final = ("none", "light", "medium-light", "medium", "medium-dark", "dark")
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The drawings on which versions are compared.

    Attributes:
        held: The drawings.
        evidence: What is known of those of the role, skin tones among them.
        clean: Whether no category has a drawing as a positive or leaves it open [K].
    """

    held: HeldOut
    evidence: Evidence
    clean: Mask


def gather_trial(held: HeldOut, role: str, categories: tuple[str, ...]) -> Trial:
    """Collect the drawings of a role.

    Args:
        held: The drawings.
        role: `selection` or `report`.
        categories: Ids of the policy's categories.

    Returns:
        The trial.
    """
    evidence = gather_evidence(held, (role,), categories)
    clean = np.all([evidence.negative(category) for category in categories], axis=0)
    return Trial(held=held, evidence=evidence, clean=clean)


def compare(trial: Trial, versions: Iterable[Judged]) -> list[Record]:
    """Measure versions of the policy on the same drawings.

    Args:
        trial: The drawings.
        versions: What each version says of them.

    Returns:
        One record a version.
    """
    return [_measure(trial, judged) for judged in versions]


def _measure(trial: Trial, judged: Judged) -> Record:
    evidence, verdicts = trial.evidence, judged.verdicts
    enforced = frozenset(name for name, mode in judged.modes.items() if mode is Mode.ENFORCE)
    return {
        "version": judged.version,
        "categories": {
            name: {"mode": str(judged.modes[name]), **_category(evidence, bands, name)}
            for name, bands in judged.bands.items()
        },
        "verdicts": {
            "verdict": _verdicts(trial, judged.verdicts),
            "if all were enforced": _verdicts(trial, judged.all_enforced),
        },
        "slices": {
            detail: {
                "verdict": _slice(trial, verdicts, trial.clean, detail),
                "if all were enforced": _slice(trial, judged.all_enforced, trial.clean, detail),
                **{n: _slice(trial, b, evidence.negative(n), detail) for n, b in judged.bands.items()},
            }
            for detail in _DETAILS
        },
        "fixtures": hold_fixtures(read_fixtures(), _bands_by_uri(trial, judged), enforced),
        "twins": _twins(trial, judged),
        "tones": _tones(trial, judged.verdicts),
    }


def _category(evidence: Evidence, bands: Bands, name: str) -> Record:
    positive = evidence.listed & (evidence.truth[name] == "positive")
    negative = evidence.listed & evidence.negative(name)
    return {
        kind: {band: _share(bands[of] >= level) for band, level in (("review", REVIEW), ("block", BLOCK))}
        for kind, of in (("found", positive), ("wrong", negative))
    }


def _share(stopped: Mask) -> Record:
    hits, total = int(stopped.sum()), len(stopped)
    return {"hits": hits, "of": total, **asdict(wilson(hits, total))}


def _verdicts(trial: Trial, verdicts: Bands) -> Record:
    """Count verdicts over positives of any category in whatever mode, and over clean drawings."""
    evidence = trial.evidence
    positive = evidence.listed & np.any([labels == "positive" for labels in evidence.truth.values()], axis=0)
    return {
        kind: {band: _share(verdicts[of] >= level) for band, level in (("review", REVIEW), ("block", BLOCK))}
        for kind, of in (("found", positive), ("wrong", evidence.listed & trial.clean))
    }


def _slice(trial: Trial, bands: Bands, clean: Mask, detail: str) -> Record:
    own = members(trial.held, trial.evidence, detail)
    counted = {b: count_slice(detail, bands, own, clean, level) for b, level in (("review", REVIEW), ("block", BLOCK))}
    return {band: {**asdict(c), **asdict(c.limits)} for band, c in counted.items()}


def _bands_by_uri(trial: Trial, judged: Judged) -> dict[str, dict[str, list[int]]]:
    """List the bands of each drawing and its skin tones, by uri and category."""
    found: dict[str, dict[str, list[int]]] = {}
    for place, row in enumerate(trial.evidence.rows):
        own = found.setdefault(uri_of(trial.held.drawing(row)), {name: [] for name in judged.bands})
        for name, bands in judged.bands.items():
            own[name].append(int(bands[place]))
    return found


def _tones(trial: Trial, verdicts: Bands) -> Record:
    """Count what is stopped by skin tone, among the clean drawings that are drawn in all of them."""
    drawings = [trial.held.drawing(row) for row in trial.evidence.rows.tolist()]
    uris = np.array([uri_of(d) for d in drawings])
    toned = np.isin(uris, uris[[d.toned for d in drawings]]) & trial.clean
    tones = np.array([tone_of(d.icon) for d in drawings])
    return {
        tone: {
            "of": int((own := toned & (tones == tone)).sum()),
            **{b: int((verdicts[own] >= level).sum()) for b, level in (("review", REVIEW), ("block", BLOCK))},
        }
        for tone in _TONES
    }


def _twins(trial: Trial, judged: Judged) -> Record:
    """Find the twins that differ, of people and of whatever is drawn in skin tones: `cookie-man` is no twin."""
    drawings = [trial.held.drawing(row) for row in trial.evidence.rows.tolist()]
    shared = np.array([twin_name(d.icon_set, d.icon) for d in drawings])
    toned = np.unique(shared[[d.toned for d in drawings]])
    places = np.flatnonzero(np.isin(shared, toned) | (trial.evidence.detail != ""))
    names = [drawings[place].icon for place in places]
    kinds = {"verdict": judged.verdicts, **judged.bands}
    return {kind: differing_twins(shared[places].tolist(), names, bands[places]) for kind, bands in kinds.items()}
