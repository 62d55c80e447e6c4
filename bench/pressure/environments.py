"""Environments of their own for peers and tools, so that nothing of theirs reaches ours: `make bench-peers`."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.pressure.material import default_folder

# The runtime and the image library are the ones that we are measured with.
_SAME = ("onnxruntime", "pillow", "numpy")
PEERS = {"fastapi": ("fastapi==0.165.0", "uvicorn[standard]==0.54.0"), "litserve": ("litserve==0.2.19",)}
TOOLS = {"tools": ("matplotlib==3.11.2", "py-spy==0.4.3")}


def environment_python(folder: Path, name: str) -> Path | None:
    """Return an environment's Python; None where it was not made."""
    python = folder / "environments" / name / "bin" / "python"
    return python if (python.parent.parent / "made").exists() else None


def tool(folder: Path, name: str) -> Path | None:
    """Return a program of the environment for tools; None where that was not made."""
    python = environment_python(folder, "tools")
    return python.with_name(name) if python else None


def make(folder: Path) -> None:
    """Make the environments that are not there yet.

    Raises:
        CalledProcessError: pip failed; what it said is on stderr.
    """
    from importlib.metadata import version  # noqa: PLC0415  of our own environment

    same = [f"{name}=={version(name)}" for name in _SAME]
    for name, packages in {**PEERS, **TOOLS}.items():
        if environment_python(folder, name) is None:
            print(f"making {folder / 'environments' / name}", flush=True)
            _make_one(folder / "environments" / name, [*packages, *(same if name in PEERS else ())])


def _make_one(where: Path, packages: Sequence[str]) -> None:
    venv.create(where, with_pip=True, clear=True)
    pip = [str(where / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages], check=True)
    (where / "made").touch()


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else default_folder())
