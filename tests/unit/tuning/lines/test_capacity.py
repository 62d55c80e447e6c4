import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import LineError
from clipwarden.tuning.lines.capacity import CapacityLines, capacity_lines, days_at_most
from clipwarden.tuning.lines.path import Path, fix_path, fixes_path
from clipwarden.tuning.lines.promises import Lacking, NotMet

TABLES = st.tuples(st.integers(1, 60), st.integers(1, 3), st.integers(0, 99), st.booleans()).map(
    lambda drawn: np.round(np.random.default_rng(drawn[2]).normal(size=drawn[:2]), 1 if drawn[3] else 9)
)


@given(scores=TABLES)
def test_at_each_step_no_more_than_its_share_is_over_any_line(scores: np.ndarray) -> None:
    path = fix_path(scores)
    over = (scores[None] >= path.lines[:, None]).mean(axis=1)
    assert (over <= path.tails[:, None]).all()
    assert (over[0] == 0.0).all()
    assert (over[-1] == 1.0).all()
    assert (np.diff(path.lines, axis=0) <= 0.0).all()
    without_ties = len(np.unique(scores)) == scores.size
    assert not without_ties or (over == path.tails[:, None]).all()


@given(scores=TABLES, others=TABLES)
def test_uploads_are_first_over_a_line_where_a_search_finds_them(scores: np.ndarray, others: np.ndarray) -> None:
    path = fix_path(scores)
    tested = np.resize(others, (len(others), scores.shape[1]))
    tested[0, 0] = -np.inf
    reached = (tested[:, None] >= path.lines[None]).any(axis=2)
    expected = np.where(reached.any(axis=1), reached.argmax(axis=1), len(path.tails))
    assert path.first_over(tested).tolist() == expected.tolist()


def test_a_path_is_fixed_on_whole_groups_that_their_size_does_not_favour() -> None:
    chance = np.random.default_rng(2)
    group = np.repeat(np.arange(3000), np.where(np.arange(3000) < 1500, 1, 6))
    chosen = fixes_path(group, chance.random(len(group)))
    by_group = np.bincount(group, chosen) / np.bincount(group)
    assert set(by_group.tolist()) == {0.0, 1.0}
    assert by_group[:1500].mean() == pytest.approx(1 / 3, abs=0.05)
    assert by_group[1500:].mean() == pytest.approx(1 / 3, abs=0.05)


def test_a_path_needs_scores() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(LineError, match="write -inf where a picture could not be scored"):
            fix_path([[0.0, bad]])
    with pytest.raises(LineError, match="no score at all"):
        fix_path([[0.0, -np.inf], [1.0, -np.inf]])
    for shape in ((0, 2), (3,)):
        with pytest.raises(LineError, match="a row an upload"):
            fix_path(np.zeros(shape))
    assert np.isfinite(fix_path([[0.0, -np.inf], [1.0, 2.0]]).lines).all()


UPLOADS = 4000


def traffic(seed: int = 6) -> tuple[Path, np.ndarray]:
    chance = np.random.default_rng(seed)
    return fix_path(chance.normal(size=(2000, 3))), chance.normal(size=(UPLOADS, 3))


NOBODY = np.zeros(UPLOADS, dtype=bool)


def asked(path: Path, scores: np.ndarray, **more: object) -> CapacityLines | NotMet:
    given = {"always": NOBODY, "never": NOBODY, "capacity": 500.0, "daily_volume": 10_000.0} | more
    return capacity_lines(path, scores, **given)


def lines(path: Path, scores: np.ndarray, **more: object) -> CapacityLines:
    found = asked(path, scores, **more)
    assert isinstance(found, CapacityLines)
    return found


def reviewed(found: CapacityLines, scores: np.ndarray) -> np.ndarray:
    return (scores >= [line.at for line in found.lines]).any(axis=1)


def test_people_get_the_union_of_all_categories_and_no_more_than_they_can_look_at() -> None:
    path, scores = traffic()
    found = lines(path, scores)
    share = reviewed(found, scores).mean()
    assert found.reviews == pytest.approx(share * 10_000)
    assert found.reviews < found.mean_at_most <= 500.0
    assert found.reviews > 400.0  # about 20 a thousand more would be too many to promise
    assert (found.on_95_days_at_most, found.days, found.promised) == (None, 0, "on average")
    assert found.lines[0].promise.sentence == (
        f"at most 5 % of uploads go to people, with 95 % confidence ({round(share * UPLOADS)} of 4,000 here)"
    )
    for line, column in zip(found.lines, scores.T, strict=True):
        assert line.below is not None
        assert line.above is not None
        assert (column >= line.at).sum() == (column >= line.above).sum()


@settings(max_examples=30)
@given(capacities=st.tuples(st.floats(60.0, 10_000.0), st.floats(60.0, 10_000.0)).map(sorted))
def test_review_lines_fall_as_capacity_rises(capacities: list[float]) -> None:
    path, scores = traffic()
    few, many = [lines(path, scores, capacity=capacity) for capacity in capacities]
    assert all(a.at >= b.at for a, b in zip(few.lines, many.lines, strict=True))


def test_what_is_blocked_takes_nobodys_time_and_what_goes_to_people_anyway_does() -> None:
    path, scores = traffic()
    plain = lines(path, scores)
    blocked = scores.max(axis=1) > 2.2
    freed = lines(path, scores, never=blocked)
    assert freed.tail > plain.tail
    degraded = np.arange(UPLOADS) % 50 == 0
    crowded = lines(path, scores, always=degraded)
    assert crowded.tail < plain.tail
    assert crowded.reviews == pytest.approx((reviewed(crowded, scores) | degraded).mean() * 10_000)
    both = lines(path, scores, always=blocked, never=blocked)
    assert both.reviews == pytest.approx((reviewed(both, scores) & ~blocked).mean() * 10_000)


def test_where_everything_can_be_looked_at_everything_is() -> None:
    path, scores = traffic()
    assert lines(path, scores, capacity=20_000.0).tail == 1.0


def test_what_stands_in_the_way_is_said_in_numbers() -> None:
    path, scores = traffic()
    crowded = asked(path, scores, always=np.arange(UPLOADS) % 10 == 0)
    assert isinstance(crowded, NotMet)
    assert (crowded.lacking, crowded.have, crowded.need) == (Lacking.CAPACITY, 500, 1000)
    assert crowded.sentence.endswith("it takes 1,000 reviews a day, there are 500, so 500 are missing")
    unproven = asked(path, scores, capacity=5.0)
    assert isinstance(unproven, NotMet)
    assert (unproven.lacking, unproven.have, unproven.need) == (Lacking.UPLOADS, UPLOADS, 5990)
    close = asked(path, scores, always=np.arange(UPLOADS) % 50 == 0, capacity=220.0)
    assert isinstance(close, NotMet)
    assert close.lacking is Lacking.UPLOADS
    assert close.need > 2 * UPLOADS


def test_days_that_differ_are_promised_from_two_weeks_on() -> None:
    path, scores = traffic()
    days = np.arange(UPLOADS) % 20
    found = lines(path, scores, day=days)
    assert found.days == 20
    assert found.promised == "on 95 of 100 days"
    assert found.mean_at_most < found.on_95_days_at_most <= 500.0
    assert found.tail < lines(path, scores).tail
    week = lines(path, scores, day=days % 13)
    assert (week.days, week.promised, week.tail) == (13, "on average", lines(path, scores).tail)


def test_the_limit_of_few_days_has_the_tables_tolerance_factor_and_is_no_less_than_the_highest_day() -> None:
    # 2.614 for 14 days, 2.396 for 20: Hahn & Meeker, table of one-sided factors for 95 % at 95 %.
    for days, factor in ((14, 2.614), (20, 2.396)):
        sent = np.random.default_rng(1).integers(300, 600, (days, 1))
        logs = np.log((sent + 0.5) / 10_001)
        expected = np.exp(logs.mean() + factor * logs.std(ddof=1))
        assert days_at_most(sent, np.full(days, 10_000), 0.05)[0] == pytest.approx(expected, rel=1e-3)
    odd = np.r_[np.full(15, 50), 9000][:, None]
    assert days_at_most(odd, np.full(16, 10_000), 0.05)[0] == 0.9
    assert days_at_most(np.zeros((14, 1), int), np.full(14, 999), 0.05)[0] == pytest.approx(0.0005)


def test_the_limit_of_many_days_is_a_day_that_an_exact_test_allows() -> None:
    sent = np.arange(1, 94)[:, None] * 10
    assert days_at_most(sent[:59], np.full(59, 1000), 0.05)[0] == 0.59
    assert days_at_most(sent, np.full(93, 1000), 0.05)[0] == 0.92  # of 93 days one may be above


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"capacity": 0.0}, "both must be above 0"),
        ({"daily_volume": np.inf}, "both must be above 0"),
        ({"delta": 1.0}, "write a share between 0 and 1"),
        ({"always": NOBODY[:5]}, "5 and 4000 verdicts"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused_in_words(wrong: dict[str, object], said: str) -> None:
    path, scores = traffic()
    with pytest.raises(LineError, match=said):
        asked(path, scores, **wrong)
    with pytest.raises(LineError, match="3 categories, the scores have 2"):
        capacity_lines(path, scores[:, :2], always=NOBODY, never=NOBODY, capacity=1.0, daily_volume=9.0)
