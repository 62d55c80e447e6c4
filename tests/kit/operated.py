"""A server process under a steady load, whose files a test changes as an operator would, waiting for what it says."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from clipwarden.modelfolder.load import Model
from kit.badpolicies import BAD_POLICIES, put
from kit.logtail import Line, LogTail
from kit.serverprocess import Process, serve_process
from kit.steady import Access, SteadyLoad
from kit.steadychecks import Timeline, Version, faults, unheard
from kit.steadypolicies import version

OTHER = "other"
"""Id of the second policy, which one of the callers asks for."""


@dataclass(kw_only=True)
class Operated:
    """A server and all that is needed to operate it.

    Attributes:
        server: Its process.
        load: On it.
        log: What it says, read on.
        policy: File of its default policy.
        timelines: What could answer when: of the default policy, and of the other one.
    """

    server: Process
    load: SteadyLoad
    log: LogTail
    policy: Path
    timelines: dict[str, Timeline]

    def hang_up(self) -> None:
        """Send SIGHUP."""
        self.server.process.send_signal(signal.SIGHUP)

    async def swap(self, to: Version) -> None:
        """Put another version in the policy's place, until all callers have heard of it."""
        self.timelines[""].offer(to)
        put(self.policy, to.text)
        await self.reloaded(to)

    async def reloaded(self, *versions: Version) -> None:
        """Wait until the server tells of versions that were offered, and all callers have been answered since."""
        for each in versions:
            await self.log.until(lambda line, digest=each.digest: tells_of(line, digest))
        for timeline in self.timelines.values():
            timeline.told()
        await self.load.round()

    async def spoil(self, kind: str, good: Version) -> None:
        """Put something bad in the policy's place, until the server says so and all callers are answered again."""
        BAD_POLICIES[kind](self.policy, good.text)
        await self.log.until(refuses)
        await self.load.round()

    def assert_nothing_is_wrong(self) -> None:
        """Insist that nothing was lost, mixed or out of time, and that every caller heard of every version."""
        assert not faults(self.load.answers, self.timelines)[:5]
        versions = [span.version for span in self.timelines[""].spans]
        assert not unheard(self.load.answers, self.load.callers - {OTHER}, versions)


def tells_of(line: Line, digest: str) -> bool:
    """Tell whether a line of the log says that a policy of this digest judges from now on."""
    return line["message"] == "policy reloaded" and line["digest"] == digest


def refuses(line: Line) -> bool:
    """Tell whether a line of the log says that what the files hold cannot be used."""
    return str(line["message"]).startswith("policies not reloaded")


@asynccontextmanager
async def operated(
    model: Model,
    model_folder: Path,
    folder: Path,
    socket_folder: Path,
    *,
    files: Sequence[Path] | None = None,
    reach: Callable[[Process], Access] = lambda server: Access(target=server.target),
    **settings: object,
) -> AsyncIterator[Operated]:
    """Run a server with two policies, under a steady load for as long as the block lasts.

    At its end the server has to hold nothing for anybody, and to stop as it should.

    Args:
        model: The toy model.
        model_folder: Where another copy of it lies.
        folder: For policies, the log, and whatever the server keeps.
        socket_folder: For its Unix socket.
        files: Where the policies are; None writes the first version of each.
        reach: How callers reach it; by its Unix socket by default.
        settings: Of `serve_process`.
    """
    first, other = version(model, 0), version(model, 1, policy_id=OTHER)
    if files is None:
        files = [folder / "colours.yaml", folder / "other.yaml"]
        for path, each in zip(files, (first, other), strict=True):
            put(path, each.text)
    # Every image is decoded and encoded anew, so that requests are under way while policies change.
    defaults: dict[str, object] = {"metrics_listen": "127.0.0.1:0", "cache_bytes": 0}
    async with serve_process(model_folder, list(files), folder, socket_folder, **defaults | settings) as server:
        load = SteadyLoad(access=reach(server), other_policy=OTHER)
        timelines = {"": Timeline(first=first), OTHER: Timeline(first=other)}
        async with load.running():
            log = LogTail(server.log)
            yield Operated(server=server, load=load, log=log, policy=files[0], timelines=timelines)
        await server.settled()
        assert await server.end() == 0
