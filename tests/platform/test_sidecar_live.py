"""The example's pod with its two users, acted out as a kubelet does: it starts, serves, loses a container, and ends.

Faults are those of `kit.faultyserve`: a start that is held, and runs of the encoder that do not return until the test
lets them. Everything else is the product, the chart and the kernel.
"""

import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.platform.kit import render
from tests.platform.kubelet import Kubelet, kubelet, outsider
from tests.platform.livepod import PATIENCE_SECONDS, Started, until
from tests.platform.namespaces import Mount, Room, why_not
from tests.platform.uploaders import BLOCKED, COME_AGAIN, FINE, KEPT, LOST, NOT_TAKEN, Upload, Uploaders, another

from kit import faultyserve
from kit.serverprocess import HELD

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))

SIDECAR, APPLICATION = "clipwarden", "uploads"
FOLDER, SOCKET = "/run/clipwarden", "/run/clipwarden/clipwarden.sock"
STRANGER = 20002
WAITING = ("requests_in_flight", "admitted_images", "line_images", "queue_images", "unread_calls", "reading_messages")
"""Metrics of what callers hold who are there: neither a call nor anything that waits."""
PATIENT = {"VERDICT_SECONDS": str(PATIENCE_SECONDS)}
"""Of an application that waits for as long as a busy machine may take."""

CONNECTS = f"import socket; socket.socket(socket.AF_UNIX).connect({SOCKET!r})"
BINDS = f"import socket; socket.socket(socket.AF_UNIX).bind('{FOLDER}/false.sock')"
REMOVES = f"import os; os.unlink({SOCKET!r})"
RENAMES = f"import os; os.rename({SOCKET!r}, '{FOLDER}/moved.sock')"
WRITES_UPLOAD = "open('/uploads/kept/false', 'w')"


@dataclass
class Acted:
    """A pod whose sidecar can be afflicted.

    Attributes:
        pod: Its kubelet.
        faults: Folder that steers `kit.faultyserve`.
    """

    pod: Kubelet
    faults: Path

    def begin(self, **variables: str) -> tuple[Started, Started]:
        """Start both, in order."""
        self.pod.prepare()
        return self.pod.start_with_probe(SIDECAR), self.pod.start_with_probe(APPLICATION, **variables)

    def post(self, picture: bytes) -> tuple[int, str]:
        """Upload a picture."""
        return self.pod.ask(8000, "POST", "/", picture)

    def serve_some(self, name: str) -> list[Upload]:
        """Have the uploaders be answered some times each."""
        return Uploaders(self.post, name, each=5).wait()

    @contextmanager
    def held(self) -> Iterator[Uploaders]:
        """Have an upload of each of the uploaders wait for the encoder for as long as the block lasts."""
        hold = self.faults / "hold-any"
        hold.touch()
        try:
            uploaders = Uploaders(self.post, "held", each=1)
            until(lambda: self.numbers()["requests_in_flight"] == uploaders.several)
            until(lambda: self.numbers()["encoder_runs_busy"])
            assert len(self.files("incoming")) == uploaders.several
            yield uploaders
        finally:
            hold.unlink(missing_ok=True)

    def numbers(self) -> Counter[str]:
        """The sidecar's metrics, summed over labels."""
        found = Counter[str]()
        for family in text_string_to_metric_families(self.pod.ask(9464, "GET", "/metrics")[1] + "\n"):
            for sample in family.samples:
                found[sample.name.removeprefix("clipwarden_")] += sample.value  # type: ignore[assignment]
        return found

    def holds(self, names: Sequence[str]) -> bool:
        """Whether any of these metrics says that something is held."""
        found = self.numbers()
        return any(found[name] for name in names)

    def files(self, folder: str) -> list[Path]:
        """The pictures below a folder of the shared volume."""
        return [file for file in (self.pod.volume("uploads") / folder).rglob("*") if file.is_file()]

    def kept(self) -> Counter[str]:
        """What may be shown to anybody, by digest."""
        return Counter(sha256(file.read_bytes()).hexdigest() for file in self.files("kept"))

    def logged(self, message: str) -> list[dict[str, object]]:
        """What the sidecar has said so."""
        return [line for line in self.pod.lines(SIDECAR) if line["message"] == message]

    def judged(self) -> Counter[object]:
        """How often the sidecar has judged what, by digest."""
        return Counter(line["sha256"] for line in self.logged("judged"))


@pytest.fixture
def acted(example: Path) -> Iterator[Acted]:
    with tempfile.TemporaryDirectory() as folder:
        faults = Path(folder, "faults")
        faults.mkdir()
        faults.chmod(0o777)
        taps = [sys.executable, str(faultyserve.__file__), "/faults"]
        seen = [Mount(source=faults, target="/faults", read_only=False)]
        with kubelet(render({}, example), Path(folder), programs={SIDECAR: taps}, seen=seen) as pod:
            yield Acted(pod, faults)


def test_the_application_starts_once_the_sidecar_is_ready(acted: Acted) -> None:
    pod = acted.pod
    held = acted.faults / "start-held"
    held.touch()
    pod.prepare()
    sidecar = pod.start(SIDECAR)
    until(lambda: pod.probe(SIDECAR, "startupProbe") == 503)
    assert pod.probe(SIDECAR, "livenessProbe") == 200
    assert pod.execute(APPLICATION, [sys.executable, "-c", CONNECTS])[0] != 0
    assert pod.probe(SIDECAR, "startupProbe") == 503
    held.unlink()
    pod.until_probed(sidecar, SIDECAR, "startupProbe")
    application = pod.start_with_probe(APPLICATION)
    assert acted.post(FINE.read_bytes()) == (KEPT, "kept")
    assert acted.post(BLOCKED.read_bytes()) == (NOT_TAKEN, "substances.alcohol")
    assert not application.log.read_text().count("clipwarden.client")


def test_only_the_pods_group_calls_and_nobody_takes_the_sockets_place(acted: Acted) -> None:
    pod = acted.pod
    acted.begin()
    found = (pod.volume("clipwarden-socket") / "clipwarden.sock").stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o660, 65532, 65532)
    application = pod.room(APPLICATION)
    assert (application.user, application.group, application.groups) == (10001, 10001, [65532])
    assert _does(pod, CONNECTS) == ""
    for attack in (BINDS, REMOVES, RENAMES):
        assert "[Errno 30] Read-only file system" in _does(pod, attack)
    writable = replace(application, mounts=[replace(mount, read_only=False) for mount in application.mounts])
    assert _does(pod, CONNECTS, outsider(writable, STRANGER)) == "PermissionError: [Errno 13] Permission denied"
    assert _does(pod, BINDS, writable) == ""  # so it is the read-only mount that keeps the application from it
    assert "[Errno 30]" in _does(pod, WRITES_UPLOAD, pod.room(SIDECAR))
    assert acted.post(FINE.read_bytes()) == (KEPT, "kept")


def test_half_an_upload_is_not_judged(acted: Acted) -> None:
    acted.begin()
    picture = FINE.read_bytes()
    with acted.pod.connect(8000) as caller:
        caller.sendall(f"POST / HTTP/1.0\r\nContent-Length: {len(picture)}\r\n\r\n".encode() + picture[:-1])
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1) == b""
    until(lambda: not acted.files("incoming"))
    assert (acted.numbers()["requests_total"], acted.kept()) == (0, Counter())
    assert acted.post(picture) == (KEPT, "kept")


def test_no_upload_is_lost_when_the_pod_ends(acted: Acted) -> None:
    pod = acted.pod
    sidecar, application = acted.begin(**PATIENT)
    steady = Uploaders(acted.post, "steady")
    ending = pod.end_of_pod()
    pod.hook(APPLICATION)  # meanwhile the uploads go on
    answers = steady.join()
    assert len(answers) > 2 * steady.several
    with acted.held() as uploaders:
        application.process.terminate()
        until(lambda: pod.probe(APPLICATION, "readinessProbe") is None)  # it takes no more, and
        assert application.process.poll() is None  # waits for what it has
        assert pod.probe(SIDECAR, "readinessProbe") == 200
    answers += uploaders.wait()
    assert application.process.wait(ending()) == 0
    _assert_all_judged(acted, answers)
    assert sidecar.process.poll() is None
    sidecar.process.terminate()
    assert sidecar.process.wait(ending()) == 0
    _assert_all_judged(acted, answers)
    assert pod.lines(SIDECAR)[-1]["message"] == "stopped"


def test_a_killed_application_leaves_nothing_behind(acted: Acted) -> None:
    pod = acted.pod
    sidecar, application = acted.begin(**PATIENT)
    told = acted.serve_some("before")
    with acted.held() as uploaders:
        application.process.kill()  # as the kernel does for want of memory
        application.process.wait(PATIENCE_SECONDS)
        assert {upload.status for upload in uploaders.wait()} == {LOST}
        until(lambda: len(acted.logged("cancelled")) == uploaders.several)
        until(lambda: not acted.holds(WAITING))  # while the encoder is still at it
        before = acted.numbers()
        assert before["encoder_runs_busy"] > 0
    until(lambda: not acted.holds([*HELD, "encoder_runs_busy"]))
    ran = acted.numbers()["batch_seconds_count"] - before["batch_seconds_count"]
    assert ran == before["encoder_runs_busy"]  # what was in the encoder ends there, and nothing begins
    _assert_all_judged(acted, told)
    assert len(acted.files("incoming")) == uploaders.several
    assert pod.probe(SIDECAR, "readinessProbe") == pod.probe(SIDECAR, "livenessProbe") == 200
    again = pod.start_with_probe(APPLICATION, **PATIENT)
    assert not acted.files("incoming")
    told += acted.serve_some("after")
    assert again.end() == 0
    assert sidecar.end() == 0
    _assert_all_judged(acted, told)


def test_uploads_outlast_a_killed_sidecar(acted: Acted) -> None:
    pod = acted.pod
    sidecar, application = acted.begin(**PATIENT)
    answers = acted.serve_some("before")
    with acted.held() as uploaders:
        sidecar.process.kill()
        sidecar.process.wait(PATIENCE_SECONDS)
        assert pod.probe(SIDECAR, "readinessProbe") is None  # which takes the pod out of its Services
        assert pod.probe(APPLICATION, "livenessProbe") == 200
        assert len(acted.files("incoming")) == uploaders.several
    pod.start_with_probe(SIDECAR)
    answers += uploaders.wait()
    assert len(acted.files("incoming")) == 0
    _assert_all_judged(acted, answers)
    assert application.end() == 0


def test_uploads_outlast_a_sidecar_that_is_told_to_start_anew(acted: Acted) -> None:
    sidecar, application = acted.begin(**PATIENT)
    uploaders = Uploaders(acted.post, "steady")
    until(lambda: len(uploaders.answers) > uploaders.several)
    assert sidecar.end() == 0  # as after its liveness probe failed: in the midst of uploads, which wait for the next
    acted.pod.start_with_probe(SIDECAR)
    before = len(uploaders.answers)
    until(lambda: len(uploaders.answers) > before + uploaders.several)
    _assert_all_judged(acted, uploaders.join())
    assert application.end() == 0


def test_without_a_sidecar_nothing_passes(acted: Acted) -> None:
    pod = acted.pod
    sidecar, application = acted.begin()
    assert acted.post(FINE.read_bytes()) == (KEPT, "kept")
    kept = acted.kept()
    sidecar.process.kill()
    sidecar.process.wait(PATIENCE_SECONDS)
    assert acted.post(another(FINE.read_bytes(), "meanwhile")) == (COME_AGAIN, "come again")
    assert acted.kept() == kept
    assert not acted.files("incoming")
    pod.start_with_probe(SIDECAR)
    assert acted.post(another(FINE.read_bytes(), "afterwards")) == (KEPT, "kept")
    assert application.end() == 0


def _does(pod: Kubelet, program: str, room: Room | None = None) -> str:
    """Have the application's container, or another room, run a program: the last line of what it says."""
    _, said = pod.execute(APPLICATION, [sys.executable, "-c", program], room)
    return said.strip().rpartition("\n")[2]


def _assert_all_judged(acted: Acted, answers: Sequence[Upload]) -> None:
    """Insist that each got the verdict that is right, and that the sidecar judged those and nothing else."""
    assert [upload for upload in answers if upload.status != upload.expected] == []
    until(lambda: acted.judged().total() >= len(answers))  # a line follows its answer
    assert acted.judged() == Counter(upload.digest for upload in answers)
    assert acted.kept() == Counter(upload.digest for upload in answers if upload.status == KEPT)
