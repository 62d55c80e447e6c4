"""The shipped policy against tuned ones, on drawings that neither saw: `python -m bench.tuning embedded --work DIR`.

DIR holds what `python -m bench.tuning.drawings` wrote. The drawing houses are dealt to two halves; each half is tuned
on, and the other is judged by what was chosen there, so that every drawing is judged once and none by its own house.
Near-duplicates count once, and what has one in the other half is left out. Tuned three ways: on a set (all labels of a
half), on a sample of simulated traffic, and by labels from the top of it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.tuning.choosing import LIMITS, Chosen, Judged, by_labels, from_the_top
from bench.tuning.halves import houses
from bench.tuning.labelled import read
from bench.tuning.materials import POLICY, PREVALENCE, SAMPLED, Materials
from clipwarden.cli.loading import load_named_model
from clipwarden.cli.policyfile import read_policy
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.calibration import Fitted, Unfit
from clipwarden.tuning.design.rates import Estimate, exact_share, prevalence
from clipwarden.tuning.lines.promises import Line
from clipwarden.tuning.lines.scale import mapped
from clipwarden.tuning.metrics import Interval
from clipwarden.tuning.quality import Quality, quality_of
from clipwarden.tuning.tune.cases import Cases
from clipwarden.tuning.tune.standing import category_of, scale_of

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

_SHIPPED: Final = {"review": 0.015, "block": 0.002}


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a line did to held-out drawings; near-duplicates count once.

    Attributes:
        who: "shipped", or how it was tuned.
        limit: Greatest share of harmless ones that was asked for.
        found: Of harmful ones.
        wrong: Of harmless ones.
        each: Of harmless ones of the first half, by what was chosen on the second, and the other way round.
        gained: Harmful pictures that it finds and the shipped line of the same limit does not.
        lost: The other way round.
        labels: It took, in both halves.
        note: What is missing.
    """

    who: str
    limit: float
    found: Estimate
    wrong: Estimate
    each: tuple[Estimate, ...]
    gained: int
    lost: int
    labels: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Read:
    """How well scores of held-out drawings can be read as probabilities."""

    who: str
    quality: Quality | Unfit


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """Drawings of one category that are judged, and what is known of them.

    Attributes:
        cases: All that have no near-duplicate in the other half.
        half: `[N]`, in which half each is, 0 or 1.
        scale: Slope and bias of the shipped calibration.
    """

    cases: Cases
    half: NDArray[np.intp]
    scale: tuple[float, float]

    def calibrated(self, slope: float, bias: float) -> Floats:
        """Return logits after a calibration."""
        logits: Floats = slope * self.cases.scores + bias
        return logits

    def counted(self, stopped: Flags, among: Flags, **about: object) -> Counted:
        """Count distinct pictures."""
        positive = self.cases.positive
        found, wrong = (self._share(stopped, among, member) for member in (positive, ~positive))
        each = tuple(self._share(stopped, among & (self.half == half), ~positive) for half in (0, 1))
        return Counted(found=found, wrong=wrong, each=each, **about)  # type: ignore[arg-type]

    def _share(self, stopped: Flags, among: Flags, member: Flags) -> Estimate:
        cases = self.cases.only(among)
        return exact_share(stopped[among], member[among], cases.positive, group=cases.group, u=cases.u)

    def read(self, who: str, calibrated: Floats) -> Read:
        """Judge calibrated logits."""
        cases = self.cases
        return Read(who=who, quality=quality_of(calibrated, cases.positive, groups=cases.group, prevalence=PREVALENCE))


def run(work: Path) -> Iterator[str]:
    """Measure, and yield the tables line by line; figures go to `work/embedded.json` too.

    Args:
        work: With the drawings.
    """
    materials = Materials(work=work, drawings=read(work))
    compiled = compile_policy(read_policy(str(POLICY)).policy, model=load_named_model(None))
    yield from _about(materials)
    all_labels = materials.set_labels(np.ones(len(materials.drawings), np.bool_))
    everything = Judged(materials.store, compiled).cases(all_labels)
    traffic = [Judged(materials.traffic(half), compiled) for half in (0, 1)]
    samples = [traffic[half].cases(materials.sample(half)) for half in (0, 1)]
    kept: dict[str, object] = {}
    reads: list[str] = []
    yield from _HEAD
    for name, cases in everything.items():
        halves = _halves(materials, cases)
        held = _held(compiled, name, cases, halves)
        ways = {"set": [by_labels(cases.only(halves == half)) for half in (0, 1)]}
        if name in SAMPLED:
            ways["sample"] = [by_labels(samples[half][name]) for half in (0, 1)]
            ways["top"] = [from_the_top(materials, traffic[half], half, name) for half in (0, 1)]
        rows, quality = _judge(compiled, name, held, ways)
        kept[name] = {"lines": [asdict(row) for row in rows], "quality": [asdict(each) for each in quality]}
        yield from (_row(name, row) for row in rows)
        reads += [_read_row(name, each) for each in quality]
    yield from ("", *_READ_HEAD, *reads, "")
    yield from _prevalences(samples)
    (work / "embedded.json").write_text(json.dumps(kept, indent=1, default=float), encoding="utf-8")


def _halves(materials: Materials, cases: Cases) -> NDArray[np.intp]:
    first = dict(zip(materials.drawings.sha256, materials.first.tolist(), strict=True))
    return np.array([0 if first[digest] else 1 for digest in cases.sha256], np.intp)


def _held(compiled: CompiledPolicy, name: str, cases: Cases, halves: NDArray[np.intp]) -> Held:
    both = np.intersect1d(cases.group[halves == 0], cases.group[halves == 1])
    alone = ~np.isin(cases.group, both)
    slope, bias = scale_of(compiled, category_of(compiled, name))
    return Held(cases=cases.only(alone), half=halves[alone], scale=(slope or 1.0, bias))


def _judge(
    compiled: CompiledPolicy, name: str, held: Held, ways: Mapping[str, Sequence[Chosen]]
) -> tuple[list[Counted], list[Read]]:
    thresholds = category_of(compiled, name).thresholds
    assert thresholds is not None  # noqa: S101  of the shipped policy
    probability = sigmoid(held.calibrated(*held.scale))
    everyone = np.ones(len(probability), np.bool_)
    shipped = {
        _SHIPPED[band]: probability >= bound
        for band, bound in (("review", thresholds.bounds.review), ("block", thresholds.bounds.block))
        if bound is not None
    }
    rows: list[Counted] = []
    for limit in LIMITS:
        if limit in shipped:
            about = {"who": "shipped", "limit": limit, "gained": 0, "lost": 0, "labels": 0}
            rows.append(held.counted(shipped[limit], everyone, **about))
        rows += [_tuned(held, way, chosen, limit, shipped.get(limit)) for way, chosen in ways.items()]
    reads = [held.read("shipped", held.calibrated(*held.scale))]
    reads += [found for way, chosen in ways.items() if (found := _quality(held, way, chosen)) is not None]
    return rows, reads


def _tuned(held: Held, way: str, chosen: Sequence[Chosen], limit: float, shipped: Flags | None) -> Counted:
    stopped, among = np.zeros(len(held.half), np.bool_), np.zeros(len(held.half), np.bool_)
    missing = []
    for half, own in enumerate(chosen):
        line, others = own.lines[limit], held.half != half
        if not isinstance(line, Line):
            missing.append(f"half {half + 1}: {line.need:,} needed, {line.have:,} there")
            continue
        scale = (own.fitted.slope, own.fitted.bias) if isinstance(own.fitted, Fitted) else held.scale
        stopped |= others & (sigmoid(held.calibrated(*scale)) >= mapped(line, *scale))
        among |= others
    harmful = held.cases.positive & among
    before = stopped if shipped is None else shipped
    return held.counted(
        stopped,
        among,
        who=way,
        limit=limit,
        gained=int((harmful & stopped & ~before).sum()),
        lost=int((harmful & ~stopped & before).sum()),
        labels=sum(own.labels[limit] for own in chosen),
        note="; ".join(missing),
    )


def _quality(held: Held, way: str, chosen: Sequence[Chosen]) -> Read | None:
    calibrated = np.empty(len(held.half))
    for half, own in enumerate(chosen):
        if own.fitted is None:
            return None
        if isinstance(own.fitted, Unfit):
            return Read(who=way, quality=own.fitted)
        others = held.half != half
        calibrated[others] = own.fitted.logits(held.cases.scores[others])
    return held.read(way, calibrated)


def _about(materials: Materials) -> Iterator[str]:
    own = np.array(houses(materials.drawings))
    for number in (0, 1):
        half = materials.half(number)
        names = ", ".join(sorted(set(own[half].tolist())))
        yield f"Half {number + 1}: {half.sum():,} drawings of {names}."


def _prevalences(samples: Sequence[Mapping[str, Cases]]) -> Iterator[str]:
    yield "| category | half | uploads that are like this, by the sample | as its calibration has it | truth |"
    yield "| --- | --- | --- | --- | --- |"
    for half, each in enumerate(samples):
        for name in SAMPLED:
            cases = each[name]
            assert cases.pi is not None  # noqa: S101  of a sample
            found = prevalence(cases.positive, cases.pi, group=cases.group, uploads=cases.uploads)
            fitted = by_labels(cases).fitted
            told = f"{fitted.prevalence:.2%}" if isinstance(fitted, Fitted) else "none"
            yield f"| {name} | {half + 1} | {_percent(found)}, {found.basis} | {told} | {PREVALENCE:.1%} |"


_HEAD: Final = (
    "",
    "| category | limit | line | found | wrongly stopped | in half 1, half 2 | more, fewer than shipped | labels |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
_READ_HEAD: Final = (
    "| category | calibration | log-loss skill | slope | intercept |",
    "| --- | --- | --- | --- | --- |",
)


def _row(name: str, row: Counted) -> str:
    compared = "" if row.who == "shipped" or row.limit not in _SHIPPED.values() else f"+{row.gained} -{row.lost}"
    note = f" ({row.note})" if row.note else ""
    labels = f"{row.labels:,}" if row.labels else ""
    found, wrong = _of(row.found), _of(row.wrong)
    each = ", ".join(f"{share.value:.2%}{_beyond(share, row.limit)}" if share.groups else "-" for share in row.each)
    return f"| {name} | {row.limit:.1%} | {row.who}{note} | {found} | {wrong} | {each} | {compared} | {labels} |"


def _beyond(share: Estimate, limit: float) -> str:
    """Mark what is above the limit for sure, one-sided."""
    return "!" if share.one_sided_low > limit else ""


def _of(share: Estimate) -> str:
    if not share.groups:
        return "-"
    return f"{round(share.value * share.groups):,} of {share.groups:,}: {_percent(share)}"


def _percent(share: Estimate) -> str:
    digits = 1 if share.high > 0.05 else 2
    return f"{share.value:.{digits}%} ({share.low:.{digits}%} to {share.high:.{digits}%})"


def _read_row(name: str, read: Read) -> str:
    found = read.quality
    if isinstance(found, Unfit):
        return f"| {name} | {read.who} | none: {found.sentence} | | |"
    slope = "none: the classes are apart" if found.slope is None else _interval(found.slope)
    return f"| {name} | {read.who} | {_interval(found.skill)} | {slope} | {_interval(found.intercept)} |"


def _interval(value: Interval) -> str:
    return f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"
