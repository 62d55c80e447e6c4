"""Complete linkage that measures every pair at full width, by which the quicker way of the product is judged.

Two groups merge at the distance of their farthest members, the nearest groups first, until that distance passes the
threshold. So only pairs within the threshold matter, and two groups may merge only if every pair across is one: it is
enough to keep near pairs as edges, and of two merging groups the neighbours that they share.

Pairs are found tile by tile. A crowd (a flood of thousands of copies of one picture) has too many of them, and is
thinned out first: the picture with most neighbours takes in whatever lies within a quarter of the threshold, and again,
until few enough edges are left; where that does not help, within half of it, and within all of it. A group may then be
up to nine times as wide as the threshold, since lengths of chords add up and a distance is half a chord's square.
"""

import heapq
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Places = NDArray[np.intp]

MOST_EDGES: Final = 1_000_000
"""Near pairs that are linked exactly: some 300 MB while they are; a flood of 1,400 copies has as many."""
_ROWS: Final = 1_024
_COLUMNS: Final = 8_192  # a tile of float32 is 32 MiB
_FEW: Final = 64  # beside all vectors
_SLACK: Final = 1e-5  # products in float32 err by less; who is near is decided in float64
_RADII: Final = (0.25, 0.5, 1.0)  # of the threshold


def complete_linkage(unit: Vectors, threshold: float, *, most_edges: int = MOST_EDGES) -> tuple[Places, int]:
    """Link vectors.

    Args:
        unit: float32 `[P,D]`, unit rows.
        threshold: Greatest cosine distance within a group.
        most_edges: Near pairs that are linked exactly.

    Returns:
        intp `[P]`, equal numbers for a group; and how many vectors were taken in by another before linkage. Whatever
        the order of the rows, the groups are the same.
    """
    # An order of the vectors' own, so that ties fall the same way; four columns tell all but equal vectors apart.
    order = np.lexsort(unit[:, :4].T)
    ordered = unit[order]
    leader = np.arange(len(unit))
    kept = np.arange(len(unit))
    while (edges := _edges(ordered[kept], threshold, most_edges)) is None:
        leader[kept] = kept[_thinned(ordered[kept], threshold, most_edges)]
        leader = _followed(leader)
        kept = np.unique(leader)
    group = np.empty(len(unit), np.intp)
    group[kept] = _merged(len(kept), *edges)
    number = np.empty(len(unit), np.intp)
    number[order] = group[leader]
    return number, len(unit) - len(kept)


def _tiles(unit: Vectors, reach: float) -> Iterator[tuple[Places, Places]]:
    """Find the pairs within reach, each once, the lesser place first."""
    for top in range(0, len(unit), _ROWS):
        for left in range(top, len(unit), _COLUMNS):
            near = unit[top : top + _ROWS] @ unit[left : left + _COLUMNS].T >= 1.0 - reach - _SLACK
            rows, columns = np.nonzero(near)
            once = rows + top < columns + left
            yield rows[once] + top, columns[once] + left


def _edges(unit: Vectors, threshold: float, most: int) -> tuple[Places, Places, Floats] | None:
    """Collect the pairs within the threshold with their distances; None where there are too many."""
    found: list[tuple[Places, Places, Floats]] = []
    count = 0
    for rows, columns in _tiles(unit, threshold):
        count += len(rows)
        if count > most:
            return None
        distance = _distances(unit, rows, columns)
        near = distance <= threshold
        found.append((rows[near], columns[near], distance[near]))
    rows, columns, distance = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _NO_EDGES
    return rows, columns, distance


def _distances(unit: Vectors, rows: Places, columns: Places) -> Floats:
    """Measure pairs in float64, some thousand at a time: the vectors of a million pairs are gigabytes."""
    distance = np.empty(len(rows))
    for start in range(0, len(rows), _COLUMNS):
        part = slice(start, start + _COLUMNS)
        one, other = unit[rows[part]].astype(np.float64), unit[columns[part]].astype(np.float64)
        distance[part] = 1.0 - np.vecdot(one, other)
    return distance


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


def _thinned(unit: Vectors, threshold: float, most: int) -> Places:
    """Let crowds be taken in by their middle: unit [M,D] -> for each, the place that stands for it."""
    degree = np.zeros(len(unit), np.int64)
    for rows, columns in _tiles(unit, threshold):
        degree += np.bincount(rows, minlength=len(unit)) + np.bincount(columns, minlength=len(unit))
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
        near = unit @ unit[taken[start : start + _FEW]].T >= 1.0 - threshold - _SLACK
        counts += near.sum(1)
    counts[leader != np.arange(len(leader))] = 0
    return counts
