"""A whole life of the serving process, inside this one so that its every line can be watched."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from clipwarden.engine.pipeline import Pipeline
from clipwarden.errors import ConfigError
from clipwarden.modelfolder.load import Model
from clipwarden.serving import process
from clipwarden.serving.config import Settings
from kit.auditlogs import said
from kit.serving import colours_yaml, eventually, next_version, serving, settings_for_test


@pytest.fixture
def settings(toy_folder: Path, toy_model: Model, tmp_path: Path) -> Settings:
    policy = tmp_path / "colours.yaml"
    policy.write_text(colours_yaml(toy_model))
    return settings_for_test(model=str(toy_folder), policies=(str(policy),), vector_cache=None)


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what a process does to itself, its logging and its signals, away from the test run."""
    monkeypatch.setattr(process, "prepare_process", lambda: None)
    monkeypatch.setattr(process, "configure_logging", lambda *_: None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


class _SignalWhenServing(logging.Handler):
    """Sends this process a signal as soon as the server says that it serves."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "serving":
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def signalled() -> Iterator[None]:
    logger, handler = logging.getLogger("clipwarden.serving.server"), _SignalWhenServing()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.usefixtures("signalled")
def test_signal_ends_a_healthy_server_by_returning(settings: Settings) -> None:
    process.serve_until_signal(settings)


@pytest.mark.usefixtures("signalled")
def test_stuck_stage_does_not_keep_the_process_from_leaving(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(Pipeline, "stuck", True)
    process.serve_until_signal(settings)
    assert left == [1]


def test_check_tells_what_would_be_served(settings: Settings, toy_model: Model) -> None:
    lines = process.check_loads(settings).splitlines()
    assert lines[0] == f"model toy {toy_model.fingerprint} on CPUExecutionProvider"
    assert lines[1].startswith("policy colours (default) sha256:")
    assert lines[1].endswith(": 1 shadow, 2 enforce, 1 disabled")


def test_check_finds_what_keeps_a_unix_socket_from_being_made(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no socket")
    for path, why in (
        (tmp_path / "none" / "socket", "its folder is not there"),
        (tmp_path / "file", "there is a file that is no socket"),
        (tmp_path / ("x" * 108), "its path is longer than 107 bytes"),
    ):
        with pytest.raises(ConfigError, match=why):
            process.check_loads(replace(settings, unix_socket=str(path)))


@pytest.fixture
def watched(settings: Settings, toy_model: Model, tmp_path: Path) -> Settings:
    candidate = tmp_path / "colours-2.yaml"
    candidate.write_text(next_version(toy_model, ("block: 0.9}", "block: 0.95}")))
    return replace(settings, candidates=(str(candidate),))


def test_check_tells_which_candidates_would_watch(watched: Settings) -> None:
    model, live, candidate = process.check_loads(watched).splitlines()
    assert candidate.startswith("candidate colours@2 sha256:")
    assert candidate.endswith(": 1 shadow, 2 enforce, 1 disabled")
    assert candidate.split()[2] != live.split()[3]
    assert model.startswith("model toy")


@pytest.mark.usefixtures("signalled")
def test_start_tells_which_candidates_watch(watched: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="clipwarden.serving")
    process.serve_until_signal(watched)
    (line,) = [vars(record) for record in caplog.records if record.message == "candidate loaded"]
    assert (line["candidate"], line["enforce"], line["shadow"]) == ("colours@2", 2, 1)
    assert line["digest"].startswith("sha256:")


def test_a_misspelt_candidate_ends_the_start_before_the_model_is_loaded(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="no policy file typo"):
        process.check_loads(replace(settings, model="no-model-either", candidates=("typo",)))


async def test_whatever_a_part_raises_at_the_end_all_others_are_ended(
    toy_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    audit = tmp_path / "audit.jsonl"

    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(serving(toy_model, audit_log=str(audit), metrics_listen="127.0.0.1:0"))
        close_access, close_files = rig.server.access.close, rig.server.files.close

        async def fails() -> None:
            await close_access()
            raise OSError("no room")

        def fails_too() -> None:
            close_files()
            raise OSError("no room either")

        monkeypatch.setattr(rig.server.access, "close", fails)
        monkeypatch.setattr(rig.server.files, "close", fails_too)
        with pytest.raises(OSError, match="no room"):
            await stack.aclose()
    assert said(audit)[-1]["record"] == "stopped"
    assert caplog.records[-1].message == "stopped"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*str(rig.server.metrics_address).rsplit(":", 1))


async def test_fault_in_one_sighup_is_said_and_ends_no_later_one(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(toy_model) as rig:
        hangups, requested = asyncio.Event(), asyncio.Event()

        def fails() -> None:
            raise RuntimeError("no thread")

        monkeypatch.setattr(rig.server.reloader, "request", fails)
        heeding = asyncio.create_task(process._reload_at(hangups, rig.server))
        hangups.set()
        await eventually(lambda: "SIGHUP was not heeded in full" in caplog.text)
        monkeypatch.setattr(rig.server.reloader, "request", requested.set)
        hangups.set()
        await requested.wait()
        heeding.cancel()
