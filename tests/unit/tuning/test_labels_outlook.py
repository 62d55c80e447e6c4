"""What a sample's labels will be able to decide, said before anybody labels; and shares as limits."""

import numpy as np
import pytest

from clipwarden.tuning.labels.model import Design, Labels, Walk, no_marks
from clipwarden.tuning.labels.outlook import outlook, percent


def labels(pi: np.ndarray, design: Design = Design.SAMPLE, walk: Walk | None = None) -> Labels:
    count = len(pi)
    return Labels(
        design=design,
        categories=("red",),
        sha256=tuple(f"{number:064x}" for number in range(count)),
        uri=(None,) * count,
        pi=pi,
        group=(None,) * count,
        marks=no_marks(count, ["red"]),
        walk=walk,
    )


def test_an_even_sample_of_299_proves_one_per_cent() -> None:
    *_, last = outlook(labels(np.full(299, 0.1)))
    assert last == (
        "Of harmless pictures about 299 count as drawn evenly, which proves wrong stops of at most 1 % where none of "
        "them is stopped."
    )


def test_an_uneven_sample_says_how_many_labels_one_per_cent_takes() -> None:
    *_, last = outlook(labels(np.array([0.1] * 50 + [1.0] * 50)))
    # 50 and a tenth of 50 are left when all are thinned to a tenth: 1 - 0.05 ** (1 / 55) is 5.3 %.
    assert "about 55 count as drawn evenly, which proves wrong stops of at most 5.4 %" in last
    assert "For 1 % it takes 299: about 544 labels; or `--from-the-top`" in last


def test_a_walk_says_how_few_labels_it_takes() -> None:
    walk = Walk(category="red", uploads=3000, at_most=0.005, confidence=0.95, allowed=8)
    first, second = outlook(labels(np.full(3000, np.nan), Design.TOP, walk))
    assert first == (
        "Label from the top until 9 are not red, or unsure: 9 labels, and one for each that is. "
        "The other 2,991 need none."
    )
    assert second.startswith(
        "Then a line above the last of them stops at most 0.5 % of distinct uploads wrongly, with 95 %"
    )


def test_a_queue_decides_nothing() -> None:
    (only,) = outlook(labels(np.full(5, np.nan), Design.QUEUE))
    assert only.startswith("The store is a queue, not uniform traffic")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.005, "0.5 %"),
        (0.01, "1 %"),
        (0.0295, "3 %"),
        (0.0294, "3 %"),
        (0.00001, "0.001 %"),
        (0.95, "95 %"),
        (0.999, "100 %"),
    ],
)
def test_limits_are_rounded_up(share: float, text: str) -> None:
    assert percent(share) == text
