"""The wheel by itself: built, installed into an environment of its own, and used in an empty folder.

Needs the package index, as any installation does; pip's cache keeps it short.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An environment with the wheel in it, and an empty folder to work in."""

    python: Path
    folder: Path

    @property
    def packages(self) -> Path:
        return next(self.python.parent.parent.glob("lib/python*/site-packages"))

    def environment(self) -> dict[str, str]:
        # Nothing of the checkout may help, nor any setting of whoever runs the tests.
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CLIPWARDEN_", "COV"))
        }
        return kept | {"COLUMNS": "120", "XDG_CACHE_HOME": str(self.folder / "cache")}

    def run(self, *arguments: object, program: str = "clipwarden") -> subprocess.CompletedProcess[str]:
        command = [str(self.python.parent / program), *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=300, check=False
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.glob("clipwarden-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = tmp_path_factory.mktemp("environment")
    # Without pip of its own, which would take longer to unpack than all the rest: ours installs for it.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", "--no-compile", f"{wheel}[cpu]"], check=True)
    return Installed(python=python, folder=tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module")
def image(installed: Installed) -> Path:
    return next((installed.packages / "clipwarden" / "demo" / "images").glob("*.png"))


def test_it_carries_policies_model_images_types_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    expected = [
        "clipwarden/py.typed",
        "clipwarden/policies/default.yaml",
        "clipwarden/policies/stickers.yaml",
        *(f"clipwarden/policy/subjects/{name}.yaml" for name in ("identity", "minors", "sets")),
        "clipwarden/demo/images/ATTRIBUTION.md",
        "clipwarden/models/mini.references.safetensors",
        *(f"clipwarden/models/mini/{name}" for name in ("model.json", "image.onnx", "text.onnx", "tokenizer.json")),
        *(f"clipwarden/tuning/sheet/{name}" for name in ("sheet.html", "sheet.css", "marks.js", "view.js", "main.js")),
        "clipwarden/v1/moderation_pb2.pyi",
        "clipwarden_export/__init__.py",
    ]
    assert [name for name in expected if name not in names] == []
    assert sum(name.startswith("clipwarden/demo/images/") and name.endswith(".png") for name in names) >= 8
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "bench", "service"))]


def test_the_demo_works(installed: Installed) -> None:
    done = installed.run("demo")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for expected in ("ALLOW", "REVIEW", "BLOCK", "IMAGE_TRUNCATED", "Next:"):
        assert expected in done.stdout


def test_a_file_is_judged_in_process(installed: Installed, image: Path) -> None:
    done = installed.run("moderate", image, "--json")
    assert done.returncode in {0, 10, 20}, done.stderr
    moderation = json.loads(done.stdout)["moderation"]
    assert moderation["policy"]["id"] == "stickers"
    assert moderation["model"]["name"].startswith("clipwarden-mini")


def test_a_server_serves_command_and_client(installed: Installed, image: Path, socket_folder: Path) -> None:
    with served(installed, socket_folder) as address:
        alone = installed.run("moderate", image, "--json")
        asked = installed.run("moderate", image, "--json", "--server", address)
        assert asked.returncode == alone.returncode
        ours, theirs = (json.loads(done.stdout)["moderation"] for done in (alone, asked))
        assert {**ours, "timings": 0, "request_id": 0} == {**theirs, "timings": 0, "request_id": 0}
        program = (
            "import clipwarden, sys\n"
            f"with clipwarden.Client({address!r}) as client:\n"
            f"    print(client.moderate({str(image)!r}).policy.id, clipwarden.__version__)\n"
        )
        done = subprocess.run(
            [installed.python, "-c", program], env=installed.environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout.split()[0] == "stickers"


def test_a_model_folder_is_verified_without_torch(installed: Installed) -> None:
    folder = installed.packages / "clipwarden" / "models" / "mini"
    done = installed.run("verify", folder, "--json", program="clipwarden-export")
    assert done.returncode == 0, done.stderr
    check = json.loads(done.stdout)["self_check"]["CPUExecutionProvider"]
    assert check["golden_drift"] <= check["golden_tolerance"]
    refused = installed.run("model", "./nowhere", "-o", "folder", program="clipwarden-export")
    assert refused.returncode == 2
    assert "Run `pip install torch transformers" in refused.stderr


def test_with_both_runtimes_it_says_what_to_do(installed: Installed, image: Path) -> None:
    # Installing the real onnxruntime-gpu would take 250 MB to show the same: what counts is that it is listed.
    second = installed.packages / "onnxruntime_gpu-1.0.dist-info"
    second.mkdir()
    (second / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    try:
        for command in (["demo"], ["moderate", image], ["serve"]):
            done = installed.run(*command)
            assert done.returncode == 4
            assert "Both onnxruntime and onnxruntime-gpu are installed" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        (second / "METADATA").unlink()
        second.rmdir()


def test_without_a_runtime_it_says_what_to_do(installed: Installed, image: Path, tmp_path: Path) -> None:
    with uninstalled(installed, "onnxruntime", tmp_path):
        for command in (["demo"], ["moderate", image], ["serve"]):
            done = installed.run(*command)
            assert done.returncode == 4
            assert "run `pip install onnxruntime`" in done.stderr
            assert "Traceback" not in done.stderr
        # What needs no model still works.
        assert installed.run("--help").returncode == 0
        assert installed.run("lint", "default").returncode == 0


@contextmanager
def uninstalled(installed: Installed, package: str, aside: Path) -> Iterator[None]:
    """Lay a package aside until the block ends."""
    parts = list(installed.packages.glob(f"{package}*"))
    for part in parts:
        shutil.move(part, aside)
    try:
        yield
    finally:
        for part in parts:
            shutil.move(aside / part.name, installed.packages)


@contextmanager
def served(installed: Installed, folder: Path) -> Iterator[str]:
    """Run `clipwarden serve` on a socket in this folder until the block ends, and see that it ends well."""
    socket = folder / "s"
    settings = ("--listen", "", "--unix-socket", socket, "--metrics-listen", "")
    command = [installed.python.parent / "clipwarden", "serve", *settings]
    with subprocess.Popen(
        command, cwd=installed.folder, env=installed.environment(), stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_until_ready(installed, f"unix:{socket}")
            yield f"unix:{socket}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def _wait_until_ready(installed: Installed, address: str) -> None:
    program = f"import clipwarden; clipwarden.Client({address!r}).wait_until_ready(60)"
    subprocess.run([installed.python, "-c", program], env=installed.environment(), check=True)
