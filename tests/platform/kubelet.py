"""What a kubelet does with a rendered pod, on this machine: volumes, start order, probes, hooks, restarts, the end.

Probes are those of the manifest, but not their periods and timeouts: a machine that others keep busy is slow, not ill.
They come to another address than 127.0.0.1, as a kubelet's do, and so does whoever uses the pod's ports.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

from tests.platform.kit import Manifest, Rendered
from tests.platform.livepod import PATIENCE_SECONDS, PROGRAMS, Pod, Started, until
from tests.platform.namespaces import Mount, Network, Room, mounts_of, network, spawn

POD_ADDRESS = "127.0.0.2"
FSGROUP_MODE = 0o2777
"""Of an emptyDir's folder: 777, and with fsGroup its group's and set-group-id (kubelet, volume_linux.go)."""


class Kubelet:
    """Runs one pod.

    Args:
        rendered: The pod, and the ConfigMaps that it mounts.
        folder: For its volumes, roots and logs.
        inside: The pod's network.
        programs: What runs in the place of a container's program, by container; others run what they say.
        seen: Further folders that every container sees.
    """

    def __init__(
        self,
        rendered: Rendered,
        folder: Path,
        inside: Network,
        *,
        programs: Mapping[str, Sequence[str]] | None = None,
        seen: Sequence[Mount] = (),
    ) -> None:
        self.rendered = rendered
        self.group: int = rendered.pod["securityContext"]["fsGroup"]
        self.grace_seconds: int = rendered.pod["terminationGracePeriodSeconds"]
        self._inside = inside
        self._programs = programs or {}
        self._seen = seen
        self._root = folder / "root"
        self._root.mkdir()
        self._logs = folder / "logs"
        self._logs.mkdir()
        self._pod = _Volumes(rendered, folder)
        self._numbers = count()
        self._running: list[Started] = []
        for volume in rendered.pod["volumes"]:
            if "emptyDir" in volume:
                os.chown(self.volume(volume["name"]), 0, self.group)
                self.volume(volume["name"]).chmod(FSGROUP_MODE)

    def volume(self, name: str) -> Path:
        """The folder of a volume."""
        return self._pod.volume(name)

    def room(self, container: str) -> Room:
        """What a container is started with."""
        manifest = self.rendered.container(container)
        security = manifest["securityContext"]
        mounts = [*mounts_of(manifest, self.volume), *self._seen]
        user, group = security["runAsUser"], security["runAsGroup"]
        return Room(root=self._root, mounts=mounts, user=user, group=group, groups=[self.group])

    def prepare(self) -> None:
        """Run each init container that is no sidecar to its end."""
        for manifest in self.rendered.pod["initContainers"]:
            if "restartPolicy" not in manifest:
                started = self.start(manifest["name"])
                assert started.process.wait(PATIENCE_SECONDS) == 0, started.log.read_text()

    def start(self, container: str, **variables: str) -> Started:
        """Start a container, once more too, with variables beside the manifest's."""
        manifest = self.rendered.container(container)
        program, *arguments = manifest["command"]
        command = [*self._programs.get(container, PROGRAMS[program]), *arguments]
        number = next(self._numbers)
        log, output = (self._logs / f"{container}-{number}.{kind}" for kind in ("err", "out"))
        with log.open("wb") as stderr, output.open("wb") as stdout:
            environment = _environment(manifest) | variables
            process = spawn(self._inside, self.room(container), command, environment, stdout=stdout, stderr=stderr)
        self._running.append(Started(process, log, output))
        return self._running[-1]

    def execute(self, container: str, command: Sequence[str], room: Room | None = None) -> tuple[int, str]:
        """Run a command as a container, or in another room; return its exit code and all it wrote."""
        manifest = self.rendered.container(container)
        process = spawn(
            self._inside,
            room or self.room(container),
            command,
            _environment(manifest),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        written, _ = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, written.decode()

    def probe(self, container: str, kind: str) -> int | None:
        """Ask what a probe of the manifest asks, once; None where nobody answers."""
        manifest = self.rendered.container(container)
        asked = manifest[kind]["httpGet"]
        try:
            return self.ask(self._port(manifest, asked["port"]), "GET", asked["path"])[0]
        except OSError:
            return None

    def start_with_probe(self, container: str, **variables: str) -> Started:
        """Start a container, and wait for what its startupProbe waits for: only then does anything after it start."""
        started = self.start(container, **variables)
        self.until_probed(started, container, "startupProbe")
        return started

    def until_probed(self, started: Started, container: str, kind: str) -> None:
        """Wait until a probe succeeds."""

        def succeeds() -> bool:
            assert started.process.poll() is None, f"it ended early: {started.log.read_text()}"
            return self.probe(container, kind) == 200

        until(succeeds)

    def end_of_pod(self) -> Callable[[], float]:
        """Begin the pod's end; return what tells the seconds that are left of its grace."""
        deadline = time.monotonic() + self.grace_seconds
        return lambda: max(0.0, deadline - time.monotonic())

    def hook(self, container: str) -> None:
        """Run a container's preStop hook, which is before it is told to end."""
        hook = self.rendered.container(container)["lifecycle"]["preStop"]
        assert self.execute(container, hook["exec"]["command"]) == (0, "")

    def connect(self, port: int) -> socket.socket:
        """Connect to a port of the pod."""
        made = self._inside.socket()
        made.settimeout(PATIENCE_SECONDS)
        try:
            made.connect((POD_ADDRESS, port))
        except OSError:
            made.close()
            raise
        return made

    def ask(self, port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        """Ask a port of the pod by HTTP; the status and the body."""
        with closing(HTTPConnection(POD_ADDRESS, port)) as connection:
            connection.sock = self.connect(port)
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()

    def lines(self, container: str) -> list[dict[str, Any]]:
        """All that a container has logged as JSON, whenever it was started."""
        texts = [log.read_text().rpartition("\n")[0] for log in self._logs.glob(f"{container}-*.err")]
        return [json.loads(line) for text in texts for line in text.splitlines()]

    def end(self) -> None:
        """Kill whatever is left."""
        for started in self._running:
            if started.process.poll() is None:
                started.process.kill()
            started.process.wait()

    def _port(self, manifest: Manifest, name: str) -> int:
        (port,) = [port["containerPort"] for port in manifest["ports"] if port["name"] == name]
        return int(port)


@contextmanager
def kubelet(rendered: Rendered, folder: Path, **how: Any) -> Iterator[Kubelet]:  # noqa: ANN401  the Kubelet's own
    """A pod in a network of its own for as long as the block lasts; nothing of it is left."""
    with network() as inside:
        made = Kubelet(rendered, folder, inside, **how)
        try:
            yield made
        finally:
            made.end()


def outsider(room: Room, user: int) -> Room:
    """The same room for somebody else, who is not in the pod's group."""
    return replace(room, user=user, group=user, groups=[])


class _Volumes(Pod):
    """A pod's volumes, with every path and address as it is in the manifest."""

    def _moved(self, text: str, manifest: Manifest | None = None) -> str:
        del manifest
        return text


def _environment(manifest: Manifest) -> dict[str, str]:
    """The container's variables, and those by which this Python finds its packages."""
    ours = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": "/"}
    return ours | {item["name"]: item["value"] for item in manifest["env"] if "value" in item}
