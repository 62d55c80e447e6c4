"""What somebody asks of limits in; the same as numbers, and as the options that ask for it again, out."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What is asked for; None where nothing is. All shares in (0, 1).

    Attributes:
        block_fpr: At most this share of harmless pictures is stopped.
        wrong_stops: At most this share of uploads is harmless and stopped (labels from the top).
        block_wrong: At most so many wrong stops among these labels: counted, no promise.
        review_recall: At least this share of harmful pictures is stopped or goes to people.
        review_wrong: At most so many harmless pictures of these labels go to people: counted, no promise.
        review_capacity: Reviews a day, over all categories.
        daily_volume: Uploads a day; goes with it.
        prevalence: Share of uploads that are like this, as somebody states it.
        confidence: Of every promise.
        whole_policy: Whether the confidence is of all lines and looks together, not of each alone.
    """

    block_fpr: float | None = None
    wrong_stops: float | None = None
    block_wrong: int | None = None
    review_recall: float | None = None
    review_wrong: int | None = None
    review_capacity: float | None = None
    daily_volume: float | None = None
    prevalence: float | None = None
    confidence: float = 0.95
    whole_policy: bool = False

    @property
    def asks(self) -> bool:
        """Whether a limit is asked for at all."""
        return self.asks_block or self.asks_review

    @property
    def asks_block(self) -> bool:
        """Whether a block limit is."""
        return any(each is not None for each in (self.block_fpr, self.wrong_stops, self.block_wrong))

    @property
    def asks_review(self) -> bool:
        """Whether a review limit is."""
        return any(each is not None for each in (self.review_recall, self.review_wrong, self.review_capacity))

    @property
    def options(self) -> tuple[str, ...]:
        """As evidence keeps them: `block-fpr 0.001`."""
        raise NotImplementedError
