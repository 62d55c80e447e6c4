"""`clipwarden-export`: which commands it has, and that its help waits for nothing that works."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from clipwarden_export.cli import Commands, app
from clipwarden_export.importers.cli import HELP, imports


def test_the_table_has_the_first_line_of_the_importers_help() -> None:
    assert Commands.table == {"import": ("clipwarden_export.importers.cli:imports", HELP.splitlines()[0])}
    assert imports.info.help == HELP


@pytest.mark.parametrize("command", ["", "model", "verify", "import", "import safety-checker", "import q16"])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help(command: str, flag: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), flag])
    assert (result.exit_code, "Usage:" in result.stdout) == (0, True)


def test_errors_of_importers_have_exit_codes_too() -> None:
    result = CliRunner().invoke(app, ["import", "q16", "/dev/null", "-o", "x", "--model", "y", "--threshold", "2"])
    assert result.exit_code == 5
    assert "Traceback" not in result.stderr


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, clipwarden_export.cli\n"
        "sys.exit(bool({'numpy', 'PIL', 'onnxruntime', 'tokenizers', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
