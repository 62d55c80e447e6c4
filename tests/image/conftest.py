"""The image that the tests share, built once."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.image import kit
from tests.image.tools import FOLDER, ROOT

IMAGE = "localhost/clipwarden:tested"


@pytest.fixture(scope="session")
def _base() -> None:
    """Give the stand-in the name of what it stands in for, in our own folder of images."""
    missing = [name for name in ("buildah", "podman", "runc") if not shutil.which(name)]
    assert not missing, f"no {', '.join(missing)} here: `make test-image` installs them"
    assert os.geteuid() == 0, "images are built by root here: `make test-image` becomes it"
    assert (FOLDER / "base.tar").exists(), "no base here: `make test-image` makes it"
    if kit.podman("image", "exists", kit.base_name(), check=False).returncode != 0:
        kit.podman("import", FOLDER / "base.tar", kit.base_name())


@pytest.fixture(scope="session")
def image(_base: None) -> Iterator[str]:
    """Build the checkout's own Dockerfile."""
    start = time.monotonic()
    kit.build_ours(ROOT, IMAGE)
    print(f"\nbuilt in {time.monotonic() - start:.0f} s")  # noqa: T201  a figure for whoever runs it with -s
    yield IMAGE
    kit.podman("rmi", "--force", IMAGE)


@pytest.fixture(scope="session")
def layers(image: str, tmp_path_factory: pytest.TempPathFactory) -> list[kit.Layer]:
    """Read its layers, the base's first."""
    return kit.layers(image, tmp_path_factory.mktemp("pushed"))


@pytest.fixture
def writable(tmp_path: Path) -> Path:
    """A folder of the image's user, as an emptyDir with the pod's fsGroup is."""
    folder = tmp_path / "writable"
    folder.mkdir()
    os.chown(folder, 65532, 65532)
    # What pytest makes is root's alone, and podman mounts by path.
    return folder
