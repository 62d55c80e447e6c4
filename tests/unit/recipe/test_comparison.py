from typing import Any

from recipes.mini.comparison import compare_tables, gate_tables, slice_tables
from recipes.mini.identity import GATED


def share(hits: int, of: int) -> dict[str, Any]:
    return {"hits": hits, "of": of, "value": hits / of, "low": 0.01, "high": 0.5}


def both(kind: dict[str, Any]) -> dict[str, Any]:
    return {"review": kind, "block": kind}


def counted(stopped: int) -> dict[str, Any]:
    return both({"name": "dress", "stopped": stopped, "groups": 9, "low": 0.0, "high": 0.25})


def version(number: str, mode: str, reviewed: list[str]) -> dict[str, Any]:
    """Return a record as `compare` writes it, of one category and one slice."""
    rates = {"found": both(share(3, 4)), "wrong": both(share(1, 200))}
    differing = {"a/fist": {"allow": ["fist", "fist-light"], "review": ["fist-dark"]}}
    return {
        "version": number,
        "categories": {"gore": {"mode": mode, **rates}},
        "verdicts": {"verdict": rates, "if all were enforced": rates},
        "slices": {"dress": {"verdict": counted(1), "if all were enforced": counted(2), "gore": counted(2)}},
        "fixtures": {
            "must_allow": {"holds": 7, "of": 9, "reviewed": reviewed, "blocked": ["a/nun (gore)"], "missed": []},
            "must_stop": {"holds": 1, "of": 2, "reviewed": [], "blocked": [], "missed": ["a/skull (gore)"]},
        },
        "twins": {kind: {"sets": 5, "differing": differing} for kind in ("verdict", "gore")},
        "tones": {"none": {"of": 10, "review": 1, "block": 0}, "dark": {"of": 10, "review": 2, "block": 1}},
    }


VERSIONS = [version("1.1.0", "enforce", []), version("1.2.0", "enforce", [f"a/{i} (gore)" for i in range(10)])]


def test_versions_stand_beside_each_other_with_their_limits() -> None:
    lines = compare_tables(VERSIONS).splitlines()
    assert (
        "| gore | 1.1.0 | enforce | 3 of 4 (1-50 %) | 3 of 4 (1-50 %) | 0.50 % (1.00-50.00) | 0.50 % (1.00-50.00) |"
        in lines
    )
    assert "| dress | 9 | 1.2.0 | 1 (0.0-25.0 %) | 1 (0.0-25.0 %) | 2 / 2 | 2 / 2 |" in lines
    assert "| 1.2.0 | 1 / 0 of 10 | 2 / 1 of 10 |" in lines


def test_what_goes_wrong_is_named_and_long_lists_are_cut_with_their_length() -> None:
    lines = compare_tables(VERSIONS).splitlines()
    assert "  - blocked: a/nun (gore)" in lines
    assert "  - missed: a/skull (gore)" in lines
    assert "  - reviewed (0): none" in lines
    (cut,) = [line for line in lines if line.startswith("  - reviewed (10): ")]
    assert cut.endswith("a/7 (gore) and 2 more")


def test_twins_that_differ_are_listed_with_the_category_that_parts_them() -> None:
    assert "- a/fist (gore): review fist-dark; allow the other 2" in compare_tables(VERSIONS).splitlines()


def test_the_short_tables_say_which_drawings_they_are_of() -> None:
    lines = slice_tables(VERSIONS, "Training sets").splitlines()
    assert lines[0] == "#### Training sets"
    assert (
        "- 1.2.0: 7 of 9 that must be allowed are (blocked: 1), 1 of 2 that must stop do; 1 of 5 sets of twins differ."
    ) in lines


def test_the_gate_says_what_each_slice_shows_and_why_a_category_is_in_shadow() -> None:
    band = {"stopped": 1, "groups": 149, "high": 0.031, "outcome": "unknown", "unseen": {"stopped": 0, "groups": 58}}
    record = {
        "gore": {
            "slices": {"review": [band] * len(GATED), "block": [band] * len(GATED)},
            "decision": {"enforce": False, "reasons": ["1 of 149 of flags reach block: unknown at 2%"]},
        }
    }
    (row,) = gate_tables(record).splitlines()[2:]
    assert row.count("1 of 149 (at most 3.1 %, unknown; held out 0 of 58, unknown)") == 2 * len(GATED)
    assert row.endswith("| shadow: 1 of 149 of flags reach block: unknown at 2% |")
