"""Turn the text of a setting, as a flag, a variable or a file gives it, into its value, or raise ValueError."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

_UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SHOWN = {name.upper(): name for name in ("KiB", "MiB", "GiB", "kB", "MB", "GB")}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")
_SWITCH = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]]+):([0-9]{1,5})")
_MODE = re.compile(r"(?:0o?)?([0-7]{3})")
_MOST_ACCOUNTS = 2**32 - 1  # the last of 32 bits means none, chown(2)
MAX_PORT = 65535
MAX_SIZE = 2**50
"""Sizes are below this: far above any machine's memory, and exact as a float."""
MAX_SECONDS = 86_400.0
"""Longest span: a day. gRPC counts milliseconds in 32 bits, which ends at 24 days."""


def plain_text(text: str) -> str:
    """Take a text as it is, without surrounding white space; ValueError when nothing is left."""
    if not text.strip():
        raise ValueError("is empty")
    return text.strip()


def optional_text(text: str) -> str | None:
    """Take a text, or None for an empty one: how a file or variable switches something off."""
    return text.strip() or None


def path(text: str) -> str | None:
    """Take a path, or None for an empty text; `~` is the user's home.

    Raises:
        ValueError: There is no such home.
    """
    try:
        return str(Path(text.strip()).expanduser()) if text.strip() else None
    except RuntimeError as exc:
        raise ValueError(f"is {text!r}; there is no such home folder") from exc


def socket_path(text: str) -> str | None:
    """Take the path of a Unix socket as `path` does.

    Raises:
        ValueError: It is a gRPC address, or an abstract socket.
    """
    plain = text.strip()
    if plain.startswith(("@", "\0", "unix-abstract:")):
        raise ValueError(f"is {text!r}; abstract sockets have no permissions, so write a path, such as {_SOCKET}")
    if plain.startswith("unix:"):
        raise ValueError(f"is {text!r}; write the path alone, such as {_SOCKET}")
    return path(text)


_SOCKET = "/run/clipwarden/clipwarden.sock"


def socket_mode(text: str) -> str:
    """Read the permissions of a Unix socket, in octal.

    Raises:
        ValueError: They are none, or let nobody connect.
    """
    found = _MODE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"is {text!r}; it must be permissions in octal, such as 600, 660 or 666")
    if not int(found[1], 8) & 0o222:
        raise ValueError(f"is {text!r}; nobody could connect, which takes the right to write, such as 660")
    return found[1]


def account(text: str) -> str | None:
    """Take the name or number of a user or group, or None for an empty text.

    Raises:
        ValueError: It is a number that no account has.
    """
    plain = text.strip()
    if plain.isascii() and plain.lstrip("-").isdigit() and not 0 <= int(plain) < _MOST_ACCOUNTS:
        raise ValueError(f"is {text!r}; it must be a name, or a number from 0 to {_MOST_ACCOUNTS - 1}")
    return plain or None


def address(text: str) -> str | None:
    """Take `HOST:PORT`, or None for an empty text; IPv6 in brackets.

    Raises:
        ValueError: It has another shape.
    """
    if not text.strip():
        return None
    found = _ADDRESS.fullmatch(text.strip())
    if not found or int(found[2]) > MAX_PORT:
        raise ValueError(f"is {text!r}; it must be HOST:PORT, such as 127.0.0.1:50051")
    return found[0]


def split_address(where: str) -> tuple[str, int]:
    """Split a checked `HOST:PORT` into its host, without brackets, and its port."""
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine alone, by its name or address; without asking anybody."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold().rstrip(".") == "localhost"


def switch(text: str) -> bool:
    """Read true or false.

    Raises:
        ValueError: It is neither.
    """
    value = _SWITCH.get(text.strip().casefold())
    if value is None:
        raise ValueError(f"is {text!r}; it must be true or false")
    return value


def size(text: str) -> int:
    """Read a number of bytes: 20971520, 20MiB, 20 MB.

    Raises:
        ValueError: It is none.
    """
    found = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(found[2].upper()) if found else None
    if not found or factor is None:
        raise ValueError(f"is {text!r}; it must be a size, such as {_meant_size(found)}")
    value = float(found[1]) * factor
    if not 1 <= value < MAX_SIZE:
        raise ValueError(f"is {text!r}; it must be at least 1 byte, and below {MAX_SIZE >> 40} TiB")
    return int(value)


def _meant_size(found: re.Match[str] | None) -> str:
    """Write out what is likely meant by the units of Kubernetes and others, such as 32Mi or 10M."""
    short = found[2].upper() + "B" if found else ""
    return f"{found[1]}{_SHOWN[short]}" if found and short in _SHOWN else "20MiB or 20971520"


def size_or_none(text: str) -> int:
    """Read a number of bytes as `size` does, or 0 for none.

    Raises:
        ValueError: It is neither.
    """
    return 0 if text.strip() == "0" else size(text)


def size_from(low: int, reason: str) -> Callable[[str], int]:
    """Make a reader of sizes of so many bytes at least.

    Args:
        low: The least, in whole MiB.
        reason: Why, as what it is: `which a small picture takes`.
    """

    def read(text: str) -> int:
        value = size(text)
        if value < low:
            raise ValueError(f"is {text!r}; it must be at least {low >> 20}MiB, {reason}")
        return value

    return read


def seconds(text: str) -> float:
    """Read a span of time in seconds, 0 to a day.

    Raises:
        ValueError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_SECONDS:  # false for NaN
        raise ValueError(f"is {text!r}; it must be a number of seconds from 0 to {MAX_SECONDS:.0f}")
    return value


def integer(*, low: int, high: int) -> Callable[[str], int]:
    """Make a reader of whole numbers within `[low, high]`."""

    def read(text: str) -> int:
        plain = text.strip().removeprefix("+")
        if not plain.isascii() or not plain.isdigit() or not low <= int(plain) <= high:
            raise ValueError(f"is {text!r}; it must be a whole number from {low} to {high}")
        return int(plain)

    return read


def choice(*words: str) -> Callable[[str], str]:
    """Make a reader of one of a few words, whatever their case."""

    def read(text: str) -> str:
        word = text.strip().casefold()
        if word not in words:
            raise ValueError(f"is {text!r}; it must be one of {', '.join(words)}")
        return word

    return read
