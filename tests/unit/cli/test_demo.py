import subprocess
import sys
from pathlib import Path

import pytest

from clipwarden.cli import demo, subserver
from clipwarden.cli.outcome import Outcome
from clipwarden.cli.subserver import running_subserver
from clipwarden.client import Client, ClientError, ServerFaultError, ServerUnavailableError
from clipwarden.errors import ConfigError, RuntimeMissingError
from clipwarden.v1 import moderation_pb2 as v1
from kit.cli import Run


def test_the_demo_shows_verdicts_a_broken_file_and_an_explanation(
    toy_folder: Path,
    policy_file: Path,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    # The user's own settings are for the user's own server.
    monkeypatch.setenv("CLIPWARDEN_MODEL", str(pictures / "none"))
    images = [pictures / name for name in ("blue.png", "red.png", "yellow.png")]
    assert demo.show_demo(images, model=str(toy_folder), policy=str(policy_file)) == []
    text = capsys.readouterr().out
    for expected in ("ALLOW", "BLOCK", "cut-in-half.png", "IMAGE_TRUNCATED", "decided by colour.red", "Next:"):
        assert expected in text


def test_a_server_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        running_subserver(["--model", str(tmp_path / "none")]) as server,
        Client(server.target, sleep=server.sleep) as client,
        pytest.raises(ServerUnavailableError, match="ended with status 4: There is no model folder"),
    ):
        client.wait_until_ready(60)


def test_a_server_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subserver, "STOP_SECONDS", 0.2)
    program = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert subserver.Subserver(process, tmp_path, tmp_path).stop() == -9


def test_a_server_is_stopped_whatever_happens(toy_folder: Path, policy_file: Path) -> None:
    processes = []

    def fail() -> None:
        with running_subserver(["--model", str(toy_folder), "--policy", str(policy_file)]) as server:
            processes.append(server._process)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert processes[0].poll() is not None


def test_the_demo_fails_when_anything_is_not_as_it_should_be() -> None:
    good = Outcome(name="a", moderation=v1.Moderation(verdict=v1.VERDICT_ALLOW))
    bad = Outcome(name="b", error=ServerFaultError("boom"))
    faults = demo._faults([good, bad, bad], 3)
    assert faults == [
        "b was not judged: boom",
        "cut-in-half.png was not refused as an image that cannot be judged.",
        "The server ended with status 3 instead of 0.",
    ]


def test_the_demo_says_when_its_images_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="install clipwarden again"):
        demo.demo_images(tmp_path)


@pytest.mark.parametrize(("faults", "code"), [([], 0), (["something was odd"], 1)])
def test_the_command_ends_with_what_the_demo_found(
    run: Run, monkeypatch: pytest.MonkeyPatch, faults: list[str], code: int
) -> None:
    monkeypatch.setattr(demo, "demo_images", lambda _: [Path("x")])
    monkeypatch.setattr(demo, "show_demo", lambda *_, **__: faults)
    result = run("demo")
    assert (result.exit_code, result.stderr.splitlines()) == (code, faults)


def test_without_a_runtime_the_demo_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise RuntimeMissingError("No onnxruntime is installed: run `pip install onnxruntime`.")

    monkeypatch.setattr("clipwarden.modelfolder.runtime.import_onnxruntime", missing)
    result = run("demo")
    assert result.exit_code == 4
    assert "pip install" in result.stderr


def test_an_image_that_is_refused_is_an_outcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> v1.Moderation:
        raise ClientError("no")

    client = Client(f"unix:{tmp_path}/none")
    monkeypatch.setattr(client, "moderate", refuse)
    assert demo._judge(client, "x", b"").error is not None
    client.close()
