"""A killed, stopped or unheard export leaves nothing that loads, and never touches what was published before."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipwarden.errors import ModelError
from clipwarden.modelfolder.load import load_model
from clipwarden_export.cli import app
from clipwarden_export.exits import Exit
from kit.exportprocess import POINTS, Export, start_export


def end(export: Export, number: int) -> int | None:
    """Send a signal at the export's point, and wait for its end."""
    assert export.reached.wait(300), export.log.read_text()
    os.kill(export.process.pid, number)
    export.process.join(60)
    return export.process.exitcode


def loading(root: Path) -> list[str]:
    """Name every folder below `root`, hidden ones among them, that a server would load."""
    found = []
    for folder in (path for path in (root, *root.rglob("*")) if path.is_dir()):
        try:
            load_model(folder)
        except ModelError:
            continue
        found.append(folder.name)
    return found


def test_killed_exports_leave_nothing_that_loads_and_the_old_folder_whole(
    tiny_checkpoint: Path, tiny_model: Path, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    old = Path(shutil.copytree(tiny_model, shelf / "model"))
    (old / "README.md").write_text("published before")
    replacing = ("model", tiny_checkpoint, "-o", old, "--overwrite")
    exports = [start_export(replacing, point=point, log=tmp_path / point, graphs=tiny_model) for point in POINTS]
    anew = ("model", tiny_checkpoint, "-o", shelf / "new")
    exports.append(start_export(anew, point="rename", log=tmp_path / "new.log", graphs=tiny_model))
    assert [end(export, signal.SIGKILL) for export in exports[:2]] == [-signal.SIGKILL] * 2
    # The others wait for their end: at once, or those that begin later would clear away what those before them left.
    assert all(export.reached.wait(300) for export in exports[2:])
    assert [end(export, signal.SIGKILL) for export in exports[2:]] == [-signal.SIGKILL] * 3

    left = [path.name for path in shelf.iterdir() if path.name.startswith(".")]
    # Two for each that was killed while it published: its graphs', and the folder that was to be renamed.
    assert len(left) >= 6
    assert sum((shelf / name / "model.json").is_file() for name in left) == 2, (
        "the last two were finished but for a name"
    )
    assert loading(shelf) == ["model"]
    assert (old / "README.md").read_text() == "published before"

    again = CliRunner().invoke(app, [str(word) for word in replacing])
    assert again.exit_code == Exit.OK, again.output
    assert not (old / "README.md").exists()
    assert loading(shelf) == ["model"]
    assert {path.name.partition(".unfinished.")[0] for path in shelf.iterdir()} == {"model", ".new"}


def test_ctrl_c_ends_an_export_with_130_and_leaves_nothing(
    tiny_checkpoint: Path, tiny_model: Path, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    arguments = ("model", tiny_checkpoint, "-o", shelf / "model")
    export = start_export(arguments, point="rename", log=tmp_path / "log", graphs=tiny_model)
    assert end(export, signal.SIGINT) == Exit.INTERRUPTED == 130
    assert "Interrupted." in export.log.read_text()
    assert "Traceback" not in export.log.read_text()
    assert list(shelf.iterdir()) == []


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_reader_that_goes_away_is_no_error(flags: list[str], tiny_model: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from clipwarden_export.cli import main; main()",
        "verify",
        str(tiny_model),
        *flags,
    ]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=300)
    os.close(writer)
    assert (done.returncode, done.stderr) == (Exit.BROKEN_PIPE, b"")
