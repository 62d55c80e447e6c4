"""A folder whose files change as those of a mounted ConfigMap or Secret do: all at once, by one symbolic link.

Source: AtomicWriter of Kubernetes (pkg/volume/util/atomic_writer.go): the files lie in a folder of their own, `..data`
points to it, each visible name is a link through `..data`, and a rename makes `..data` point to the next folder.
"""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path


class ConfigMap:
    """One volume.

    Args:
        folder: Where it is mounted; made if it is not there.
        files: Names to contents.
    """

    def __init__(self, folder: Path, files: Mapping[str, str | bytes]) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        folder.mkdir(parents=True, exist_ok=True)
        self.swap(files)

    def __getitem__(self, name: str) -> Path:
        """Where a file is seen."""
        return self._folder / name

    def swap(self, files: Mapping[str, str | bytes]) -> None:
        """Put these files into the place of those that are there, as the kubelet does."""
        before = (self._folder / "..data").resolve()
        new = self._folder / f"..2026_11_28_21_16_{next(self._numbers):02}.000000001"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content.encode() if isinstance(content, str) else content)
        link = self._folder / "..data_tmp"
        link.symlink_to(new.name)
        link.rename(self._folder / "..data")
        for name in files:
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
        for name in [each.name for each in self._folder.iterdir() if not each.name.startswith("..")]:
            if name not in files:
                (self._folder / name).unlink()
        if before.name != "..data":  # that there was none before the first
            shutil.rmtree(before)
