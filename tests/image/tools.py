"""Put what an image is built from here into a folder: a stand-in for the base, and the packages as files.

`make test-image` runs this once, as root: `python tests/image/tools.py FOLDER`. The build itself then needs no network.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".work" / "image"
SUITES = {(3, 11): "bookworm", (3, 13): "trixie"}
"""Debian's releases by their Python, which has to be the one that chooses the packages."""
LOCKS = ("requirements-build.txt", "requirements-cpu.txt")
PIP_CONF = "[global]\nno-index = true\nfind-links = /wheels\n"
"""Where pip finds the packages while the image is built: the folder is mounted there."""


def fetch(folder: Path) -> None:
    """Fill the folder with `base.tar`, `wheels` and `pip.conf`; what is there stays."""
    if sys.version_info[:2] not in SUITES:
        sys.exit(f"The image is built here with Python 3.11 or 3.13, and this is {sys.version.split()[0]}.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pip.conf").write_text(PIP_CONF)
    _wheels(folder / "wheels")
    if not (folder / "base.tar").exists():
        _base(folder)


def _wheels(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    for lock in LOCKS:
        requirements = ["--require-hashes", "--only-binary", ":all:", "--requirement", ROOT / "container" / lock]
        subprocess.run([*command, *requirements, "--dest", folder], check=True)


def _base(folder: Path) -> None:
    """Make a Debian with nothing but Python and pip, in the place of `python:3.13-slim`."""
    tree = folder / "base"
    suite = SUITES[sys.version_info[:2]]
    packages = "--include=ca-certificates,python3,python3-pip,python3-venv"
    subprocess.run(["debootstrap", "--variant=minbase", packages, suite, tree], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["tar", "--create", "--file", folder / "base.part", "--directory", tree, "."], check=True)
    (folder / "base.part").rename(folder / "base.tar")
    subprocess.run(["rm", "--recursive", tree], check=True)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
