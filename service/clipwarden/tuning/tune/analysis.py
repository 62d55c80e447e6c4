"""A store, a compiled policy, labels and targets in; what `tune` answers, in the order of its questions, out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.tuning.calibration import Fitted, Quality, Unfit
from clipwarden.tuning.design.rates import Estimate
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.lines.choices import Choice, Lowering
from clipwarden.tuning.lines.confidence import Confidence
from clipwarden.tuning.lines.promises import Line, NotMet
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.cases import LeftOut
from clipwarden.tuning.tune.targets import Targets

Told = Callable[[str, int, int], None]
"""Called with what is under way, how much of it is done, and how much there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        store: The pictures.
        compiled: The policy, with its model's vectors.
        labels: What people said; None asks unlabelled traffic.
        targets: What limits are to keep.
        only: Categories; none takes all that the labels (or the policy) have.
        show: How many misses and false alarms, each.
        looks: How often these labels were looked at before, by category.
    """

    store: Store
    compiled: CompiledPolicy
    labels: Labels | None
    targets: Targets
    only: tuple[str, ...] = ()
    show: int = 5
    looks: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deciding:
    """Whether labels can decide a category.

    Attributes:
        labelled: Pictures with a label.
        positives: Harmful ones.
        distinct_positives: Near-duplicates once.
        distinct_negatives: Likewise.
        left_out: What says nothing.
        reference: What of the harmful the reference limit finds; None where there is none to count.
        halving: About how many labels more halve that interval; None where nothing can be said.
        enough: Whether limits can be chosen by them at all.
        sentences: For people.
    """

    labelled: int
    positives: int
    distinct_positives: int
    distinct_negatives: int
    left_out: LeftOut
    reference: Estimate | None
    halving: int | None
    enough: bool
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A picture that was judged wrongly, with what spoke for and against it.

    Attributes:
        sha256: Its digest.
        uri: Its first address.
        score: What thresholds are compared with, by the policy as it is.
        raw: Before calibration.
        distance: From the limit, before calibration; below 0 where it is missed.
        prompt: The winning one; None of a head.
        contrast: The winning negative, or None.
        view: On which ground, as in `on_black`.
        frame: Of an animation.
    """

    sha256: str
    uri: str
    score: float
    raw: float
    distance: float
    prompt: str | None
    contrast: str | None
    view: str
    frame: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Which pictures pay, nearest to the limit first.

    Attributes:
        limit: Which limit, in words.
        at: It, before calibration.
        misses: Harmful ones below it.
        missed: How many there are.
        false_alarms: Harmless ones that reach it.
        alarmed: How many there are.
    """

    limit: str
    at: float
    misses: tuple[Shown, ...]
    missed: int
    false_alarms: tuple[Shown, ...]
    alarmed: int


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
        moved: Pictures whose score it moves at all noticeably.
        most: The greatest move, in the unit of thresholds.
        chance: How likely such a difference is if the text did nothing (exact sign test on pictures that change).
        helps: Whether leaving it out finds more without more wrong stops, or as many with fewer.
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
    helps: bool

    @property
    def sentence(self) -> str:
        """As staff read it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One limit that was asked for.

    Attributes:
        asked: The target, as in `block-fpr 0.001`.
        line: Where it lies; or what is missing.
        threshold: In the unit of the policy, through its calibration; None where there is none.
        promise: What holds of it, in one sentence; of a counted limit, what was counted.
        promised: Whether that is a promise about traffic.
        choice: What it finds and wrongly stops here; None where labels cannot say.
    """

    asked: str
    line: Line | NotMet
    threshold: float | None
    promise: str
    promised: bool
    choice: Choice | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Of one category, in the order of the questions.

    Attributes:
        category: Its id.
        deciding: Can these labels decide it?
        choices: What do I get, at what price?
        lowering: What lowering the reference limit would find.
        gallery: Which pictures pay; None where no limit is known.
        without: What would help: each text left out, best first.
        prevalence: How many uploads are like this; None where the labels cannot say.
        flagged: Without labels: what share of uploads each limit of today stops.
        block: The block limit asked for.
        review: The review limit asked for.
        calibration: New; or why there is none.
        quality: Of it, held out.
        confidence: Of promises, looks counted.
        notes: Sentences that belong to none of these.
    """

    category: str
    deciding: Deciding | None
    choices: tuple[Choice, ...]
    lowering: Lowering | None
    gallery: Gallery | None
    without: tuple[Without, ...]
    prevalence: Estimate | None
    flagged: Mapping[str, Estimate]
    block: Limit | None
    review: Limit | None
    calibration: Fitted | Unfit | None
    quality: Quality | None
    confidence: Confidence
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """All of it.

    Attributes:
        categories: Answers, in the policy's order.
        notes: Of the store and the labels as a whole.
        sources: The label files.
    """

    categories: tuple[Answers, ...]
    notes: tuple[str, ...]
    sources: tuple[Path, ...] = ()


def analyse(question: Question, told: Told | None = None) -> Analysis:
    """Answer.

    Args:
        question: What is asked.
        told: For a progress bar.

    Returns:
        The answers.

    Raises:
        LabelError: The labels cannot serve, or a promise needs uniform traffic.
        StoreError: The store is of another model or view plan.
        LineError: Numbers that contradict each other.
    """
    raise NotImplementedError
