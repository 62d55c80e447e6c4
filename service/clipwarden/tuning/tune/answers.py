"""What `tune` is asked, and what it answers, category by category."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clipwarden.errors import LabelError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.contexts import scored_anywhere
from clipwarden.policy.schema import Bounds
from clipwarden.tuning.calibration import Fitted, Unfit
from clipwarden.tuning.design.rates import Estimate
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.lines.choices import Choice, Lowering
from clipwarden.tuning.lines.confidence import Confidence
from clipwarden.tuning.quality import Quality
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.deciding import Deciding
from clipwarden.tuning.tune.gallery import Gallery
from clipwarden.tuning.tune.helping import Without
from clipwarden.tuning.tune.limits import Placed
from clipwarden.tuning.tune.standing import Standing
from clipwarden.tuning.tune.targets import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        store: The pictures.
        compiled: The policy, with its model's vectors.
        labels: What people said; None asks unlabelled traffic.
        targets: What limits are to keep.
        by_category: Targets of single categories instead, as `--refit` finds them in their evidence.
        only: Categories; none takes all that the labels (or, without labels, the policy) have.
        show: How many misses and false alarms, each.
        looks: How often these labels have been looked at with this question, by category; once where it is not there.
    """

    store: Store
    compiled: CompiledPolicy
    labels: Labels | None
    targets: Targets = field(default_factory=Targets)
    by_category: Mapping[str, Targets] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    show: int = 5
    looks: Mapping[str, int] = field(default_factory=dict)

    def targets_of(self, category: str) -> Targets:
        """What is asked of one category."""
        return self.by_category.get(category, self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """Categories that are answered about, in the policy's order; those that are disabled have no score.

        Raises:
            LabelError: There is none, or one that was named is disabled.
        """
        policy = self.compiled.policy
        declared = [each.id for each in policy.categories]
        scored = [each.id for each in policy.categories if scored_anywhere(each)]
        wanted = self.only or (self.labels.categories if self.labels else scored)
        disabled = [name for name in wanted if name not in scored]
        if disabled and (self.only or len(disabled) == len(wanted)):
            raise LabelError(f"The policy has {disabled[0]} disabled, so that no picture has a score for it.")
        if not wanted:
            raise LabelError("There is no category to answer about: the labels name none that the policy scores.")
        return tuple(name for name in declared if name in wanted and name in scored)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One limit that was asked for.

    Attributes:
        placed: Where it lies and what holds of it, or what is missing.
        threshold: In the unit of the policy, through the calibration that goes with it; None where there is none.
        choice: What it finds and wrongly stops of the labelled; None where labels cannot say.
    """

    placed: Placed
    threshold: float | None
    choice: Choice | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Of one category, in the order of the questions.

    Attributes:
        category: Its id.
        deciding: Can these labels decide it? None without labels.
        choices: What do I get, at what price? Block as now first, then review as now, then from lenient to strict.
        now: Which limits of the policy hold now, before calibration.
        lowering: What lowering the reference limit would find.
        gallery: Which pictures pay; None where no limit is known.
        without: What would help: each text left out, best first.
        prevalence: How many uploads are like this; None where the labels cannot say.
        flagged: What share of uploads each limit of now stops, of uniform traffic without labels.
        block: The block limit asked for.
        review: The review limit asked for.
        calibration: New; or why there is none; None where its method takes none or these labels cannot give one.
        quality: Of it, held out.
        bounds: What is to be written; None where nothing is.
        confidence: Of promises, looks counted.
        notes: Sentences that belong to none of these.
    """

    category: str
    deciding: Deciding | None = None
    choices: tuple[Choice, ...] = ()
    now: Standing = field(default_factory=Standing)
    lowering: Lowering | None = None
    gallery: Gallery | None = None
    without: tuple[Without, ...] = ()
    prevalence: Estimate | None = None
    flagged: Mapping[str, Estimate] = field(default_factory=dict)
    block: Limit | None = None
    review: Limit | None = None
    calibration: Fitted | Unfit | None = None
    quality: Quality | None = None
    bounds: Bounds | None = None
    confidence: Confidence
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """All of it.

    Attributes:
        categories: Answers, in the policy's order.
        notes: Of the store and the labels as a whole.
        together: What share of uploads the block limits of several categories stop, without labels; else None.
    """

    categories: tuple[Answers, ...]
    notes: tuple[str, ...]
    together: Estimate | None = None
