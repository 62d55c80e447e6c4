"""What may watch beside what: candidates that load, those that are refused, and those that deserve a warning."""

from dataclasses import replace
from pathlib import Path

import pytest

from clipwarden.engine.candidates import load_candidates, with_candidates
from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import ConfigError, FingerprintMismatchError, PolicyError, PolicyUnknownError, Problem, Severity
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.file import write_bundle
from kit.serving import colours_snapshot, compile_text, next_version

BLOCKS_LATER = ("block: 0.9}", "block: 0.95}")


@pytest.fixture
def live(toy_model: Model) -> Snapshot:
    return colours_snapshot(toy_model, "colours", "others")


@pytest.fixture
def text(toy_model: Model) -> str:
    return next_version(toy_model, BLOCKS_LATER)


@pytest.fixture
def candidate(toy_model: Model, text: str) -> CompiledPolicy:
    return compile_text(text, toy_model)


def loaded(live: Snapshot, folder: Path, *texts: str) -> tuple[Snapshot, list[Problem]]:
    """Load candidates from files, and gather what is warned of."""
    paths = [folder / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    warnings: list[Problem] = []
    return load_candidates(live, paths, on_findings=warnings.extend), warnings


def test_two_versions_of_one_id_stand_side_by_side_under_digests_of_their_own(
    live: Snapshot, toy_model: Model, text: str, tmp_path: Path
) -> None:
    third = next_version(toy_model, ("block: 0.9}", "block: 0.97}"), version="10")
    snapshot, warnings = loaded(live, tmp_path, text, third)
    assert not warnings
    assert list(snapshot.candidates) == ["colours@10", "colours@2"]
    assert (list(snapshot.tables), snapshot.default_policy_id) == (["colours", "others"], "colours")
    digests = {name: tables.compiled.digest for name, tables in snapshot.candidates.items()}
    assert digests == {f"colours@{v}": compile_text(t, toy_model).digest for v, t in (("10", third), ("2", text))}
    watching = snapshot.select("colours", "poppies").candidates
    assert [(each.compiled.policy.metadata.version, each.context) for each in watching] == [
        ("10", "poppies"),
        ("2", "poppies"),
    ]
    assert snapshot.select("others").candidates == ()


def test_a_version_alone_moves_no_digest_and_can_only_agree(live: Snapshot, toy_model: Model, tmp_path: Path) -> None:
    snapshot, (warning,) = loaded(live, tmp_path, next_version(toy_model))
    assert snapshot.candidates["colours@2"].compiled.digest == live.tables["colours"].compiled.digest
    assert (warning.code, warning.severity) == ("same-digest", Severity.WARNING)
    assert "it can only agree" in str(warning)


def test_a_version_that_stands_for_two_digests_is_warned_of(live: Snapshot, text: str, tmp_path: Path) -> None:
    snapshot, (warning,) = loaded(live, tmp_path, text.replace('version: "2"', 'version: "1.0"'))
    assert list(snapshot.candidates) == ["colours@1.0"]
    assert warning.code == "version-of-two-digests"
    assert "The version 1.0 of colours stands for two digests" in str(warning)
    assert warning.file == str(tmp_path / "0.yaml")


def test_contexts_that_only_the_live_policy_declares_are_warned_of(
    live: Snapshot, toy_model: Model, tmp_path: Path
) -> None:
    _, (warning,) = loaded(live, tmp_path, next_version(toy_model, ("poppies", "roses")))
    assert warning.code == "context-not-in-candidate"
    assert "(poppies): images that are judged in them are not compared" in str(warning)


@pytest.mark.parametrize("turned", [False, True])
def test_another_answer_to_files_that_end_too_early_is_warned_of(
    toy_model: Model, tmp_path: Path, *, turned: bool
) -> None:
    texts = [
        next_version(toy_model, version="1"),
        next_version(toy_model, ("on_partial: review,", "on_partial: review, on_truncated: judge,")),
    ]
    live, candidate = texts[::-1] if turned else texts
    _, (warning,) = loaded(colours_snapshot(toy_model, live=live), tmp_path, candidate)
    own, theirs = ("refuse", "judge") if turned else ("judge", "refuse")
    assert warning.code == "truncated-not-compared"
    assert f"would {own} files that end too early, the live policy would {theirs} them" in str(warning)


def test_what_lint_warns_of_in_a_live_policy_it_warns_of_in_a_candidate(
    live: Snapshot, text: str, tmp_path: Path
) -> None:
    _, (warning,) = loaded(live, tmp_path, text.replace("2999-06-01", "2020-06-01"))
    assert "2020-06-01" in str(warning)


@pytest.mark.parametrize(
    ("edit", "rule"),
    [(("severity: 3", "severity: 9"), "severity"), (("block: 0.9,", "block: 0.95,"), "unbound-thresholds")],
)
def test_what_no_live_policy_may_have_no_candidate_may_have(
    live: Snapshot, toy_model: Model, tmp_path: Path, edit: tuple[str, str], rule: str
) -> None:
    text = next_version(toy_model)
    assert edit[0] in text
    with pytest.raises(PolicyError, match=rule):
        loaded(live, tmp_path, text.replace(*edit))


def test_a_bundle_may_be_a_candidate(live: Snapshot, candidate: CompiledPolicy, tmp_path: Path) -> None:
    write_bundle(candidate, tmp_path / "c.bundle")
    snapshot = load_candidates(live, [tmp_path / "c.bundle"])
    assert snapshot.candidates["colours@2"].compiled.digest == candidate.digest


def test_warnings_are_logged_unless_somebody_else_is_told(
    live: Snapshot, toy_model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "c.yaml").write_text(next_version(toy_model))
    load_candidates(live, [tmp_path / "c.yaml"])
    assert "[same-digest]" in caplog.text


def test_a_candidate_without_a_version_is_refused(live: Snapshot, text: str, toy_model: Model) -> None:
    nameless = compile_text(text.replace('version: "2", ', ""), toy_model)
    with pytest.raises(ConfigError, match=r"has no metadata\.version.* give it one, such as version: \"2\""):
        with_candidates(live, [nameless])


def test_a_candidate_that_no_request_could_name_is_refused(live: Snapshot, toy_model: Model) -> None:
    def named(version: str) -> CompiledPolicy:
        return compile_text(next_version(toy_model, BLOCKS_LATER, version=version), toy_model)

    fits = "colours@" + "ü" * 60
    assert list(with_candidates(live, [named("ü" * 60)]).candidates) == [fits]
    words = r"has a name of 129 bytes; GetPolicy takes at most 128\. Shorten its metadata\.version by 1 bytes or more"
    with pytest.raises(ConfigError, match=words):
        with_candidates(live, [named("ü" * 60 + "x")])


def test_a_candidate_that_watches_beside_nothing_is_refused(live: Snapshot, toy_model: Model) -> None:
    stranger = compile_text(next_version(toy_model, policy_id="typo"), toy_model)
    words = "typo@2 watches beside no policy: none of that id is loaded, only colours, others. Give it the metadata.id"
    with pytest.raises(ConfigError, match=words):
        with_candidates(live, [stranger])


def test_two_candidates_of_one_version_are_refused(live: Snapshot, candidate: CompiledPolicy) -> None:
    with pytest.raises(ConfigError, match=r"Two of the candidates are colours@2; change metadata\.version"):
        with_candidates(live, [candidate, candidate])


def test_a_candidate_of_another_model_is_refused(live: Snapshot, candidate: CompiledPolicy) -> None:
    other = replace(candidate, fingerprint="sha256:" + "0" * 64)
    with pytest.raises(FingerprintMismatchError, match="compile the candidate with the live policy's model"):
        with_candidates(live, [other])


def test_a_file_for_another_model_is_refused(live: Snapshot, toy_model: Model, text: str, tmp_path: Path) -> None:
    with pytest.raises(FingerprintMismatchError, match="Load the right model"):
        loaded(live, tmp_path, text.replace(toy_model.fingerprint, "sha256:" + "0" * 64))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("views: tiles", r"views tiles, the live policy at whole, .* --views tiles`, then"),
        (
            "frames: 16",
            r"views whole with up to 16 frames, the live .* --views whole --frames 16`, then",
        ),
    ],
)
def test_a_candidate_that_looks_at_other_views_is_refused(
    live: Snapshot, toy_model: Model, tmp_path: Path, keys: str, said: str
) -> None:
    other = next_version(toy_model, ("on_partial: review,", f"on_partial: review, {keys},"))
    with pytest.raises(ConfigError, match=said):
        loaded(live, tmp_path, other)


def test_a_candidate_may_ask_for_other_floors(live: Snapshot, toy_model: Model, tmp_path: Path) -> None:
    other = next_version(toy_model, ("on_partial: review,", "on_partial: review, least_coverage: 0.5,"))
    snapshot, warnings = loaded(live, tmp_path, other)
    assert (list(snapshot.candidates), warnings) == (["colours@2"], [])


def test_a_candidate_may_be_looked_at_and_not_judged_by(live: Snapshot, candidate: CompiledPolicy) -> None:
    snapshot = with_candidates(live, [candidate])
    assert snapshot.show("colours@2").compiled is candidate
    assert snapshot.show("others").compiled is live.tables["others"].compiled
    assert snapshot.show(None).compiled is live.tables["colours"].compiled
    with pytest.raises(PolicyUnknownError, match="'colours@2' is a candidate, which only watches"):
        snapshot.select("colours@2")
    with pytest.raises(PolicyUnknownError, match="no policy 'colours@3' is loaded"):
        snapshot.show("colours@3")
