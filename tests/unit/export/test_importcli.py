"""What an import prints can be copied into a shell, and a reader that went away is no failure."""

import sys
from pathlib import Path

import pytest

from clipwarden_export.importers.cli import _show
from clipwarden_export.importers.imported import Imported


def outcome(folder: Path) -> Imported:
    return Imported(
        folder=folder,
        model=folder / "model",
        fingerprint="sha256:00",
        policy_id="q16",
        digest="sha256:11",
        categories=1,
        figures={},
    )


def test_the_command_to_try_survives_blanks_and_line_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    _show(outcome(Path("my import\n")), as_json=False)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        r"Try it: clipwarden moderate photo.jpg --model 'my import\n/model' --policy 'my import\n/policy.yaml'"
    )


def test_a_reader_that_went_away_is_left_to_the_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich's own console would end the process with 1."""

    class Gone:
        encoding = "utf-8"

        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        _show(outcome(Path("out")), as_json=False)
