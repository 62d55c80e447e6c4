"""What somebody asks of limits in; the same as numbers, and as the options that ask for it again, out."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from clipwarden.errors import LineError
from clipwarden.tuning.labels.model import Design
from clipwarden.tuning.lines.saying import percent


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What is asked for; None where nothing is. All shares in (0, 1).

    Attributes:
        block_fpr: At most this share of harmless pictures is stopped.
        wrong_stops: At most this share of uploads is harmless and stopped (labels from the top).
        block_wrong: At most so many wrong stops among these labels: counted, no promise.
        review_recall: At least this share of harmful pictures is stopped or goes to people.
        review_fpr: At most this share of harmless pictures goes to people or is stopped.
        review_wrong: At most so many harmless pictures of these labels reach the review limit: counted, no promise.
        review_capacity: Reviews a day, over all categories.
        daily_volume: Uploads a day; goes with it.
        prevalence: Share of uploads that are like this, as somebody states it.
        confidence: Of every promise.
        policy_wide: Whether the confidence is of all lines and looks together, not of each alone.
    """

    block_fpr: float | None = None
    wrong_stops: float | None = None
    block_wrong: int | None = None
    review_recall: float | None = None
    review_fpr: float | None = None
    review_wrong: int | None = None
    review_capacity: float | None = None
    daily_volume: float | None = None
    prevalence: float | None = None
    confidence: float = 0.95
    policy_wide: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        for kind in (_BLOCK, _REVIEW):
            given = [_option(name) for name in kind if getattr(self, name) is not None]
            if len(given) > 1:
                raise LineError(f"--{given[0]} and --{given[1]} place the same limit: give one of them.")
        if self.block_fpr is not None and self.review_fpr is not None and self.review_fpr <= self.block_fpr:
            raise LineError(
                f"--review-fpr {percent(self.review_fpr)} has to be more than --block-fpr {percent(self.block_fpr)}: "
                "whatever is stopped counts as looked at, too. Raise the one or lower the other."
            )
        if (self.review_capacity is None) != (self.daily_volume is None):
            raise LineError("--review-capacity and --daily-volume go together: reviews of so many uploads a day.")

    @property
    def asks_block(self) -> bool:
        """Whether a block limit is asked for."""
        return self._any(_BLOCK)

    @property
    def asks_review(self) -> bool:
        """Whether a review limit is asked for."""
        return self._any(_REVIEW)

    @property
    def asks(self) -> bool:
        """Whether any limit is asked for."""
        return self.asks_block or self.asks_review

    @property
    def promises(self) -> int:
        """How many promises are asked for, of each category."""
        return sum(getattr(self, name) is not None for name in _PROMISED)

    @property
    def options(self) -> tuple[str, ...]:
        """As evidence keeps them: `block-fpr 0.001`; what holds by default is left out."""
        values = ((field.name, getattr(self, field.name), field.default) for field in fields(self))
        given = [(name, value) for name, value, default in values if value != default]
        return tuple(_option(name) if value is True else f"{_option(name)} {value!r}" for name, value in given)

    def served_by(self, design: Design) -> tuple["Targets", tuple[str, ...]]:
        """Part what labels of a design can serve from what they cannot.

        Args:
            design: Of the labels.

        Returns:
            The targets without the others, and those as options.
        """
        others: dict[str, Any] = {name: None for name in _BY_RATES if design is Design.TOP} or {"wrong_stops": None}
        served = replace(self, **others)
        return served, tuple(option for option in self.options if option not in served.options)

    @classmethod
    def read(cls, options: Iterable[str]) -> Self:
        """Read what `options` wrote.

        Raises:
            LineError: It is something else.
        """
        named = {_option(field.name): field.name for field in fields(cls)}
        found: dict[str, Any] = {}
        for option in options:
            name, _, text = option.partition(" ")
            if name not in named:
                raise LineError(f'The evidence asks for "{option}", which is no target; give the targets as options.')
            found[named[name]] = _value(option, text, named[name])
        return cls(**found)

    def _any(self, names: Iterable[str]) -> bool:
        return any(getattr(self, name) is not None for name in names)


_BLOCK: Final = ("block_fpr", "wrong_stops", "block_wrong")
_REVIEW: Final = ("review_recall", "review_fpr", "review_wrong", "review_capacity")
_BY_RATES: Final = ("block_fpr", "block_wrong", "review_recall", "review_fpr", "review_wrong")
_COUNTED: Final = ("block_wrong", "review_wrong")
_PROMISED: Final = ("block_fpr", "wrong_stops", "review_recall", "review_fpr", "review_capacity")


def _option(field: str) -> str:
    return field.replace("_", "-")


def _value(option: str, text: str, field: str) -> float | bool:
    if field == "policy_wide":
        return True
    try:
        return int(text) if field in _COUNTED else float(text)
    except ValueError:
        raise LineError(f'The evidence asks for "{option}", which is no number; give the targets as options.') from None
