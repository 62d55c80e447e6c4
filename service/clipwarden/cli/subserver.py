"""A server in a process of its own, on a Unix socket in a temporary folder: started, watched and stopped cleanly."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clipwarden.client import ServerUnavailableError
from clipwarden.serving.config import ENV_PREFIX

STOP_SECONDS = 30.0
"""Longest wait for a clean end; draining an idle server takes a fraction of a second."""

LOG_LINES_SHOWN = 5


class Subserver:
    """A running server process.

    Args:
        process: The process.
        socket: Where it listens.
        log: Where its stderr goes.
    """

    def __init__(self, process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
        self._process = process
        self._log = log
        self.target = f"unix:{socket}"

    def sleep(self, seconds: float) -> None:
        """Wait as a client does between attempts, but not for a server that is gone.

        Raises:
            ServerUnavailableError: The process has ended; its last words are in the message.
        """
        if self._process.poll() is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            last_words = "\n".join(lines) or "it said nothing"
            raise ServerUnavailableError(f"The server ended with status {self._process.returncode}: {last_words}")
        time.sleep(seconds)

    def warnings(self) -> list[str]:
        """Return what the server has warned of so far: its log goes to a file, which nobody reads."""
        lines = self._log.read_text(errors="replace").splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record["message"] for record in records if record.get("level") == "warning"]

    def stop(self) -> int:
        """Ask the server to end (SIGTERM), and wait for it.

        Returns:
            Its exit status; 0 for a clean end.
        """
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextmanager
def running_subserver(options: Sequence[str]) -> Iterator[Subserver]:
    """Run `clipwarden serve` in a process of its own.

    Args:
        options: What to serve; where to listen is chosen here.

    Yields:
        The server, which may still be warming up. It is stopped at the end, however that comes.
    """
    # Settings of a server that the user runs otherwise are none of this one's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    with tempfile.TemporaryDirectory(prefix="clipwarden-") as folder:
        socket, log = Path(folder, "socket"), Path(folder, "log")
        # A Unix socket needs no free port, and no proxy of the user's gets in its way.
        listening = ["--listen", "", "--metrics-listen", "", "--unix-socket", str(socket), "--drain-delay-seconds", "0"]
        # -P: a numpy.py in the folder where the user happens to be is not ours to run.
        command = [sys.executable, "-P", "-m", "clipwarden.cli.main", "serve", *listening, *options]
        with log.open("wb") as log_file:
            # Its own session: Ctrl-C is for us, and we stop it in order.
            process = subprocess.Popen(  # noqa: S603  our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env=environment,
                start_new_session=True,
            )
        server = Subserver(process, socket, log)
        try:
            yield server
        finally:
            if process.poll() is None:
                server.stop()
