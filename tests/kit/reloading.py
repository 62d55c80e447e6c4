"""Policy files of a running server: put in place as people and Kubernetes do, and waited for until they were loaded."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from clipwarden.modelfolder.load import Model
from clipwarden.serving.server import Server
from kit.serving import Rig, eventually, next_version, serving

_numbers = count(1)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file in one step, as editors and `clipwarden restore` do."""
    beside = path.with_name(f".{path.name}-{next(_numbers)}")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    beside.replace(path)


class ConfigMap:
    """A folder as the kubelet mounts a ConfigMap: `NAME -> ..data/NAME`, `..data -> ..2026_1`, exchanged by `..data`.

    Source: Kubernetes, pkg/volume/util/atomic_writer.go.

    Args:
        folder: Where; must not exist.
        files: Content by name.
    """

    def __init__(self, folder: Path, **files: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.exchange(**files)
        for name in self._named(files):
            (folder / name).symlink_to(Path("..data") / name)

    def exchange(self, **files: str) -> None:
        """Put other content in the place of all of it."""
        version = self.folder / f"..2026_{next(_numbers)}"
        version.mkdir()
        for name, text in self._named(files).items():
            (version / name).write_text(text)
        before = (self.folder / "..data").resolve() if (self.folder / "..data").is_symlink() else None
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        if before:
            for file in before.iterdir():
                file.unlink()
            before.rmdir()

    @staticmethod
    def _named(files: dict[str, str]) -> dict[str, str]:
        return {f"{name}.yaml": text for name, text in files.items()}


@asynccontextmanager
async def loaded_again(server: Server, times: int = 1) -> AsyncIterator[None]:
    """Wait, at the end of the block, until policies were loaded again so many times since its beginning."""
    before = server.reloader.attempts
    yield
    await eventually(lambda: server.reloader.attempts >= before + times)


async def load_again(server: Server) -> None:
    """Have the policies loaded again as SIGHUP does, and wait for the outcome."""
    async with loaded_again(server):
        server.reloader.request()


@asynccontextmanager
async def serving_files(
    model: Model, *policies: Path, ids: Sequence[str] = ("colours",), **changes: object
) -> AsyncIterator[Rig]:
    """Run a server that loads files again; what it begins with are policies about colours, whatever the files hold.

    Args:
        model: Usually the toy model.
        policies: Their files.
        ids: Of the policies that it begins with.
        changes: As for `serving`, `candidates` among them.
    """
    files = {"policies": tuple(map(str, policies)), "vector_cache": None}
    async with serving(model, *ids, **(files | changes)) as rig:  # type: ignore[arg-type]
        yield rig


def versions(model: Model) -> Iterator[str]:
    """Write ever new versions of the policy about colours, told apart by digest and by version, `2` first."""
    for number in count(2):
        threshold = f"review: 0.8{number:04}1"
        yield next_version(model, ("{unit: cosine, review: 0.8,", f"{{unit: cosine, {threshold},"), version=str(number))


def digest(server: Server, policy_id: str = "colours") -> str:
    """Tell the digest of what judges new requests."""
    return server.snapshot.tables[policy_id].compiled.digest
