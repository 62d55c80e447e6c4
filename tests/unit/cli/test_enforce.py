"""`clipwarden enforce`: what holds is put into force by the word of two people, and nothing else is."""

import json
import re
from pathlib import Path

import pytest

from clipwarden.cli.exits import Exit
from clipwarden.errors import ConfigError
from clipwarden.policy.enforcing import plan_enforcement
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.newversion import VersionNotes
from clipwarden.policy.schema import Bounds, Drawn, Mode
from clipwarden.policy.shipped import shipped_policy
from clipwarden.policy.slices import SLICE_PATTERN, SliceFinding, slice_name
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.tune.proposals import Proposal
from clipwarden.tuning.tune.writing import write_version
from kit.builders import make_evidence
from kit.cli import Run
from kit.policies import FINGERPRINT

TEXT = """\
# Ours.
api: clipwarden/v1
metadata: {id: shop, version: "1.0", approved_by: "ann"}  # kept by us
contexts:
  club: {description: "for adults"}
categories:
- id: weapons  # the worst
  severity: 3
  definition: "Weapons."
  prompts: ["a rifle"]
  contexts:
    club: {mode: disabled}
- id: drugs
  severity: 2
  definition: "Drugs."
  mode: shadow  # for now
  prompts: ["a joint"]
- {id: bare, severity: 1, definition: "Bare.", prompts: ["a toy"]}
"""
BOTH = ("--author", "kim", "--approved-by", "lee")


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT)
    fitted = Fitted(slope=0.41, bias=-5.5, prevalence=0.01)
    told = {"calibration": fitted, "bounds": Bounds(review=0.02, block=0.6), "evidence": make_evidence()}
    proposals = [Proposal(category=each, **told) for each in ("weapons", "drugs")]  # type: ignore[arg-type]  # as told
    return write_version(path, proposals, VersionNotes(author="kim"), fingerprint=FINGERPRINT)


def modes(path: Path) -> dict[str, Mode]:
    return {category.id: category.mode for category in load_policy(path).policy.categories}


def test_a_version_enforces_and_changes_nothing_else(run: Run, tuned: Path) -> None:
    result = run("enforce", tuned, "drugs", "weapons", *BOTH)
    assert result.exit_code == Exit.OK, result.output
    written = tuned.with_name("shop-1.2.yaml")
    assert modes(written) == {"weapons": Mode.ENFORCE, "drugs": Mode.ENFORCE, "bare": Mode.SHADOW}
    before, after = tuned.read_text().splitlines(), written.read_text().splitlines()
    assert [line.strip() for line in after if line not in before][1:] == [
        "mode: enforce",
        'approved_by: "lee"',
        "mode: enforce  # for now",
        'approved_by: "lee"',
    ]
    assert f"{written} was written by kim and approved by lee: weapons, drugs will stop uploads once it is live" in (
        result.stderr
    )
    assert "weapons in club: stays disabled, which the context says." in result.stderr
    assert all(f"weapons, {promise}." in result.stderr for promise in make_evidence().promises)
    assert run("lint", written, "--strict").exit_code == Exit.OK


def test_a_dry_run_writes_nothing_and_json_says_all(run: Run, tuned: Path) -> None:
    before = sorted(tuned.parent.iterdir())
    assert "Nothing was written." in run("enforce", tuned, "drugs", *BOTH, "--dry-run").stderr
    told = json.loads(run("enforce", tuned, "drugs", *BOTH, "--dry-run", "--json").stdout)
    assert (told["written"], told["enforced"], sorted(tuned.parent.iterdir())) == (False, ["drugs"], before)
    told = json.loads(run("enforce", tuned, "drugs", *BOTH, "--json").stdout)
    assert (told["written"], Path(told["target"]).is_file()) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drugs",), "Say who besides"),
        (("drugs", "--author", "kim", "--approved-by", "Kim"), "cannot be the second person"),
        (("drug", *BOTH), 'Did you mean "drugs"?'),
        (("bare", *BOTH), "bare cannot be enforced: it has no limits."),
        (("drugs", "bare", *BOTH), "bare cannot be enforced"),
    ],
)
def test_what_is_refused_says_why_and_writes_nothing(
    run: Run, tuned: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = sorted(tuned.parent.iterdir())
    result = run("enforce", tuned, *arguments)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert "Nothing was written." in result.stderr
    assert sorted(tuned.parent.iterdir()) == before


def test_who_chose_the_limits_stands_for_them_under_no_other_name(run: Run, tuned: Path) -> None:
    for arguments in (("--approved-by", "Sam@example.com"), ("--author", "lee", "--approved-by", "sam@example.com")):
        result = run("enforce", tuned, "drugs", *arguments)
        assert result.exit_code == Exit.USAGE
        assert "sam@example.com chose the limits of drugs and cannot be the second person" in result.stderr
    by_hand = re.sub(r"      evidence:\n(?:        .*\n)+", "", tuned.read_text())
    tuned.write_text(by_hand)
    assert "kim chose the limits of drugs" in run("enforce", tuned, "drugs", "--approved-by", "kim").stderr
    assert run("enforce", tuned, "drugs", "--author", "kim", "--approved-by", "lee").exit_code == Exit.OK


UNLABELLED = {"design": Drawn.TRAFFIC, "labels": None, "promises": ("block: at most 2 % of uploads are stopped",)}
WALKED = (
    "block: few are stopped wrongly (chosen on 2026-11-28 by labels whose design is top, by amy)",
    "review: some go to people",
)


@pytest.mark.parametrize(
    ("evidence", "bounds", "refused"),
    [
        (UNLABELLED, Bounds(block=0.6), True),
        (UNLABELLED, Bounds(review=0.6), False),
        (UNLABELLED | {"promises": WALKED}, Bounds(review=0.02, block=0.6), False),
        ({"promises": (WALKED[0].replace("top", "traffic"),)}, Bounds(review=0.02, block=0.6), True),
        ({"promises": (WALKED[0].replace("top", "foo"),)}, Bounds(review=0.02, block=0.6), True),
        ({"promises": (WALKED[0].partition(" by labels")[0],)}, Bounds(review=0.02, block=0.6), True),
    ],
    ids=[
        *("nothing labelled", "it only asks people", "block was labelled before", "only review was labelled since"),
        *("nobody knows that design", "somebody edited the promise"),
    ],
)
def test_a_limit_that_nobody_labelled_takes_a_reason(
    run: Run, tmp_path: Path, evidence: dict[str, object], bounds: Bounds, *, refused: bool
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT)
    proposal = Proposal(category="drugs", bounds=bounds, evidence=make_evidence(**evidence))
    tuned = write_version(path, [proposal], VersionNotes(author="kim"), fingerprint=FINGERPRINT)
    result = run("enforce", tuned, "drugs", *BOTH)
    assert result.exit_code == (Exit.USAGE if refused else Exit.OK), result.output
    assert ("Nobody labelled what the block limits of drugs stop" in result.stderr) is refused
    if refused:
        assert f"`clipwarden sample {tuned} --store STORE -n 600 --categories drugs`" in result.stderr
        assert run("enforce", tuned, "drugs", *BOTH, "--reason", " ").exit_code == Exit.USAGE
        assert run("enforce", tuned, "drugs", *BOTH, "--reason", "a flood of them").exit_code == Exit.OK


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("a joint", "a pipe"), "its calibration was fitted on something else"),
        (("block: 0.6", "block: 0.7"), "were edited since"),
        (('      digest: "sha256:', '      digest: "sha256:0'), None),
    ],
)
def test_limits_that_do_not_hold_are_refused(run: Run, tuned: Path, edit: tuple[str, str], said: str | None) -> None:
    text = tuned.read_text()
    tuned.write_text(text.replace(*edit))
    result = run("enforce", tuned, "drugs", *BOTH)
    assert result.exit_code == (Exit.USAGE if said else Exit.POLICY)
    assert said is None or said in result.stderr
    assert not tuned.with_name("shop-1.2.yaml").exists()


def test_what_nobody_chose_on_anything_is_refused(run: Run, tuned: Path) -> None:
    tuned.write_text(re.sub(r"    chosen_on:\n(?:      .*\n)+", "", tuned.read_text()))
    result = run("enforce", tuned, "drugs", *BOTH)
    assert "drugs cannot be enforced: nothing says what its thresholds were chosen on." in result.stderr


def test_a_category_that_is_enforced_stays_and_shipped_files_too(run: Run, tuned: Path) -> None:
    once = plan_enforcement(tuned, ["drugs"], VersionNotes(author="kim", approved_by="lee")).version.write()
    assert "Enforced already: drugs." in run("enforce", once, "drugs", *BOTH).stderr
    assert "ships with clipwarden" in run("enforce", shipped_policy("stickers"), "drugs", *BOTH).stderr


def test_a_digest_that_stands_alone_stays_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(shipped_policy("stickers").read_bytes())
    assert run("enforce", path, "drugs", *BOTH).exit_code == Exit.OK
    (written,) = tmp_path.glob("mine-*.yaml")
    assert modes(written)["drugs"] is Mode.ENFORCE
    assert written.read_text().count("lee") == 1


IS, FR = '"country=is": UNKNOWN by the block limit, label 109 more', '"country=fr": FAIL by the block limit'


@pytest.fixture
def sliced(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT)
    evidence = make_evidence(slices=(IS, FR, '"skin": PASS by the block limit'))
    fitted = Fitted(slope=0.41, bias=-5.5, prevalence=0.01)
    proposal = Proposal(category="drugs", calibration=fitted, bounds=Bounds(block=0.6), evidence=evidence)
    return write_version(path, [proposal], VersionNotes(author="kim"), fingerprint=FINGERPRINT)


def test_slices_that_do_not_pass_stand_in_the_way(run: Run, sliced: Path) -> None:
    result = run("enforce", sliced, "drugs", *BOTH)
    assert result.exit_code == Exit.USAGE
    said = " ".join(result.stderr.split())
    assert 'drugs cannot be enforced: slice "country=is" is UNKNOWN by the block limit (label at least 109 more' in said
    assert '"country=fr" is FAIL by the block limit' in said
    assert "--waive-slice drugs:country=is --waive-slice drugs:country=fr --reason TEXT" in said
    assert not sliced.with_name("shop-1.2.yaml").exists()


def test_slices_are_let_through_by_name_with_a_reason_that_stays(run: Run, sliced: Path) -> None:
    one, both = ("--waive-slice", "drugs:country=is"), ("--waive-slice", "drugs:country=fr")
    said = ("--reason", "Iceland sends 3 uploads a day")
    assert 'slice "country=fr" is FAIL' in run("enforce", sliced, "drugs", *BOTH, *one, *said).stderr
    for blank in ((), ("--reason", ""), ("--reason", " \n")):
        result = run("enforce", sliced, "drugs", *BOTH, *one, *both, *blank)
        assert result.exit_code == Exit.USAGE
        assert "Say why" in result.stderr or "--reason must be a text" in result.stderr
    told = json.loads(run("enforce", sliced, "drugs", *BOTH, *one, *both, *said, "--json").stdout)
    assert told["waived"] == {"drugs": ["country=is", "country=fr"]}
    written = sliced.with_name("shop-1.2.yaml")
    drugs = load_policy(written).policy.categories[1]
    assert drugs.thresholds is not None
    assert drugs.thresholds.chosen_on is not None
    assert drugs.thresholds.chosen_on.evidence is not None
    why = "; waived: Iceland sends 3 uploads a day (kim, approved by lee)"
    assert drugs.thresholds.chosen_on.evidence.slices == (IS + why, FR + why, '"skin": PASS by the block limit')
    assert "# the worst" in written.read_text()
    assert "# for now" in written.read_text()
    assert run("lint", written, "--strict").exit_code == Exit.OK
    shown = run("enforce", sliced, "drugs", *BOTH, *one, *both, *said, "--version", "9").stderr
    assert f"drugs, slice {IS}{why}." in " ".join(shown.split())


@pytest.mark.parametrize(
    ("waived", "said"),
    [
        ("drugs:country=it", "Did you mean drugs:country="),
        ("drugs:skin", "names no slice that stands in the way"),  # it passes
        ("country=is", "There is drugs:country=is, drugs:country=fr."),
        ("weapons:country=is", "names no slice"),  # not what is enforced here
        ("", "names no slice"),
    ],
)
def test_a_waiver_that_names_nothing_is_refused(run: Run, sliced: Path, waived: str, said: str) -> None:
    result = run("enforce", sliced, "drugs", *BOTH, "--waive-slice", waived, "--reason", "why")
    assert (result.exit_code, said in " ".join(result.stderr.split())) == (Exit.USAGE, True), result.stderr


@pytest.mark.parametrize(
    "edit",
    [
        (IS, '"country=is": FINE by the block limit'),
        (IS, "country=is: PASS by the block limit"),
        (IS, '"country=is": UNKNOWN by the block limit; waived: '),
        (IS, '"\\x": PASS by the block limit'),
    ],
)
def test_slices_that_nobody_can_read_are_refused_at_load(run: Run, sliced: Path, edit: tuple[str, str]) -> None:
    old, new = (json.dumps(each) for each in edit)
    assert old in sliced.read_text()
    sliced.write_text(sliced.read_text().replace(old, new))
    result = run("enforce", sliced, "drugs", *BOTH)
    assert result.exit_code == Exit.POLICY, result.output
    assert "[slice-finding]" in result.stderr


def test_the_name_of_a_slice_cannot_say_that_it_passes() -> None:
    name = slice_name("country", 'de": PASS by the block limit; waived: "x')
    found = SliceFinding(name=name, outcome="FAIL", limit="block")
    assert SliceFinding.read(found.sentence) == found
    assert found.is_open
    assert (
        len({slice_name("country", each) for each in ("a\u202eb c", "ab c", "ab  c", "ab c ", " ab c", "ab\nc")}) == 6
    )


@pytest.mark.parametrize("ceiling", [None, 0.02, 0.07, 0.003, 1 / 3, 1e-9, 0.999])
def test_a_ceiling_is_written_so_that_it_can_be_asked_again(ceiling: float | None) -> None:
    found = SliceFinding(
        name="skin", outcome="UNKNOWN", limit="review", ceiling=ceiling, more=2995732273, waived="a\nb"
    )
    assert SliceFinding.read(found.sentence) == found
    assert SLICE_PATTERN.fullmatch(found.sentence)
    assert SliceFinding(name="a", outcome="PASS", limit="block", ceiling=0.02).sentence == (
        '"a": PASS by the block limit at 2 %'
    )


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (("mode: shadow  # for now", "mode: enforce"), ""),
        (("mode: shadow  # for now", "mode: shadow\n  contexts: {club: {mode: enforce}}"), ' in the context "club"'),
    ],
)
def test_a_mode_by_hand_beside_slices_that_do_not_pass_is_warned_of(
    run: Run, sliced: Path, edit: tuple[str, str], where: str
) -> None:
    assert run("lint", sliced, "--strict").exit_code == Exit.OK
    text = sliced.read_text().replace(*edit)
    sliced.write_text(text)
    result = run("lint", sliced, "--strict")
    assert result.exit_code == Exit.POLICY
    assert f'warning: "drugs" is enforced{where}, and slice "country=is" is UNKNOWN by the block limit' in result.stdout
    assert result.stdout.count("[open-slices]") == 1
    for each in (IS, FR):  # with a line break, as only an editor writes it
        text = text.replace(json.dumps(each), json.dumps(f"{each}; waived: few\nof them"))
    sliced.write_text(text)
    assert run("lint", sliced, "--strict").exit_code == Exit.OK, run("lint", sliced, "--strict").output


def test_limits_whose_slices_do_not_pass_are_not_written_for_what_is_enforced(run: Run, sliced: Path) -> None:
    waive = ("--waive-slice", "drugs:country=is", "--waive-slice", "drugs:country=fr", "--reason", "for now")
    assert run("enforce", sliced, "drugs", *BOTH, *waive).exit_code == Exit.OK
    live = sliced.with_name("shop-1.2.yaml")
    proposal = Proposal(category="drugs", bounds=Bounds(block=0.7), evidence=make_evidence(slices=(FR,)))
    with pytest.raises(ConfigError, match='drugs is enforced, and by the new limits slice "country=fr" is FAIL'):
        write_version(live, [proposal], VersionNotes(author="kim", approved_by="lee"), fingerprint=FINGERPRINT)
