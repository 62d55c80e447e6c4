"""Build images by buildah, look into their layers, and run them by podman: both keep them in one folder of ours."""

import gzip
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.image.tools import FOLDER, ROOT

EPOCH = 1767225600
"""The Dockerfile's SOURCE_DATE_EPOCH."""
STORE = ("--root", FOLDER / "store", "--runroot", FOLDER / "run", "--storage-driver", "vfs")
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
"""Low ones: a machine that is a container itself may not raise its own, which both tools would do."""


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; one that fails shows what it wrote."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=570, check=False)
    assert done.returncode == 0 or not check, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done


def podman(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run podman on our folder of images."""
    return run("podman", *STORE, "--runtime", "runc", "--events-backend", "file", *arguments, check=check)


def buildah(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run buildah on the same folder."""
    return run("buildah", *STORE, *arguments)


def build(context: Path, name: str, *arguments: object) -> None:
    """Build a Dockerfile without any network but what the stand-in needs none of."""
    # Nor with a file of hosts: what other isolations mount for a while, this one leaves in the layer.
    alone = ("--isolation", "chroot", "--no-hosts", "--pull-never", "--format", "docker", "--timestamp", EPOCH, *LIMITS)
    buildah("bud", *alone, "--tag", name, *arguments, context)


def build_ours(context: Path, name: str) -> None:
    """Build the Dockerfile of a checkout, with the packages that lie here."""
    packages = ("--volume", f"{FOLDER / 'wheels'}:/wheels:ro", "--secret", f"id=pip,src={FOLDER / 'pip.conf'}")
    build(context, name, *packages)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer as it is pushed: its digest and bytes, and what is in it."""

    digest: str
    compressed: bytes

    @property
    def tar(self) -> bytes:
        return gzip.decompress(self.compressed)

    def entries(self) -> list[tarfile.TarInfo]:
        return tarfile.open(fileobj=BytesIO(self.tar)).getmembers()

    def read(self, name: str) -> bytes:
        file = tarfile.open(fileobj=BytesIO(self.tar)).extractfile(name)  # noqa: SIM115  of memory
        assert file is not None
        return file.read()


def layers(name: str, folder: Path) -> list[Layer]:
    """Push an image into a folder, as to a registry, and read its layers."""
    buildah("push", name, f"oci:{folder}:pushed")
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads(_blob(folder, index["manifests"][0]["digest"]))
    return [Layer(digest=each["digest"], compressed=_blob(folder, each["digest"])) for each in manifest["layers"]]


def _blob(folder: Path, digest: str) -> bytes:
    return (folder / "blobs" / digest.replace(":", "/")).read_bytes()


def inspect(name: str) -> dict[str, Any]:
    """What podman knows of an image or container."""
    (found,) = json.loads(podman("inspect", name).stdout)
    return dict(found)


@dataclass(frozen=True)
class Container:
    """One that runs."""

    name: str

    def exec(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program beside the server, as its user."""
        return podman("exec", self.name, *command, check=check)

    def healthy(self) -> bool:
        """Run the health check that the image declares."""
        return podman("healthcheck", "run", self.name, check=False).returncode == 0

    def log(self) -> list[dict[str, Any]]:
        """What the server wrote to its standard error."""
        return [json.loads(line) for line in podman("logs", self.name).stderr.splitlines() if line.startswith("{")]

    def wait_until_it_serves(self) -> None:
        done = self.exec("clipwarden", "health", "--wait", "120", check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{podman('logs', self.name).stderr}"

    def stop(self) -> int:
        """Send what stops it, and wait for its exit code."""
        podman("stop", "--time", "60", self.name)
        return int(inspect(self.name)["State"]["ExitCode"])


@contextmanager
def running(
    image: str,
    *command: str,
    mounts: Mapping[Path, str] | None = None,
    variables: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Container]:
    """Run an image as a restricted pod would: read-only, without capabilities; and without any network.

    Args:
        image: Its name.
        command: Instead of the image's own arguments.
        mounts: Folders here to where they are mounted, with podman's options.
        variables: Of the environment.
        options: Others of podman's.
    """
    volumes = [f"--volume={here}:{there}" for here, there in (mounts or {}).items()]
    environment = [f"--env={name}={value}" for name, value in (variables or {}).items()]
    restricted = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"]
    # Its health is asked for by the tests: podman's own timer is one of systemd.
    rest = ["--network=none", "--log-driver=k8s-file", *LIMITS, *volumes, *environment, *options]
    container = Container(podman("create", *restricted, *rest, image, *command).stdout.strip())
    try:
        podman("start", container.name)
        yield container
    finally:
        podman("rm", "--force", "--time", "0", container.name)


def base_name() -> str:
    """What the Dockerfile builds on, where nobody says otherwise."""
    (line,) = [each for each in (ROOT / "Dockerfile").read_text().splitlines() if each.startswith("ARG PYTHON_IMAGE=")]
    return line.partition("=")[2]
