"""A store, labels and a policy's scores in; of each category the labelled pictures as columns, and what is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.tuning.design.groups import group_pictures
from clipwarden.tuning.design.nearness import Told
from clipwarden.tuning.design.sampling import chances
from clipwarden.tuning.labels.model import Design, Labels, Mark
from clipwarden.tuning.lines.choices import Labelled
from clipwarden.tuning.lines.draws import evenly
from clipwarden.tuning.scores import StoreScores
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.walking import whole_walk

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

SEED: Final = "clipwarden tune"
"""Of lots that decide what stands for a group; a sample's own seed decided what is in it, and is not used again."""
_MOST_LOST: Final = 0.01
"""Share of a sample that may be lacking, as `clipwarden store forget` takes out: less than intervals tell apart."""
_SAME: Final = 1e-9  # what rounding of chances in a file may change


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Pictures of the label files that say nothing of a category, by why.

    Attributes:
        unknown: Nobody said anything.
        unsure: Somebody could not tell, or two did not agree.
        escalated: Of those, pictures that somebody stopped and escalated.
        unscored: The policy gives them no number, or refuses files that end too early.
        absent: The store lacks them.
        unjudged: The store has them, and could not judge them.
    """

    unknown: int = 0
    unsure: int = 0
    escalated: int = 0
    unscored: int = 0
    absent: int = 0
    unjudged: int = 0

    @property
    def lost(self) -> int:
        """Those that are not there to be judged."""
        return self.absent + self.unjudged


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cases:
    """Labelled pictures of one category; N of them, of which P are harmful.

    Attributes:
        category: Its id.
        design: How they were drawn.
        sha256: N digests.
        picture: intp `[N]`, which of the store's.
        scores: float64 `[N]`, before calibration: margin, logit or cosine.
        positive: bool `[N]`.
        pi: float64 `[N]` of a sample; None of other designs.
        group: intp `[N]`, numbers of near-duplicates over all labelled pictures.
        u: float64 `[N]`, each picture's lot.
        uploads: int64 `[N]`, how often each was uploaded.
        slices: By name, `[N]` values, "" where unknown.
        left_out: What is not among the N.
        escalated: Digests that somebody stopped and escalated: they count, and are shown nowhere.
        doubtful: Those of which somebody was unsure, marked as harmless here; None where there are none.
        lost: Of a sample, chances of pictures that the store lacks by now, which nobody can score.
        walked: Of `Design.TOP`, all that were drawn, with marks (`Mark`, int8), by no order in particular.
    """

    category: str
    design: Design
    sha256: tuple[str, ...]
    picture: Places
    scores: Floats
    positive: Flags
    pi: Floats | None
    group: Places
    u: Floats
    uploads: NDArray[np.int64]
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    escalated: frozenset[str] = frozenset()
    doubtful: "Cases | None" = None
    lost: Floats = field(default_factory=lambda: np.empty(0))
    walked: "Walked | None" = None

    def __len__(self) -> int:
        return len(self.positive)

    @property
    def positives(self) -> int:
        """How many are harmful."""
        return int(self.positive.sum())

    def groups(self, of: Flags) -> int:
        """Count distinct pictures among some, near-duplicates once."""
        return len(np.unique(self.group[of]))

    def and_doubtful(self, *, harmful: bool) -> "Cases":
        """Count what somebody was unsure of in the way that makes a promise hold whatever it is.

        Args:
            harmful: As harmful ones that no limit finds before it stops everything; else as harmless ones.

        Returns:
            All of a sample; of other designs, of which nothing is promised, the same.
        """
        doubtful = self.doubtful
        if doubtful is None or self.design is not Design.SAMPLE:
            return self
        scores = doubtful.scores
        if harmful:
            scores = np.full(len(doubtful), min(self.scores.min(initial=np.inf), scores.min()) - 1.0)
        return replace(
            self,
            sha256=(*self.sha256, *doubtful.sha256),
            picture=np.concatenate([self.picture, doubtful.picture]),
            scores=np.concatenate([self.scores, scores]),
            positive=np.concatenate([self.positive, np.full(len(doubtful), harmful)]),
            pi=None if self.pi is None or doubtful.pi is None else np.concatenate([self.pi, doubtful.pi]),
            group=np.concatenate([self.group, doubtful.group]),
            u=np.concatenate([self.u, doubtful.u]),
            uploads=np.concatenate([self.uploads, doubtful.uploads]),
            slices={},
            doubtful=None,
        )

    def and_lost(self, *, harmful: bool) -> "Cases":
        """Count what the store lacks by now in the way that makes a promise hold whatever it was.

        How often such a picture was uploaded nobody knows any more: as often as the others in the mean.

        Args:
            harmful: As harmful ones that no limit finds before it stops everything; else as harmless ones that every
                limit stops before it stops nothing.

        Returns:
            All of a sample; of other designs the same.
        """
        count = len(self.lost)
        if not count or self.design is not Design.SAMPLE or self.pi is None or not len(self):
            return self
        score = self.scores.min() - 2.0 if harmful else self.scores.max() + 1.0
        names = tuple(f"{number:064x}" for number in range(count))
        return replace(
            self,
            sha256=(*self.sha256, *names),
            picture=np.concatenate([self.picture, np.full(count, -1)]),
            scores=np.concatenate([self.scores, np.full(count, score)]),
            positive=np.concatenate([self.positive, np.full(count, harmful)]),
            pi=np.concatenate([self.pi, self.lost]),
            group=np.concatenate([self.group, self.group.max() + 1 + np.arange(count)]),
            u=np.concatenate([self.u, chances(list(names), f"{SEED} group")]),
            uploads=np.concatenate([self.uploads, np.full(count, np.ceil(self.uploads.mean()), np.int64)]),
            slices={},
            lost=np.empty(0),
        )

    @property
    def labelled(self) -> Labelled:
        """The same, as tables of choices take it."""
        return Labelled(
            scores=self.scores,
            positive=self.positive,
            pi=self.pi,
            group=self.group,
            u=self.u,
            uploads=self.uploads,
        )

    def only(self, chosen: Flags) -> "Cases":
        """Return some of the pictures, bool `[N]`."""
        kept = np.flatnonzero(chosen)
        return replace(
            self,
            sha256=tuple(self.sha256[row] for row in kept.tolist()),
            picture=self.picture[kept],
            scores=self.scores[kept],
            positive=self.positive[kept],
            pi=None if self.pi is None else self.pi[kept],
            group=self.group[kept],
            u=self.u[kept],
            uploads=self.uploads[kept],
            slices={name: tuple(values[row] for row in kept.tolist()) for name, values in self.slices.items()},
        )

    @property
    def without_label(self) -> int:
        """Pictures of a sample that nobody labelled: they were not left out by chance, so that rates are not known."""
        return self.left_out.unknown if self.design is Design.SAMPLE else 0

    @property
    def drawn(self) -> int:
        """How many pictures were drawn, as far as a promise needs to know."""
        labelled = len(self.walked.scores) if self.walked is not None else len(self) + self.left_out.unsure
        return labelled + self.without_label + self.left_out.absent

    @property
    def is_lost(self) -> bool:
        """Whether the store lacks more of what was drawn than people take out of one now and then."""
        traffic = self.design in (Design.SAMPLE, Design.TOP)
        return traffic and self.left_out.absent > _MOST_LOST * self.drawn

    @property
    def drawn_alike(self) -> Flags:
        """Find harmless pictures that had one and the same chance of being drawn: what exact tests may count."""
        harmless = ~self.positive
        if self.pi is None or not harmless.any():
            return harmless
        kept = np.zeros(len(self), dtype=np.bool_)
        lots = chances([self.sha256[row] for row in np.flatnonzero(harmless).tolist()], f"{SEED} evenly")
        kept[harmless] = evenly(self.pi[harmless], lots)
        return kept

    @property
    def drawn_for_it(self) -> bool:
        """Whether a higher score never meant a lower chance of being drawn, as where the sample was drawn for this.

        Then a picture above a limit weighs no more than one below, and weights show what a limit stops. What was drawn
        for certain hides nothing.
        """
        if self.pi is None or len(self) == 0:
            return False
        doubtful = self.pi < 1.0
        weight = (self.uploads / self.pi)[doubtful][np.argsort(self.scores[doubtful], kind="stable")]
        return bool((np.diff(weight) <= _SAME * weight[:-1]).all())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walked:
    """All that was drawn for a walk from the top.

    Attributes:
        scores: float64 `[n]`.
        marks: int8 `[n]` of `Mark`.
        u: float64 `[n]`.
        sha256: n digests; empty ones of what no label file lists.
    """

    scores: Floats
    marks: NDArray[np.int8]
    u: Floats
    sha256: tuple[str, ...]

    def and_lost(self, count: int) -> "Walked":
        """Begin the walk with pictures that the store lacks by now, as if each were harmless and stopped.

        Args:
            count: How many.
        """
        if not count:
            return self
        names = tuple(f"{number:064x}" for number in range(count))
        return Walked(
            scores=np.concatenate([self.scores, np.full(count, self.scores.max(initial=0.0) + 1.0)]),
            marks=np.concatenate([self.marks, np.full(count, Mark.NEGATIVE, np.int8)]),
            u=np.concatenate([self.u, chances(list(names), f"{SEED} group")]),
            sha256=(*self.sha256, *names),
        )


def join(
    store: Store, scores: StoreScores, labels: Labels, categories: Sequence[str], told: Told | None = None
) -> Mapping[str, Cases]:
    """Join labels with what a policy thinks of the pictures.

    Args:
        store: The pictures.
        scores: Of the policy.
        labels: Read beside that store.
        categories: Ids, of which the labels must know.
        told: For a progress bar of grouping.

    Returns:
        By category.

    Raises:
        LabelError: The labels say nothing of one of them.
    """
    for name in categories:
        if name not in labels.categories:
            raise LabelError(
                f"{', '.join(labels.sources)} says nothing of {name}; label it, or leave it out of --only."
            )
    said = np.flatnonzero((labels.marks != Mark.UNKNOWN).any(axis=1) | (labels.design is Design.TOP))
    picture = store.pictures.sha256.find([labels.sha256[row] for row in said.tolist()])
    lost, rows, picture = int((picture < 0).sum()), said[picture >= 0], picture[picture >= 0]
    base = _Base(store=store, scores=scores, labels=labels, rows=rows, picture=picture, lost=lost)
    group, u = base.group(told), chances(base.sha256, f"{SEED} group")
    uploads = store.upload_counts[picture]
    return {name: _cases(base, name, group, u, uploads) for name in categories}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Base:
    """What all categories share: rows of the labels whose pictures the store has."""

    store: Store
    scores: StoreScores
    labels: Labels
    rows: Places
    picture: Places
    lost: int

    @property
    def sha256(self) -> list[str]:
        return [self.labels.sha256[row] for row in self.rows.tolist()]

    @property
    def lost_chances(self) -> Floats:
        """Chances of rows that the store lacks, of a sample."""
        labels = self.labels
        if labels.design is not Design.SAMPLE:
            return np.empty(0)
        found = np.isin(np.arange(len(labels)), self.rows)
        said = (labels.marks != Mark.UNKNOWN).any(axis=1)
        return np.array([*(pi for pi in labels.absent_pi if pi is not None), *labels.pi[said & ~found]], np.float64)

    def group(self, told: Told | None) -> Places:
        if not len(self.rows):
            return self.rows
        number = np.arange(len(self.rows))
        # A walk holds all that was drawn, and what nobody labelled is compared with nothing.
        said = np.flatnonzero((self.labels.marks[self.rows] != Mark.UNKNOWN).any(axis=1))
        if len(said):
            block = self.store.vectors(self.picture[said])
            named = [self.labels.group[row] for row in self.rows[said].tolist()]
            number[said] = len(number) + group_pictures(block.embeddings[block.starts], named, told=told).number
        return number


def _cases(base: _Base, category: str, group: Places, u: Floats, uploads: NDArray[np.int64]) -> Cases:
    labels, marks = base.labels, base.labels.column(category)[base.rows]
    logit = base.scores.logit[base.picture, base.scores.concepts.index(category)]
    scored = np.isfinite(logit) & ~base.scores.refused[base.picture]
    sha256, all_marks = base.sha256, base.labels.column(category)
    everyone = Cases(
        category=category,
        design=labels.design,
        sha256=tuple(sha256),
        picture=base.picture,
        scores=logit,
        positive=marks == Mark.POSITIVE,
        lost=base.lost_chances,
        pi=labels.pi[base.rows] if labels.design is Design.SAMPLE else None,
        group=group,
        u=u,
        uploads=uploads,
        slices=_slices(base),
        escalated=frozenset(labels.sha256[row] for row in labels.escalated),
        left_out=LeftOut(
            unknown=int((all_marks == Mark.UNKNOWN).sum()),
            unsure=int((all_marks == Mark.UNSURE).sum()),
            escalated=len(labels.escalated),
            unscored=int((~scored & (marks >= 0)).sum()),
            absent=len(labels.absent) + base.lost,
            unjudged=len(labels.unjudged),
        ),
    )
    unsure = scored & (marks == Mark.UNSURE)
    return replace(
        everyone.only(scored & (marks >= 0)),
        doubtful=everyone.only(unsure) if unsure.any() else None,
        walked=whole_walk(
            _walked(everyone, marks, scored),
            labels,
            listed=~np.isin(base.rows, np.array(labels.beyond, dtype=np.intp)),
            scored=scored,
        )
        if labels.design is Design.TOP
        else None,
    )


def _walked(everyone: Cases, marks: NDArray[np.int8], scored: Flags) -> Walked:
    """Take all that was drawn; what has no score stands below all that has one, since no line stops it."""
    lowest = float(everyone.scores[scored].min()) - 1.0 if scored.any() else 0.0
    return Walked(scores=np.where(scored, everyone.scores, lowest), marks=marks, u=everyone.u, sha256=everyone.sha256)


def _slices(base: _Base) -> dict[str, tuple[str, ...]]:
    """Take the slices that label files name, and of the store's uploads those of each picture's first."""
    labels, rows = base.labels, base.rows.tolist()
    found = {name: tuple(values[row] or "" for row in rows) for name, values in labels.slices.items()}
    first = base.store.first_uploads[base.picture]
    for name, values in base.store.uploads.slices.items():
        found.setdefault(name, tuple(str(text) for text in values[first]))
    return found
