"""A loopback address that is this process's own, for what has to know its port before it listens, or after it did."""

import os
import socket


def own_host() -> str:
    """Name a loopback address that no other process of the tests uses: all of 127.0.0.0/8 is this machine."""
    number = os.getpid()  # below 2**22, pid_max(5)
    return f"127.{128 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def free_address() -> str:
    """Find a port that nobody listens on, nor will before we do: other tests take theirs at other addresses."""
    with socket.create_server((own_host(), 0)) as free:
        return "{}:{}".format(*free.getsockname())
