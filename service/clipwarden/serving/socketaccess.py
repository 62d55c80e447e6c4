"""Names, numbers and a mode in, a Unix socket that only those may connect to; or ConfigError saying why not.

To connect takes the right to write to the socket's file, and to pass through the folders above it.
"""

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clipwarden.errors import ConfigError, why_of
from clipwarden.serving.config import Settings

_NOBODY_UMASK = 0o777


@dataclass(frozen=True, kw_only=True, slots=True)
class SocketAccess:
    """Whose a socket is, and who may connect to it.

    Attributes:
        mode: Permissions of its file.
        owner: User id; None leaves that of the process.
        group: Group id; None leaves what the folder gives it.
    """

    mode: int
    owner: int | None = None
    group: int | None = None


def access_of(settings: Settings) -> SocketAccess:
    """Look up whom the settings name.

    Raises:
        ConfigError: There is no such user or group here.
    """
    owner, group = settings.unix_socket_owner, settings.unix_socket_group
    return SocketAccess(
        mode=int(settings.unix_socket_mode, 8),
        owner=None if owner is None else _number(owner, "owner", "user", lambda name: pwd.getpwnam(name).pw_uid),
        group=None if group is None else _number(group, "group", "group", lambda name: grp.getgrnam(name).gr_gid),
    )


def grant(path: Path, access: SocketAccess) -> None:
    """Give a socket's file its owner, its group and last its mode.

    Args:
        path: Made a moment ago, open to nobody.
        access: For it.

    Raises:
        ConfigError: This process may not, or the path is another file by now.
    """
    try:
        # By a handle, and to no file that somebody who may write to the folder has put in its place.
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _apply(handle, path, access)
        finally:
            os.close(handle)
    except OSError as exc:
        raise ConfigError(f"Cannot listen on the Unix socket {path}: {why_of(exc)}.") from exc


def closed_folder(path: Path, access: SocketAccess) -> str | None:
    """Say which folder keeps those out whom the socket lets in; None where none does.

    Args:
        path: Of the socket, absolute.
        access: That it was made with.

    Returns:
        A sentence without its full stop.
    """
    group = path.stat().st_gid
    for folder in path.parents:
        found = folder.stat()
        of_group = stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH
        shut_out = [
            who
            for who, writes, passes in (("its group", stat.S_IWGRP, of_group), ("others", stat.S_IWOTH, stat.S_IXOTH))
            if access.mode & writes and not found.st_mode & passes
        ]
        if shut_out:
            return (
                f"the Unix socket {path} is open to {' and '.join(shut_out)}, but the folder {folder} is not (mode "
                f"{stat.S_IMODE(found.st_mode):o}); give it the right to pass (x), or the socket another folder"
            )
    return None


@contextmanager
def nobody_may_connect() -> Iterator[None]:
    """Have files that are made inside this block open to nobody, so that no moment is wider than what is meant.

    The umask is the whole process's: the block holds the one call that makes a socket, before anything is served.
    """
    before = os.umask(_NOBODY_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def _apply(handle: int, path: Path, access: SocketAccess) -> None:
    if not stat.S_ISSOCK(os.fstat(handle).st_mode):
        raise ConfigError(f"Cannot listen on the Unix socket {path}: another file took its place.")
    by_handle = Path(f"/proc/self/fd/{handle}")
    for number, of, option in ((access.owner, "user", "owner"), (access.group, "group", "group")):
        if number is None:
            continue
        uid, gid = (number, -1) if option == "owner" else (-1, number)
        try:
            os.chown(by_handle, uid, gid)
        except PermissionError as exc:
            raise ConfigError(
                f"Cannot give the Unix socket {path} to the {of} {number}: this process (user {os.geteuid()}) may not. "
                f"{_REMEDIES[option]}"
            ) from exc
    by_handle.chmod(access.mode)


_REMEDIES = {
    "owner": "Only root may give files away; run the server as that user, or name a group with --unix-socket-group.",
    "group": "Name a group that the server's own user is in with --unix-socket-group.",
}


def _number(name: str, setting: str, kind: str, look_up: Callable[[str], int]) -> int:
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError as exc:
        raise ConfigError(
            f"unix_socket_{setting} is {name!r}; there is no such {kind} here. Write another, or its number."
        ) from exc
