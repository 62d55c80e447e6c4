"""What naming a file saves beside sending its bytes over the Unix socket: `python -m bench.sharedfiles`.

A server of its own process judges one file again and again, whose embedding it keeps, so that what is left is the way
in: reading, sending, receiving, hashing, judging, answering. Processor time of both processes, a call.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.measure import describe_machine
from bench.photos import jpeg
from clipwarden import Client, ServerFile

SIZES = {"620 KB": 620_000, "5 MiB": 5 * 2**20}
CALLS, ROUNDS = 200, 5
_TICKS = os.sysconf("SC_CLK_TCK")
_COMMENT_BYTES = 65_533
"""Most content of one comment. Source: its length has 16 bits and counts itself, ITU-T T.81, B.2.4.5."""


def main() -> None:
    """Measure and print."""
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    with TemporaryDirectory() as folder, _server(Path(folder)) as (address, process), Client(address) as client:
        client.wait_until_ready(60)
        for name, size in SIZES.items():
            file = Path(folder) / f"{size}.jpg"
            file.write_bytes(padded(jpeg(224, 224), size))
            ways: dict[str, Callable[[], object]] = {
                "sent": lambda file=file: client.moderate(file),  # type: ignore[misc]
                "by path": lambda file=file: client.moderate(ServerFile(file.name)),  # type: ignore[misc]
            }
            for way, costs in _costs(ways, process).items():
                server, own, wall = (median(column) for column in zip(*costs, strict=True))
                print(f"{name} {way}: server {server:.2f} ms, client {own:.2f} ms, wall {wall:.2f} ms a call")


def padded(image: bytes, size: int) -> bytes:
    """Make a JPEG as large as that by comments behind its first marker."""
    left, parts = size - len(image), list[bytes]()
    while left > 4:
        length = min(left - 4, _COMMENT_BYTES)
        parts.append(b"\xff\xfe" + (length + 2).to_bytes(2, "big") + bytes(length))
        left -= length + 4
    return image[:2] + b"".join(parts) + image[2:]


def _costs(
    ways: dict[str, Callable[[], object]], process: "subprocess.Popen[bytes]"
) -> dict[str, list[tuple[float, float, float]]]:
    """Time the ways in turn, round after round, so that what else the machine does meets all of them."""
    costs: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for call in ways.values():
        call()
    for _ in range(ROUNDS):
        for way, call in ways.items():
            before = _seconds_of(process.pid), _own_seconds(), time.perf_counter()
            for _ in range(CALLS):
                call()
            after = _seconds_of(process.pid), _own_seconds(), time.perf_counter()
            server, own, wall = (1000 * (late - early) / CALLS for early, late in zip(before, after, strict=True))
            costs[way].append((server, own, wall))
    return costs


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    where = folder / "s"
    options = ["--unix-socket", str(where), "--listen", "", "--metrics-listen", "", "--path-root", str(folder)]
    command = [sys.executable, "-m", "clipwarden", "serve", "--log-level", "error", *options]
    process = subprocess.Popen(command)
    try:
        yield f"unix:{where}", process
    finally:
        process.terminate()
        process.wait()


def _seconds_of(process: int) -> float:
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
