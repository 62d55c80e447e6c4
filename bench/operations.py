"""Print what TLS, tokens and the audit log cost a call: `python -m bench.operations [--starts 3] [--rounds 4]`.

One server for each way of running it, all of this machine, and one client that asks each in turn again and again for an
image that was seen before: the cheapest call there is, so that the ratios are the largest there are. What is counted is
the server's processor time alone, all its threads, by its own clock; rounds go from server to server, each from another
one on, so that a busy machine disturbs them alike. Two servers that are run alike differ by some percent all the same,
each for as long as it lives: so all start several times, and a second plain one says how much that is. Linux only.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import trustme

from bench.measure import describe_machine
from bench.photos import Photo
from bench.pressure.material import SIZES, TINY, Material, default_folder, make_material
from bench.pressure.processes import Clipwarden

CALLERS = 4
"""That ask at once; one alone would mostly wait for the way there and back."""
METHOD = "/clipwarden.v1.ModerationService/Moderate"
PLAIN, AGAIN = "plain", "plain, another process"
TOKEN = "bench-" + "0123456789abcdef" * 2


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of running a server.

    Attributes:
        flags: Of `clipwarden serve`, beside those of all.
        tls: Whether clients speak TLS to it.
        token: Whether they send one.
    """

    flags: Sequence[str] = ()
    tls: bool = False
    token: bool = False


def variants(folder: Path) -> Mapping[str, Variant]:
    """List the ways, with their files made."""
    certificate, key, tokens = _secrets(folder)
    tls = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    named = ["--tokens", str(tokens)]
    scores, chained = (["--audit-log", str(folder / f"{name}.jsonl")] for name in ("scores", "chained"))
    return {
        PLAIN: Variant(),
        AGAIN: Variant(),
        "TLS": Variant(flags=tls, tls=True),
        "TLS and tokens": Variant(flags=[*tls, *named], tls=True, token=True),
        "audit log": Variant(flags=["--audit-log", str(folder / "audit.jsonl")]),
        "audit log with scores": Variant(flags=[*scores, "--audit-scores", "true"]),
        "audit log with scores, chained": Variant(flags=[*chained, "--audit-scores", "true", "--audit-chain", "true"]),
    }


def _secrets(folder: Path) -> tuple[Path, Path, Path]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key, tokens = folder / "server.pem", folder / "server.key", folder / "tokens"
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    tokens.write_text(f"bench {TOKEN}\n")
    tokens.chmod(0o600)
    return certificate, key, tokens


class Asked:
    """A server, the connection to it, and the processor time that it takes.

    Args:
        server: Runs.
        variant: How.
        folder: Of the certificates.
    """

    def __init__(self, server: Clipwarden, variant: Variant, folder: Path) -> None:
        self._clock = (~server.pids[0] << 3) | 2  # the kernel's name for a process's own clock, clock_getcpuclockid(3)
        self._metadata = (("authorization", f"Bearer {TOKEN}"),) if variant.token else None
        options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
        if variant.tls:
            credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
            self.channel = grpc.aio.secure_channel(server.address, credentials, options)
        else:
            self.channel = grpc.aio.insecure_channel(server.address, options)

    async def microseconds(self, request: bytes, calls: int) -> float:
        """Ask so often, and return the processor time of a call."""
        method: Callable[..., object] = self.channel.unary_unary(METHOD)
        left = iter(range(calls))

        async def caller() -> None:
            for _ in left:
                await method(request, metadata=self._metadata)  # type: ignore[misc]

        before = time.clock_gettime(self._clock)
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return (time.clock_gettime(self._clock) - before) / calls * 1e6


async def measure(servers: Mapping[str, Asked], *, rounds: int, calls: int) -> dict[tuple[str, str], list[float]]:
    """Ask every server for every size in turn.

    Returns:
        Microseconds of a call, a number a round, by size and way.
    """
    requests = {name: Photo(size).in_request().next() for name, size in SIZES.items()}
    ways = list(servers)
    found: dict[tuple[str, str], list[float]] = {(size, way): [] for size in requests for way in servers}
    for number in range(rounds + 1):
        for size, request in requests.items():
            for way in (*ways[number % len(ways) :], *ways[: number % len(ways)]):
                taken = await servers[way].microseconds(request, calls)
                if number:  # the first connects, encodes, and fills caches
                    found[size, way].append(taken)
    return found


async def run(material: Material, *, rounds: int, calls: int) -> dict[tuple[str, str], list[float]]:
    """Start the servers, measure, and end them; returns as `measure` does."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as programs:
        folder, servers = Path(name), dict[str, Asked]()
        async with AsyncExitStack() as channels:
            for number, (way, variant) in enumerate(variants(folder).items()):
                home = replace(material, folder=folder / str(number))
                server = programs.enter_context(Clipwarden(home, options=variant.flags))
                servers[way] = Asked(server, variant, folder)
                channels.push_async_callback(servers[way].channel.close)
            return await measure(servers, rounds=rounds, calls=calls)


def table(found: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """Render a Markdown table: median over rounds, and the median of each round's ratio to the plain server."""
    lines = ["| image, seen before | server | µs a call | over plain | ratio |", "|---|---|---|---|---|"]
    for (size, way), taken in found.items():
        plain = found[size, PLAIN]
        more = statistics.median(own - bare for own, bare in zip(taken, plain, strict=True))
        ratio = statistics.median(own / bare for own, bare in zip(taken, plain, strict=True))
        lines.append(f"| {size} | {way} | {statistics.median(taken):.0f} | {more:+.0f} | {ratio:.3f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.operations", description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=3, help="of every server")
    parser.add_argument("--rounds", type=int, default=4, help="after one start")
    parser.add_argument("--calls", type=int, default=300, help="of one server in one round")
    options = parser.parse_args(arguments)
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    # The encoder is asked once for each size, so a small one does.
    material, found = make_material(default_folder(), geometry=TINY), dict[tuple[str, str], list[float]]()
    for _ in range(options.starts):
        for key, taken in asyncio.run(run(material, rounds=options.rounds, calls=options.calls)).items():
            found.setdefault(key, []).extend(taken)
    print(table(found))


if __name__ == "__main__":
    main()
