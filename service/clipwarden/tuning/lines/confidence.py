"""How many lines a policy has and how often its labels were looked at, in; how sure one may be of all of it, out.

Every line breaks its promise with a chance of at most delta. Chances add up, over the lines of a policy and over looks:
whoever chooses texts anew after seeing what these labels say, and tests again on the same labels, has had another try.
The sums hold whatever the lines have in common (Bonferroni).
"""

from dataclasses import dataclass

from clipwarden.tuning.lines.binomial import require_share
from clipwarden.tuning.lines.saying import percent


@dataclass(frozen=True, kw_only=True, slots=True)
class Confidence:
    """How sure one may be.

    Attributes:
        delta: The chance of breaking its promise that each test of a line allowed.
        lines: How many lines of the policy make a promise.
        looks: How often these labels were looked at, this time included.
        labelled: Whether there are labels to be looked at.
    """

    delta: float
    lines: int = 1
    looks: int = 1
    labelled: bool = True

    @property
    def per_line(self) -> float:
        """That one line keeps its promise, 0..1."""
        return max(0.0, 1.0 - self.looks * self.delta)

    @property
    def policy_wide(self) -> float:
        """That all lines keep their promises, 0..1."""
        return max(0.0, 1.0 - self.lines * self.looks * self.delta)

    @property
    def one_breaks_if_independent(self) -> float:
        """The chance that some line breaks its promise, if none had anything to do with another: 0.74 for 26 at 5 %."""
        return float(1.0 - (1.0 - self.delta) ** (self.lines * self.looks))

    @property
    def sentence(self) -> str:
        """What staff read beside the lines."""
        times = "once" if self.looks == 1 else f"{self.looks} times"
        whole = (
            f"all {self.lines} of the policy together with at least {percent(self.policy_wide)}"
            if self.lines > 1
            else ""
        )
        if whole and not self.policy_wide:
            whole = f"of all {self.lines} of the policy together that says nothing, which --policy-wide would"
        each = f"each line keeps its promise with at least {percent(self.per_line)} confidence"
        if not self.per_line:
            each = "after so many looks no line's promise says anything, unless it was asked for with --policy-wide"
        looked = f"; these labels were looked at {times}" if self.labelled else ""
        return f"{', '.join(filter(None, (each, whole)))}{looked}"


def shared(delta: float, lines: int, looks: int = 1) -> float:
    """Share a chance of breaking a promise out among the lines of a policy, and looks at the labels.

    Args:
        delta: That any of them breaks its promise, in (0,1).
        lines: How many lines, at least 1.
        looks: How many looks, at least 1.

    Returns:
        The delta to test each line with.

    Raises:
        LineError: A delta outside (0,1).
    """
    require_share(delta, "chance of breaking a promise")
    return delta / (max(1, lines) * max(1, looks))
