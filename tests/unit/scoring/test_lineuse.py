"""Counts of `lineuse` against `judge` itself, picture by picture; and from which evidence on findings warn."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.engine.linefindings import describe, scale_problems
from clipwarden.errors import Severity
from clipwarden.policy.contexts import bounds_in, mode_in
from clipwarden.policy.lines import Unbound
from clipwarden.policy.schema import Bounds, ChosenOn, Drawn, Exemption, Method, Mode, Policy, Verdict
from clipwarden.scoring import lineuse
from clipwarden.scoring.decide import judge
from clipwarden.scoring.lineuse import Pictures, Scale, measure
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import Tables, prepare
from clipwarden.textfiles.findings import Positions
from kit.builders import (
    FULL,
    compile_with_random_vectors,
    make_attribute,
    make_category,
    make_evidence,
    make_policy,
    unit_vectors,
)
from kit.strategies import policies

DIM = 32


def pictures_of(counts: Sequence[int], seed: int = 3) -> Pictures:
    """Make pictures of so many views each."""
    rows = unit_vectors(sum(counts), DIM, seed=seed)
    ends = np.cumsum(counts)
    views = np.split(rows, ends[:-1])
    return Pictures.of({f"picture {index}": view for index, view in enumerate(views)})


def bands(tables: Tables, pictures: Pictures, context: str | None) -> list[dict[str, Verdict | None]]:
    """Judge each picture as the engine does."""
    views = np.split(cosines(pictures.embeddings, tables.compiled), pictures.starts[1:])
    judged = [judge(rows, [FULL] * len(rows), tables, context=context, partial=False, degraded=False) for rows in views]
    return [{result.id: result.band for result in each.categories} for each in judged]


@given(policy=policies(), counts=st.lists(st.integers(1, 3), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_every_count_is_what_judging_each_picture_gives(policy: Policy, counts: list[int], seed: int) -> None:
    tables = prepare(compile_with_random_vectors(policy, dim=DIM, logit_scale=5.0))
    pictures = pictures_of(counts, seed=seed)
    for use in measure(tables, pictures).lines:
        judged = [each[use.category.id] for each in bands(tables, pictures, use.context)]
        assert (use.neutral.pictures, use.neutral.review, use.neutral.block) == (
            len(counts),
            judged.count(Verdict.REVIEW),
            judged.count(Verdict.BLOCK),
        )


@given(policy=policies())
def test_every_pair_of_lines_is_counted_once_a_category_wherever_it_is_not_disabled(policy: Policy) -> None:
    tables = prepare(compile_with_random_vectors(policy, dim=DIM))
    uses = measure(tables, pictures_of([1, 2])).lines
    found = [(use.category.id, use.bounds) for use in uses]
    assert len(found) == len(set(found))
    wanted = {
        (rule.category.id, bounds_in(rule.category, context))
        for rule in tables.categories
        for context, mode in rule.modes.items()
        if mode is not Mode.DISABLED
    }
    assert set(found) == {(name, bounds) for name, bounds in wanted if bounds != Bounds()}
    assert all(use.mode is mode_in(use.category, use.context) for use in uses)


def test_lines_that_are_not_in_force_count_as_if_they_were_and_are_said_not_to_be() -> None:
    category = make_category("a", review=0.0, block=0.1, mode=Mode.SHADOW)
    compiled = compile_with_random_vectors(make_policy([category]), dim=DIM)
    pictures = pictures_of([1, 2] * 10)
    bound = measure(prepare(compiled), pictures)
    unbound = measure(prepare(replace(compiled, unbound={"a": Unbound.NOT_CHOSEN})), pictures)
    assert (bound.lines[0].in_force, unbound.lines[0].in_force) == (True, False)
    assert replace(unbound.lines[0], in_force=True) == bound.lines[0]
    assert bound.lines[0].neutral.stopped > 0
    assert describe(unbound.lines[0], unbound).startswith('"a" (shadow, no band now): review 0.0')


def test_a_large_table_is_scored_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy([make_category("a", review=0.1, block=0.3), make_category("b", review=0.0)])
    tables, pictures = prepare(compile_with_random_vectors(policy, dim=DIM)), pictures_of([2] * 20)
    whole = measure(tables, pictures)
    monkeypatch.setattr(lineuse, "_NUMBERS_AT_ONCE", 21)  # seven views of three rows
    parts = measure(tables, pictures)
    assert (parts.lines, parts.conditions) == (whole.lines, whole.conditions)


def test_the_highest_are_named_highest_first() -> None:
    tables = prepare(compile_with_random_vectors(make_policy([make_category("a", review=0.9)]), dim=DIM))
    pictures = pictures_of([1, 2] * 10)
    (use,) = measure(tables, pictures).lines
    rows = cosines(pictures.embeddings, tables.compiled)[:, 0].astype(np.float64)
    best = np.maximum.reduceat(rows, pictures.starts)
    assert [score for _, score in use.top] == sorted(best.tolist(), reverse=True)[:5]
    assert use.top[0] == (pictures.names[int(best.argmax())], use.highest)


# What follows has one text, `a`, and pictures whose cosines to it are given: bounds are cosines.


def scale_of(scores: Sequence[float], *, shows: Sequence[Sequence[str]] | None = None, **lines: object) -> Scale:
    """Measure a category whose scores these are; `shows` makes the pictures shipped ones."""
    policy = make_policy([make_category("a", **lines)])  # type: ignore[arg-type]
    return scale_with(policy, scores, shows)


def scale_with(policy: Policy, scores: Sequence[float], shows: Sequence[Sequence[str]] | None = None) -> Scale:
    compiled = compile_with_random_vectors(policy, dim=DIM)
    other = unit_vectors(1, DIM, seed=77)[0]
    rows = compiled.vectors[:-1]
    # All texts are the first one's vector, so that one number says it all.
    compiled = replace(
        compiled, vectors=np.concatenate([np.repeat(rows[:1], len(rows), axis=0), compiled.vectors[-1:]])
    )
    across = other - (other @ rows[0]) * rows[0]
    across /= np.linalg.norm(across)
    embeddings: NDArray[np.float32] = np.stack(
        [score * rows[0] + np.sqrt(1 - score**2) * across for score in scores]
    ).astype(np.float32)
    pictures = Pictures.of({f"{index}.png": embeddings[index : index + 1] for index in range(len(scores))})
    if shows is not None:
        neutral = np.array([not each for each in shows])
        pictures = replace(pictures, shows=shows, neutral=neutral, shipped=True)
    return measure(prepare(compiled), pictures)


def codes(scale: Scale) -> list[str]:
    return [problem.code for problem in scale_problems(scale, Positions(file="p.yaml"))]


@pytest.mark.parametrize(
    ("stopped", "total", "found"),
    [(5, 10, ["fires-on-most"]), (4, 10, []), (9, 9, []), (100, 200, ["fires-on-most"]), (99, 200, [])],
)
def test_a_line_fires_on_most_from_half_of_ten_pictures_on(stopped: int, total: int, found: list[str]) -> None:
    scores = [0.9] * stopped + [0.1] * (total - stopped)
    assert codes(scale_of(scores, review=0.5)) == found
    assert codes(scale_of(scores, block=0.5)) == found
    assert codes(scale_of(scores, review=0.5, mode=Mode.SHADOW)) == found


@pytest.mark.parametrize(("total", "found"), [(100, ["out-of-reach"]), (99, [])])
def test_a_line_far_above_a_hundred_pictures_is_named(total: int, found: list[str]) -> None:
    assert codes(scale_of([0.45] * total, review=0.5, block=0.9)) == found
    assert codes(scale_of([0.45] * total, review=0.4, block=0.9)) == [*(["fires-on-most"]), *found]


def test_a_line_that_none_of_many_pictures_reaches_is_no_news_by_itself() -> None:
    assert codes(scale_of([0.45] * 1000, review=0.5, block=0.54)) == []
    assert codes(scale_of([0.45] * 1000, review=0.46, block=0.56)) == ["out-of-reach"]


@pytest.mark.parametrize(("logits", "found"), [(3.4, []), (3.6, ["out-of-reach"])])
def test_how_far_is_told_in_logits_where_there_are_some(logits: float, found: list[str]) -> None:
    policy = make_policy([make_category("a", method=Method.MARGIN, block=0.5)])
    tables = prepare(compile_with_random_vectors(policy, dim=DIM, logit_scale=5.0))
    scale = measure(tables, pictures_of([1] * 100))
    highest = scale.lines[0].highest
    bound = 1.0 / (1.0 + np.exp(-(np.log(highest / (1.0 - highest)) + logits)))
    raised = replace(scale.lines[0], bounds=Bounds(block=float(bound)))
    assert codes(replace(scale, lines=(raised,))) == found


def test_what_is_out_of_reach_is_told_with_the_highest_score() -> None:
    (problem,) = scale_problems(scale_of([0.1] * 99 + [0.45], review=0.6, block=0.9), Positions(file="p.yaml"))
    assert problem.message == (
        '"a": none of 100 pictures comes to review 0.6 or block 0.9; the highest was 0.45 (99.png).'
    )
    (problem,) = scale_problems(scale_of([0.1] * 99 + [0.7], review=0.6, block=0.9), Positions(file="p.yaml"))
    assert "comes to block 0.9; the highest was 0.7 (99.png)." in problem.message


def test_a_highest_score_never_reads_as_if_it_reached_the_line() -> None:
    shows = [()] * 95 + [("a",)] * 5
    (problem,) = scale_problems(scale_of([0.1] * 99 + [0.59996], shows=shows, review=0.6), Positions())
    assert "the highest was 0.59996 (99.png)" in problem.message


@pytest.mark.parametrize(("stopped", "found"), [(10, ["fires-on-most"]), (9, [])])
def test_one_in_ten_neutral_drawings_is_most(stopped: int, found: list[str]) -> None:
    scores = [0.9] * stopped + [0.1] * (100 - stopped)
    assert codes(scale_of(scores, shows=[()] * 100, review=0.5)) == found
    # Drawings that show it are meant to be stopped.
    assert codes(scale_of([*scores, *[0.9] * 50], shows=[()] * 100 + [("a",)] * 50, review=0.5)) == found


def chosen_by(scale: Scale, design: Drawn, *, in_force: bool = True) -> Scale:
    """Say of all lines that a tool chose them."""
    chosen = ChosenOn(digest="sha256:" + "a" * 64, evidence=make_evidence(design=design))
    lines = []
    for use in scale.lines:
        assert use.category.thresholds is not None
        thresholds = replace(use.category.thresholds, chosen_on=chosen)
        lines.append(replace(use, category=replace(use.category, thresholds=thresholds), in_force=in_force))
    return replace(scale, lines=tuple(lines))


@pytest.mark.parametrize("design", list(Drawn))
def test_a_line_that_was_chosen_on_uploads_is_noted_and_not_warned_of(design: Drawn) -> None:
    scores = [0.9] * 60 + [0.1] * 40
    scale, own = scale_of(scores, shows=[()] * 100, review=0.5), scale_of(scores, review=0.5)
    (problem,) = scale_problems(chosen_by(scale, design), Positions())
    on_uploads = design is not Drawn.SET
    assert (problem.code, problem.severity is Severity.NOTE) == ("fires-on-most", on_uploads)
    assert ("it was chosen on uploads, which say more than drawings" in str(problem)) is on_uploads
    # Not where it does not hold, nor on pictures of one's own.
    for warned in (chosen_by(scale, design, in_force=False), chosen_by(own, design)):
        (problem,) = scale_problems(warned, Positions())
        assert (problem.code, problem.severity) == ("fires-on-most", Severity.WARNING)


@pytest.mark.parametrize(("showing", "found"), [(5, ["out-of-reach"]), (4, [])])
def test_a_block_line_is_out_of_reach_of_shipped_drawings_only_if_some_show_the_category(
    showing: int, found: list[str]
) -> None:
    shows = [()] * 100 + [("a",)] * showing
    assert codes(scale_of([0.1] * 100 + [0.6] * showing, shows=shows, review=0.5, block=0.9)) == found
    # But a category that stops nothing at all is named, whatever it is.
    assert codes(scale_of([0.1] * 100, shows=[()] * 100, review=0.5, block=0.9)) == ["out-of-reach"]


@pytest.mark.parametrize(("gte", "code"), [(0.05, "condition-always-holds"), (0.95, "condition-never-holds")])
def test_an_exemption_that_always_or_never_holds_is_named(gte: float, code: str) -> None:
    exempt = make_category("a", block=0.75, exemptions=[Exemption(attribute="museum", gte=gte)])
    policy = make_policy([exempt], attributes=[make_attribute("museum")])
    scores = [0.1] * 95 + [0.9 if code == "condition-always-holds" else 0.8] * 5
    assert codes(scale_with(policy, scores)) == [code]
    near = replace(exempt, exemptions=(Exemption(attribute="museum", gte=0.9),))
    assert codes(scale_with(replace(policy, categories=(near,)), [*scores[:95], *[0.86] * 5])) == []
    assert codes(scale_with(policy, scores[1:])) == []  # 99
    held = replace(exempt, exemptions=(Exemption(attribute="museum", gte=0.5),))
    assert codes(scale_with(replace(policy, categories=(held,)), scores)) == []


def test_an_exempted_block_counts_as_what_it_becomes() -> None:
    exempt = make_category("a", block=0.85, exemptions=[Exemption(attribute="museum", gte=0.95)])
    scale = scale_with(make_policy([exempt], attributes=[make_attribute("museum")]), [0.1, 0.9, 0.99])
    assert (scale.lines[0].neutral.review, scale.lines[0].neutral.block) == (1, 1)


def test_a_sentence_says_what_each_line_would_do() -> None:
    scale = scale_of([0.2] * 980 + [0.5] * 16 + [0.9] * 4, review=0.48, block=0.8, mode=Mode.SHADOW)
    assert describe(scale.lines[0], scale) == (
        '"a" (shadow): review 0.48 would send 16 of 1,000 pictures (1.6 %) to a person, block 0.8 would block 4 '
        "(0.4 %); the highest score is 0.9 (996.png)."
    )
    scale = scale_of([0.2] * 9 + [0.5, 0.9], shows=[()] * 10 + [("a",)], block=0.4)
    assert describe(scale.lines[0], scale) == (
        '"a": block 0.4 would block 1 of 10 neutral drawings (10.0 %); of 1 drawing of it, 1 blocked; '
        "the highest score is 0.9 (10.png)."
    )


def test_scores_that_are_not_finite_reach_nothing() -> None:
    policy = make_policy([make_category("a", method=Method.COSINE, review=-1.0)])
    tables = prepare(compile_with_random_vectors(policy, dim=DIM))
    bad = np.full((1, DIM), np.nan, dtype=np.float32)
    (use,) = measure(tables, Pictures.of({"bad": bad, "good": unit_vectors(1, DIM, seed=1)})).lines
    assert (use.neutral.review, use.top[0][0]) == (1, "good")
