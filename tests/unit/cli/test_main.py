import contextlib
import errno
import inspect
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from pkgutil import resolve_name

import pytest
import typer

from clipwarden import __version__
from clipwarden.cli.exits import EXIT_CODES_HELP, Exit, exit_of
from clipwarden.cli.main import COMMANDS
from clipwarden.client import RequestRefusedError, ServerUnavailableError
from clipwarden.commandline import answering
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
    with pytest.raises(typer.Exit) as caught, answering(exit_of):
        raise error
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
    with pytest.raises(ModelError), answering(exit_of):
        raise ModelError("x")


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"clipwarden {__version__}\n")


def test_no_arguments_show_help(run: Run) -> None:
    result = run(columns=80)
    assert "First steps" in result.output
    assert "moderate" in result.output


def test_unknown_commands_are_wrong_usage(run: Run) -> None:
    result = run("modrate")
    assert (result.exit_code, "Did you mean 'moderate'" in result.stderr) == (2, True)


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
    for flags in ([], ["--json"], ["--csv", "-"], ["--explain"]):
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
        said = [line for line in done.stderr.splitlines() if not line.endswith(b"[uncalibrated-thresholds]")]
        assert said == []


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


def test_the_table_has_the_first_line_of_every_commands_help() -> None:
    helps = {name: inspect.getdoc(resolve_name(where)) for name, (where, _) in COMMANDS.items()}
    assert {name: text.splitlines()[0] for name, text in helps.items()} == {
        name: first_line for name, (_, first_line) in COMMANDS.items()
    }


def test_moderate_tells_its_exit_codes(run: Run) -> None:
    helped = " ".join(run("moderate", "--help").stdout.split())
    assert " ".join(EXIT_CODES_HELP.replace("**", "").split()) in helped


COMPLETIONS = [
    ("clipwarden mode", "moderate\nmodels\nmodels upgrade\n"),
    ("clipwarden moderate --exp", "--explain\n"),
    ("clipwarden di", "diff\n"),
    ("clipwarden res", "restore\n"),
    ("clipwarden restore --dry", "--dry-run\n"),
    ("clipwarden lint --appr", "--approved-by\n"),
]
"""What is typed, and what pressing Tab offers for its last word."""


def completing(typed: str) -> dict[str, str]:
    """Make the environment in which bash asks for a completion."""
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_CLIPWARDEN_COMPLETE": "complete_bash"}
    return {**os.environ, **asked}


@pytest.mark.parametrize(("typed", "offered"), COMPLETIONS)
def test_commands_and_their_options_are_completed(typed: str, offered: str) -> None:
    done = subprocess.run(PROGRAM, env=completing(typed), capture_output=True, text=True, check=False)
    assert done.stdout == offered


HEAVY = {"grpc", "google.protobuf", "numpy", "PIL", "onnxruntime", "tokenizers", "safetensors"}
COMMAND_MODULES = {where.partition(":")[0] for where, _ in COMMANDS.values()}
IMPORTED_AFTER = """
import sys
from clipwarden.cli.main import app
for arguments in sys.argv[1:]:
    try:
        app(arguments.split(), prog_name="clipwarden")
    except SystemExit:
        pass
print(*sys.modules)
"""


def imported_after(*command_lines: str, env: dict[str, str] | None = None) -> set[str]:
    """Run commands in a process of their own, and name all modules that it has imported then."""
    program = [sys.executable, "-c", IMPORTED_AFTER, *command_lines]
    done = subprocess.run(program, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_mistakes_import_no_command_and_nothing_heavy() -> None:
    imported = imported_after("--help", "--version", "modrate", "--misspelt")
    assert imported & (HEAVY | COMMAND_MODULES) == set()


def test_help_and_mistakes_of_a_command_import_nothing_heavy() -> None:
    imported = imported_after(*(f"{name} {flag}" for name in COMMANDS for flag in ("--help", "--misspelt")))
    assert imported & (HEAVY | COMMAND_MODULES) == COMMAND_MODULES


def test_completion_imports_nothing_heavy() -> None:
    for typed, _ in COMPLETIONS:
        assert imported_after("", env=completing(typed)) & HEAVY == set()


@pytest.mark.parametrize("rest", [[], ["--help"], ["verfy"]])
def test_half_of_a_command_is_told_the_whole(run: Run, rest: list[str]) -> None:
    done = run("audit", *rest)
    assert done.exit_code == 2
    assert "'audit' is half of a command; there is audit verify." in done.stderr
