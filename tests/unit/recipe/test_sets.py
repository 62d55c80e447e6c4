import pytest

from recipes.mini.sets import BARRED_SETS, REPORT_SETS, SELECTION_SETS, TRAINING_SETS, role_of


def test_roles_are_disjoint_and_barred_sets_have_none() -> None:
    roles = [frozenset(TRAINING_SETS), frozenset(SELECTION_SETS), frozenset(REPORT_SETS), BARRED_SETS]
    assert sum(map(len, roles)) == len(frozenset().union(*roles))


def test_no_set_is_listed_twice() -> None:
    assert len(TRAINING_SETS) == len(set(TRAINING_SETS))


def test_families_of_a_held_out_set_stay_out_of_training() -> None:
    families = {"emojione": "emojione", "streamline-color": "streamline-", "fa7-solid": "fa", "boxicons": "bx"}
    for prefix in families.values():
        # streamline-emojis is a drawing family of its own
        assert not [s for s in TRAINING_SETS if s.startswith(prefix) and s != "streamline-emojis"]


def test_a_set_without_a_role_is_refused() -> None:
    assert role_of("noto") == "training"
    with pytest.raises(KeyError):
        role_of("openmoji")
