"""A store and its scores in; the pictures that somebody is to label, and how they were drawn, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.tuning.design.nearness import Told
from clipwarden.tuning.design.sampling import UNIFORM, chances, draw, inclusion
from clipwarden.tuning.grouping import group_store
from clipwarden.tuning.labels.model import Design, Labels, Walk, no_marks
from clipwarden.tuning.labels.selecting import without_labels
from clipwarden.tuning.lines.draws import one_each
from clipwarden.tuning.lines.promises import NotMet
from clipwarden.tuning.lines.walk import from_the_top
from clipwarden.tuning.scores import StoreScores
from clipwarden.tuning.store.info import Source
from clipwarden.tuning.store.store import Store

_DESIGNS: Final = {Source.TRAFFIC: Design.SAMPLE, Source.SET: Design.SET, Source.QUEUE: Design.QUEUE}
_SEED_DIGITS: Final = 16
_LISTED_EACH: Final = 3
"""Pictures of a walk that are listed for each label that it takes at least: one in three of them may be harmless."""
_LEAST_LISTED: Final = 300  # a page that nobody has to wait for
_NOWHERE: Final = -1  # where the store has a picture that it lacks

Pictures = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A store with what a policy thinks of its pictures.

    Attributes:
        policy: Digest of the policy.
        orders: By category, a digest of what orders pictures by it.
    """

    store: Store
    scores: StoreScores
    policy: str
    orders: Mapping[str, str] = field(default_factory=dict)

    def column(self, category: str) -> NDArray[np.float64]:
        """Return what orders pictures by a category, [P]; finite, the lowest of all where the server has no number."""
        logit = self.scores.logit[:, self.scores.concepts.index(category)]
        known = np.isfinite(logit)
        lowest = float(logit[known].min()) if known.any() else 0.0
        return np.where(known, logit, lowest - 1)

    @property
    def judged(self) -> Pictures:
        """Pictures that the policy gives a verdict on: it may refuse files that end too early."""
        return np.flatnonzero(~self.scores.refused)

    @property
    def uploads(self) -> NDArray[np.int64]:
        """How often each picture was uploaded, [P]."""
        return self.store.upload_counts


def seed_of(store: Store) -> str:
    """Return the seed of whoever names none: the same store gives the same sample."""
    return store.info.digest.removeprefix("sha256:")[:_SEED_DIGITS]


def draw_sample(
    scored: Scored,
    categories: Sequence[str],
    n: int,
    *,
    seed: str,
    former: Labels | None = None,
    uniform: float = UNIFORM,
) -> Labels:
    """Draw pictures, each with a known probability: the likelier, the nearer to where lines may come to lie.

    Args:
        scored: The store.
        categories: One to three.
        n: How many pictures are wanted, in the mean.
        seed: Of the draw.
        former: A sample of the same seed and categories that is to grow: its pictures and marks stay. Since each
            picture keeps its lot, the probability to be in either is the greater of the two. Pictures that the store
            lacks by now stay as well, without an address, by the chance of before: they count against promises.
        uniform: Share of the sample that is drawn whatever the scores; see `inclusion`.

    Returns:
        The sample, by sha256. Of a store that is no uniform traffic it is a set or a queue, without probabilities.

    Raises:
        DesignError: Too many categories, or n is too small.
        LabelError: The former sample is of another kind, seed or categories.
    """
    design = _DESIGNS[scored.store.info.source]
    if former is not None:
        _require_alike(former, design, categories, seed)
    judged = scored.judged
    if not len(judged):
        raise LabelError(f"{scored.store.path} has no picture that the policy judges, so there is nothing to label.")
    scores = np.column_stack([scored.column(name)[judged] for name in categories])
    pi = inclusion(scores, n, uploads=scored.uploads[judged], uniform=uniform)
    sha256s = [scored.store.pictures.sha256[picture] for picture in judged.tolist()]
    drawn = draw(sha256s, pi, seed)
    chosen = {sha256: (pi[at], judged[at]) for at, sha256 in enumerate(sha256s) if drawn[at]}
    if former is not None:
        at = {sha256: place for place, sha256 in enumerate(sha256s)}
        for row, sha256 in enumerate(former.sha256):
            if sha256 in at:
                chosen[sha256] = max(pi[at[sha256]], _or_zero(former.pi[row])), judged[at[sha256]]
            elif design is Design.SAMPLE:  # else a promise would forget what the store was made to forget
                chosen[sha256] = former.pi[row], _NOWHERE
    return _labels(
        scored,
        {sha256: picture for sha256, (_, picture) in sorted(chosen.items())},
        design=design,
        categories=tuple(categories),
        seed=seed,
        pi=[chance for _, (chance, _) in sorted(chosen.items())] if design is Design.SAMPLE else None,
        former=former,
    )


def judged_rows(labels: Labels, scored: Scored) -> Pictures:
    """Find the rows that can be looked at: pictures of the store that the policy judges.

    Args:
        labels: A sample; it may hold pictures of a former one that the store lacks by now.
        scored: The store.

    Returns:
        intp, rows.
    """
    picture = scored.store.pictures.sha256.find(list(labels.sha256))
    return np.flatnonzero(np.isin(picture, scored.judged))


def draw_from_the_top(
    scored: Scored,
    category: str,
    *,
    at_most: float,
    confidence: float,
    seed: str,
    n: int | None = None,
    former: Labels | None = None,
    told: Told | None = None,
) -> Labels:
    """Draw distinct pictures uniformly, to be labelled from the highest score down.

    Args:
        scored: A store of uniform traffic.
        category: The only one that is labelled.
        at_most: Share of uploads that may be stopped wrongly, in (0, 1).
        confidence: With which that is to be promised, in (0, 1).
        seed: Of the draw.
        n: How many; None takes one picture of each group of near-duplicates.
        former: The same walk, of which the next rows are asked for; its labels stay.
        told: For a progress bar of grouping.

    Returns:
        The first of those that were drawn, by falling score: three for each label that the walk takes at least. Those
        below count, and are listed when a former walk has used up what it lists.

    Raises:
        LabelError: The store is no uniform traffic, has fewer distinct pictures, or too few for the promise.
    """
    _require_traffic(scored.store)
    judged = scored.judged
    sha256s = [scored.store.pictures.sha256[picture] for picture in judged.tolist()]
    distinct = np.empty(0, dtype=np.intp)
    if len(judged):
        group = group_store(scored.store, judged, told=told)
        distinct = np.flatnonzero(one_each(group, chances(sha256s, f"{seed} group"), scored.uploads[judged]))
    wanted = len(distinct) if n is None else n
    if wanted > len(distinct):
        raise LabelError(
            f"{scored.store.path} has {len(distinct):,} distinct pictures that the policy judges, and {wanted:,} are "
            "asked for; near-duplicates count once. Ask for fewer, or embed more uploads."
        )
    lots = chances([sha256s[place] for place in distinct.tolist()], f"{seed} walk")
    picked = distinct[np.sort(np.argsort(lots, kind="stable")[:wanted])]
    walk = from_the_top(scored.column(category)[judged[picked]], limit=at_most, delta=1 - confidence)
    if isinstance(walk, NotMet):
        raise LabelError(walk.sentence)
    by = scored.orders[category]
    places = picked[walk.rows].tolist()
    labelled = set() if former is None else set(former.sha256) - set(without_labels(former).sha256)
    bare = np.array([sha256s[place] not in labelled for place in places])
    batch = max(_LEAST_LISTED, _LISTED_EACH * (walk.allowed + 1))
    before = former.walk.listed or 0 if former and former.walk and former.walk.by == by else -batch
    listed = min(wanted, max(before + batch, int(np.searchsorted(np.cumsum(bare), batch)) + 1))
    order = [*places[:listed], *(place for place in places[listed:] if sha256s[place] in labelled)]
    promise = Walk(
        category=category,
        uploads=wanted,
        at_most=at_most,
        confidence=confidence,
        allowed=walk.allowed,
        listed=listed if listed < wanted else None,
        by=by if listed < wanted else None,
    )
    return _labels(
        scored,
        {sha256s[place]: judged[place] for place in order},
        design=Design.TOP,
        categories=(category,),
        seed=seed,
        walk=promise,
        beyond=tuple(range(listed, len(order))),
        former=former,
    )


def require_same_walk(former: Labels, category: str, store: Store) -> Walk:
    """Insist on a walk of which the next rows can be listed.

    Raises:
        LabelError: It is none, another one, or drawn from another store.
    """
    name = ", ".join(former.sources) or "The former walk"
    if former.walk is None or former.walk.category != category:
        raise LabelError(f"{name} is no walk from the top of {category}; drop --add for a walk of its own.")
    if former.walk.listed is None:
        raise LabelError(f"{name} lists all that was drawn for its walk already; label on in it.")
    if former.store != store.info.digest:
        raise LabelError(
            f"{name} was drawn from another store, or {store.path} has changed since, so that nobody knows what came "
            "next; draw a walk of its own."
        )
    return former.walk


def _require_traffic(store: Store) -> None:
    source = store.info.source
    if source is not Source.TRAFFIC:
        raise LabelError(
            f"{store.path} says that it is a {source}, not uniform traffic, so it can promise no share of uploads; "
            "embed a uniform sample of uploads, or draw with -n and --categories to learn about these pictures alone."
        )


def _require_alike(former: Labels, design: Design, categories: Sequence[str], seed: str) -> None:
    name = ", ".join(former.sources) or "The former sample"
    if former.design is not design:
        raise LabelError(
            f"{name} has the design {former.design}, and this store gives a {design}; it cannot grow by it."
        )
    if set(former.categories) != set(categories):
        raise LabelError(f"{name} is about {', '.join(former.categories)}; it grows by --categories of the same.")
    if design is Design.SAMPLE and former.seed != seed:
        raise LabelError(f"{name} was drawn with the seed {former.seed}; it grows by --seed {former.seed}.")


def _labels(scored: Scored, chosen: Mapping[str, Any], *, former: Labels | None = None, **facts: Any) -> Labels:  # noqa: ANN401
    """Make labels of chosen pictures, with the marks that a former sample has."""
    pi = facts.pop("pi", None)
    marks = no_marks(len(chosen), facts["categories"])
    rows = {sha256: row for row, sha256 in enumerate(former.sha256)} if former else {}
    group: list[str | None] = [None] * len(chosen)
    escalated = []
    for at, sha256 in enumerate(chosen):
        if former is None or sha256 not in rows:
            continue
        row = rows[sha256]
        marks[at] = [former.column(name)[row] for name in facts["categories"]]
        group[at] = former.group[row]
        escalated += [at] if row in former.escalated else []
    uris, slices = _uploaded(scored.store, list(chosen.values()))
    return Labels(
        sha256=tuple(chosen),
        uri=uris,
        pi=np.full(len(chosen), np.nan) if pi is None else np.array(pi, dtype=np.float64),
        group=tuple(group),
        slices=slices,
        marks=marks,
        labellers=former.labellers if former else (),
        escalated=tuple(escalated),
        store=scored.store.info.digest,
        policy=scored.policy,
        **facts,
    )


def _uploaded(
    store: Store, pictures: Sequence[int]
) -> tuple[tuple[str | None, ...], dict[str, tuple[str | None, ...]]]:
    """Find the first upload of each picture: its address, and its slices; nothing of what the store lacks."""
    places = np.asarray(pictures, dtype=np.intp)
    at = [None if place == _NOWHERE else int(store.first_uploads[place]) for place in places.tolist()]
    slices = {
        name: tuple(None if upload is None else str(values[upload]) or None for upload in at)
        for name, values in store.uploads.slices.items()
    }
    return tuple(None if upload is None else store.uploads.uri[upload] for upload in at), slices


def _or_zero(chance: float) -> float:
    return 0.0 if np.isnan(chance) else float(chance)
