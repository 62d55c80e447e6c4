"""People and what they are known by, judged by the shipped policy: what 1.1.0 stopped wrongly, and what must stop."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from clipwarden import Moderator
from clipwarden.scoring.verdict import Judgement, Verdict
from recipes.mini.identity import Expect, Fixture, parse_fixtures, twin_name

FOLDER = Path(__file__).parent / "identity"
FIXTURES = parse_fixtures((FOLDER / "fixtures.csv").read_text(encoding="utf-8"))
STOPS = (Verdict.REVIEW, Verdict.BLOCK)
# Negatives that would pass these ("a national flag", "a hand gesture") could be said of pictures of the harm as well.
# Known, measured in the model card, and strict: whatever mends one has to delete it here.
REVIEWED_WRONGLY = {"noto-v1/flag-for-flag-china": "gambling"}
DIFFERING_TWINS = {"noto-v1/middle-finger": {Verdict.ALLOW, Verdict.REVIEW}}  # as alcohol; all BLOCK as rude gestures


def picture(fixture: Fixture) -> Path:
    return FOLDER / f"{fixture.uri.replace('/', '--')}.png"


@pytest.fixture(scope="module")
def judged() -> Mapping[str, Judgement]:
    with Moderator() as moderator:
        return {fixture.uri: moderator.moderate(picture(fixture)).judgement for fixture in FIXTURES}


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.uri)
def test_a_fixture_holds(fixture: Fixture, judged: Mapping[str, Judgement]) -> None:
    judgement = judged[fixture.uri]
    if fixture.uri in REVIEWED_WRONGLY:
        assert (judgement.verdict, judgement.decided_by) == (Verdict.REVIEW, (REVIEWED_WRONGLY[fixture.uri],))
    elif fixture.expect is Expect.MUST_ALLOW:
        assert (judgement.verdict, judgement.shadow_verdict) == (Verdict.ALLOW, Verdict.ALLOW)
    else:
        bands = {category.id: category.band for category in judgement.categories}
        assert bands[fixture.category] in STOPS


def test_twins_get_one_verdict(judged: Mapping[str, Judgement]) -> None:
    verdicts: dict[str, set[Verdict]] = {}
    for uri, judgement in judged.items():
        verdicts.setdefault(twin_name(*uri.split("/")), set()).add(judgement.verdict)
    assert len(verdicts) < len(judged), "there are twins"
    assert {name: found for name, found in verdicts.items() if len(found) > 1} == DIFFERING_TWINS


def test_every_picture_is_a_fixture_and_says_who_drew_it() -> None:
    names = {path.name for path in FOLDER.glob("*.png")}
    assert names == {picture(fixture).name for fixture in FIXTURES}
    told = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert [name for name in names if f"- {name}: " not in told] == []
