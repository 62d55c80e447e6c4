"""A full disk under the audit log costs no request, and what the log lacks it says."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from clipwarden.auditlog.reading import read_records
from clipwarden.auditlog.records import Dropped, JudgedImage
from clipwarden.modelfolder.load import Model
from kit.operated import operated
from kit.serverprocess import SERVING
from kit.steadypolicies import version

FEW_LINES = "1MiB"
"""Of lines that may wait: some two hundred."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of its own takes the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte on a disk; returns the file that takes them."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


async def test_a_disk_that_fills_and_is_freed_loses_no_request_and_accounts_for_each_line(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path, small_disk: Path
) -> None:
    path = small_disk / "audit.jsonl"
    settings = {"audit_log": path, "audit_scores": "true", "audit_queue_bytes": FEW_LINES}
    async with operated(toy_model, toy_folder, tmp_path, socket_folder, **settings) as here:
        ballast = fill(small_disk)
        await here.server.until(lambda found: bool(found["audit_failing"] and found["audit_dropped_total"]))
        await here.swap(version(toy_model, 1))
        assert await here.server.health() == SERVING
        ballast.unlink()
        await here.log.until(lambda line: line["message"] == "the audit log is written again")
        await here.server.until(lambda found: not found["audit_failing"])
        await here.swap(version(toy_model, 2))
    here.assert_nothing_is_wrong()
    answered = {
        f"{answer.request_id}/{index}" if len(answer.images) > 1 else answer.request_id: image.digest
        for answer in here.load.answers
        for index, image in enumerate(answer.images)
    }
    records = list(read_records([path]))
    audited = {record.request_id: record.digest for record in records if isinstance(record, JudgedImage)}
    assert audited.items() <= answered.items()
    dropped = sum(record.count for record in records if isinstance(record, Dropped))
    lacking = len(answered) - len(audited)
    # Beside images, the line that says what is loaded may have been dropped.
    assert 0 < lacking <= dropped <= lacking + 1


@pytest.fixture
def full_output() -> Iterator[int]:
    """A descriptor that takes no byte."""
    with Path("/dev/full").open("wb") as full:
        yield full.fileno()


async def test_output_that_takes_nothing_at_all_loses_no_request(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path, full_output: int
) -> None:
    settings = {"audit_log": "-", "audit_chain": "true", "audit_queue_bytes": FEW_LINES}
    places = (toy_model, toy_folder, tmp_path, socket_folder)
    async with operated(*places, stdout=full_output, **settings) as here:
        await here.server.until(lambda found: bool(found["audit_failing"] and found["audit_dropped_total"]))
        await here.swap(version(toy_model, 1))
        assert await here.server.health() == SERVING
    here.assert_nothing_is_wrong()
    lost = [line for line in here.server.lines() if "could not be written, and are lost" in str(line["message"])]
    assert len(lost) == 1
