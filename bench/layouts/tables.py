"""Judged layouts in; the tables of found and wrongly stopped, line by line, out."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

import numpy as np

from bench.layouts.judging import FITTED, LIMITS, Flags, Judged, Share
from clipwarden.vision.plan import Views
from recipes.mini.layouts import LAYOUTS

_MIX: Final = {layout.name: layout.share for layout in LAYOUTS if layout.share}
_OTHERS: Final = {name: share / (1 - _MIX["single"]) for name, share in _MIX.items() if name != "single"}
_KINDS: Final = ("shipped", *FITTED)
_Stopped = Mapping[str, Flags]


def tables(judged: Judged) -> Iterator[str]:
    """Write all tables.

    Args:
        judged: What was measured.
    """
    plans = [plan for plan in Views if judged.measured("single", plan)]
    yield from _about(judged)
    yield from _all_together(judged, plans)
    for kind in _KINDS:
        yield from _by_layout(judged, plans, kind)
    yield from _by_category(judged, plans)
    yield from _moved(judged, plans)


def figures(judged: Judged) -> Iterator[dict[str, Any]]:
    """List every figure: by layout, plan, lines, band and category."""
    for layout, plan, kind, band in product((layout.name for layout in LAYOUTS), Views, _KINDS, LIMITS):
        if judged.measured(layout, plan):
            lines = judged.lines(plan, kind)
            stopped = _stopped(judged, plan, kind, band, [layout])
            for column, name in enumerate(judged.categories):
                about = {"layout": layout, "plan": plan.value, "lines": kind, "band": band, "category": name}
                own = {"line": [float(half[band][column]) for half in lines]}
                yield about | own | _counted(judged, stopped, layout, column)


def _counted(judged: Judged, stopped: tuple[_Stopped, _Stopped], layout: str, column: int) -> dict[str, Any]:
    alone = {layout: 1.0}
    found, wrong = judged.found(stopped[0], column, alone), judged.wrong(stopped[1], column, alone)
    return {
        what: {"hits": each.hits, "of": each.of, "low": each.interval.low, "high": each.interval.high}
        for what, each in (("found", found), ("wrong", wrong))
    }


def _stopped(judged: Judged, plan: Views, kind: str, band: str, layouts: list[str]) -> tuple[_Stopped, _Stopped]:
    lines = judged.lines(plan, kind)
    harmful, harmless = (
        {name: judged.stopped(name, population, plan, lines, band) for name in layouts}
        for population in ("harmful", "harmless")
    )
    return harmful, harmless


def _found_in_all(judged: Judged, harmful: _Stopped, shares: Mapping[str, float]) -> Share:
    """Add up categories: a drawing that is harmful in two counts in both."""
    return sum((judged.found(harmful, c, shares) for c in range(len(judged.categories))), Share(hits=0.0, of=0))


def _about(judged: Judged) -> Iterator[str]:
    rows = judged.material.rows
    yield (
        f"{len(rows['harmful'])} harmful pictures, {len(rows['harmless']):,} harmless drawings. The mix: "
        + ", ".join(f"{name} {share:.0%}" for name, share in _MIX.items())
    )
    yield ""


def _all_together(judged: Judged, plans: list[Views]) -> Iterator[str]:
    yield from _head(
        *("lines", "plan", "views an image of the mix", "band", "found, single", "found, other layouts of the mix"),
        *("wrongly stopped, a category, mix", "the same, single", "the same, other layouts"),
    )
    for kind in _KINDS:
        for band in LIMITS:
            for plan in plans:
                harmful, harmless = _stopped(judged, plan, kind, band, list(_MIX))
                found = [_found_in_all(judged, harmful, shares) for shares in ({"single": 1.0}, _OTHERS)]
                wrong = [_mean_wrong(judged, harmless, shares) for shares in (_MIX, {"single": 1.0}, _OTHERS)]
                views = sum(share * judged.scores[name, "harmless"].views[plan] for name, share in _MIX.items())
                yield _row(kind, plan, f"{views:.2f}", band, *map(_of, found), *(f"{each:.2%}" for each in wrong))
    yield ""


def _mean_wrong(judged: Judged, harmless: _Stopped, shares: Mapping[str, float]) -> float:
    return float(np.mean([judged.wrong(harmless, c, shares).interval.value for c in range(len(judged.categories))]))


def _by_layout(judged: Judged, plans: list[Views], kind: str) -> Iterator[str]:
    told = {
        "shipped": "of the policy",
        "single": "fitted for each plan on single drawings",
        "mix": "fitted for each plan on the mix",
    }
    yield f"Lines {told[kind]}:"
    yield ""
    yield from _head(
        "layout", "plan", "views", "found, review", "found, block", "wrongly stopped by any category, review", "block"
    )
    for layout in LAYOUTS:
        for plan in plans:
            if not judged.measured(layout.name, plan):
                continue
            found, wrong = [], []
            for band in LIMITS:
                harmful, harmless = _stopped(judged, plan, kind, band, [layout.name])
                found.append(_of(_found_in_all(judged, harmful, {layout.name: 1.0})))
                wrong.append(_of(judged.wrong(harmless, None, {layout.name: 1.0})))
            views = judged.scores[layout.name, "harmless"].views[plan]
            yield _row(layout.name, plan, f"{views:.0f}", *found, *wrong)
    yield ""


def _by_category(judged: Judged, plans: list[Views]) -> Iterator[str]:
    yield "By category, lines fitted for each plan on the mix:"
    yield ""
    yield from _head(
        "category",
        "band",
        "plan",
        "lines of half 1, 2 (shipped)",
        "found, single",
        "found, other layouts",
        "wrongly stopped, mix",
        "other layouts",
    )
    for column, name in enumerate(judged.categories):
        for band in LIMITS:
            for plan in plans:
                lines = judged.lines(plan, "mix")
                harmful, harmless = _stopped(judged, plan, "mix", band, list(_MIX))
                found = [judged.found(harmful, column, shares) for shares in ({"single": 1.0}, _OTHERS)]
                wrong = [judged.wrong(harmless, column, shares) for shares in (_MIX, _OTHERS)]
                own = f"{lines[0][band][column]:.4f}, {lines[1][band][column]:.4f} ({judged.shipped[band][column]:.4f})"
                yield _row(name, band, plan, own, *map(_of, found + wrong))
    yield ""


def _moved(judged: Judged, plans: list[Views]) -> Iterator[str]:
    yield "Distinct harmful drawings found more, and less, often than under `whole`; lines fitted for each on the mix:"
    yield ""
    yield from _head("layout", "plan", "review", "block")
    for layout in LAYOUTS:
        for plan in plans[1:]:
            if judged.measured(layout.name, plan):
                both = [_gained(judged, layout.name, plan, band) for band in LIMITS]
                yield _row(layout.name, plan, *(f"+{more} -{less}" for more, less in both))
    yield ""


def _gained(judged: Judged, layout: str, plan: Views, band: str) -> tuple[int, int]:
    before, after = (_stopped(judged, each, "mix", band, [layout])[0][layout] for each in (Views.WHOLE, plan))
    own = judged.marks("harmful")[judged.scores[layout, "harmful"].drawing] == 1
    words = np.array(judged.material.drawings.words)[judged.material.rows["harmful"]]
    groups = np.unique(words, return_inverse=True)[1][judged.scores[layout, "harmful"].drawing]
    change = np.zeros((groups.max() + 1, own.shape[1]))
    np.add.at(change, groups, own * (after.astype(float) - before))
    return int((change > 0).sum()), int((change < 0).sum())


def _head(*columns: str) -> Iterator[str]:
    yield _row(*columns)
    yield _row(*("---" for _ in columns))


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _of(share: Share) -> str:
    bounds = share.interval
    digits = 0 if bounds.high > 0.2 else 1 if bounds.high > 0.03 else 2
    hits = f"{share.hits:.0f}" if share.hits >= 10 or share.hits == round(share.hits) else f"{share.hits:.1f}"
    return f"{hits} of {share.of:,}: {bounds.value:.{digits}%} ({bounds.low:.{digits}%} to {bounds.high:.{digits}%})"
