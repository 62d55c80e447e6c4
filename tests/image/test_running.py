"""The image at work, as its user, on a read-only root, by a real container runtime and without any network."""

import os
import shutil
from pathlib import Path

import yaml
from tests.image import kit
from tests.image.kit import Container, running
from tests.image.tools import ROOT
from typer.testing import CliRunner

from clipwarden import Client
from clipwarden.cli.exits import Exit
from clipwarden.cli.main import app
from clipwarden.modelfolder.load import embedded_model_path
from clipwarden.policy.shipped import shipped_policy
from clipwarden.v1.moderation_pb2 import Moderation, Verdict
from kit.configmap import ConfigMap
from kit.pages import blocks
from kit.pipes import opened
from kit.serving import eventually

BEER = ROOT / "service" / "clipwarden" / "demo" / "images" / "beer-mug.png"
STICKERS = shipped_policy("stickers").read_text()
SOCKET = {"CLIPWARDEN_UNIX_SOCKET": "/run/clipwarden/clipwarden.sock"}


def judge(socket_folder: Path) -> Moderation:
    """Judge the beer from outside, by the socket in a shared folder."""
    with Client(f"unix:{socket_folder / 'clipwarden.sock'}") as client:
        return client.moderate(BEER, timeout=30)


def judged_inside(container: Container) -> None:
    """Judge a drawing that is in the image, over the port."""
    package = next(iter(container.exec("sh", "-c", "ls -d /opt/clipwarden/lib/python3*/site-packages").stdout.split()))
    picture = f"{package}/clipwarden/demo/images/{BEER.name}"
    judged = container.exec("clipwarden", "moderate", "--server", "localhost:50051", picture, check=False)
    assert (judged.returncode, "BLOCK" in judged.stdout) == (20, True), judged.stdout + judged.stderr


def wanted_to_write_vectors(container: Container) -> bool:
    return any("vector cache cannot be written" in line["message"] for line in container.log())


def test_it_is_healthy_judges_and_stops_with_0(image: str, writable: Path) -> None:
    with running(image, mounts={writable: "/run/clipwarden"}, variables=SOCKET) as container:
        container.wait_until_it_serves()
        assert container.healthy()
        assert container.exec("clipwarden", "health", "localhost:50051").stdout == "serving\n"
        assert judge(writable).verdict == Verdict.VERDICT_BLOCK
        assert container.stop() == 0
        assert container.log()[-1]["message"] == "stopped"


def test_the_health_check_fails_while_nobody_serves(image: str) -> None:
    with running(image, "600", options=["--entrypoint=sleep"]) as container:
        assert not container.healthy()
        assert container.exec("clipwarden", "health", check=False).returncode == Exit.UNREACHABLE
        assert kit.inspect(container.name)["State"]["Running"]


async def test_it_stops_on_sigterm_before_it_is_a_server(image: str, writable: Path) -> None:
    os.mkfifo(writable / "settings.yaml")
    os.chown(writable / "settings.yaml", 65532, 65532)
    with running(image, "serve", "--config", "/settings/settings.yaml", mounts={writable: "/settings"}) as container:
        close = await opened(writable / "settings.yaml")  # it reads, and does so for as long as this is open
        assert container.stop() == Exit.ENDED
        assert not container.log()
        close()


def test_nothing_in_it_installs(image: str) -> None:
    with running(image, "600", options=["--entrypoint=sleep"]) as container:
        assert not container.exec("sh", "-c", "command -v pip || command -v pip3", check=False).stdout
        for python in ("python3", "/opt/clipwarden/bin/python3"):
            for module in ("pip", "ensurepip"):
                done = container.exec(python, "-c", f"import {module}", check=False)
                assert f"No module named '{module}'" in done.stderr, f"{python} {done.stdout}{done.stderr}"
        left = container.exec("find", "/", "-xdev", "-name", "pip", "-o", "-xdev", "-name", "pip-*", check=False)
        assert not left.stdout


def test_it_has_no_right_but_to_run(image: str) -> None:
    with running(image) as container:
        container.wait_until_it_serves()
        status = dict(line.split(":\t", 1) for line in container.exec("cat", "/proc/1/status").stdout.splitlines())
        assert set(status["Uid"].split()) | set(status["Gid"].split()) == {"65532"}
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        written = container.exec("touch", "/tmp/x", "/opt/clipwarden/x", "/var/cache/clipwarden/x", check=False)  # noqa: S108
        assert written.stderr.count("Read-only file system") == 3
        assert container.exec("cat", "/proc/1/environ").stdout.count("GLIBC_TUNABLES=glibc.malloc.hugetlb=1") == 1


async def test_a_policy_that_is_swapped_by_a_link_is_taken_over(image: str, writable: Path, tmp_path: Path) -> None:
    policies = ConfigMap(tmp_path / "policies", {"shop.yaml": STICKERS})
    mounts = {writable: "/run/clipwarden", tmp_path / "policies": "/policies:ro"}
    variables = SOCKET | {"CLIPWARDEN_POLICIES": "/policies/shop.yaml"}
    with running(image, mounts=mounts, variables=variables) as container:
        container.wait_until_it_serves()
        before = judge(writable).policy.digest
        policies.swap({"shop.yaml": STICKERS.replace("reason_code: STK-WPN", "reason_code: STK-ARMS")})
        await eventually(lambda: judge(writable).policy.digest != before)
        policies.swap({"shop.yaml": STICKERS})
        await eventually(lambda: judge(writable).policy.digest == before)
        assert container.healthy()
        assert container.stop() == 0


def test_a_cache_that_is_mounted_spares_the_next_start_its_texts(image: str, writable: Path) -> None:
    with running(image, mounts={writable: "/var/cache/clipwarden"}) as container:
        container.wait_until_it_serves()
        assert not wanted_to_write_vectors(container)
    assert list(writable.rglob("*"))
    with running(image, mounts={writable: "/var/cache/clipwarden:ro"}) as container:
        container.wait_until_it_serves()
        assert not wanted_to_write_vectors(container)


def test_without_a_cache_it_serves_and_says_so(image: str) -> None:
    with running(image) as container:
        container.wait_until_it_serves()
        assert wanted_to_write_vectors(container)


def test_any_user_will_do(image: str) -> None:
    with running(image, options=["--user=1000650000:0"]) as container:
        container.wait_until_it_serves()


def test_settings_of_a_chart_replace_those_of_the_image(image: str, writable: Path, tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    settings = {"listen": None, "probe_listen": "127.0.0.1:9999", "metrics_listen": "127.0.0.1:0"}
    (tmp_path / "settings" / "settings.yaml").write_text(yaml.safe_dump(settings | {"unix_socket": "/run/cw/a.sock"}))
    mounts = {writable: "/run/cw", tmp_path / "settings": "/etc/clipwarden/settings:ro"}
    with running(image, "serve", "--config", "/etc/clipwarden/settings/settings.yaml", mounts=mounts) as container:
        asked = container.exec("clipwarden", "health", "http://localhost:9999", "--wait", "120", check=False)
        assert asked.stdout.strip() == "serving"
        (serving,) = [line for line in container.log() if line["message"] == "serving"]
        assert (serving["address"], serving["probes"]) == (None, "127.0.0.1:9999")


def test_what_compose_runs_judges(image: str, writable: Path) -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["clipwarden"]
    # All else that it says is what `running` does in any case.
    hardened = (service["read_only"], service["cap_drop"], service["security_opt"])
    assert hardened == (True, ["ALL"], ["no-new-privileges:true"])
    policies, vectors = (volume.split(":", 1) for volume in service["volumes"])
    mounts = {ROOT / policies[0]: policies[1], writable: vectors[1]}
    options = [f"--user={service['user']}", f"--memory={service['mem_limit']}"]
    with running(image, mounts=mounts, variables=service["environment"], options=options) as container:
        container.wait_until_it_serves()
        assert container.exec(*service["healthcheck"]["test"][1:]).stdout == "serving\n"
        judged_inside(container)
        assert list(writable.rglob("*")), "the vectors are kept"


def test_the_image_that_the_page_derives_needs_nothing_beside_it(image: str, tmp_path: Path) -> None:
    (dockerfile,) = [each.text for each in blocks("docs/kubernetes.md", "dockerfile")]
    (settings,) = [each.text for each in blocks("docs/kubernetes.md", "yaml") if "# container.yaml" in each.text]
    assert len(dockerfile.splitlines()) == 3
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("clipwarden:0.1.0", image))
    (tmp_path / "container.yaml").write_text(settings)
    shutil.copytree(embedded_model_path(), tmp_path / "clip-b32")
    compiled = CliRunner().invoke(app, ["compile", "stickers", "--model", "mini", "-o", str(tmp_path / "shop.bundle")])
    assert compiled.exit_code == 0, compiled.output
    kit.build(tmp_path, "localhost/clipwarden:derived")
    try:
        with running("localhost/clipwarden:derived") as container:
            container.wait_until_it_serves()
            judged_inside(container)
            assert not wanted_to_write_vectors(container)
    finally:
        kit.podman("rmi", "--force", "localhost/clipwarden:derived")
