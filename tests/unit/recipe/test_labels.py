from collections import Counter

from recipes.mini.labels import is_plain_picture, is_restyled, read_labels
from recipes.mini.sets import REPORT_SETS, SELECTION_SETS


def test_labels_are_unique_and_only_of_held_out_sets() -> None:
    labels = read_labels()
    assert not [k for k, n in Counter((m.icon_set, m.icon, m.category) for m in labels).items() if n > 1]
    assert {m.icon_set for m in labels} <= {*SELECTION_SETS, *REPORT_SETS}
    assert {m.label for m in labels} == {"positive", "hard_negative", "ambiguous"}


def test_every_measured_category_has_thirty_positives_in_the_report_sets() -> None:
    counts = Counter(m.category for m in read_labels() if m.label == "positive" and m.icon_set in REPORT_SETS)
    assert {c for c, n in counts.items() if n >= 30} == {
        "weapons",
        "substances.alcohol",
        "gambling",
        "violence.graphic",
    }


def test_traps_of_names_are_no_positives() -> None:
    positives = {m.icon for m in read_labels() if m.label == "positive"}
    assert positives.isdisjoint({"bullet-list", "bullet-train", "no-smoking", "fork-and-knife", "blood-type", "slot"})


def test_another_style_of_a_drawing_is_not_counted_twice() -> None:
    assert is_restyled("sword-filled")
    assert is_restyled("blood-bag-outline-24px")
    assert not is_restyled("flat-head-thumb-tack")


def test_flags_letters_and_clock_times_are_no_pictures() -> None:
    assert [i for i in ("flag-for-chad", "letter-a", "two-oclock", "up-arrow", "dog") if is_plain_picture(i)] == ["dog"]
