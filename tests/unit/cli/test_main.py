import contextlib
import errno
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer

from clipwarden import __version__
from clipwarden.cli.exits import EXIT_CODES_HELP, Exit, answering, exit_of
from clipwarden.client import RequestRefusedError, ServerUnavailableError
from clipwarden.errors import (
    ClipwardenError,
    ConfigError,
    ContextUnknownError,
    EncoderError,
    FingerprintMismatchError,
    ModelError,
    PolicyError,
    RuntimeMissingError,
)
from kit.cli import Run
from kit.faultserver import running_fault_server

PROGRAM = [sys.executable, "-m", "clipwarden.cli.main"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.USAGE),
        (ContextUnknownError("x"), Exit.USAGE),
        (RequestRefusedError("x"), Exit.USAGE),
        (FingerprintMismatchError("x"), Exit.POLICY),
        (PolicyError([]), Exit.POLICY),
        (ModelError("x"), Exit.MODEL),
        (RuntimeMissingError("x"), Exit.MODEL),
        (ServerUnavailableError("x"), Exit.FAILED),
        (EncoderError("x"), Exit.FAILED),
        (ClipwardenError("x"), Exit.FAILED),
    ],
)
def test_every_error_has_its_exit_code(error: ClipwardenError, code: Exit) -> None:
    assert exit_of(error) == code


def test_help_names_the_codes_that_scripts_branch_on() -> None:
    for code in set(Exit) - {Exit.BROKEN_PIPE}:
        assert str(code.value) in EXIT_CODES_HELP


def fail_with(error: BaseException) -> int:
    @answering
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as caught:
        command()
    return int(caught.value.exit_code)


def test_errors_become_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail_with(ContextUnknownError("no such context")) == 2
    assert fail_with(OSError(errno.ENOSPC, "No space left on device", "out.bundle")) == 1
    assert fail_with(OSError("odd")) == 1
    assert fail_with(KeyboardInterrupt()) == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["No such context", "out.bundle: No space left on device.", "odd", "Interrupted."]


def test_debug_lets_tracebacks_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPWARDEN_DEBUG", "1")

    @answering
    def command() -> None:
        raise ModelError("x")

    with pytest.raises(ModelError):
        command()


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"clipwarden {__version__}\n")


def test_no_arguments_show_help(run: Run) -> None:
    result = run(columns=80)
    assert "First steps" in result.output
    assert "moderate" in result.output


def test_unknown_commands_are_wrong_usage(run: Run) -> None:
    assert run("modrate").exit_code == 2


def test_ctrl_c_ends_with_130(pictures: Path) -> None:
    held = threading.Event()
    with running_fault_server() as server:
        server.set_serving(serving=True)
        server.service.answers.append(held)
        command = [*PROGRAM, "moderate", str(pictures / "red.png"), "--server", server.address]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            # The program is at work once its request has arrived.
            assert server.service.asked.wait(60)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            assert process.stderr is not None
            assert process.stderr.read() == b"Interrupted.\n"
        held.set()


def test_a_reader_that_goes_away_is_no_error(pictures: Path, toy_folder: Path, policy_file: Path) -> None:
    for flags in ([], ["--json"], ["--explain"]):
        command = [
            *PROGRAM,
            "moderate",
            str(pictures),
            "--model",
            str(toy_folder),
            "--policy",
            str(policy_file),
            *flags,
        ]
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
        os.close(writer)
        assert done.returncode == 141
        assert done.stderr in (b"", b"Folders not looked into: 1. Add --recursive to judge what they hold.\n")


def test_a_terminal_gets_colours_and_a_progress_bar(pictures: Path, toy_folder: Path, policy_file: Path) -> None:
    command = [*PROGRAM, "moderate", str(pictures), "--model", str(toy_folder), "--policy", str(policy_file)]
    terminal, program_side = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=program_side, stderr=program_side, env=environment) as process:
        os.close(program_side)
        shown = b""
        # Linux answers EIO, not an empty read, once the other side is closed.
        with contextlib.suppress(OSError):
            while chunk := os.read(terminal, 65536):
                shown += chunk
        assert process.wait(60) == 30
    os.close(terminal)
    assert b"Judging" in shown
    assert b"\x1b[1;31mBLOCK" in shown


def test_piped_output_is_plain_and_unbroken(pictures: Path, toy_folder: Path, policy_file: Path) -> None:
    command = [*PROGRAM, "moderate", str(pictures), "--model", str(toy_folder), "--policy", str(policy_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "\x1b" not in done.stdout + done.stderr
    assert "Judging" not in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if str(pictures / "red.png") in line]
    assert line.startswith("BLOCK")


def test_help_waits_for_nothing_heavy() -> None:
    program = (
        "import sys, clipwarden.cli.main\n"
        "sys.exit(bool({'grpc', 'numpy', 'PIL', 'onnxruntime', 'tokenizers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
