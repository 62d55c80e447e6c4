"""Containers of a pod with a root, users, groups and mounts of their own, in one network: what a manifest says of them.

A root is a tmpfs with this machine's programs in it read-only, and the pod's volumes where the manifest mounts them. No
image is in it, no limit of memory or CPU and no seccomp, and processes see each other's ids; the rest is the kernel's
own. Takes root and util-linux.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import IO, TypeVar

from tests.platform.kit import ROOT, Manifest

R = TypeVar("R")

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of unshare(2)."""
READ_FLAGS, WRITE_FLAGS, UP = 0x8913, 0x8914, 1
"""SIOCGIFFLAGS, SIOCSIFFLAGS and IFF_UP of netdevice(7)."""
SYSTEM = ("bin", "lib", "lib32", "lib64", "sbin", "usr")
OF_ETC = ("group", "ld.so.cache", "passwd")


class Network:
    """A network namespace with nothing but loopback: whatever this thread makes lies in it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=_leave_the_network)

    def run(self, work: Callable[[], R]) -> R:
        """Do what makes a socket or a process, so that it is inside."""
        return self._thread.submit(work).result()

    def socket(self) -> socket.socket:
        """Make a socket that is inside, wherever it is used."""
        return self.run(partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM))

    def close(self) -> None:
        """Leave it; it goes with the last process in it."""
        self._thread.shutdown()


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder of this machine, and where a container sees it."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class Room:
    """All that a container is started with.

    Attributes:
        root: An empty folder, for its root; each process mounts its own there, which no other sees.
        mounts: Of its volumes.
        user: Numeric.
        group: Numeric.
        groups: Supplementary, the pod's fsGroup among them.
    """

    root: Path
    mounts: Sequence[Mount]
    user: int
    group: int
    groups: Sequence[int]

    def command(self, program: Sequence[str]) -> list[str]:
        """The command that becomes the program in this room, as the same process."""
        groups = f"--groups={','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        user = [f"--reuid={self.user}", f"--regid={self.group}", groups]
        rights = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]  # allowPrivilegeEscalation, capabilities
        with_us = ["--pdeathsig", "KILL"]  # nothing outlives a test run that is killed
        enter = ["chroot", str(self.root), "setpriv", *user, *rights, *with_us, *program]
        script = "\n".join([*self._furnish(), f"umask 022; exec {' '.join(map(quote, enter))}"])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]

    def _furnish(self) -> Iterator[str]:
        """The lines of a shell that put the root together; readOnlyRootFilesystem comes last."""
        root = quote(str(self.root))
        yield f"mount -t tmpfs -o mode=755 none {root}"
        yield f"mkdir {root}/etc {root}/proc {root}/dev"
        yield f"cp {' '.join(f'/etc/{name}' for name in OF_ETC)} {root}/etc"
        yield f"mount --rbind /dev {root}/dev && mount --rbind /proc {root}/proc"
        for link in (Path("/", name) for name in SYSTEM if Path("/", name).is_symlink()):
            yield f"ln -s {quote(str(link.readlink()))} {root}{link}"
        for mount in [*sorted(self.mounts, key=lambda mount: mount.target), *_programs()]:
            target = quote(f"{self.root}{mount.target}")
            yield f"mkdir -p {target} && mount --bind {quote(str(mount.source))} {target}"
            if mount.read_only:
                yield f"mount -o remount,bind,ro {target}"
        yield f"mount -o remount,ro {root}"


@contextmanager
def network() -> Iterator[Network]:
    """A network for as long as the block lasts."""
    made = Network()
    try:
        yield made
    finally:
        made.close()


def why_not() -> str | None:
    """Say why no room can be made here; None where it can."""
    if os.geteuid() != 0:
        return "a pod with two users takes root, who may become either"
    missing = [program for program in ("unshare", "setpriv", "chroot", "mount") if not shutil.which(program)]
    if missing:
        return f"no {missing[0]} here, which makes the containers' rooms"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], stderr=subprocess.PIPE, text=True, check=False)
    return tried.stderr.strip() or None


def spawn(
    inside: Network,
    room: Room,
    program: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
) -> subprocess.Popen[bytes]:
    """Start a program in a room."""
    start = partial(subprocess.Popen[bytes], room.command(program), env=dict(environment), cwd="/")
    return inside.run(lambda: start(stdout=stdout, stderr=stderr))


def _programs() -> list[Mount]:
    """What an image would hold: the system's programs, this Python, its packages and the checkout."""
    system = [folder for folder in (Path("/", name) for name in SYSTEM) if folder.is_dir() and not folder.is_symlink()]
    packages = [Path(entry) for entry in sys.path if Path(entry).is_dir()]
    found: list[Path] = []
    for folder in sorted({*system, ROOT, Path(sys.prefix), Path(sys.base_prefix), *packages}):
        if not any(folder.is_relative_to(other) for other in found):
            found.append(folder)
    return [Mount(source=folder, target=str(folder), read_only=True) for folder in found]


def _leave_the_network() -> None:
    """Move this thread, and whatever it starts, into a network of its own, whose loopback is up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.unpack("16sH", fcntl.ioctl(any_socket, READ_FLAGS, struct.pack("16sH14x", b"lo", 0))[:18])[1]
        fcntl.ioctl(any_socket, WRITE_FLAGS, struct.pack("16sH14x", b"lo", flags | UP))


def mounts_of(manifest: Manifest, folder_of: Callable[[str], Path]) -> list[Mount]:
    """Read the mounts of a container."""
    return [
        Mount(source=folder_of(item["name"]), target=item["mountPath"], read_only=item.get("readOnly", False))
        for item in manifest["volumeMounts"]
    ]
