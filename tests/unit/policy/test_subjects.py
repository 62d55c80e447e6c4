"""Identity and minors in policy files: what is said of them, by where they are named, and what a waiver changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from clipwarden.errors import PolicyError, Problem, Severity
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.file import read_bundle, write_bundle
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.load import LoadedPolicy, parse_policy
from clipwarden.policy.language.subjects import waived
from clipwarden.policy.schema import Waivable, Waiver
from clipwarden.policy.shipped import shipped_policies
from kit.policies import FakeModel

IDENTITY = "a muslim smoking"
MINORS = "a child smoking"


def waive(*texts: str) -> str:
    quoted = ", ".join(f'"{text}"' for text in texts)
    return f'waive: [{{rule: identity, texts: [{quoted}], reason: "a history archive", approved_by: m.okafor}}]'


WAIVE = waive(IDENTITY)


def policy(category: str, attribute: str = "id: plain, prompts: [a tree]", *, name: str = "weapons") -> str:
    """Write a policy of one category and one attribute, given by their keys in a flow map."""
    return f"""\
api: clipwarden/v1
metadata: {{id: subjects}}
categories:
- {{id: {name}, severity: 1, definition: d, thresholds: {{unit: score, block: 0.5}}, {category}}}
attributes:
- {{{attribute}}}
"""


def subjects(problems: tuple[Problem, ...]) -> list[tuple[str, Severity, bool, int]]:
    codes = ("identity", "minors", "idle-waiver")
    return [(each.code, each.severity, each.strict, each.line) for each in problems if each.code in codes]


def found(text: str) -> list[tuple[str, Severity, bool, int]]:
    try:
        return subjects(parse_policy(text).warnings)
    except PolicyError as error:
        return subjects(error.problems)


WARNED = ("identity", Severity.WARNING, True)
REFUSED = ("minors", Severity.ERROR, False)
IDLE = ("idle-waiver", Severity.WARNING, False)


@pytest.mark.parametrize(
    "keys",
    [
        f'prompts: ["{IDENTITY}"]',
        f'prompts: ["a gun", {{text: "{IDENTITY}", weight: 2}}], scoring: {{pool: mean}}',
        'prompts: ["a gun"], templates: ["{}", "a muslim with {}"]',
        f'prompts: ["{IDENTITY}"], mode: disabled',
    ],
)
def test_identity_in_what_a_category_looks_for_loads_and_is_marked_for_lint(keys: str) -> None:
    assert found(policy(keys)) == [(*WARNED, 4)]


def test_identity_in_a_template_of_all_is_told_once() -> None:
    text = policy('prompts: ["a gun"]').replace(
        "categories:", 'defaults: {templates: ["a muslim with {}"]}\ncategories:'
    )
    assert found(text) == [(*WARNED, 3)]


def test_identity_is_allowed_in_negatives_and_in_attributes_that_nobody_asks_for() -> None:
    text = policy(
        'prompts: ["a gun"], negatives: ["a Hindu temple", "a woman with a camera"]', 'id: dress, prompts: ["a hijab"]'
    )
    assert found(text) == []


@pytest.mark.parametrize(
    "asks",
    [
        "exemptions: [{when: {attribute: dress, gte: 0.5}}]",
        "scoring: {method: cosine}, adjustments: [{when: {attribute: dress, gte: 0.2}, add: 0.1}]",
    ],
)
def test_an_attribute_that_a_category_asks_for_is_held_to_the_same(asks: str) -> None:
    cosine = ", scoring: {method: cosine}" if "cosine" in asks else ""
    text = policy(f'prompts: ["a gun"], {asks}', f'id: dress, prompts: ["a hijab"]{cosine}')
    if cosine:
        text = text.replace("unit: score", "unit: cosine")
    assert found(text) == [(*WARNED, 6)]
    assert found(text.replace("id: dress, ", f"id: dress, {waive('a hijab')}, ")) == []


def test_minors_are_refused_in_every_prompt_and_template() -> None:
    assert found(policy(f'prompts: ["{MINORS}"]')) == [(*REFUSED, 4)]
    assert found(policy('prompts: ["a gun"], templates: ["a kid with {}"]')) == [(*REFUSED, 4)]
    assert found(policy('prompts: ["a gun"]', f'id: young, prompts: ["{MINORS}"]')) == [(*REFUSED, 6)]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        *(
            (name, True)
            for name in ("sexual", "sexual.nudity", "sexual_content", "sexuality", "nudity", "nsfw", "porn")
        ),
        *((name, True) for name in ("pornography.drawn", "adult", "adult_content", "art.nude", "sex", "explicit")),
        *((name, True) for name in ("sexy", "hentai", "fetish", "lingerie", "genitals", "nudist", "suggestive")),
        *((name, True) for name in ("sexual.suggestive", "adult.sexual", "sexual_explicit", "sex_ed.porn", "art.sex")),
        *((name, False) for name in ("weapons", "adulthood", "sexism", "nudge", "sussex", "hate.lewdness")),
        *((name, False) for name in ("violence.explicit", "drugs.suggestive", "adult_beverages", "sex_ed")),
        *((name, False) for name in ("health.sex_education", "explicit_art")),
    ],
)
def test_minors_are_refused_in_negatives_that_would_hide_them(name: str, refused: bool) -> None:  # noqa: FBT001
    text = policy('prompts: ["a scene"], negatives: ["children in a playground"]', name=name)
    assert found(text) == ([(*REFUSED, 4)] if refused else [])


@pytest.mark.parametrize(("name", "word"), [("art.nude_scenes", "nude"), ("adult_content", "adult")])
def test_the_word_that_makes_an_id_sexual_is_told(name: str, word: str) -> None:
    with pytest.raises(PolicyError, match=rf'negative of "{name}", which is about sex by "{word}", it would hide'):
        parse_policy(policy('prompts: ["a scene"], negatives: ["children in a playground"]', name=name))


def test_minors_cannot_be_waived() -> None:
    assert found(policy(f'prompts: ["{MINORS}"], {waive(MINORS)}')) == [(*REFUSED, 4), (*IDLE, 4)]
    with pytest.raises(PolicyError) as caught:
        parse_policy(policy(f'prompts: ["{MINORS}"], {WAIVE.replace("rule: identity", "rule: minors")}'))
    errors = [each for each in caught.value.problems if each.severity is Severity.ERROR]
    assert sorted(each.code for each in errors) == ["minors", "unknown-value"]
    (refusal,) = (each for each in errors if each.code == "minors")
    assert "no waiver lifts this" in refusal.message
    assert "vetted hash programmes" in refusal.fix


def test_a_learned_vector_is_read_by_its_name(tmp_path: Path) -> None:
    save_file({"little_girl": np.ones(8, np.float32)}, tmp_path / "v.safetensors")
    file = tmp_path / "policy.yaml"
    file.write_text(policy("prompts: [{vector: little_girl, file: v.safetensors}]"))
    with pytest.raises(PolicyError, match=r'about minors, by "girl"'):
        load_compiled(file, model=FakeModel())


def test_the_mend_is_the_author_s_own_text_and_the_way_to_a_waiver() -> None:
    (warning,) = parse_policy(policy('prompts: ["a Black man with a gun"]')).warnings[:1]
    assert 'by "Black", "man" (skin colour, sex and gender)' in warning.message
    assert warning.fix.startswith('Write "a person with a gun"; or, if somebody answers for it, add `waive: [{rule:')
    assert 'texts: ["a Black man with a gun"], reason: "..."' in warning.fix


def test_a_waiver_silences_its_own_concept_alone_and_stays_visible() -> None:
    text = policy(f'prompts: ["{IDENTITY}"], {WAIVE}').replace(
        "attributes:", '- {id: other, severity: 1, definition: d, prompts: ["a gay couple"]}\nattributes:'
    )
    loaded = parse_policy(text)
    assert subjects(loaded.warnings) == [(*WARNED, 5)]
    (note,) = waived(loaded.policy, loaded.positions)
    assert (note.code, note.severity, note.line) == ("identity", Severity.NOTE, 4)
    assert note.fix == 'Waived here by m.okafor: "a history archive".'
    assert IDENTITY in note.message


@pytest.mark.parametrize(
    "text",
    [
        policy(f'prompts: ["a gun"], {WAIVE}'),
        policy(f'prompts: ["a gun"], negatives: ["a muslim"], {WAIVE}'),
        policy('prompts: ["a gun"]', f'id: dress, prompts: ["a hijab"], {WAIVE}'),
    ],
)
def test_a_waiver_that_waives_nothing_is_a_warning(text: str) -> None:
    loaded = parse_policy(text)
    assert [each[:3] for each in subjects(loaded.warnings)] == [IDLE]
    assert waived(loaded.policy, loaded.positions) == ()


def test_a_waiver_lets_no_later_text_pass() -> None:
    text = policy(f'prompts: ["{IDENTITY}"], {WAIVE}')
    assert found(text) == []
    assert found(text.replace(f'["{IDENTITY}"]', f'["{IDENTITY}", "a muslim with a gun"]', 1)) == [(*WARNED, 4)]
    assert found(text.replace(f'["{IDENTITY}"]', '["a muslim with a gun"]', 1)) == [(*WARNED, 4), (*IDLE, 4)]


def test_each_text_of_a_waiver_has_to_be_needed_once() -> None:
    twice = waive(IDENTITY, "A  Muslim smoking", "a gun")
    assert found(policy(f'prompts: ["{IDENTITY}", "a gun"], {twice}')) == [(*IDLE, 4), (*IDLE, 4)]


def test_two_people_may_answer_for_two_texts() -> None:
    both = f"""{WAIVE[:-1]}, {{rule: identity, texts: ["a gay {{}}"], reason: asked, approved_by: s.lee}}]"""
    loaded = parse_policy(policy(f"""prompts: ["{IDENTITY}"], templates: ["{{}}", "a gay {{}}"], {both}"""))
    assert subjects(loaded.warnings) == []
    assert [note.fix.partition(":")[0] for note in waived(loaded.policy, loaded.positions)] == [
        "Waived here by m.okafor",
        "Waived here by s.lee",
    ]


@pytest.mark.parametrize(
    ("prompt", "template", "expected", "read"),
    [
        ("black", "a {} person", WARNED, '"a black person" ("black" in a template) names who somebody is, by "black"'),
        ("15", "a {} year old smoking", REFUSED, '"a 15 year old smoking" ("15" in a template) is about minors'),
        ("chi", "a {}ld", REFUSED, '"a child" ("chi" in a template) is about minors, by "child"'),
        ("under", "a person {} 18", REFUSED, '"a person under 18"'),
    ],
)
def test_a_text_is_read_as_the_model_reads_it(
    prompt: str, template: str, expected: tuple[str, Severity, bool], read: str
) -> None:
    text = policy(f'prompts: ["a tree", "{prompt}"], templates: ["{{}}", "{template}"]')
    assert found(text) == [(*expected, 4)]
    try:
        problems = parse_policy(text).warnings
    except PolicyError as error:
        problems = error.problems
    assert any(problem.message.startswith(read) for problem in problems)


def test_a_waiver_of_a_prompt_holds_in_its_templates() -> None:
    keys = 'prompts: ["a tree", "black"], templates: ["{}", "a {} person"]'
    assert found(policy(f"{keys}, {waive('black')}")) == []


def test_negatives_are_read_in_their_templates_too() -> None:
    keys = 'prompts: ["a scene"], negatives: ["15"], templates: ["a {} year old in a room"]'
    assert found(policy(keys, name="nsfw")) == [(*REFUSED, 4)]
    assert found(policy(keys)) == []


def test_an_author_s_own_spelling_is_quoted() -> None:
    with pytest.raises(PolicyError, match='by "Minderjährige", whom'):
        parse_policy(policy('prompts: ["rauchende Minderjährige"]'))


def test_the_same_mend_is_offered_once() -> None:
    loaded = parse_policy(
        policy(f'prompts: ["{IDENTITY}", "a Hindu smoking", "a gay person with a gun", "a person with a gun"]')
    )
    fixes = [warning.fix.partition(";")[0] for warning in loaded.warnings if warning.code == "identity"]
    assert fixes == [
        'Write "a person smoking"',
        'Delete it, since "a person smoking" would stand here twice',
        'Delete it, since "a person with a gun" would stand here twice',
    ]


def test_texts_that_are_too_many_to_embed_are_not_read_in_templates() -> None:
    templates = ", ".join(f'"{{}} {number}"' for number in range(64))
    prompts = ", ".join(f'"muslim x{number}"' for number in range(1600))
    with pytest.raises(PolicyError) as caught:
        parse_policy(policy(f"prompts: [{prompts}], templates: [{templates}]"))
    assert "too-many" in {problem.code for problem in caught.value.problems}


def loaded_with_waiver() -> LoadedPolicy:
    return parse_policy(policy(f'prompts: ["{IDENTITY}"], {WAIVE}'))


def test_a_waiver_moves_no_digest() -> None:
    loaded = loaded_with_waiver()
    (category,) = loaded.policy.categories
    assert category.waive == (
        Waiver(rule=Waivable.IDENTITY, texts=(IDENTITY,), reason="a history archive", approved_by="m.okafor"),
    )
    bare = replace(loaded.policy, categories=(replace(category, waive=()),))
    assert policy_digest(bare) == policy_digest(loaded.policy)


def test_a_waiver_travels_in_a_bundle(tmp_path: Path) -> None:
    loaded = loaded_with_waiver()
    file = tmp_path / "subjects.bundle"
    write_bundle(compile_policy(loaded.policy, model=FakeModel()), file)
    warnings: list[Problem] = []
    again = read_bundle(file, on_warning=warnings.append)
    assert again.policy == loaded.policy
    assert subjects(tuple(warnings)) == []
    assert [each.fix for each in waived(again.policy, loaded.positions)] == [
        'Waived here by m.okafor: "a history archive".'
    ]


def test_a_bundle_with_identity_loads_and_warns(tmp_path: Path) -> None:
    file = tmp_path / "subjects.bundle"
    write_bundle(compile_policy(parse_policy(policy(f'prompts: ["{IDENTITY}"]')).policy, model=FakeModel()), file)
    warnings: list[Problem] = []
    load_compiled(file, model=FakeModel(), on_warning=warnings.append)
    assert [each[:3] for each in subjects(tuple(warnings))] == [WARNED]


@pytest.mark.parametrize("path", shipped_policies(), ids=lambda path: path.stem)
def test_shipped_policies_name_nobody_and_need_no_waiver(path: Path) -> None:
    loaded = parse_policy(path.read_text(encoding="utf-8"), file=str(path))
    assert subjects(loaded.warnings) == []
    assert not any(concept.waive for concept in (*loaded.policy.categories, *loaded.policy.attributes))


@given(
    st.sampled_from(["weapons", "sexual.nudity"]),
    st.lists(st.sampled_from(["a gun", IDENTITY, MINORS, "a tree"]), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["a hut", "a muslim", "a playground with kids"]), max_size=3, unique=True),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_what_loads_looks_for_no_minors_and_hides_none_under_sexual(
    name: str,
    prompts: list[str],
    negatives: list[str],
    waive: bool,  # noqa: FBT001
) -> None:
    quoted = [", ".join(f'"{text}"' for text in texts) for texts in (prompts, negatives)]
    keys = f"prompts: [{quoted[0]}], negatives: [{quoted[1]}]{f', {WAIVE}' if waive else ''}"
    findings = found(policy(keys, name=name))
    refused = MINORS in prompts or (name == "sexual.nudity" and "a playground with kids" in negatives)
    assert (REFUSED in [each[:3] for each in findings]) == refused
    assert (WARNED in [each[:3] for each in findings]) == (IDENTITY in prompts and not waive)
    assert (IDLE in [each[:3] for each in findings]) == (waive and IDENTITY not in prompts)
