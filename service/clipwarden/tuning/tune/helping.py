"""Labelled pictures and a policy in; what leaving out each of a category's texts would do, out.

A limit is chosen on some groups and measured on the others, fold by fold, with all texts and with one less: nothing is
measured on the pictures that it was chosen on. No text is embedded for that, since vectors of all of them are there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.schema import Category, Mode
from clipwarden.scoring.bestview import raw_scores
from clipwarden.scoring.score import cosines, score_rows
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.design.groups import folds
from clipwarden.tuning.lines.edges import Floats, highest_after, over
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.cases import Cases
from clipwarden.tuning.tune.standing import category_of, scale_of

PARTS: Final = 5
UNMOVED: Final = 0.005
"""A move of a score that nobody would notice: half of the second decimal."""
_BY_CHANCE: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Without:
    """What leaving one text out does, measured on other groups than those the limit is chosen on.

    Attributes:
        text: The prompt or negative.
        is_negative: Which of the two.
        found: Harmful ones found with all texts, and without this one.
        wrong: Harmless ones stopped, likewise.
        harmful: Of how many.
        harmless: Of how many.
        moved: Pictures whose score it moves by more than `UNMOVED`.
        most: The greatest move, in the unit of thresholds.
        chance: How likely at least such a difference is if the text made none (exact sign test on pictures that are
            judged otherwise).
    """

    text: str
    is_negative: bool
    found: tuple[int, int]
    wrong: tuple[int, int]
    harmful: int
    harmless: int
    moved: int
    most: float
    chance: float

    @property
    def helps(self) -> bool:
        """Whether leaving it out finds no fewer and stops no more wrongly, and one of the two is better."""
        better, worse = self.found[1] - self.found[0], self.wrong[1] - self.wrong[0]
        return better >= 0 and worse <= 0 and (better, worse) != (0, 0)

    @property
    def hurts(self) -> bool:
        """Whether leaving it out finds fewer or stops more wrongly, and neither is better."""
        better, worse = self.found[1] - self.found[0], self.wrong[1] - self.wrong[0]
        return better <= 0 and worse >= 0 and (better, worse) != (0, 0)

    @property
    def loses(self) -> bool:
        """Whether leaving it out finds fewer, and stops no fewer wrongly for it: what is worth keeping."""
        return self.hurts and self.found[1] < self.found[0]

    @property
    def gain(self) -> int:
        """Finds more, and wrong stops less, without it."""
        return (self.found[1] - self.found[0]) - (self.wrong[1] - self.wrong[0])

    @property
    def sentence(self) -> str:
        """As staff read it."""
        what = f'{"the negative" if self.is_negative else "the prompt"} "{self.text}"'
        if self.moved == 0:
            return f"{what} moves no image: no score by more than {_move(self.most)}"
        told = (
            f"without {what}: finds {self.found[1]} instead of {self.found[0]} of {self.harmful}, stops "
            f"{self.wrong[1]} instead of {self.wrong[0]} of {self.harmless} wrongly"
        )
        return f"{told} (may be chance)" if self.by_chance else told

    @property
    def by_chance(self) -> bool:
        """Whether what it changes may come of which pictures happened to be labelled: nothing to act on."""
        return self.chance > _BY_CHANCE


def left_out_texts(
    cases: Cases,
    store: Store,
    compiled: CompiledPolicy,
    *,
    wrong: int,
    told: Callable[[int, int], None] | None = None,
) -> tuple[Without, ...]:
    """Leave out each prompt and negative of a category in turn.

    Args:
        cases: Labelled pictures, harmful and harmless.
        store: Their vectors.
        compiled: The policy.
        wrong: Wrong stops among all of them that limits allow, here.
        told: For a progress bar.

    Returns:
        What helps most first; of a head nothing.
    """
    category = category_of(compiled, cases.category)
    variants = list(_variants(category))
    if not variants or not _can_fold(cases):
        return ()
    block = store.vectors(cases.picture)
    rows = cosines(block.embeddings, compiled)
    scorer = _Scorer(compiled=compiled, category=category, rows=rows, starts=block.starts)
    part = folds(cases.group, cases.u, _parts(cases), positive=cases.positive)
    whole = scorer.scores(category, None)
    before = _stopped(whole[0], cases, part, wrong)
    found = []
    for number, (text, is_negative, place, changed) in enumerate(variants):
        scores = scorer.scores(changed, place)
        after = _stopped(scores[0], cases, part, wrong)
        moves = np.abs(scores[1] - whole[1])
        found.append(_compared(cases, text, is_negative, before=before, after=after, moves=moves))
        if told:
            told(number + 1, len(variants))
    return tuple(sorted(found, key=lambda each: (-each.gain, each.moved > 0, each.text)))


def compared_texts(category: Category, *, whole: bool = False) -> tuple[str, ...]:
    """Name the texts that are left out in turn, each with what it is: the same words are two texts in two places.

    Args:
        category: Of a policy.
        whole: Whether a prompt that stands alone is named too, though it is never left out.
    """
    prompts = category.prompts if whole or len(category.prompts) > 1 else ()
    return (*(f"prompt {each.text}" for each in prompts), *(f"negative {each}" for each in category.negatives))


def _variants(category: Category) -> Iterator[tuple[str, bool, int, Category]]:
    """Yield each text, whether it is a negative, its row among the category's, and the category without it."""
    if len(category.prompts) > 1:
        for index, prompt in enumerate(category.prompts):
            rest = category.prompts[:index] + category.prompts[index + 1 :]
            yield str(prompt.text), False, index, replace(category, prompts=rest)
    for index, negative in enumerate(category.negatives):
        rest_of = category.negatives[:index] + category.negatives[index + 1 :]
        yield str(negative), True, len(category.prompts) + index, replace(category, negatives=rest_of)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Scorer:
    """Scores one category without one of its texts, by the server's own code: attributes stay, other categories go."""

    compiled: CompiledPolicy
    category: Category
    rows: NDArray[np.float32]
    starts: NDArray[np.intp]

    def scores(self, changed: Category, without: int | None) -> tuple[Floats, Floats]:
        """Return what orders the pictures, and their scores in the unit of thresholds, `[N]` each."""
        compiled, columns = self._alone(changed, without)
        tables = prepare(compiled)
        # The calibration is kept for measuring moves, though it was fitted with the text.
        slope, bias = scale_of(self.compiled, self.category)
        raw = raw_scores(score_rows(self.rows[:, columns], tables), tables)[:, 0]
        best = np.maximum.reduceat(raw, self.starts)
        return best, best if slope is None else 1.0 / (1.0 + np.exp(-np.clip(slope * best + bias, -500, 500)))

    def _alone(self, changed: Category, without: int | None) -> tuple[CompiledPolicy, list[int]]:
        policy = self.compiled.policy
        shadow = replace(changed, mode=Mode.SHADOW, contexts={}, exemptions=())
        alone = replace(policy, categories=(shadow,))
        texts = self._texts(without)
        count = len(self.compiled.vectors)
        kept = replace(self.compiled, policy=alone, vectors=self.compiled.vectors[[*texts, count - 1]])
        heads = [count + self.compiled.heads.index(head) for head in kept.heads]
        return kept, [*texts, count - 1, *heads]

    def _texts(self, without: int | None) -> list[int]:
        """Find the rows of the category and the attributes."""
        policy, found, first = self.compiled.policy, [], 0
        kept: set[str] = {self.category.id, *(attribute.id for attribute in policy.attributes)}
        for concept in scored_concepts(policy):
            rows = list(range(first, first + len(concept.phrases)))
            first += len(rows)
            if concept.id == self.category.id and without is not None:
                rows.pop(without)
            found += rows if concept.id in kept else []
        return found


def _can_fold(cases: Cases) -> bool:
    return _parts(cases) > 1


def _parts(cases: Cases) -> int:
    """As many parts as there are harmful groups for, so that each limit is measured on some."""
    return min(PARTS, cases.groups(cases.positive), cases.groups(~cases.positive))


def _stopped(scores: Floats, cases: Cases, part: NDArray[np.intp], wrong: int) -> NDArray[np.bool_]:
    """Choose a limit on all parts but one, and say what it stops of that one."""
    stopped = np.zeros(len(scores), dtype=np.bool_)
    harmless = ~cases.positive
    for number in range(int(part.max()) + 1):
        here = part == number
        clean = scores[~here & harmless]
        if not len(clean):
            continue
        allowed = min(len(clean) - 1, round(wrong * len(clean) / max(1, int(harmless.sum()))))
        stopped[here] = scores[here] >= over(highest_after(clean, allowed), scores[~here]).at
    return stopped


def _compared(
    cases: Cases,
    text: str,
    is_negative: bool,  # noqa: FBT001  one caller
    *,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    moves: Floats,
) -> Without:
    harmful, harmless = cases.positive, ~cases.positive
    otherwise = before != after
    # Of those judged otherwise, how many are right now: with a text that makes no difference, half of them.
    right, changed = int((otherwise & (after == harmful)).sum()), int(otherwise.sum())
    return Without(
        text=text,
        is_negative=is_negative,
        found=(int((before & harmful).sum()), int((after & harmful).sum())),
        wrong=(int((before & harmless).sum()), int((after & harmless).sum())),
        harmful=int(harmful.sum()),
        harmless=int(harmless.sum()),
        moved=int((moves > UNMOVED).sum()),
        most=float(moves.max(initial=0.0)),
        chance=float(binomtest(right, changed, 0.5).pvalue) if changed else 1.0,
    )


def _move(most: float) -> str:
    return f"{most:.3f}" if most >= 0.0005 else "0.001"  # noqa: PLR2004  what three decimals can say
