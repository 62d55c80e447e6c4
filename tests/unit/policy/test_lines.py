"""Thresholds hold for what they were chosen on, and for nothing else."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clipwarden.errors import Problem
from clipwarden.policy import digest as digest_module
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.digest import fit_digest, lines_digest
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.schema import (
    Adjustment,
    Bounds,
    By,
    Calibration,
    Category,
    ChosenOn,
    Concept,
    Effect,
    Exemption,
    HeadLayer,
    Method,
    Mode,
    ModelBinding,
    Override,
    Policy,
    Pool,
    Prompt,
    Thresholds,
    Unit,
    Waivable,
    Waiver,
)
from kit.builders import make_attribute, make_category, make_policy
from kit.policies import FINGERPRINT, FULL_POLICY, FakeModel

# What moves no band. A field added to Category is among what bands rest on until somebody decides otherwise.
NOT_RESTED_ON = {"id", "severity", "definition", "mode", "reason_code", "waive"}
WAIVER = Waiver(rule=Waivable.IDENTITY, texts=("a hijab",), reason="an archive", approved_by="m.okafor")
FITTED = Calibration(bias=-1.0, prevalence=0.02, fitted_on="sha256:" + "1" * 64)


def rested_on() -> Policy:
    """Return a policy whose two categories rest on everything there is."""
    score = make_category(
        "score",
        prompts=["a", ("b", 2.0)],
        negatives=["c"],
        method=Method.MARGIN,
        pool=Pool.MEAN,
        review=0.4,
        block=0.9,
        exemptions=[Exemption(attribute="museum", gte=0.8)],
        contexts={"shop": Override(review=0.5)},
    )
    cosine = make_category(
        "cosine", review=0.2, block=0.3, adjustments=[Adjustment(attribute="swimwear", gte=0.1, add=0.01)]
    )
    museum = replace(make_attribute("museum", prompts=["m"], method=Method.MARGIN), calibration=FITTED)
    return make_policy(
        [replace(score, calibration=FITTED), cosine], attributes=[museum, make_attribute("swimwear")], contexts=["shop"]
    )


def digest(policy: Policy, index: int = 0) -> str:
    return lines_digest(policy.categories[index], policy, fingerprint=FINGERPRINT)


def changed(policy: Policy, index: int = 0, **values: object) -> Policy:
    category = replace(policy.categories[index], **values)  # type: ignore[arg-type]
    return replace(policy, categories=tuple(category if at == index else c for at, c in enumerate(policy.categories)))


def changed_attribute(policy: Policy, index: int, **values: object) -> Policy:
    attribute = replace(policy.attributes[index], **values)  # type: ignore[arg-type]
    return replace(policy, attributes=tuple(attribute if at == index else a for at, a in enumerate(policy.attributes)))


def moves_of_the_score() -> Iterator[tuple[str, Policy]]:
    policy = rested_on()
    values: dict[str, list[object]] = {
        "prompts": [(Prompt(text="a"),), (Prompt(text="a"), Prompt(text="b", weight=3.0))],
        "negatives": [(), ("c", "d")],
        "templates": [("{}", "a photo of {}")],
        "method": [Method.COSINE],
        "pool": [Pool.LSE],
        "calibration": [None, *(replace(FITTED, **{name: 0.5}) for name in ("bias", "prevalence"))],
        "head": [(HeadLayer(place=0, weight=b"four", bias=b"more"),)],
        "thresholds": [
            Thresholds(unit=Unit.COSINE, bounds=Bounds(review=0.4, block=0.9)),
            *(Thresholds(unit=Unit.SCORE, bounds=each) for each in (Bounds(review=0.41, block=0.9), Bounds(block=0.9))),
        ],
        "contexts": [
            {},
            {"shop": Override(review=0.6)},
            {"shop": Override(block=0.5)},
            {"other": Override(review=0.5)},
        ],
        "exemptions": [
            (),
            (Exemption(attribute="museum", gte=0.7),),
            (Exemption(attribute="swimwear", gte=0.8),),
            (Exemption(attribute="museum", gte=0.8), Exemption(attribute="swimwear", gte=0.8)),
        ],
        "adjustments": [(Adjustment(attribute="swimwear", gte=0.1, add=0.01),)],
    }
    assert set(values) == {field.name for field in dataclasses.fields(Category)} - NOT_RESTED_ON
    for name, others in values.items():
        yield from ((name, changed(policy, **{name: other})) for other in others)
    yield "museum's text", changed_attribute(policy, 0, prompts=(Prompt(text="n"),))
    yield "museum's negatives", changed_attribute(policy, 0, negatives=("n",))
    yield "museum's calibration", changed_attribute(policy, 0, calibration=None)
    yield "museum's bias", changed_attribute(policy, 0, calibration=replace(FITTED, bias=3.0))
    yield "scale", replace(policy, model=ModelBinding(fingerprint=FINGERPRINT, calibration_scale=0.5))


@pytest.mark.parametrize(("name", "policy"), [pytest.param(*each, id=each[0]) for each in moves_of_the_score()])
def test_the_digest_moves_with_all_that_a_band_rests_on(name: str, policy: Policy) -> None:
    assert digest(policy) != digest(rested_on()), name


def test_every_effect_and_the_model_are_in_the_digest() -> None:
    assert list(Effect) == [Effect.BLOCK_TO_REVIEW]  # a second one needs a move of its own above
    policy = rested_on()
    assert lines_digest(policy.categories[0], policy, fingerprint="sha256:" + "9" * 64) != digest(policy)


def test_the_digest_of_an_adjusted_cosine_moves_with_its_attribute_and_numbers() -> None:
    policy = rested_on()
    others = (
        changed(policy, 1, adjustments=()),
        changed(policy, 1, adjustments=(Adjustment(attribute="swimwear", gte=0.2, add=0.01),)),
        changed(policy, 1, adjustments=(Adjustment(attribute="swimwear", gte=0.1, add=0.02),)),
        changed(policy, 1, adjustments=(Adjustment(attribute="swimwear", gte=0.1, add=0.01),) * 2),
        changed_attribute(policy, 1, prompts=(Prompt(text="bikini"),)),
    )
    digests = [digest(policy, 1), *(digest(other, 1) for other in others)]
    assert len(set(digests)) == len(digests)


def test_the_digest_ignores_what_moves_no_band() -> None:
    policy = rested_on()
    told = {"id": "x", "severity": 0, "definition": "x", "mode": Mode.SHADOW, "reason_code": "x", "waive": (WAIVER,)}
    assert set(told) == NOT_RESTED_ON
    assert digest(changed(policy, **told)) == digest(policy)
    renamed = changed_attribute(policy, 0, id="gallery")
    assert digest(changed(renamed, exemptions=(Exemption(attribute="gallery", gte=0.8),))) == digest(policy)
    idle = {"shop": Override(review=0.5), "kids": Override(mode=Mode.SHADOW)}
    assert digest(changed(policy, contexts=idle)) == digest(policy)
    # The scale is that of margins: a cosine does not know it.
    scaled = replace(policy, model=ModelBinding(fingerprint=FINGERPRINT, calibration_scale=0.5))
    assert digest(scaled, 1) == digest(policy, 1)
    unrelated = changed_attribute(policy, 1, prompts=(Prompt(text="bikini"),))
    assert digest(unrelated) == digest(policy)


def test_no_order_moves_the_digest() -> None:
    policy = rested_on()
    (first,) = policy.categories[0].exemptions
    second = Exemption(attribute="swimwear", gte=0.1)
    assert digest(changed(policy, exemptions=(first, second))) == digest(changed(policy, exemptions=(second, first)))
    backwards = replace(policy, categories=policy.categories[::-1], attributes=policy.attributes[::-1])
    assert digest(backwards, 1) == digest(policy)
    assert digest(changed(policy, prompts=policy.categories[0].prompts[::-1])) == digest(policy)


def chosen(policy: Policy, index: int, chosen_on: ChosenOn | None) -> Policy:
    thresholds = policy.categories[index].thresholds
    assert thresholds is not None
    return changed(policy, index, thresholds=replace(thresholds, chosen_on=chosen_on))


def test_thresholds_hold_where_they_say_what_they_were_chosen_on() -> None:
    policy = parse_policy(FULL_POLICY).policy
    assert unbound_lines(policy, FINGERPRINT) == {
        "weapons": Unbound.NOT_CHOSEN,
        "drugs.hard": Unbound.NOT_CHOSEN,
    }
    for index, by in enumerate(By):
        policy = chosen(policy, index, ChosenOn(digest=digest(policy, index), by=by, reason="seen"))
    assert unbound_lines(policy, FINGERPRINT) == {}
    assert set(unbound_lines(policy, "sha256:" + "9" * 64).values()) == {Unbound.CHOSEN_ON_OTHER}
    one_more = changed(policy, 0, negatives=(*policy.categories[0].negatives, "a banana"))
    assert unbound_lines(one_more, FINGERPRINT) == {"weapons": Unbound.CHOSEN_ON_OTHER}


def test_thresholds_fall_with_their_calibration_whatever_is_written_beside_it() -> None:
    policy = changed(parse_policy(FULL_POLICY).policy, 0, calibration=FITTED)
    stale = chosen(policy, 0, ChosenOn(digest=digest(policy), by=By.HAND, reason="seen", approved_by="me"))
    assert unbound_lines(stale, FINGERPRINT)["weapons"] is Unbound.CHOSEN_ON_OTHER
    right = fit_digest(policy.categories[0], fingerprint=FINGERPRINT, calibration_scale=0.5, plan=policy.plan)
    fitted = changed(policy, 0, calibration=replace(FITTED, fitted_on=right))
    holds = chosen(fitted, 0, ChosenOn(digest=digest(fitted)))
    assert "weapons" not in unbound_lines(holds, FINGERPRINT)


def test_attributes_are_looked_at_a_few_times_a_load_however_many_categories_ask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: Counter[str] = Counter()
    whole = digest_module.fit_digest

    def counted(concept: Concept, **facts: object) -> str:
        calls[concept.id] += 1
        return whole(concept, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(digest_module, "fit_digest", counted)
    asks = "exemptions: [{when: {attribute: museum, gte: 0.5}, effect: block_to_review}]"
    rest = f'severity: 3, definition: "d.", thresholds: {{unit: score, block: 0.9}}, {asks}'
    categories = [f'- {{id: c{index}, prompts: ["p{index}"], {rest}}}' for index in range(30)]
    head = ["api: clipwarden/v1", 'metadata: {id: x, version: "1"}', f'model: {{fingerprint: "{FINGERPRINT}"}}']
    text = "\n".join([*head, "categories:", *categories, "attributes:", '- {id: museum, prompts: ["a museum"]}', ""])
    path = tmp_path / "many.yaml"
    path.write_text(text)
    warnings: list[Problem] = []
    load_compiled(path, model=FakeModel(), on_warning=warnings.append)
    assert {each.code for each in warnings} >= {"unbound-thresholds"}
    assert len(calls) == 31
    assert max(calls.values()) <= 3
