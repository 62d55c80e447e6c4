"""Small parts of the server, each by itself."""

import asyncio
import io
import json
import logging
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from google.rpc import code_pb2

from clipwarden.engine.admission import MIN_RETRY_SECONDS, Admission
from clipwarden.engine.decoding import DecodeThreads
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.snapshot import find_policy, load_snapshot, make_snapshot, user_cache_folder
from clipwarden.engine.warmup import best_size, bucket_sizes
from clipwarden.errors import (
    ClipwardenError,
    ConfigError,
    ContextUnknownError,
    DeadlineError,
    EmbeddingError,
    EncoderError,
    FingerprintMismatchError,
    ImageError,
    OverloadedError,
    PolicyUnknownError,
    Reason,
    RequestError,
    ShuttingDownError,
)
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Verdict
from clipwarden.serving import jsonlog
from clipwarden.serving.server import load, running_server
from clipwarden.serving.status import reason_of, status_of
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import colours_snapshot, colours_yaml, picture, refusal, settings_for_test

TABLE = [
    (ImageError("m", reason=Reason.IMAGE_EMPTY), code_pb2.INVALID_ARGUMENT, "IMAGE_EMPTY"),
    (RequestError("m"), code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID"),
    (PolicyUnknownError("m"), code_pb2.NOT_FOUND, "POLICY_UNKNOWN"),
    (ContextUnknownError("m"), code_pb2.INVALID_ARGUMENT, "CONTEXT_UNKNOWN"),
    (FingerprintMismatchError("m"), code_pb2.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"),
    (EmbeddingError("m"), code_pb2.INVALID_ARGUMENT, "EMBEDDING_INVALID"),
    (OverloadedError("m", retry_after_seconds=1.5), code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED"),
    (ShuttingDownError("m"), code_pb2.UNAVAILABLE, "SHUTTING_DOWN"),
    (DeadlineError("m"), code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    (EncoderError("m"), code_pb2.INTERNAL, "ENCODER_FAILED"),
    (ClipwardenError("m"), code_pb2.INTERNAL, "INTERNAL"),
    (KeyError("m"), code_pb2.INTERNAL, "INTERNAL"),
]


@pytest.mark.parametrize(("error", "code", "reason"), TABLE, ids=lambda value: type(value).__name__)
def test_error_becomes_its_status(error: Exception, code: int, reason: str) -> None:
    answer = refusal(status_of(error, request_id="r", on_error=Verdict.REVIEW))
    assert (answer.code, answer.reason, answer.metadata) == (code, reason, {"request_id": "r"})
    assert (answer.fault is not None) == isinstance(error, ImageError)
    assert answer.retry_seconds == (1.5 if isinstance(error, OverloadedError) else None)


def test_every_reason_has_an_error_that_carries_it() -> None:
    told = {reason_of(error) for error, _, _ in TABLE}
    assert told | {reason for reason in Reason if reason.startswith("IMAGE_")} == set(Reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.startswith("IMAGE_")])
def test_every_image_reason_has_its_fault(reason: Reason) -> None:
    fault = refusal(status_of(ImageError("m", reason=reason), request_id="r")).fault
    assert fault
    assert pb.ImageFaultReason.Name(fault.reason) == f"IMAGE_FAULT_REASON_{reason.removeprefix('IMAGE_')}"
    assert fault.policy_verdict == pb.VERDICT_UNSPECIFIED


def test_retry_hint_is_when_half_of_the_work_should_be_done() -> None:
    admission = Admission(max_items=4, max_bytes=100, expected_wait=lambda items: items * 0.5)
    with ExitStack() as admitted:
        for _ in range(4):
            admitted.enter_context(admission.admit(1))
        with pytest.raises(OverloadedError) as caught, admission.admit(1):
            pass
        assert caught.value.retry_after_seconds == 1.0
    with pytest.raises(OverloadedError) as caught, admission.admit(101):
        pass
    assert caught.value.retry_after_seconds == MIN_RETRY_SECONDS


def test_log_line_is_json_with_extras_and_traceback() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        jsonlog.configure_logging("info", stream)
        logging.getLogger("a").debug("not written")
        extra = {"request_id": "r\n\x9b31m\u2028", "path": Path("p")}
        logging.getLogger("a").error("it %s", "broke", extra=extra, exc_info=KeyError("k"))
    finally:
        root.handlers[:], root.level = before, level
    # Nothing that a caller puts into an id may break the line or steer a terminal.
    assert stream.getvalue().removesuffix("\n").isprintable()
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("error", "a", "it broke")
    assert (line["request_id"], line["path"]) == ("r\n\x9b31m\u2028", "p")
    assert "KeyError" in line["exception"]
    assert line["time"].endswith("+00:00")


def test_bucket_sizes_double_up_to_the_limit() -> None:
    assert bucket_sizes(1) == [1]
    assert bucket_sizes(8) == [1, 2, 4, 8]
    assert bucket_sizes(11) == [1, 2, 4, 8, 11]


def test_largest_batch_is_the_last_that_pays() -> None:
    assert best_size({1: 1.0, 2: 1.2, 4: 2.35, 8: 4.0}) == 2
    assert best_size({1: 1.0, 2: 2.0}) == 1
    assert best_size({1: 1.0, 2: 1.1, 4: 1.2}) == 4


async def test_batch_limit_of_the_model_is_kept(toy_model: Model) -> None:
    model = replace(toy_model, manifest=replace(toy_model.manifest, max_batch=2))
    async with Pipeline(colours_snapshot(model), settings_for_test(max_batch=8)) as pipeline:
        assert pipeline._batcher.max_batch == 2
    async with Pipeline(colours_snapshot(toy_model), settings_for_test(max_batch=0)) as pipeline:
        assert pipeline._batcher.max_batch in {1, 2, 4, 8}


async def test_pipeline_judges_without_any_server(toy_model: Model) -> None:
    async with Pipeline(colours_snapshot(toy_model), settings_for_test()) as pipeline:
        judged = await pipeline.judge_image(picture("red"), context="poppies")
        assert judged.judgement.verdict is Verdict.ALLOW
        assert (await pipeline.judge_image(picture("red"))).judgement.verdict is Verdict.BLOCK
        with pytest.raises(DeadlineError):
            await pipeline.judge_image(picture("red"), deadline=0.0)


async def test_waiting_decode_that_is_cancelled_leaves_its_place() -> None:
    threads = DecodeThreads(threads=1, stall_seconds=30)
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait))
    second = asyncio.create_task(threads.run(lambda: 2))
    third = asyncio.create_task(threads.run(lambda: 3))
    await asyncio.sleep(0)
    second.cancel()
    release.set()
    assert (await third).value == 3
    assert (await first).value is True
    with pytest.raises(asyncio.CancelledError):
        await second
    threads.close()


async def test_decode_that_fails_raises_what_it_raised() -> None:
    threads = DecodeThreads(threads=1, stall_seconds=30)

    def fail() -> None:
        raise ImageError("m", reason=Reason.IMAGE_CORRUPT)

    with pytest.raises(ImageError):
        await threads.run(fail)
    assert (await threads.run(lambda: 1)).value == 1
    threads.close()


def test_two_policies_of_one_id_are_refused(toy_model: Model) -> None:
    compiled = colours_snapshot(toy_model).judges["colours"].compiled
    with pytest.raises(ConfigError, match="Two of the policies have the id 'colours'"):
        make_snapshot(toy_model, [compiled, compiled])


def test_default_policy_must_be_loaded(toy_model: Model) -> None:
    compiled = colours_snapshot(toy_model).judges["colours"].compiled
    with pytest.raises(ConfigError, match="'typo' is not among those loaded: colours"):
        make_snapshot(toy_model, [compiled], "typo")


def test_policies_are_found_as_files_and_by_their_shipped_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    assert find_policy(str(path)) == path
    assert find_policy("default").name == "default.yaml"
    for name in ("typo", "typo.yaml", "a/default"):
        with pytest.raises(ConfigError, match=f"no policy file {name}"):
            find_policy(name)


def test_snapshot_loads_a_model_and_its_policies(toy_folder: Path, toy_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    snapshot = load_snapshot(str(toy_folder), [str(path)], threads=1)
    assert list(snapshot.judges) == ["colours"]
    assert snapshot.default_policy_id == "colours"
    with pytest.raises(PolicyUnknownError, match="loaded are: colours"):
        snapshot.select("typo")


async def test_metrics_port_in_use_is_told_in_one_sentence(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    async with running_server(settings_for_test(metrics_listen="127.0.0.1:0"), snapshot) as first:
        settings = settings_for_test(metrics_listen=first.metrics_address)
        with pytest.raises(ConfigError, match=r"Cannot serve metrics on .*: address already in use"):
            async with running_server(settings, snapshot):
                pass


async def test_vectors_are_kept_between_starts_where_the_settings_say(
    toy_folder: Path, toy_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "colours.yaml"
    policy.write_text(colours_yaml(toy_model))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    for choice, folder in (("auto", tmp_path / "user/clipwarden/vectors"), (str(tmp_path / "own"), tmp_path / "own")):
        await load(settings_for_test(model=str(toy_folder), policies=(str(policy),), vector_cache=choice))
        assert len(list(folder.iterdir())) == 1


def test_user_without_a_home_has_no_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert user_cache_folder() is None


async def test_two_servers_never_share_a_port(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    async with running_server(settings_for_test(), snapshot) as first:
        with pytest.raises(ConfigError, match="address already in use"):
            async with running_server(settings_for_test(listen=first.address), snapshot):
                pass
