"""Whether what is tuned is what is served: `python -m bench.tuning roundtrip --work DIR`, after `embedded`.

The shipped policy is tuned on one half's labels by `clipwarden tune --write`, category by category; the last version is
linted strictly, compiled, served, and asked about drawings of the other half by `clipwarden moderate --server`. The
verdicts and bands that come back are held against those that the store predicts, image for image, and those of the
labelled half against what `tune` said it would find and wrongly stop.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.pressure.processes import Program
from bench.tuning import commands
from bench.tuning.labelled import read
from bench.tuning.materials import POLICY, PREVALENCE, Materials
from clipwarden.cli.loading import load_named_model
from clipwarden.cli.policyfile import read_policy
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.labels.model import Mark
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.verdicts import NO_BAND, StoreVerdicts, judge_store

_ASKED: Final = 600
_MAJOR: Final = 2
_SEED: Final = 14


def run(work: Path) -> Iterator[str]:
    """Go round, and yield what was found.

    Args:
        work: With the drawings.
    """
    materials = Materials(work=work, drawings=read(work))
    folder = work / "roundtrip"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    policy = Path(shutil.copy(POLICY, folder / POLICY.name))
    told: list[Mapping[str, Any]] = []
    for number, category in enumerate(materials.drawings.categories):
        told.append(_tune(policy, materials, category, f"{_MAJOR}.{number}.0"))
        policy = Path(told[-1]["version"]["file"])
    written = policy
    missing = sum(len(each["missing"]) for each in told)
    yield f"tune --write, {len(told)} times: {written.name}; {missing} limits cannot be had"
    yield f"lint --strict: {commands.run('lint', '--strict', written).strip() or 'nothing to mend'}"
    bundle = folder / "stickers.bundle"
    commands.run("compile", written, "-o", bundle)
    compiled = compile_policy(read_policy(str(written)).policy, model=load_named_model(None))
    predicted = judge_store(materials.store, prepare(compiled))
    yield from _as_tune_said(told, materials, predicted)
    rows = _asked(materials, compiled, predicted)
    answers = _served(bundle, folder, [materials.drawings.paths[row] for row in rows])
    yield from _compared(materials, predicted, rows, answers)


def _tune(policy: Path, materials: Materials, category: str, version: str) -> dict[str, Any]:
    """Tune one category: `--prevalence` is of one."""
    half = int(materials.half(0).sum())
    printed = commands.run(
        *("tune", policy, "--store", materials.store.path, "--labels", materials.set_file(0), "--json", "--yes"),
        *("--block-fpr", "0.2%", "--review-wrong", str(round(0.01 * half)), "--prevalence", f"{PREVALENCE:.0%}"),
        *(
            "--only",
            category,
            "--show",
            "0",
            "--write",
            "--version",
            version,
            "--author",
            "kim",
            "--approved-by",
            "lee",
        ),
        fine=(0, 10),
    )
    told: dict[str, Any] = json.loads(printed)
    return told


def _as_tune_said(told: Sequence[Mapping[str, Any]], materials: Materials, predicted: StoreVerdicts) -> Iterator[str]:
    """Count bands of the labelled half, by the served policy, and hold them against what `tune` counted."""
    drawings = materials.drawings
    picture = materials.store.pictures.sha256.find(list(drawings.sha256))
    for each in (category for run in told for category in run["categories"]):
        name, own = each["category"], materials.half(0)
        marks = drawings.column(name)
        band = predicted.band[picture, predicted.categories.index(name)]
        for limit, least in (("block", Verdict.BLOCK), ("review", Verdict.REVIEW)):
            if each[limit] is None or not each[limit]["met"]:
                yield f"{name} {limit}: no limit, {each[limit] and each[limit]['sentence']}"
                continue
            said = each[limit]["choice"]
            counts = [int((own & (marks == mark) & (band >= least)).sum()) for mark in (Mark.POSITIVE, Mark.NEGATIVE)]
            agree = counts == [said["found"], said["wrong"]]
            verdict = "as tune said" if agree else f"tune said {said['found']} and {said['wrong']}"
            yield (
                f"{name} {limit}: {counts[0]} of {said['harmful']} found, {counts[1]} of {said['harmless']} wrong; "
                f"{verdict}"
            )


def _asked(materials: Materials, compiled: CompiledPolicy, predicted: StoreVerdicts) -> Sequence[int]:
    """Choose drawings of the other half: a third nearest to some line, a third that it stops, and others."""
    drawings, store = materials.drawings, materials.store
    picture = store.pictures.sha256.find(list(drawings.sha256))
    others = np.flatnonzero(materials.half(1))
    near = _nearness(compiled, store)[picture]
    chance = np.random.default_rng(_SEED)
    stopped = others[predicted.shadow_verdict[picture[others]] > Verdict.ALLOW]
    parts = (
        others[np.argsort(near[others])][: _ASKED // 3],
        chance.permutation(stopped)[: _ASKED // 3],
        chance.permutation(others),
    )
    return list(dict.fromkeys(np.concatenate(parts).tolist()))[:_ASKED]


def _nearness(compiled: CompiledPolicy, store: Store) -> NDArray[np.float64]:
    """Return each picture's least distance from a line, by the ratio of score and threshold."""
    scores = score_store(store, prepare(compiled))
    least = np.full(len(store.pictures), np.inf)
    for category in compiled.policy.categories:
        if category.thresholds is None:
            continue
        column = np.maximum(scores.score[:, scores.concepts.index(category.id)], 1e-12)
        for bound in (category.thresholds.bounds.review, category.thresholds.bounds.block):
            if bound is not None:
                least = np.minimum(least, np.abs(np.log(column / bound)))
    return least


def _served(bundle: Path, folder: Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Serve the bundle, and ask about some files."""
    command = [sys.executable, "-m", "clipwarden", "serve", "--listen", "127.0.0.1:0", "--metrics-listen", ""]
    with Program([*command, "--policy", str(bundle)], log=folder / "serve.log") as server:
        serving = json.loads(server.wait_for(lambda: _line(server.log, '"message": "serving"')))
        address = ("--server", serving["address"])
        printed = commands.run("moderate", *paths, "--json", *address, fine=(0, 10, 20))
    return [json.loads(line) for line in printed.splitlines()]


def _line(log: Path, part: str) -> str | None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if part in line), None)


def _compared(
    materials: Materials, predicted: StoreVerdicts, rows: Sequence[int], answers: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    drawings = materials.drawings
    picture = materials.store.pictures.sha256.find([drawings.sha256[row] for row in rows])
    place = {str(drawings.paths[row]): int(at) for row, at in zip(rows, picture, strict=True)}
    same: dict[str, int] = dict.fromkeys(("verdict", "shadow verdict", "bands"), 0)
    kinds: dict[str, int] = {}
    for answer in answers:
        at, said = place[answer["path"]], answer["moderation"]
        bands = [NO_BAND if each["band"] == _NONE else _verdict(each["band"]) for each in said["categories"]]
        same["verdict"] += _verdict(said["verdict"]) == predicted.verdict[at]
        same["shadow verdict"] += _verdict(said["shadow_verdict"]) == predicted.shadow_verdict[at]
        same["bands"] += [each["id"] for each in said["categories"]] == list(predicted.categories) and bands == [
            *predicted.band[at]
        ]
        kinds[said["shadow_verdict"]] = kinds.get(said["shadow_verdict"], 0) + 1
    yield f"served {len(answers)} of {len(rows)}, by shadow verdict: {kinds}"
    yield from (f"{name}: {count} of {len(answers)} as predicted" for name, count in same.items())


_NONE: Final = "VERDICT_UNSPECIFIED"


def _verdict(name: str) -> int:
    return int(Verdict[name.removeprefix("VERDICT_")])
