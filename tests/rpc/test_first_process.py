"""clipwarden as the first process of a container, to which the kernel passes no signal that it has not asked for.

The process ids of a namespace are real; it is made with the rights of a user namespace where this is not root.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clipwarden.cli.exits import Exit
from kit.pipes import opened
from kit.serving import eventually

NAMESPACE = ("unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--pid", "--fork", "--kill-child")
PROGRAM = (*NAMESPACE, sys.executable, "-m", "clipwarden")
ENDED = Exit.ENDED


def why_not() -> str | None:
    """Say why no namespace can be made here."""
    if not shutil.which("unshare"):
        return "no unshare here"
    return subprocess.run([*NAMESPACE, "true"], stderr=subprocess.PIPE, text=True, check=False).stderr.strip() or None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@contextmanager
def started(*arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run clipwarden as process 1."""
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], env=os.environ | environment) as process:
        try:
            yield process
        finally:
            process.kill()


def first_process(outer: subprocess.Popen[bytes]) -> int:
    """The id that it has here."""
    (first,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    assert Path(f"/proc/{first}/status").read_text().partition("NSpid:")[2].split()[1] == "1"
    return int(first)


async def ended_by_sigterm(outer: subprocess.Popen[bytes]) -> int:
    """Send it to process 1 from outside, as a kubelet does, and wait for the exit code."""
    os.kill(first_process(outer), signal.SIGTERM)
    await eventually(lambda: outer.poll() is not None)
    return outer.wait()


@pytest.mark.parametrize("options", [[], ["--check"]], ids=["serve", "check"])
async def test_sigterm_ends_it_while_it_is_imported(options: list[str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "typer.py").write_text(f"open({str(gate)!r}).read()")  # the first that is imported of what takes long
    with started("serve", *options, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}") as process:
        close = await opened(gate)
        assert await ended_by_sigterm(process) == ENDED
        close()


@pytest.mark.parametrize("options", [[], ["--check"]], ids=["serve", "check"])
async def test_sigterm_ends_it_while_it_reads(options: list[str], tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    os.mkfifo(settings)
    with started("serve", *options, "--config", settings) as process:
        close = await opened(settings)
        assert await ended_by_sigterm(process) == ENDED
        close()


async def test_a_server_that_serves_drains_and_ends_with_0(socket_folder: Path) -> None:
    at = socket_folder / "s"
    vectors = ["--vector-cache", socket_folder / "vectors"]
    with started("serve", "--unix-socket", at, "--listen", "", "--metrics-listen", "", *vectors) as process:
        await eventually(at.exists)
        assert await ended_by_sigterm(process) == 0
