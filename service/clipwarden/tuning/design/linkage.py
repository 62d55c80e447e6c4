"""Unit vectors in, complete linkage up to a threshold out, in memory that grows with the near pairs, not with all.

Two groups merge at the distance of their farthest members, the nearest groups first, until that distance passes the
threshold. So only pairs within the threshold matter, and two groups may merge only if every pair across is one: it is
enough to keep near pairs as edges (`nearness.py` finds them), and of two merging groups the neighbours that they share.

A crowd (a flood of thousands of copies of one picture) has too many near pairs, and is thinned out first: the picture
with most neighbours takes in whatever lies within a quarter of the threshold, and again, until few enough edges are
left; where that does not help, within half of it, and within all of it. A group may then be up to nine times as wide as
the threshold, since lengths of chords add up and a distance is half a chord's square.
"""

import heapq
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.tuning.design.nearness import SLACK, Nearness, Told, distances

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Places = NDArray[np.intp]

MOST_EDGES: Final = 1_000_000
"""Near pairs that are linked exactly: some 300 MB while they are; a flood of 1,400 copies has as many."""
_FEW: Final = 64  # beside all vectors
_RADII: Final = (0.25, 0.5, 1.0)  # of the threshold


def complete_linkage(
    unit: Vectors, threshold: float, *, most_edges: int = MOST_EDGES, told: Told | None = None
) -> tuple[Places, int]:
    """Link vectors.

    Args:
        unit: float32 `[P,D]`, unit rows.
        threshold: Greatest cosine distance within a group.
        most_edges: Near pairs that are linked exactly.
        told: For a progress bar; begins anew after crowds were thinned out.

    Returns:
        intp `[P]`, equal numbers for a group; and how many vectors were taken in by another before linkage. Whatever
        the order of the rows, the groups are the same.
    """
    # An order of the vectors' own, so that ties fall the same way; four columns tell all but equal vectors apart.
    order = np.lexsort(unit[:, :4].T)
    unit = unit[order]
    leader = np.arange(len(unit))
    kept = leader
    while isinstance(edges := _edges(_taken_from(unit, kept), threshold, most_edges, told), _Crowded):
        crowd = kept[edges.places]
        leader[crowd] = crowd[_thinned(unit[crowd], edges.degree, threshold, most_edges)]
        leader = _followed(leader)
        kept = np.unique(leader)
    group = np.empty(len(unit), np.intp)
    group[kept] = _merged(len(kept), *edges)
    number = np.empty(len(unit), np.intp)
    number[order] = group[leader]
    return number, len(unit) - len(kept)


def _taken_from(unit: Vectors, kept: Places) -> Vectors:
    return unit if len(kept) == len(unit) else unit[kept]


class _Crowded:
    """Vectors with more near pairs than can be linked.

    Attributes:
        places: intp, those that have a neighbour, rising.
        degree: int64, how many each of them has.
    """

    def __init__(self, degree: NDArray[np.int64]) -> None:
        self.places = np.flatnonzero(degree)
        self.degree = degree[self.places]


def _edges(unit: Vectors, threshold: float, most: int, told: Told | None) -> tuple[Places, Places, Floats] | _Crowded:
    """Collect the pairs within the threshold with their distances, while there are few enough."""
    found = [_NO_EDGES]
    degree, count = np.zeros(len(unit), np.int64), 0
    for rows, columns in Nearness(unit, threshold).pairs(told):
        count += len(rows)
        np.add.at(degree, rows, 1)
        np.add.at(degree, columns, 1)
        if count > most:
            found.clear()
        else:
            distance = distances(unit, rows, columns)
            near = distance <= threshold
            found.append((rows[near], columns[near], distance[near]))
    if count > most:
        return _Crowded(degree)
    rows, columns, distance = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, columns, distance


_NO_EDGES: Final = (np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))


def _merged(count: int, rows: Places, columns: Places, distance: Floats) -> Places:
    """Merge what is nearest, until nothing is near: edges of `count` vectors -> their groups."""
    near: list[dict[int, float]] = [{} for _ in range(count)]
    heap = list(zip(distance.tolist(), rows.tolist(), columns.tolist(), strict=True))
    for apart, one, other in heap:
        near[one][other] = near[other][one] = apart
    heapq.heapify(heap)
    into = np.arange(count)
    while heap:
        apart, one, other = heapq.heappop(heap)
        if near[one].get(other) == apart:  # else one of them has merged since, and this is past
            into[other] = one
            for third, farther in _shared(near, one, other):
                heapq.heappush(heap, (farther, min(one, third), max(one, third)))
    return _followed(into)


def _shared(near: list[dict[int, float]], one: int, other: int) -> Iterator[tuple[int, float]]:
    """Merge `other` into `one`: a third group stays near if it was near to both."""
    mine, theirs = near[one], near[other]
    del mine[other], theirs[one]
    for third in [each for each in mine if each not in theirs]:
        del mine[third], near[third][one]
    for third, apart in theirs.items():
        del near[third][other]
        if third in mine and apart > mine[third]:
            mine[third] = near[third][one] = apart
            yield third, apart
    near[other] = {}


def _followed(into: Places) -> Places:
    """Follow each place to the one that took it in, or took that one in, and so on."""
    while not np.array_equal(into, into[into]):
        into = into[into]
    return into


def _thinned(unit: Vectors, degree: NDArray[np.int64], threshold: float, most: int) -> Places:
    """Let crowds be taken in by their middle: unit `[M,D]`, neighbours of each -> the place that stands for each."""
    leader = np.arange(len(unit))
    for radius in _RADII:
        tried = leader != np.arange(len(unit))
        while degree.sum() > most and not tried.all():  # each edge counts twice: half of what is allowed is aimed at
            middle = int(np.argmax(np.where(tried, -1, degree)))
            tried[middle] = True
            taken = _taken(unit, leader, middle, threshold * radius)
            leader[taken] = middle
            tried[taken], degree[taken] = True, 0
            degree -= _neighbours(unit, taken, leader, threshold)
    return leader


def _taken(unit: Vectors, leader: Places, middle: int, radius: float) -> Places:
    own = leader == np.arange(len(leader))
    own[middle] = False
    return np.flatnonzero(own & (unit @ unit[middle] >= 1.0 - radius))


def _neighbours(unit: Vectors, taken: Places, leader: Places, threshold: float) -> NDArray[np.int64]:
    """Count for each that still stands for itself how many of those just taken in were its neighbours."""
    counts = np.zeros(len(unit), np.int64)
    for start in range(0, len(taken), _FEW):
        near = unit @ unit[taken[start : start + _FEW]].T >= 1.0 - threshold - SLACK
        counts += near.sum(1)
    counts[leader != np.arange(len(leader))] = 0
    return counts
