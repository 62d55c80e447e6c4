"""Bands of drawings in; which fixtures hold, and which twins do not get one verdict, out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from recipes.mini.identity import Expect, Fixture
from recipes.mini.lines import BLOCK, REVIEW, Bands

_WORDS: Final = {0: "allow", REVIEW: "review", BLOCK: "block"}
Record = dict[str, Any]


def hold_fixtures(
    fixtures: Iterable[Fixture], bands: Mapping[str, Mapping[str, list[int]]], enforced: frozenset[str]
) -> Record:
    """Hold verdicts against fixtures.

    Args:
        fixtures: What is asked; those of other drawings are passed over.
        bands: Of each drawing and its skin tones, by uri and category.
        enforced: The categories that make a verdict.

    Returns:
        By expectation: how many hold, of how many, and the uris of those that don't with the categories that stop them;
        for what must stop, in whatever mode the category is.
    """
    report: Record = {str(e): {"holds": 0, "of": 0, "reviewed": [], "blocked": [], "missed": []} for e in Expect}
    for fixture in fixtures:
        if fixture.uri not in bands:
            continue
        own, counted = bands[fixture.uri], report[str(fixture.expect)]
        counted["of"] += 1
        if fixture.expect is Expect.MUST_STOP:
            holds = min(own[fixture.category]) >= REVIEW
            counted["missed"] += [] if holds else [f"{fixture.uri} ({fixture.category})"]
        else:
            stops = {n: max(b) for n, b in own.items() if n in enforced and max(b) >= REVIEW}
            holds = not stops
            kind = "blocked" if BLOCK in stops.values() else "reviewed"
            counted[kind] += [] if holds else [f"{fixture.uri} ({', '.join(stops)})"]
        counted["holds"] += holds
    return report


def differing_twins(twins: Sequence[str], names: Sequence[str], bands: Bands) -> Record:
    """Find twins that do not get one verdict.

    Args:
        twins: What the twins of each drawing share [K].
        names: Of the drawings [K].
        bands: Of the drawings [K].

    Returns:
        How many sets of twins there are, and of those that differ the drawings by verdict.
    """
    together: dict[str, list[int]] = {}
    for place, twin in enumerate(twins):
        together.setdefault(twin, []).append(place)
    sets = {twin: places for twin, places in together.items() if len(places) > 1}
    differing = {
        twin: {
            word: [names[p] for p in places if bands[p] == level]
            for level, word in _WORDS.items()
            if any(bands[p] == level for p in places)
        }
        for twin, places in sets.items()
        if len({int(bands[p]) for p in places}) > 1
    }
    return {"sets": len(sets), "differing": differing}
