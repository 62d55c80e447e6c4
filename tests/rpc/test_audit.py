"""The audit log of a running server: what it says of each image, and that no disk holds an image up."""

import asyncio
import errno
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from clipwarden.auditlog.lines import Place, Sealer
from clipwarden.auditlog.reading import read_policies, read_records
from clipwarden.auditlog.records import CategoryScores, FailedImage, JudgedImage, PolicyText, Scores
from clipwarden.auditlog.verify import Kind
from clipwarden.errors import ConfigError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.load import parse_policy
from clipwarden.serving import audit, auditwriter
from clipwarden.serving.misfits import misfits
from clipwarden.serving.server import Server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.auditlogs import checked, flaws, said, written
from kit.serverprocess import Process, serve_process
from kit.serving import (
    Rig,
    colours_snapshot,
    colours_yaml,
    cut_picture,
    eventually,
    held_decoding,
    next_version,
    picture,
    refused,
    serving,
    settings_for_test,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture(autouse=True)
def _time_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a crowded machine all the time it wants; servers in processes of their own write few lines at the end."""
    monkeypatch.setattr(audit, "CLOSE_SECONDS", 60)


def image(data: bytes) -> pb.ImageSource:
    return pb.ImageSource(data=data)


async def test_each_image_has_a_line_whichever_method_brought_it_and_whatever_became_of_it(
    toy_model: Model, path: Path
) -> None:
    async with serving(toy_model, audit_log=str(path), audit_chain=True) as rig:
        judged = await rig.moderate(picture("red"))
        await rig.stub.BatchModerate(
            pb.BatchModerateRequest(images=[image(picture("green")), image(b"")], request_id="batch")
        )

        async def items() -> AsyncIterator[pb.StreamModerateRequest]:
            yield pb.StreamModerateRequest(id="item", image=image(picture("yellow")))

        async for _ in rig.stub.StreamModerate(items()):
            pass
        await refused(rig.moderate(b"x" * 100, policy_id="nobody"))
        await refused(rig.stub.ModerateEmbedding(pb.ModerateEmbeddingRequest(request_id="stored")))
        with held_decoding():
            call = asyncio.create_task(rig.moderate(picture("blue", number=1)))
            await eventually(lambda: rig.server.pipeline.admission.items == 1)
            call.cancel()
            await eventually(lambda: rig.server.pipeline.admission.items == 0)
    lines = {each["request_id"]: each for each in said(path, record="judged")}
    assert {key: value["method"] for key, value in lines.items()} == {
        judged.request_id: "Moderate",
        "batch/0": "BatchModerate",
        "item": "StreamModerate",
    }
    line = lines[judged.request_id]
    assert (line["verdict"], line["decided_by"], line["shadow_verdict"]) == ("BLOCK", ["red"], "BLOCK")
    assert (line["sha256"], line["format"], line["width"], line["height"]) == (judged.image.sha256, "PNG", 64, 64)
    assert (line["digest"], line["version"], line["fingerprint"]) == (
        judged.policy.digest,
        "1.0",
        judged.model.fingerprint,
    )
    assert line["caller"].startswith("ipv4:127.0.0.1:")
    assert "categories" not in line
    assert lines["batch/0"]["shadow_fired"] == {"green": "BLOCK"}
    failed = [(each["method"], each["code"], each["reason"]) for each in said(path, record="failed")]
    assert Counter(failed) == Counter(
        [
            ("BatchModerate", "INVALID_ARGUMENT", "IMAGE_EMPTY"),
            ("Moderate", "NOT_FOUND", "POLICY_UNKNOWN"),
            ("ModerateEmbedding", "INVALID_ARGUMENT", "REQUEST_INVALID"),
            ("Moderate", "CANCELLED", None),
        ]
    )
    assert [each["record"] for each in said(path)][:3] == ["started", "policy", "loaded"]
    assert said(path)[-1]["record"] == "stopped"
    assert flaws(checked(path)) == []


def numbers_of(message: pb.CategoryResult | pb.AttributeResult) -> dict[str, object]:
    """Read what the wire says of scores, as records name it."""
    names = ("score", "cosine", "margin", "logit", "pair_probability")
    found: dict[str, object] = {name: getattr(message, name) for name in names if message.HasField(name)}  # type: ignore[arg-type]
    if message.HasField("winning_prompt"):
        found["prompt"] = (message.winning_prompt.text, message.winning_prompt.cosine)
    if message.HasField("winning_contrast"):
        found["contrast"] = (message.winning_contrast.text, message.winning_contrast.cosine)
    return found


def numbers_in(scores: Scores) -> dict[str, object]:
    names = ("score", "cosine", "margin", "logit", "pair_probability")
    found: dict[str, object] = {name: getattr(scores, name) for name in names if getattr(scores, name) is not None}
    for name in ("prompt", "contrast"):
        if match := getattr(scores, name):
            found[name] = (match.text, match.cosine)
    return found


def band_again(scores: CategoryScores) -> str | None:
    """Compare what a line has of a category with the limits in it; None where there is nothing to compare."""
    value = None if scores.unit is None else getattr(scores, scores.unit)
    if value is None or scores.exempted_by:
        return scores.band
    limits = {"BLOCK": scores.block, "REVIEW": scores.review}
    return next((band for band, limit in limits.items() if limit is not None and value >= limit), "ALLOW")


def verdict_again(record: JudgedImage) -> str:
    """Judge anew by a line alone."""
    assert record.categories is not None
    bands = {band_again(scores) for scores in record.categories if scores.mode == "enforce"}
    return next((band for band in ("BLOCK", "REVIEW") if band in bands), "ALLOW")


async def test_scores_read_back_to_the_last_bit_with_the_limits_of_their_context(toy_model: Model, path: Path) -> None:
    answers: dict[str, pb.Moderation] = {}
    async with serving(toy_model, audit_log=str(path), audit_scores=True) as rig:
        for number, colour in enumerate(("red", "yellow", "green", "blue", "white", "black")):
            for context in ("", "poppies"):
                answer = await rig.moderate(picture(colour, number=number), context=context)
                answers[answer.request_id] = answer
    records = {each.request_id: each for each in read_records([path]) if isinstance(each, JudgedImage)}
    assert set(records) == set(answers)
    for name, answer in answers.items():
        record = records[name]
        assert record.categories is not None
        assert record.attributes is not None
        assert record.context == (answer.context or None)
        assert verdict_again(record) == record.verdict
        for scores, message in zip(record.categories, answer.categories, strict=True):
            assert isinstance(scores, CategoryScores)
            assert scores.id == message.id
            assert numbers_in(scores) == numbers_of(message)
            limits = [
                getattr(message, limit) if message.HasField(limit) else None  # type: ignore[arg-type]
                for limit in ("review_threshold", "block_threshold")
            ]
            assert [scores.review, scores.block] == limits
            assert scores.mode == pb.Mode.Name(message.mode).removeprefix("MODE_").lower()
            assert (scores.band or "UNSPECIFIED") == pb.Verdict.Name(message.band).removeprefix("VERDICT_")
            assert band_again(scores) == scores.band
        for attribute, message_ in zip(record.attributes, answer.attributes, strict=True):
            assert numbers_in(attribute) == numbers_of(message_)
    red = next(record for record in records.values() if record.context is None).categories
    assert red is not None
    assert (red[3].unevaluated, red[3].score, red[0].view and red[0].view.name) == ("DISABLED", None, "full")


async def test_a_policy_is_there_whole_once_a_file_and_says_by_its_digest_what_judged(
    toy_model: Model, path: Path
) -> None:
    old = path.with_suffix(".1")
    async with serving(toy_model, "colours", "other", audit_log=str(path)) as rig:
        await rig.moderate(picture("red"))
        await eventually(lambda: path.exists() and len(said(path, record="judged")) == 1)
        path.rename(old)  # noqa: ASYNC240  a moment
        await rig.moderate(picture("red"))
        edits = ("for tests", "for more tests"), ("review: 0.9}", "review: 0.95}")
        rig.server.snapshot = colours_snapshot(rig.server.snapshot.model, live=next_version(toy_model, *edits))
        assert rig.server.audit is not None
        rig.server.audit.note_loaded(rig.server.snapshot)
        for _ in range(3):
            await rig.moderate(picture("red"))
    policies = read_policies([path])
    digests = {each["digest"] for each in said(path, record="judged")}
    assert digests == set(policies)
    assert len(said(path, record="policy")) == 2
    assert len(said(old, record="policy")) == 2
    for digest, policy in policies.items():
        assert isinstance(policy, PolicyText)
        assert policy_digest(parse_policy(json.dumps(policy.document), file="log").policy) == digest
    assert [each["version"] for each in said(path, record="loaded")[0]["policies"]] == ["2"]


@pytest.mark.parametrize("name", ['\u2028\x9b31m\x00"\n}', "\U0001f480" * 32, '{"verdict":"ALLOW"}', "A" * 128])
async def test_ids_and_contexts_of_callers_stay_in_their_line(toy_model: Model, path: Path, name: str) -> None:
    async with serving(toy_model, audit_log=str(path), audit_chain=True) as rig:
        request = pb.ModerateRequest(image=image(picture("red")), request_id=name)
        await rig.stub.Moderate(request)
        request.options.context = name
        request.options.policy_id = "colours"
        await refused(rig.stub.Moderate(request))
    raw = path.read_bytes()  # noqa: ASYNC240
    assert raw.isascii()
    assert b"\x00" not in raw
    assert [each["request_id"] for each in (*said(path, record="judged"), *said(path, record="failed"))] == [name] * 2
    assert flaws(checked(path)) == []


async def test_what_raised_a_verdict_and_what_a_failed_image_costs_are_said(toy_model: Model, path: Path) -> None:
    live = colours_yaml(toy_model).replace("on_partial: review", "on_partial: review, on_truncated: judge")
    async with serving(toy_model, live=live, audit_log=str(path)) as rig:
        await rig.moderate(cut_picture("blue", 40))
        await refused(rig.moderate(b"no image"))
        rig.encoder.broken = lambda _: True
        await refused(rig.moderate(picture("green")))
    (partial,) = said(path, record="judged")
    assert (partial["verdict"], partial["raised_by"], partial["unseen"]) == ("REVIEW", ["PARTIAL"], ["ROWS"])
    assert partial["share_shown"] < 1
    records = [each for each in read_records([path]) if isinstance(each, FailedImage)]
    assert [(each.reason, each.policy_verdict, each.policy) for each in records] == [
        ("IMAGE_FORMAT_UNSUPPORTED", "BLOCK", "colours"),
        ("ENCODER_FAILED", None, "colours"),
    ]


async def test_calls_refused_unread_are_summed_up(toy_model: Model, path: Path) -> None:
    async with serving(toy_model, audit_log=str(path), queue_items=1) as rig:
        with held_decoding():
            call = asyncio.create_task(rig.moderate(picture("red")))
            await eventually(lambda: rig.server.pipeline.admission.items == 1)
            for _ in range(5):
                assert (await refused(rig.moderate(picture("red")))).reason == "OVERLOADED"
        await call
    lines = said(path, record="refused")
    assert sum(each["count"] for each in lines) == 5
    assert {(each["method"], each["code"], each["reason"]) for each in lines} == {
        ("Moderate", "RESOURCE_EXHAUSTED", "OVERLOADED")
    }


class Sink:
    """A disk that hangs, or fails, for as long as a test likes."""

    def __init__(self) -> None:
        self.last: Place | None = None
        self.astray: str | None = None
        self.lines: list[bytes] = []
        self.open = Event()
        self.open.set()
        self.error: int | None = None
        self._kept: list[bytes] = []

    @property
    def waiting(self) -> int:
        return len(self._kept)

    def renew(self) -> bool:
        return False

    def write(self, lines: Iterable[bytes] = ()) -> int:
        self._kept += lines
        assert self.open.wait(60), "the test never let go of the disk"
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        kept, self._kept = self._kept, []
        self.lines += kept
        return sum(map(len, kept))

    def close(self) -> None:
        pass

    def said(self, record: str) -> list[dict[str, Any]]:
        return [each for each in map(json.loads, self.lines) if each["record"] == record]


@pytest.fixture
def _tries_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditwriter, "RETRY_SECONDS", 0.01)


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch, _tries_again_at_once: None) -> Iterator[Sink]:
    made = Sink()
    monkeypatch.setattr(audit, "open_sink", lambda _: made)
    yield made
    made.open.set()


def dropped_of(server: Server) -> int:
    return int(server.metrics.registry.get_sample_value("clipwarden_audit_dropped_total") or 0)


@pytest.mark.parametrize("fault", ["hangs", "is full"])
async def test_a_disk_that_fails_holds_no_image_up_and_what_it_costs_is_said_in_its_place(
    toy_model: Model, sink: Sink, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = picture("red")
    async with serving(toy_model, audit_log="x", audit_chain=True, audit_queue_bytes=2**20) as rig:
        await rig.moderate(data)
        await eventually(lambda: len(sink.said("judged")) == 1)
        if fault == "hangs":
            sink.open.clear()
        else:
            sink.error = errno.ENOSPC
        count = 0
        while dropped_of(rig.server) < 20:
            count += 1
            assert (await rig.moderate(data)).verdict == pb.VERDICT_BLOCK
        assert "Images are judged all the same" in rig.server.health.notices["audit"]
        assert rig.server.health.serving
        assert rig.server.metrics.registry.get_sample_value("clipwarden_audit_failing") == 1
        waiting = rig.server.metrics.registry.get_sample_value("clipwarden_audit_queue_bytes") or 0
        assert 0 < waiting <= 2**20 + audit.SIZES[0]
        sink.error = None
        sink.open.set()
        await eventually(lambda: "audit" not in rig.server.health.notices and len(sink.said("dropped")) == 1)
        await rig.moderate(data)
    (gap,) = sink.said("dropped")
    assert gap["count"] == dropped_of(rig.server) == 20
    assert gap["since"] <= gap["until"]
    assert gap["why"] == (
        "no space left on device" if fault == "is full" else "it is written more slowly than it grows"
    )
    assert len(sink.said("judged")) == count + 2 - 20
    assert sink.said("stopped")[0]["dropped"] == 20
    errors = [
        each.getMessage() for each in caplog.records if each.name == "clipwarden.audit" and each.levelname == "ERROR"
    ]
    assert len([each for each in errors if "drops lines" in each]) == 1, "once a minute"
    assert len([each for each in errors if "cannot be written" in each]) == (1 if fault == "is full" else 0)
    order = [json.loads(line) for line in sink.lines]
    place = order.index(gap)
    assert [each["record"] for each in order[place - 1 : place + 3]] == ["judged", "dropped", "judged", "stopped"]


async def test_a_disk_that_hangs_at_the_end_is_not_waited_for_and_what_is_lost_is_said(
    toy_model: Model, sink: Sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit, "CLOSE_SECONDS", 0.05)
    async with serving(toy_model, audit_log="x") as rig:
        await eventually(lambda: len(sink.said("loaded")) == 1)
        sink.open.clear()
        for _ in range(3):
            await rig.moderate(picture("red"))
    (lost,) = [each for each in caplog.records if "could not be written, and are lost" in each.getMessage()]
    assert lost.levelname == "ERROR"
    assert dropped_of(rig.server) == 4, "and that it stopped"


async def test_a_line_that_cannot_be_made_costs_itself_alone(toy_model: Model, path: Path) -> None:
    async with serving(toy_model, audit_log=str(path), audit_chain=True) as rig:
        assert rig.server.audit is not None
        rig.server.audit._put(auditwriter.Entry("judged", 0.0, lambda: {"x": math.nan}, 1))
        await rig.moderate(picture("red"))
    assert [each["record"] for each in said(path)[-3:]] == ["dropped", "judged", "stopped"]
    assert flaws(checked(path)) == ["dropped"]


async def test_a_fault_of_the_writer_itself_is_said_and_holds_no_image_up(
    toy_model: Model, sink: Sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(toy_model, audit_log="x") as rig:
        monkeypatch.setattr(sink, "renew", lambda: 1 / 0)
        await rig.moderate(picture("red"))
        await eventually(lambda: "a fault that the server's log has" in rig.server.health.notices.get("audit", ""))
        await rig.moderate(picture("red"))
    assert "the audit log ended by a fault" in caplog.text
    assert "lines of the audit log could not be written, and are lost" in caplog.text


def lay_link(path: Path) -> None:
    path.symlink_to(path.with_suffix(".elsewhere"))


def block(path: Path, lay: Callable[[Path], None]) -> Path:
    """Rotate a log, and lay something in the way of the next one; returns where the log is now."""
    moved = path.rename(path.with_suffix(".1"))
    lay(path)
    return moved


def clear(path: Path) -> None:
    path.rename(path.with_suffix(".away"))


@pytest.mark.usefixtures("_tries_again_at_once")
@pytest.mark.parametrize(
    ("lay", "why"),
    [(lay_link, "it is a symbolic link"), (os.mkfifo, "it is no regular file"), (Path.mkdir, "is a directory")],
)
async def test_lines_that_go_into_a_file_that_was_moved_away_are_said_until_the_path_can_be_opened(
    toy_model: Model,
    path: Path,
    lay: Callable[[Path], None],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "clipwarden.audit")
    async with serving(toy_model, audit_log=str(path), audit_chain=True) as rig:
        await rig.moderate(picture("red"))
        await eventually(lambda: len(said(path, record="judged")) == 1)
        moved = block(path, lay)
        for count in (2, 3):
            await rig.moderate(picture("red"))
            await eventually(lambda: len(said(moved, record="judged")) == count)  # noqa: B023  waited for in this turn
        await eventually(lambda: "audit" in rig.server.health.notices)
        assert f"cannot be opened anew ({why}), and lines go on into the file" in rig.server.health.notices["audit"]
        assert rig.server.health.serving
        assert rig.server.metrics.registry.get_sample_value("clipwarden_audit_failing") == 1
        clear(path)
        await eventually(lambda: "audit" not in rig.server.health.notices)  # without a line to write
        assert rig.server.metrics.registry.get_sample_value("clipwarden_audit_failing") == 0
        await rig.moderate(picture("red"))
    messages = [each.getMessage() for each in caplog.records if each.name == "clipwarden.audit"]
    assert len([each for each in messages if "goes astray" in each]) == 1, "once a minute"
    assert messages.count("the audit log's path could be opened again") == 1
    assert [each["record"] for each in said(path)] == ["policy", "judged", "stopped"]
    assert flaws(checked(path, moved)) == []


@pytest.mark.usefixtures("_tries_again_at_once")
async def test_lines_are_dropped_and_counted_once_the_file_that_was_moved_away_is_gone(
    toy_model: Model, path: Path
) -> None:
    async with serving(toy_model, audit_log=str(path), audit_queue_bytes=2**20) as rig:
        await eventually(lambda: path.exists() and len(said(path, record="loaded")) == 1)
        moved = block(path, Path.mkdir)
        await rig.moderate(picture("red"))
        await eventually(lambda: "lines go on into the file" in rig.server.health.notices.get("audit", ""))
        moved.unlink()
        # Found though there is nothing to write.
        await eventually(lambda: "or will: is a directory." in rig.server.health.notices["audit"])
        count = 0
        while dropped_of(rig.server) < 5:
            count += 1
            await rig.moderate(picture("red"))
        clear(path)
        await eventually(lambda: "audit" not in rig.server.health.notices)
        await eventually(lambda: len(said(path, record="dropped")) == 1)
    assert len(said(path, record="judged")) == count - 5
    assert [(each["count"], each["why"]) for each in said(path, record="dropped")] == [(5, "is a directory")]


UNFOLLOWED = """
import os, sys
from clipwarden.serving.audit import check_audit, rotation_warning
from clipwarden.serving.config import Settings
os.setgroups([]); os.setgid(12345); os.setuid(12345)
for where in sys.argv[1:]:
    settings = Settings(audit_log=where)
    check_audit(settings)
    print(rotation_warning(settings))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_a_folder_in_which_a_rotated_log_could_not_be_begun_anew_is_warned_about(socket_folder: Path) -> None:
    folder = socket_folder / "logs"
    folder.mkdir(mode=0o755)
    log = written(folder / "log", [])
    os.chown(log, 12345, 12345)
    for each in (folder, socket_folder):
        each.chmod(0o755)
    ran = subprocess.run([sys.executable, "-c", UNFOLLOWED, log, "-"], capture_output=True, text=True, check=True)
    warning, none = ran.stdout.splitlines()
    assert warning.startswith(f"this user may not make files in {folder}: where the audit log is rotated by a new name")
    assert none == "None"
    folder.chmod(0o777)
    ran = subprocess.run([sys.executable, "-c", UNFOLLOWED, log], capture_output=True, text=True, check=True)
    assert ran.stdout == "None\n"


def test_that_warning_is_among_those_of_the_start_and_of_the_check(
    toy_model: Model, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for_test(audit_log=str(path))
    assert not [each for each in misfits(settings, toy_model) if "audit log" in each]
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert [each for each in misfits(settings, toy_model) if f"may not make files in {path.parent}" in each]


async def test_a_file_that_cannot_be_written_is_one_sentence(toy_model: Model, tmp_path: Path) -> None:
    snapshot = colours_snapshot(toy_model)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name, sentence in {
        "missing/log": "missing/log: its folder does not exist. Make the folder, or choose another file with",
        "link": "link: it is a symbolic link. Name a file itself, or choose another file with --audit-log.",
        ".": "is a directory. Name a file itself",
    }.items():
        settings = settings_for_test(audit_log=str(tmp_path / name))
        with pytest.raises(ConfigError, match=sentence):
            audit.check_audit(settings)
        server = Server(settings, snapshot)
        with pytest.raises(ConfigError, match=sentence):
            await server.start()
        await server.close()
    assert not (tmp_path / "elsewhere").exists()
    audit.check_audit(settings_for_test(audit_log=str(tmp_path / "log")))
    assert not (tmp_path / "log").exists()


def test_switches_without_a_file_are_refused() -> None:
    for name in ("audit_scores", "audit_chain"):
        with pytest.raises(ConfigError, match=f"{name} is on, but audit_log names no file"):
            settings_for_test(**{name: True})


@asynccontextmanager
async def load(rig: Rig, answered: list[str], callers: int = 4) -> AsyncIterator[None]:
    """Keep callers at work inside the block, and note whom they were answered."""
    enough = asyncio.Event()

    async def caller() -> None:
        while not enough.is_set():
            answered.append((await rig.moderate(picture("red"))).request_id)

    tasks = [asyncio.create_task(caller()) for _ in range(callers)]
    try:
        yield
    finally:
        enough.set()
        await asyncio.gather(*tasks)


async def test_rotation_by_rename_under_load_loses_and_tears_no_line(toy_model: Model, path: Path) -> None:
    answered: list[str] = []
    async with (
        serving(toy_model, audit_log=str(path), audit_chain=True, audit_scores=True, audit_queue_bytes=2**30) as rig,
        load(rig, answered),
    ):
        for number in range(8):
            before = len(answered)
            await eventually(lambda: path.exists() and path.stat().st_size > 0 and len(answered) > before)  # noqa: B023
            path.rename(path.with_suffix(f".{number}"))  # noqa: ASYNC240
        await eventually(path.exists)  # else the last lines may be in the file that was renamed last
    files = [path, *path.parent.glob("audit.[0-9]")]
    assert len(files) == 9
    assert Counter(each["request_id"] for each in said(*files, record="judged")) == Counter(answered)
    found = checked(*files)
    assert (flaws(found), len(found.heads)) == ([], 1)
    # Each file says by itself what its lines were judged by.
    for file in files:
        assert {each["digest"] for each in said(file, record="judged")} <= set(read_policies([file]))


async def test_rotation_by_copy_and_cut_doubles_no_line_and_what_it_loses_is_named(
    toy_model: Model, path: Path
) -> None:
    answered: list[str] = []
    settings = {"audit_log": str(path), "audit_chain": True, "audit_queue_bytes": 2**30}
    async with serving(toy_model, **settings) as rig, load(rig, answered):
        for number in range(8):
            before = len(answered)
            await eventually(lambda: path.stat().st_size > 0 and len(answered) > before)  # noqa: B023
            shutil.copyfile(path, path.with_suffix(f".{number}"))
            os.truncate(path, 0)
    files = [path, *path.parent.glob("audit.[0-9]")]
    found = checked(*files)
    # Torn: copied while it was being written.
    assert set(flaws(found)) <= {"missing", "torn"}
    lost = sum(each.count for each in found.of(Kind.MISSING))
    lines = said(*files)
    assert len(lines) + lost == found.heads[0].seq + 1
    assert len({each["seq"] for each in lines}) == len(lines)


@pytest.fixture
def policy(toy_model: Model, tmp_path: Path) -> Path:
    file = tmp_path / "colours.yaml"
    file.write_text(colours_yaml(toy_model))
    return file


async def ask(server: Process, count: int, answered: list[str]) -> None:
    """Have so many images judged, some at a time."""
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        request = pb.ModerateRequest(image=image(picture("red")))
        for _ in range(0, count, 10):
            calls = [stub.Moderate(request, timeout=60) for _ in range(10)]
            answered += [(await call).moderation.request_id for call in calls]


@contextmanager
def disk_full_at(process: int, size: int) -> Iterator[None]:
    """Let no file of a process grow beyond a size."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_loses_no_request_and_every_line_it_costs_is_counted(
    toy_folder: Path, policy: Path, path: Path, socket_folder: Path
) -> None:
    answered: list[str] = []
    # The server's own log is on the same disk and has to find room, so the audit log is the larger one by far.
    sealer = Sealer("a" * 16, chain=True)
    written(path, [sealer.seal({"record": "judged", "request_id": f"{n}", "x": "x" * 200_000}) for n in range(50)])
    settings = {
        "audit_log": path,
        "audit_chain": "true",
        "audit_queue_bytes": "1MiB",
        "metrics_listen": "127.0.0.1:0",
    }
    async with serve_process(toy_folder, policy, path.parent, socket_folder, **settings) as server:
        await ask(server, 20, answered)
        await eventually(lambda: len(said(path, record="judged")) == 70)
        size = path.stat().st_size + 1_000  # noqa: ASYNC240
        with disk_full_at(server.process.pid, size):
            while (await server.metrics())["audit_dropped_total"] < 100:
                await ask(server, 50, answered)
        await ask(server, 10, answered)
        await server.until(lambda found: not found["audit_failing"])
        await ask(server, 10, answered)
        dropped = (await server.metrics())["audit_dropped_total"]
        assert await server.end() == 0
    found = checked(path)
    assert flaws(found) == ["dropped"]
    (gap,) = found.of(Kind.DROPPED)
    judged = Counter(each["request_id"] for each in said(path, record="judged")[50:])
    assert gap.count == dropped
    assert set(judged.values()) == {1}
    assert set(judged) <= set(answered)
    assert len(judged) + dropped == len(answered)


async def test_a_pipe_that_nobody_reads_holds_neither_images_nor_the_end_up(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    reader, writer = os.pipe()
    answered: list[str] = []
    settings = {"audit_log": "-", "audit_queue_bytes": "1MiB", "metrics_listen": "127.0.0.1:0"}
    try:
        async with serve_process(toy_folder, policy, tmp_path, socket_folder, stdout=writer, **settings) as server:
            while not (await server.metrics())["audit_dropped_total"]:
                await ask(server, 50, answered)
            assert await server.end() == 0
    finally:
        os.close(writer)
        os.close(reader)
    messages = [str(line["message"]) for line in server.lines()]
    assert any(each.endswith("could not be written, and are lost") for each in messages)
    assert any(each.startswith("the audit log drops lines") for each in messages)
    assert messages[-1] == "stopped"


async def test_a_server_that_is_killed_leaves_half_a_line_at_most_and_the_next_one_goes_on_from_it(
    toy_folder: Path, policy: Path, path: Path, socket_folder: Path
) -> None:
    answered: list[str] = []
    settings = {"audit_log": path, "audit_chain": "true", "audit_scores": "true"}
    async with serve_process(toy_folder, policy, path.parent, socket_folder, **settings) as server:
        await ask(server, 50, answered)
        await eventually(lambda: len(said(path, record="judged")) >= 20)
        await server.end(signal.SIGKILL)
    with path.open("ab") as file:  # as a write that was cut off: no test can kill between two bytes
        file.write(b'{"schema":"clipwarden.audit/1","record":"jud')
    async with serve_process(toy_folder, policy, path.parent, socket_folder, **settings) as server:
        await ask(server, 10, answered)
        assert await server.end() == 0
    found = checked(path)
    assert flaws(found) == ["torn"]
    assert found.heads[0].seq >= 20
    started = said_whole(path, "started")
    assert started[1]["follows"]["process"] == started[0]["process"]
    heads = [line for line in server.lines() if line["message"] == "audit head"]
    assert (heads[-1]["writer"], heads[-1]["hash"]) == (found.heads[-1].process, found.heads[-1].hash)
    assert flaws(checked(path, head=str(heads[-1]["hash"]))) == ["torn"]


def said_whole(path: Path, record: str) -> list[dict[str, Any]]:
    """As `said`, of a file with torn lines."""
    lines = (line for line in path.read_bytes().splitlines() if line.endswith(b"}"))
    return [each for each in map(json.loads, lines) if each["record"] == record]
