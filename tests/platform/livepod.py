"""Act a rendered pod out on this machine: its volumes as folders, its commands as processes on loopback.

No kubelet is here, and no image: containers share the user, and see the real root. What is real is every path, file,
setting, variable and command of the manifest, with the folder of the pod put before each path, and each address
changed to a free port of loopback.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.platform.kit import Manifest, Rendered

PATIENCE_SECONDS = 120
PROGRAMS = {"clipwarden": [sys.executable, "-m", "clipwarden.cli.main"], "python": [sys.executable]}

Files = Mapping[str, str | bytes]


@dataclass(frozen=True)
class Started:
    """A container's process.

    Attributes:
        process: Of the operating system.
        log: What it writes to stderr.
        output: What it writes to stdout.
    """

    process: subprocess.Popen[bytes]
    log: Path
    output: Path

    def said(self, message: str) -> dict[str, str]:
        """Wait for the log line of a server with a message, and return it."""
        return json.loads(self._awaited(self.log, lambda line: json.loads(line)["message"] == message))

    def printed(self, start: str) -> str:
        """Wait for a line of stdout that starts so, and return the rest of it."""
        return self._awaited(self.output, lambda line: line.startswith(start)).removeprefix(start).strip()

    def end(self) -> int:
        """Stop it as a kubelet does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def _awaited(self, file: Path, holds: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            whole, _, _being_written = file.read_text().rpartition("\n")
            found = [line for line in whole.splitlines() if holds(line)]
            if found:
                return found[0]
            assert not ended, f"it ended early: {self.log.read_text()}"
            time.sleep(0.02)
        raise AssertionError(f"not seen: {file.read_text()}")


class Pod:
    """A pod whose volumes lie below a folder.

    Args:
        rendered: The pod, and the ConfigMaps that it mounts.
        folder: For all of it; short, since a Unix socket's path is.
        secrets: Files of each Secret, by its name.
    """

    def __init__(self, rendered: Rendered, folder: Path, secrets: Mapping[str, Files] | None = None) -> None:
        self._rendered = rendered
        self._volumes = folder / "v"
        self._logs = folder / "log"
        self._logs.mkdir()
        contents = {**_config_maps(rendered), **(secrets or {})}
        for volume in rendered.pod["volumes"]:
            source = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
            self._place(volume["name"], contents[source] if source else {})

    def volume(self, name: str) -> Path:
        """The folder of a volume."""
        return self._volumes / name

    def run(self, container: str) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        manifest = self._rendered.container(container)
        return subprocess.run(
            self._command(manifest), env=self._environment(manifest), capture_output=True, text=True, check=False
        )

    @contextmanager
    def started(self, container: str, **variables: str) -> Iterator[Started]:
        """Run a container for as long as the block lasts, with variables in the place of the manifest's."""
        manifest = self._rendered.container(container)
        log, output = self._logs / f"{container}.err", self._logs / f"{container}.out"
        with log.open("wb") as stderr, output.open("wb") as stdout:
            environment = self._environment(manifest) | variables
            process = subprocess.Popen(self._command(manifest), env=environment, stdout=stdout, stderr=stderr)
        try:
            yield Started(process, log, output)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def update(self, volume: str, files: Files) -> None:
        """Change what a ConfigMap or Secret holds, as a kubelet does: all files at once, by one symbolic link."""
        folder = self.volume(volume)
        before = folder / (folder / "..data").readlink()
        version = folder / f"..{time.monotonic_ns()}"
        self._fill(version, files)
        (folder / "..data_tmp").symlink_to(version.name)
        (folder / "..data_tmp").rename(folder / "..data")
        shutil.rmtree(before)

    def _place(self, volume: str, files: Files) -> None:
        folder = self.volume(volume)
        folder.mkdir(parents=True)
        if files:
            self._fill(folder / "..first", files)
            (folder / "..data").symlink_to("..first")
            for name in files:
                (folder / name).symlink_to(f"..data/{name}")

    def _fill(self, folder: Path, files: Files) -> None:
        folder.mkdir()
        for name, content in files.items():
            data = self._moved(content).encode() if name == "settings.yaml" and isinstance(content, str) else content
            (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)

    def _command(self, manifest: Manifest) -> list[str]:
        program, *arguments = manifest["command"]
        return [*PROGRAMS[program], *(self._moved(argument, manifest) for argument in arguments)]

    def _environment(self, manifest: Manifest) -> dict[str, str]:
        """The container's variables, and those by which this Python finds its packages."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("CLIPWARDEN_")}
        return ours | {
            item["name"]: self._moved(item["value"], manifest) for item in manifest["env"] if "value" in item
        }

    def _moved(self, text: str, manifest: Manifest | None = None) -> str:
        """Put the pod's folders before the paths of a text, and loopback in the place of its addresses."""
        mounts = (manifest or self._rendered.container())["volumeMounts"]
        places = {mount["mountPath"]: str(self.volume(mount["name"])) for mount in mounts}
        longest_first = "|".join(sorted(places, key=len, reverse=True))
        text = re.sub(rf"(?<![\w/])({longest_first})(?![\w-])", lambda found: places[found[1]], text)
        return re.sub(r"(0\.0\.0\.0|127\.0\.0\.1):\d+", "127.0.0.1:0", text)


def until(holds: Callable[[], object]) -> None:
    """Wait for an event."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def _config_maps(rendered: Rendered) -> dict[str, Files]:
    return {item["metadata"]["name"]: item["data"] for item in rendered if item["kind"] == "ConfigMap"}
