"""Policies that change while a server answers: new ones judge new requests, bad ones none; answers say which did."""

# ruff: noqa: ASYNC240  small files of a test's own

import asyncio
import itertools
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from clipwarden.engine import snapshot
from clipwarden.errors import ConfigError
from clipwarden.modelfolder.encoder import TextEncoder
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.file import write_bundle
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.tensors import dump_tensors
from clipwarden.serving import loading, policylog, reload
from clipwarden.serving.policylog import log_refused
from clipwarden.serving.server import Server, running_server
from clipwarden.v1 import moderation_pb2 as pb
from kit.configmap import ConfigMap
from kit.reloading import digest, load_again, loaded_again, replace_file, serving_files, versions
from kit.serverprocess import SERVING, Process, serve_process
from kit.serving import Rig, colours_yaml, eventually, next_version, picture, refused, serving, settings_for_test

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def policy(toy_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "policies" / "colours.yaml"
    path.parent.mkdir()
    path.write_text(colours_yaml(toy_model))
    return path


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The log's lines that begin with some words."""
    caplog.set_level(logging.INFO, logger="clipwarden")
    return lambda start: [vars(record) for record in caplog.records if record.message.startswith(start)]


def digest_of(text: str, model: Model) -> str:
    return compile_policy(parse_policy(text).policy, model=model).digest


def series(rig: Rig, name: str) -> Mapping[tuple[str, ...], float]:
    """Read a metric: labels' values to value, but for those at 0."""
    families = [each for each in rig.server.metrics.registry.collect() if each.name == f"clipwarden_{name}"]
    samples = [sample for family in families for sample in family.samples if not sample.name.endswith("_created")]
    return {tuple(sample.labels.values()): sample.value for sample in samples if sample.value}


def is_well(rig: Rig) -> bool:
    """Tell whether metrics and health say that the files hold what judges."""
    well = bool(series(rig, "policy_last_reload_successful"))
    assert well == ("cannot be used" not in rig.server.health.notices.get("policies", ""))
    return well


def batch(*images: bytes) -> pb.BatchModerateRequest:
    return pb.BatchModerateRequest(images=[pb.ImageSource(data=data) for data in images])


async def test_new_requests_are_judged_by_the_file_as_it_is_now_and_say_so(
    toy_model: Model, policy: Path, lines: Lines
) -> None:
    review, block = ("thresholds: {unit: cosine, " + bound + ": 0.9}" for bound in ("review", "block"))
    stricter = next_version(toy_model, (review, block))
    async with serving_files(toy_model, policy) as rig:
        before = await rig.moderate(picture("yellow"))
        async with loaded_again(rig.server):
            replace_file(policy, stricter)
        after = await rig.moderate(picture("yellow"))
        infos = series(rig, "policy_info")
        assert series(rig, "policy_reloads") == {("changed",): 1}
        assert is_well(rig)
    assert (before.verdict, after.verdict) == (pb.VERDICT_REVIEW, pb.VERDICT_BLOCK)
    assert (before.policy.version, after.policy.version) == ("1.0", "2")
    assert after.policy.digest == digest_of(stricter, toy_model) != before.policy.digest
    # From the same embedding: what is kept of images knows of no policy.
    assert (before.from_cache, after.from_cache) == (False, True)
    assert infos == {("colours", "2", after.policy.digest, "true"): 1}
    (line,) = lines("policy reloaded")
    assert (line["digest"], line["previous_digest"]) == (after.policy.digest, before.policy.digest)
    assert (line["version"], line["previous_version"]) == ("2", "1.0")
    assert "yellow: + thresholds.block: added 0.9" in line["changes"]


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def deleted_and_back(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("write", [in_place, deleted_and_back, replace_file])
async def test_whichever_way_the_file_is_written(
    toy_model: Model, policy: Path, write: Callable[[Path, str], None]
) -> None:
    text = next(versions(toy_model))
    async with serving_files(toy_model, policy) as rig:
        write(policy, text)
        await eventually(lambda: digest(rig.server) == digest_of(text, toy_model))


def version_of(rig: Rig, policy_id: str = "colours") -> str | None:
    return rig.server.snapshot.tables[policy_id].compiled.policy.metadata.version


async def test_config_map_is_exchanged_with_all_of_its_files(toy_model: Model, tmp_path: Path) -> None:
    def at(version: str) -> dict[str, str]:
        return {f"{name}.yaml": next_version(toy_model, policy_id=name, version=version) for name in ("a", "b")}

    mounted = ConfigMap(tmp_path / "mounted", at("1"))
    paths = [mounted[name] for name in at("1")]
    async with serving_files(toy_model, *paths, ids=("a", "b")) as rig:
        for version in ("2", "3"):
            mounted.swap(at(version))
            await eventually(lambda version=version: version_of(rig, "a") == version)  # type: ignore[misc]
            assert version_of(rig, "b") == version


@contextmanager
def changes_between_files(*changes: Callable[[], None]) -> Iterator[None]:
    """Make changes while policies are loaded: one behind each file that is read, until there are no more."""
    read, left = snapshot.load_with_findings, iter(changes)

    def read_and_change(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return read(*args, **kwargs)
        finally:
            next(left, lambda: None)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "load_with_findings", read_and_change)
        yield


class Releases:
    """Two policies in a ConfigMap, of one version."""

    def __init__(self, model: Model, folder: Path) -> None:
        self._model = model
        self._mounted = ConfigMap(folder, self._at("1"))
        self.paths = [self._mounted[name] for name in self._at("1")]

    def _at(self, version: str) -> dict[str, str]:
        return {f"{name}.yaml": next_version(self._model, policy_id=name, version=version) for name in ("a", "b")}

    def put(self, version: str, files: Mapping[str, str] = MappingProxyType({})) -> None:
        self._mounted.swap(self._at(version) | files)


def versions_of(server: Server) -> dict[str, str | None]:
    return {name: tables.compiled.policy.metadata.version for name, tables in server.snapshot.tables.items()}


async def test_no_policy_of_one_release_is_taken_beside_one_of_the_next(
    toy_model: Model, tmp_path: Path, lines: Lines
) -> None:
    releases = Releases(toy_model, tmp_path / "mounted")
    async with serving_files(toy_model, *releases.paths, ids=("a", "b"), watch_policies=False) as rig:
        releases.put("2")
        with changes_between_files(partial(releases.put, "3")):
            await load_again(rig.server)
        assert versions_of(rig.server) == {"a": "3", "b": "3"}
        assert is_well(rig)
        assert series(rig, "policy_reloads") == {("changed",): 1}
    assert [line["version"] for line in lines("policy reloaded")] == ["3", "3"]


async def test_files_that_change_for_as_long_as_they_are_loaded_are_refused_until_they_rest(
    toy_model: Model, tmp_path: Path, lines: Lines
) -> None:
    releases = Releases(toy_model, tmp_path / "mounted")
    async with serving_files(toy_model, *releases.paths, ids=("a", "b"), watch_policies=False) as rig:
        with changes_between_files(*(partial(releases.put, str(number)) for number in range(2, 100))):
            await load_again(rig.server)
        assert versions_of(rig.server) == {"a": "1.0", "b": "1.0"}
        assert not is_well(rig)
        assert "Policy files changed each time while they were read" in lines("policies not reloaded")[0]["message"]
        releases.put("100")
        await load_again(rig.server)
        assert versions_of(rig.server) == {"a": "100", "b": "100"}
        assert is_well(rig)


async def test_change_during_the_last_load_is_seen_by_the_watch(toy_model: Model, tmp_path: Path) -> None:
    releases = Releases(toy_model, tmp_path / "mounted")
    with changes_between_files(*(partial(releases.put, str(number)) for number in range(2, 8))):
        async with serving_files(toy_model, *releases.paths, ids=("a", "b")) as rig:
            releases.put("1")
            await eventually(lambda: versions_of(rig.server) == {"a": "7", "b": "7"})
            await eventually(lambda: is_well(rig))


async def test_start_takes_no_policy_of_one_release_beside_one_of_the_next(
    toy_folder: Path, toy_model: Model, tmp_path: Path
) -> None:
    releases = Releases(toy_model, tmp_path / "mounted")
    settings = settings_for_test(model=str(toy_folder), policies=tuple(map(str, releases.paths)), vector_cache=None)
    with changes_between_files(partial(releases.put, "2")):
        async with running_server(settings) as server:
            assert versions_of(server) == {"a": "2", "b": "2"}
    releases.put("3", {"a.yaml": "api: clipwarden/v1\n"})  # which is no reason to end where it is mended meanwhile
    with changes_between_files(partial(releases.put, "4")):
        async with running_server(settings) as server:
            assert versions_of(server) == {"a": "4", "b": "4"}
    with (
        changes_between_files(*(partial(releases.put, str(number)) for number in range(5, 100))),
        pytest.raises(ConfigError, match="changed each time while they were read, 3 times in a row"),
    ):
        loading.load(settings)


async def test_half_of_a_file_is_refused_and_the_whole_one_loaded(toy_model: Model, policy: Path, lines: Lines) -> None:
    text = next(versions(toy_model))
    async with serving_files(toy_model, policy) as rig:
        old = digest(rig.server)
        async with loaded_again(rig.server):
            policy.write_text(text[: text.index("cosine, pool: max")])
        assert digest(rig.server) == old
        assert not is_well(rig)
        async with loaded_again(rig.server):
            with policy.open("a") as file:
                file.write(text[text.index("cosine, pool: max") :])
        assert digest(rig.server) == digest_of(text, toy_model)
        assert is_well(rig)
    (line,) = lines("policies not reloaded")
    assert str(policy) in line["message"]


def edit(old: str, new: str) -> Callable[[str], bytes]:
    def of(text: str) -> bytes:
        assert old in text
        return text.replace(old, new).encode()

    return of


BAD: Mapping[str, Callable[[str], bytes]] = {
    "nothing": lambda _: b"",
    "zeros": lambda text: bytes(len(text)),
    "comments": lambda _: b"# later\n",
    "other YAML": lambda _: b"kind: ConfigMap\n",
    "another schema": edit("clipwarden/v1", "clipwarden/v2"),
    "half": lambda text: text[: len(text) // 2].encode(),
    "no UTF-8": lambda text: text.encode() + b"\xff\n",
    "a document": lambda _: b"PK\x03\x04 and more",
    "invisible character": edit("Red pictures", "Red\u200bpictures"),
    "misspelt key": edit("severity: 3", "severitty: 3"),
    "key twice": edit("  severity: 3", "  severity: 3\n  severity: 2"),
    "id twice": edit("- id: yellow", "- id: red"),
    "threshold out of range": edit("review: 0.8", "review: 8.0"),
    "thresholds in the wrong order": edit("review: 0.8, block: 0.9", "review: 0.95, block: 0.9"),
    "threshold of another number than it was chosen on": edit("review: 0.8", "review: 0.81"),
    "prompt of another text than thresholds were chosen on": edit('["red"]', '["blue"]'),
    "unknown context": edit("contexts: {poppies: {", "contexts: {tulips: {"),
    "another model": lambda text: text.replace("sha256:", "sha256:" + "0" * 64, 1)[: len(text)].encode(),
    "no list": edit("categories:\n", "categories: none\nx:\n"),
    "text beyond the context": edit('["white"]', f'["{"white " * 40}"]'),
    "another id": edit("id: colours", "id: colors"),
    "file of vectors that is missing": edit('["white"]', "[{vector: white, file: white.safetensors}]"),
    "larger than any policy": lambda text: text.encode() + b"#" * 2**20,
}


async def test_bad_policies_of_every_kind_leave_the_old_one_and_are_mended_by_a_good_one(
    toy_model: Model, policy: Path, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    good = policy.read_text()
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        old = rig.server.snapshot
        for number, (kind, make) in enumerate(BAD.items(), 1):
            caplog.clear()
            replace_file(policy, make(good))
            await load_again(rig.server)
            assert rig.server.snapshot is old, kind
            assert not is_well(rig), kind
            assert series(rig, "policy_reloads")["failed",] == number
            (line,) = lines("policies not reloaded")
            assert line["levelname"] == "ERROR"
            assert line["problems"], kind
            assert str(policy) in " ".join(line["problems"]) or "policy" in line["problems"][0], kind
            assert (await rig.moderate(picture("red"))).policy.digest == digest(rig.server)
        text = next(versions(toy_model))
        replace_file(policy, text)
        await load_again(rig.server)
        assert (digest(rig.server), is_well(rig)) == (digest_of(text, toy_model), True)


WEAKENED: Mapping[str, tuple[Callable[[str], bytes], str]] = {
    "cut short": (lambda text: text[: text.index("- id: yellow")].encode(), "yellow"),
    "all in shadow": (edit("defaults: {mode: enforce", "defaults: {mode: shadow"), "red, yellow"),
    "off in a context": (edit("{poppies: {", "{poppies: {mode: shadow, "), 'red in the context "poppies"'),
}


@pytest.mark.parametrize("kind", WEAKENED)
async def test_what_enforces_less_is_refused_under_its_old_version_and_taken_under_another(
    toy_model: Model, policy: Path, lines: Lines, kind: str
) -> None:
    make, named = WEAKENED[kind]
    weak = make(policy.read_text()).decode()
    async with serving_files(toy_model, policy) as rig:
        old = rig.server.snapshot
        async with loaded_again(rig.server):
            policy.write_text(weak)
        assert rig.server.snapshot is old
        assert not is_well(rig)
        assert series(rig, "policy_reloads") == {("failed",): 1}
        (said,) = lines("policies not reloaded")[0]["problems"]
        assert said == (
            f'Policy colours still says version "1.0" but no longer enforces {named}: a file cut short looks like '
            "this. Give it another metadata.version if that is meant."
        )
        async with loaded_again(rig.server):
            replace_file(policy, weak.replace('version: "1.0"', 'version: "1.1"'))
        assert version_of(rig) == "1.1"
        assert bool(series(rig, "policy_last_reload_successful"))


async def test_policy_without_a_version_is_told_to_take_one(toy_model: Model, policy: Path, lines: Lines) -> None:
    text = policy.read_text().replace('version: "1.0", ', "")
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        for written in (text, text.replace("mode: enforce", "mode: shadow")):
            replace_file(policy, written)
            await load_again(rig.server)
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
    (said,) = lines("policies not reloaded")[0]["problems"]
    assert said.startswith("Policy colours still says no version but no longer enforces red, yellow: ")
    assert said.endswith("Give it a metadata.version if that is meant.")


async def test_health_says_that_nothing_is_enforced_any_more_until_it_is_again(toy_model: Model, policy: Path) -> None:
    shadow = ("defaults: {mode: enforce", "defaults: {mode: shadow")
    async with serving_files(toy_model, policy, watch_policies=False) as rig:

        async def said_of(text: str) -> str:
            replace_file(policy, text)
            await load_again(rig.server)
            assert rig.server.health.serving
            return rig.server.health.notices.get("policies", "")

        idle = "1 policy enforces nothing any more: every verdict there is ALLOW. The log says where."
        assert (await said_of(next_version(toy_model, shadow))).endswith(idle)
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_ALLOW
        assert series(rig, "policy_last_reload_successful")
        assert (await said_of(next_version(toy_model, shadow, version="3"))).endswith(idle)
        both = await said_of("api: clipwarden/v1\n")
        assert "the files hold policies that cannot be used" in both
        assert both.endswith(idle)
        assert (await said_of(next_version(toy_model, shadow, version="3"))).startswith("Since ")
        assert not await said_of(next_version(toy_model, version="4"))


async def test_another_text_under_the_same_version_is_taken_and_warned_of_until_its_former_one_is_back(
    toy_model: Model, policy: Path, lines: Lines
) -> None:
    block = ("thresholds: {unit: cosine, review: 0.9}", "thresholds: {unit: cosine, block: 0.9}")
    first, other = policy.read_text(), next_version(toy_model, block, version="1.0")
    async with serving_files(toy_model, policy, watch_policies=False) as rig:

        async def said_of(text: str) -> str:
            replace_file(policy, text)
            await load_again(rig.server)
            assert rig.server.health.serving
            return rig.server.health.notices.get("policies", "")

        said = await said_of(other)
        assert said.startswith("1 policy judges otherwise than before under the same version")
        assert (await said_of("api: clipwarden/v1\n")).endswith(said)
        assert not await said_of(first)
        assert await said_of(other) == said
        assert not await said_of(next_version(toy_model, block, version="1.1"))
    warned = lines('policy colours judges otherwise than before and still says version "1.0"')
    assert len(warned) == 3
    assert all(str(line["message"]).endswith("Change metadata.version with every edit.") for line in warned)
    assert len({line["digest"] for line in warned}) == 2


def test_a_long_problem_is_said_with_its_end_which_has_the_advice(lines: Lines) -> None:
    log_refused([f"{'threshold ' * 300}is no key. Write thresholds instead."], candidates_only=False)
    (said,) = lines("policies not reloaded")[0]["problems"]
    assert len(said) <= 1010
    assert " threshold ... " in said
    assert said.endswith(" threshold is no key. Write thresholds instead.")


async def test_file_that_is_gone_is_said_to_be_and_its_policy_judges_on(
    toy_model: Model, policy: Path, lines: Lines
) -> None:
    async with serving_files(toy_model, policy) as rig:
        async with loaded_again(rig.server):
            policy.unlink()
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
        assert "cannot be read: No such file or directory" in lines("policies not reloaded")[0]["message"]
        async with loaded_again(rig.server):
            policy.write_text(colours_yaml(toy_model))
        assert is_well(rig)
        assert lines("policies unchanged")


async def test_pipe_in_the_place_of_a_file_blocks_nothing(toy_model: Model, policy: Path, lines: Lines) -> None:
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        policy.unlink()
        os.mkfifo(policy)
        await load_again(rig.server)
        assert "is a folder, a pipe or a device" in lines("policies not reloaded")[0]["message"]


async def test_one_bad_policy_keeps_the_whole_set(toy_model: Model, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.yaml" for name in ("a", "b")]
    for path in paths:
        path.write_text(next_version(toy_model, policy_id=path.stem))
    async with serving_files(toy_model, *paths, ids=("a", "b"), watch_policies=False) as rig:
        replace_file(paths[1], "api: clipwarden/v1\n")
        await load_again(rig.server)
        assert [version_of(rig, name) for name in ("a", "b")] == ["1.0", "1.0"]
        replace_file(paths[1], next_version(toy_model, policy_id="b"))
        await load_again(rig.server)
        assert [version_of(rig, name) for name in ("a", "b")] == ["2", "2"]


async def test_ids_and_the_default_stay_whichever_file_holds_which(
    toy_model: Model, tmp_path: Path, lines: Lines
) -> None:
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text(next_version(toy_model, policy_id="b"))
    b.write_text(next_version(toy_model, policy_id="a"))
    async with serving_files(toy_model, a, b, ids=("a", "b"), watch_policies=False) as rig:
        page = await rig.stub.ListPolicies(pb.ListPoliciesRequest(page_size=1))
        await load_again(rig.server)
        rest = await rig.stub.ListPolicies(pb.ListPoliciesRequest(page_token=page.next_page_token))
        assert (await rig.moderate(picture("red"))).policy.id == "a"
        assert [(each.policy.id, each.policy.version) for each in (*page.policies, *rest.policies)] == [
            ("a", "1.0"),
            ("b", "2"),
        ]
        replace_file(a, next_version(toy_model, policy_id="c"))
        await load_again(rig.server)
        (said,) = lines("policies not reloaded")[0]["problems"]
        assert said == (
            "No file holds the policy b any more, which callers may name; there is c in its place. Put metadata.id "
            "back; other ids are for a new start."
        )
        assert list(rig.server.snapshot.tables) == ["a", "b"]


async def test_context_that_is_gone_is_said_to_be(toy_model: Model, policy: Path, lines: Lines) -> None:
    contexts = ("contexts:\n  poppies: {description: a field of poppies}\n", "")
    red = ("\n  contexts: {poppies: {review: 0.999, block: 1.0}}", "")
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        assert (await rig.moderate(picture("red"), context="poppies")).verdict
        replace_file(policy, next_version(toy_model, contexts, red))
        await load_again(rig.server)
        assert (await refused(rig.moderate(picture("red"), context="poppies"))).reason == "CONTEXT_UNKNOWN"
    assert lines("policy colours declares the context poppies no longer")


async def test_what_only_people_read_is_exchanged_too_and_what_nobody_reads_is_not(
    toy_model: Model, policy: Path, lines: Lines
) -> None:
    text = policy.read_text()
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        old = rig.server.snapshot
        replace_file(policy, f"# why\n{text}")
        await load_again(rig.server)
        assert rig.server.snapshot is old
        assert (len(lines("policies unchanged")), series(rig, "policy_reloads")) == (1, {("unchanged",): 1})
        replace_file(policy, text.replace('version: "1.0"', 'version: "1.1"'))
        await load_again(rig.server)
        found = (await rig.stub.GetPolicy(pb.GetPolicyRequest())).policy.ref
        assert list(series(rig, "policy_info")) == [("colours", "1.1", found.digest, "true")]
    assert (found.version, found.digest) == ("1.1", old.tables["colours"].compiled.digest)
    (line,) = lines("policy reloaded")
    assert line["changes"] == ['~ metadata.version: from "1.0" to "1.1"']


async def test_bad_candidate_holds_back_no_policy_and_a_bad_policy_holds_back_candidates(
    toy_model: Model, policy: Path, tmp_path: Path, lines: Lines
) -> None:
    candidate = tmp_path / "candidate.yaml"
    candidate.write_text(next_version(toy_model, version="2"))
    async with serving_files(toy_model, policy, candidates=(str(candidate),), watch_policies=False) as rig:
        await load_again(rig.server)
        assert list(rig.server.snapshot.candidates) == ["colours@2"]
        replace_file(candidate, "api: clipwarden/v1\n")
        replace_file(policy, next_version(toy_model, version="1.1"))
        await load_again(rig.server)
        assert (version_of(rig), list(rig.server.snapshot.candidates)) == ("1.1", ["colours@2"])
        assert not is_well(rig)
        assert series(rig, "policy_reloads") == {("changed",): 1, ("candidates_failed",): 1}
        assert lines("candidates not reloaded")
        replace_file(candidate, next_version(toy_model, version="3"))
        replace_file(policy, "api: clipwarden/v1\n")
        await load_again(rig.server)
        assert (version_of(rig), list(rig.server.snapshot.candidates)) == ("1.1", ["colours@2"])
        replace_file(policy, next_version(toy_model, version="1.2"))
        await load_again(rig.server)
        assert (version_of(rig), list(rig.server.snapshot.candidates)) == ("1.2", ["colours@3"])
        assert is_well(rig)
        assert list(series(rig, "candidate_info")) == [("colours", "3", lines("candidate loaded")[-1]["digest"])]
        assert lines("candidate withdrawn")[0]["candidate"] == "colours@2"


async def test_bundle_is_exchanged(toy_model: Model, policy: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "colours.bundle"
    new = compile_policy(parse_policy(next(versions(toy_model))).policy, model=toy_model)
    write_bundle(compile_policy(load_policy(policy).policy, model=toy_model), bundle)
    async with serving_files(toy_model, bundle) as rig:
        async with loaded_again(rig.server):
            write_bundle(new, tmp_path / "next.bundle")
            (tmp_path / "next.bundle").replace(bundle)
        assert digest(rig.server) == new.digest
        data = bundle.read_bytes()
        async with loaded_again(rig.server):
            replace_file(bundle, data[: len(data) // 2])
        assert digest(rig.server) == new.digest
        assert not is_well(rig)


LEARNED = """
api: clipwarden/v1
metadata: {{id: colours}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: shadow}}
categories:
- {{id: reddish, severity: 3, definition: Red pictures., prompts: [{{vector: reddish, file: deeper/v.safetensors}}],
   scoring: {{method: cosine}}}}
- {{id: red, severity: 3, definition: Red pictures., scoring: {{method: head, file: head.safetensors}}}}
"""


def vectors(model: Model, word: str) -> bytes:
    assert model.text
    return dump_tensors({"reddish": model.text.embed([word])[0]})


def head(model: Model, word: str) -> bytes:
    assert model.text
    return dump_tensors({"layers.0.weight": model.text.embed([word]) * 8, "layers.0.bias": np.array([-4], np.float32)})


async def test_vectors_and_heads_that_a_policy_names_are_watched_from_when_it_names_them(
    toy_model: Model, policy: Path, lines: Lines
) -> None:
    deeper = policy.parent / "deeper"
    deeper.mkdir()
    seen = []
    async with serving_files(toy_model, policy) as rig:
        async with loaded_again(rig.server):  # names files that are not there yet
            replace_file(policy, LEARNED.format(fingerprint=toy_model.fingerprint))
        assert not is_well(rig)
        assert '"deeper/v.safetensors" cannot be read' in " ".join(lines("policies not reloaded")[0]["problems"])
        (policy.parent / "head.safetensors").write_bytes(head(toy_model, "red"))
        (deeper / "v.safetensors").write_bytes(vectors(toy_model, "red"))
        await eventually(lambda: is_well(rig))
        seen.append(digest(rig.server))
        for path, content in ((deeper / "v.safetensors", vectors), (policy.parent / "head.safetensors", head)):
            async with loaded_again(rig.server):
                replace_file(path, content(toy_model, "blue"))
            seen.append(digest(rig.server))
            async with loaded_again(rig.server):
                replace_file(path, b"no tensors")
            assert not is_well(rig)
            async with loaded_again(rig.server):
                replace_file(path, content(toy_model, "blue"))
            assert is_well(rig)
    assert len(set(seen)) == 3


async def test_image_under_way_keeps_the_policy_that_it_came_under(toy_model: Model, policy: Path) -> None:
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        old = digest(rig.server)
        with rig.encoder.held():
            call = asyncio.ensure_future(rig.moderate(picture("red")))
            await rig.encoder.entered()
            replace_file(policy, next(versions(toy_model)))
            await load_again(rig.server)
        assert (await call).policy.digest == old
        assert (await rig.moderate(picture("red"))).policy.digest == digest(rig.server) != old


async def test_batch_is_judged_by_one_policy_whatever_is_loaded_meanwhile(toy_model: Model, policy: Path) -> None:
    async with serving_files(toy_model, policy, watch_policies=False, call_in_flight=2) as rig:
        old = digest(rig.server)
        with rig.encoder.held():
            call = rig.stub.BatchModerate(batch(*(picture("red", number=number) for number in range(12))))
            await rig.encoder.entered()  # of the first two; the others have not begun
            replace_file(policy, next(versions(toy_model)))
            await load_again(rig.server)
        assert {result.moderation.policy.digest for result in (await call).results} == {old}
        (after,) = (await rig.stub.BatchModerate(batch(picture("red")))).results
        assert after.moderation.policy.digest == digest(rig.server) != old


async def test_items_of_a_stream_are_judged_by_the_newest(toy_model: Model, policy: Path) -> None:
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        stream, found, wanted = rig.stub.StreamModerate(), [], []
        for text in [policy.read_text(), *itertools.islice(versions(toy_model), 3)]:
            replace_file(policy, text)
            await load_again(rig.server)
            wanted.append(digest_of(text, toy_model))
            item = pb.StreamModerateRequest(id=str(len(wanted)), image=pb.ImageSource(data=picture("red")))
            await stream.write(item)
            found.append((await stream.read()).result.moderation.policy.digest)
        await stream.done_writing()
    assert found == wanted


async def test_exchanges_in_quick_succession_end_with_the_last(toy_model: Model, policy: Path) -> None:
    some = list(itertools.islice(versions(toy_model), 10))
    async with serving_files(toy_model, policy) as rig:
        for text in some:
            replace_file(policy, text)
            rig.server.reloader.request()
        await eventually(lambda: digest(rig.server) == digest_of(some[-1], toy_model))
        assert is_well(rig)


@contextmanager
def held_texts() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold whoever embeds a text inside this block, or until the second event is set; the first says that one is."""
    begun, release, embed = threading.Event(), threading.Event(), TextEncoder.embed

    def hold(self: TextEncoder, texts: Sequence[str]) -> Any:  # noqa: ANN401
        begun.set()
        assert release.wait(60)
        return embed(self, texts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextEncoder, "embed", hold)
        try:
            yield begun, release
        finally:
            release.set()


async def test_server_that_drains_does_not_wait_for_texts_nor_takes_the_policy(
    toy_model: Model, policy: Path, lines: Lines
) -> None:
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        old = rig.server.snapshot
        replace_file(policy, next(versions(toy_model)))
        with held_texts() as (begun, release):
            rig.server.reloader.request()
            assert await asyncio.to_thread(begun.wait, 60)
            assert (await rig.moderate(picture("red"))).policy.digest == digest(rig.server)
            await rig.server.drain()
            rig.server.reloader.request()
            release.set()
            await rig.server.close()
        assert rig.server.snapshot is old
        assert rig.server.reloader.attempts == 0
    assert lines("policies are not reloaded any more: the server drains")


async def test_reload_embeds_only_texts_that_were_in_no_policy_before(
    toy_folder: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for_test(
        model=str(toy_folder), policies=(str(policy),), vector_cache=None, watch_policies=False
    )
    embedded: list[str] = []
    embed = TextEncoder.embed

    def note(self: TextEncoder, texts: Sequence[str]) -> Any:  # noqa: ANN401
        embedded.extend(texts)
        return embed(self, texts)

    text = policy.read_text()
    async with running_server(settings) as server:
        monkeypatch.setattr(TextEncoder, "embed", note)
        for change, texts in (("# nothing\n", []), (("white",), ["a cat"]), ("# again\n", [])):
            embedded.clear()
            text = text.replace('["white"]', '["a cat"]') if isinstance(change, tuple) else text + change
            replace_file(policy, text)
            await load_again(server)
            assert embedded == texts


async def test_progress_of_texts_is_logged_at_start_and_reload(
    toy_folder: Path, policy: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "SAY_PROGRESS_SECONDS", 0.0)
    settings = settings_for_test(
        model=str(toy_folder), policies=(str(policy),), vector_cache=None, watch_policies=False
    )
    async with running_server(settings) as server:
        start = lines("Embedding the texts of colours.yaml")
        replace_file(policy, policy.read_text().replace('["white"]', '["a cat", "a dog"]'))
        await load_again(server)
    again = lines("Embedding the texts of colours.yaml")[len(start) :]
    assert start[-1]["done"] == start[-1]["total"] >= 4
    assert [(line["done"], line["total"]) for line in again] == [(0, 2), (1, 2), (2, 2)]


async def test_fault_of_ours_keeps_the_old_and_the_next_change_is_loaded(
    toy_model: Model, policy: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        old = digest(rig.server)
        replace_file(policy, next(versions(toy_model)))
        with monkeypatch.context() as patch:
            patch.setattr(loading, "load_policies", fail)
            await load_again(rig.server)
        assert digest(rig.server) == old
        assert not is_well(rig)
        assert lines("policies not reloaded, those of before stay: a fault of ours")[0]["exc_info"]
        await load_again(rig.server)
        assert digest(rig.server) != old
        assert is_well(rig)


async def test_fault_of_ours_at_the_exchange_keeps_the_old_and_the_next_change_is_loaded(
    toy_model: Model, policy: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async with serving_files(toy_model, policy) as rig:
        old, first = digest(rig.server), policy.read_text()
        with monkeypatch.context() as patch:
            patch.setattr(rig.server.metrics, "describe", fail)
            async with loaded_again(rig.server):
                replace_file(policy, next(versions(toy_model)))
        assert digest(rig.server) == old
        assert not is_well(rig)
        assert lines("policies not reloaded, those of before stay: a fault of ours")[0]["exc_info"]
        async with loaded_again(rig.server):
            replace_file(policy, first)
        assert (digest(rig.server), is_well(rig)) == (old, True)
        async with loaded_again(rig.server):
            replace_file(policy, next(versions(toy_model)))
        assert digest(rig.server) != old
        assert is_well(rig)


async def test_fault_of_ours_is_over_when_the_very_files_of_before_are_back(
    toy_model: Model, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    before, link = policy.with_name("before.yaml"), policy.with_name("link")
    policy.rename(before)
    policy.symlink_to(before)
    async with serving_files(toy_model, policy) as rig:
        with monkeypatch.context() as patch:
            patch.setattr(loading, "load_policies", fail)
            async with loaded_again(rig.server):
                replace_file(policy, next(versions(toy_model)))
        assert not is_well(rig)
        link.symlink_to(before)
        link.replace(policy)
        await eventually(lambda: is_well(rig))


async def test_what_changed_is_put_into_words_off_the_event_loop(
    toy_model: Model, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[threading.Thread] = []
    differences = policylog.differences

    def note(*args: Any) -> Any:  # noqa: ANN401
        where.append(threading.current_thread())
        return differences(*args)

    monkeypatch.setattr(policylog, "differences", note)
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        replace_file(policy, next(versions(toy_model)))
        await load_again(rig.server)
    assert where
    assert threading.current_thread() not in where


async def test_server_without_files_says_so(toy_model: Model, lines: Lines) -> None:
    async with serving(toy_model) as rig:
        rig.server.reloader.request()
        assert lines("policies are not reloaded: they were loaded from no file")
        assert is_well(rig)


async def test_load_that_does_not_end_keeps_no_server_from_ending(
    toy_model: Model, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "MOST_END_SECONDS", 0.01)
    async with serving_files(toy_model, policy, watch_policies=False) as rig:
        replace_file(policy, policy.read_text().replace('["white"]', '["a cat"]'))
        with held_texts() as (begun, _):
            rig.server.reloader.request()
            assert await asyncio.to_thread(begun.wait, 60)
            await rig.server.close()
            assert rig.server.stuck


def messages(server: Process) -> list[object]:
    return [line["message"] for line in server.lines()]


async def test_sighup_loads_and_says_so_where_nothing_changed_and_kills_at_no_time(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path, toy_model: Model
) -> None:
    settings = {"watch_policies": "false", "drain_delay_seconds": 0.5, "metrics_listen": "127.0.0.1:0"}
    text = next(versions(toy_model))
    hung_up, ended = asyncio.Event(), asyncio.Event()

    async def hang_up(process: asyncio.subprocess.Process) -> None:
        """Send SIGHUP again and again, from when the process heeds or ignores it until its end."""
        await eventually(lambda: _heeds_hangups(process.pid))
        while process.returncode is None:
            with suppress(ProcessLookupError):
                # Not `send_signal`, which may reap the process, so that asyncio loses its exit code.
                os.kill(process.pid, signal.SIGHUP)
            hung_up.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.005)

    async with serve_process(toy_folder, policy, tmp_path, socket_folder, waits=False, **settings) as server:
        hanging_up = asyncio.create_task(hang_up(server.process))
        await hung_up.wait()
        await server.becomes(SERVING)
        await eventually(lambda: "policies unchanged" in messages(server))
        replace_file(policy, text)
        await eventually(lambda: "policy reloaded" in messages(server))
        found = await server.metrics()
        assert found[f"policy_info{{default=true,digest={digest_of(text, toy_model)},policy=colours,version=2}}"] == 1
        replace_file(policy, "api: clipwarden/v1\n")
        await eventually(lambda: any(str(each).startswith("policies not reloaded") for each in messages(server)))
        assert (await server.metrics())["policy_last_reload_successful"] == 0
        assert await server.end() == 0
        ended.set()
        await hanging_up
    assert "policies are not reloaded any more: the server drains" in messages(server)
    assert server.lines()[-1]["message"] in {"stopped", "SIGHUP"}


def _heeds_hangups(process: int) -> bool:
    """Tell whether SIGHUP, which is signal 1, is ignored or caught."""
    status = Path(f"/proc/{process}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigIgn:", "SigCgt:"))]
    return any(mask & 1 for mask in masks)
