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
