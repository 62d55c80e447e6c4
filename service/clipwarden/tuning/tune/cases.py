"""A store, labels and a policy's scores in; of each category the labelled pictures as columns, and what is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.tuning.design.groups import group_pictures
from clipwarden.tuning.design.sampling import chances
from clipwarden.tuning.labels.model import Design, Labels, Mark
from clipwarden.tuning.lines.choices import Labelled
from clipwarden.tuning.lines.draws import evenly
from clipwarden.tuning.scores import StoreScores
from clipwarden.tuning.store.store import Store

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

SEED: Final = "clipwarden tune"
"""Of lots that decide what stands for a group; a sample's own seed decided what is in it, and is not used again."""


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
        doubtful: Those of which somebody was unsure, marked as harmless here; None where there are none.
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
    doubtful: "Cases | None" = None
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

    @property
    def labelled(self) -> Labelled:
        """The same, as tables of choices take it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walked:
    """All that was drawn for a walk from the top.

    Attributes:
        scores: float64 `[n]`.
        marks: int8 `[n]` of `Mark`.
        u: float64 `[n]`.
        sha256: n digests.
    """

    scores: Floats
    marks: NDArray[np.int8]
    u: Floats
    sha256: tuple[str, ...]


def join(store: Store, scores: StoreScores, labels: Labels, categories: Sequence[str]) -> Mapping[str, Cases]:
    """Join labels with what a policy thinks of the pictures.

    Args:
        store: The pictures.
        scores: Of the policy.
        labels: Read beside that store.
        categories: Ids, of which the labels must know.

    Returns:
        By category.

    Raises:
        LabelError: The labels say nothing of one of them.
    """
    raise NotImplementedError
