"""Evidence of a category before, and what of it stays, in; what the new evidence says of it, out.

Limits are often chosen one at a time, by labels of two designs: the review limit by a sample, then block by a walk
from the top. What the first one promises stays in the file beside the second, with the day and the design that it is
from, so that whoever approves reads it and a refit asks for it again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.rests import CHOSEN_ON, OLDER
from clipwarden.policy.schema import Bounds, Evidence
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.tune.answers import Answers
from clipwarden.tuning.tune.standing import category_of

_OPTIONS: Final = {
    "block": ("block-", "wrong-stops "),
    "review": ("review-", "daily-volume "),
    "calibration": ("prevalence ",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What stays of a category's evidence.

    Attributes:
        names: Of what stays: "block", "review", "calibration".
        before: The evidence; None where there is none.
    """

    names: tuple[str, ...]
    before: Evidence | None

    @property
    def promises(self) -> Iterator[str]:
        """What is promised of it, each with where that is from."""
        if self.before is not None:
            before = self.before
            origin = CHOSEN_ON.format(day=before.day, design=before.design.value, author=before.author)
            for promise in self.before.promises:
                if promise.startswith(tuple(f"{name}: " for name in self.names)):
                    yield promise if OLDER in promise else f"{promise}{origin}"

    @property
    def how(self) -> Iterator[str]:
        """By which methods it was found."""
        for part in self.before.how.split("; ") if self.before else ():
            if part.startswith(tuple(f"{name} by " for name in self.names)):
                yield part

    def targets(self, asked: Iterable[str]) -> tuple[str, ...]:
        """Put what was asked for it before in place of what was asked for it now and cannot be had.

        Args:
            asked: Options of now.

        Returns:
            Options, for a refit.
        """
        if self.before is None:
            return tuple(asked)
        now, before = list(asked), self.before.targets
        for name in self.names:
            theirs = [option for option in before if option.startswith(_OPTIONS[name])]
            if name == "calibration" and any(option.startswith(_OPTIONS[name]) for option in now):
                continue
            now = [option for option in now if not option.startswith(_OPTIONS[name])] + theirs
        return tuple(now)


def kept_of(answers: Answers, bounds: Bounds, compiled: CompiledPolicy) -> Kept:
    """Find what a proposal leaves as it is.

    Args:
        answers: Of one category.
        bounds: That are proposed.
        compiled: The policy before.

    Returns:
        It, with the evidence that it rests on.
    """
    chosen = (thresholds := category_of(compiled, answers.category).thresholds) and thresholds.chosen_on
    asked = {"block": answers.block, "review": answers.review}
    names = [
        name
        for name, limit in asked.items()
        if name in answers.now.named
        and getattr(bounds, name) is not None
        and (limit is None or limit.placed.edge is None)
    ]
    if not isinstance(answers.calibration, Fitted) and answers.category not in compiled.dropped_calibrations:
        names.append("calibration")
    return Kept(names=tuple(names), before=chosen.evidence if chosen else None)
