"""Small parts of the server, each by itself."""

import io
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from google.rpc import code_pb2

from clipwarden.engine.snapshot import user_cache_folder
from clipwarden.engine.terms import UNBOUND
from clipwarden.errors import (
    ClipwardenError,
    ConfigError,
    ContextUnknownError,
    DeadlineError,
    EmbeddingError,
    EncoderError,
    FingerprintMismatchError,
    HeadersTooLargeError,
    ImageError,
    OverloadedError,
    PathNotFoundError,
    PathRefusedError,
    PathUnreadableError,
    PolicyUnknownError,
    Reason,
    RequestError,
    ShuttingDownError,
    UnauthenticatedError,
)
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Verdict
from clipwarden.serving.callers import caller_of, origin_of
from clipwarden.serving.context import Context
from clipwarden.serving.endings import Unread, ended, refusal_of
from clipwarden.serving.loading import load
from clipwarden.serving.process import configure_logging
from clipwarden.serving.refusals import RefusalLog
from clipwarden.serving.server import running_server
from clipwarden.serving.status import reason_of, status_of
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import colours_snapshot, colours_yaml, refusal, refused, serving, settings_for_test

TABLE = [
    (ImageError("m", reason=Reason.IMAGE_EMPTY), code_pb2.INVALID_ARGUMENT, "IMAGE_EMPTY"),
    (RequestError("m"), code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID"),
    (PolicyUnknownError("m"), code_pb2.NOT_FOUND, "POLICY_UNKNOWN"),
    (ContextUnknownError("m"), code_pb2.INVALID_ARGUMENT, "CONTEXT_UNKNOWN"),
    (FingerprintMismatchError("m"), code_pb2.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"),
    (PathRefusedError("m"), code_pb2.INVALID_ARGUMENT, "PATH_REFUSED"),
    (PathNotFoundError("m"), code_pb2.NOT_FOUND, "PATH_NOT_FOUND"),
    (PathUnreadableError("m"), code_pb2.FAILED_PRECONDITION, "PATH_UNREADABLE"),
    (EmbeddingError("m"), code_pb2.INVALID_ARGUMENT, "EMBEDDING_INVALID"),
    (HeadersTooLargeError("m"), code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID"),
    (UnauthenticatedError("m", reason=Reason.TOKEN_MISSING), code_pb2.UNAUTHENTICATED, "TOKEN_MISSING"),
    (UnauthenticatedError("m", reason=Reason.TOKEN_INVALID), code_pb2.UNAUTHENTICATED, "TOKEN_INVALID"),
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


@pytest.mark.parametrize(
    "error",
    [
        OverloadedError("m", retry_after_seconds=1.5),
        ShuttingDownError("m"),
        UnauthenticatedError("m", reason=Reason.TOKEN_INVALID),
        HeadersTooLargeError("m"),
    ],
    ids=["overloaded", "shutting down", "unauthenticated", "headers"],
)
def test_call_refused_unread_is_told_the_same(error: Unread) -> None:
    assert refusal_of(error) == ended(status_of(error, request_id=""))


def test_every_reason_has_an_error_that_carries_it() -> None:
    told = {reason_of(error) for error, _, _ in TABLE}
    assert told | {reason for reason in Reason if reason.startswith("IMAGE_")} == set(Reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.startswith("IMAGE_")])
def test_every_image_reason_has_its_fault(reason: Reason) -> None:
    fault = refusal(status_of(ImageError("m", reason=reason), request_id="r")).fault
    assert fault
    assert pb.ImageFaultReason.Name(fault.reason) == f"IMAGE_FAULT_REASON_{reason.removeprefix('IMAGE_')}"
    assert fault.policy_verdict == pb.VERDICT_UNSPECIFIED


def test_log_line_is_json_with_extras_and_traceback() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        configure_logging("info", stream)
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
        load(settings_for_test(model=str(toy_folder), policies=(str(policy),), vector_cache=choice))
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


async def test_refusals_are_a_line_a_cause_and_not_one_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="clipwarden.access")
    refusals = RefusalLog()
    for _ in range(412):
        refusals.note("wait")
    refusals.note("items")
    refusals.flush()
    refusals.flush()
    assert [record.getMessage() for record in caplog.records] == ["refused 412 images: wait", "refused 1 images: items"]
    assert [(vars(record)["count"], vars(record)["cause"]) for record in caplog.records] == [
        (412, "wait"),
        (1, "items"),
    ]


async def test_refused_calls_are_summed_up_in_the_log(toy_model: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="clipwarden.access")
    async with serving(toy_model, queue_items=1) as rig:
        with rig.server.pipeline.admission.arrive(UNBOUND):
            for _ in range(3):
                await refused(rig.moderate(b"x"))
    lines = [vars(record) for record in caplog.records if record.name == "clipwarden.access"]
    assert {line["cause"] for line in lines} == {"items"}
    assert sum(line["count"] for line in lines) == 3


@pytest.mark.parametrize(
    ("caller", "origin"),
    [
        ("ipv4:10.0.0.7:50123", "ipv4:10.0.0.7"),
        ("ipv6:%5B2001:db8::1%5D:50123", "ipv6:20010db800000000"),
        ("ipv6:[2001:db8:0:0:ffff::2]:1", "ipv6:20010db800000000"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50123", "ipv6:fe80000000000000"),
        ("unix:", "unix:"),
        ("certificate:shop:1", "certificate:shop:1"),
        ("something else", "something else"),
    ],
)
def test_callers_of_one_address_have_one_origin_and_others_their_own(caller: str, origin: str) -> None:
    assert origin_of(caller) == origin


def test_certificate_of_one_name_with_a_comma_is_another_caller_than_one_of_two_names() -> None:
    def called_by(*names: bytes) -> str:
        return caller_of(cast("Context", SimpleNamespace(peer_identities=lambda: names)))

    assert called_by(b"shop", b"chat") == called_by(b"chat", b"shop") == "certificate:chat,shop"
    assert called_by(b"chat,shop") == "certificate:chat%2Cshop"
