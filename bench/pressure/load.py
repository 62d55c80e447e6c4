"""A generator in a process of its own: JSON lines say what to send, JSON lines come back with what came of it.

`python -m bench.pressure.load` reads one line a run (`Load`), and answers each with one (`Summary`). Closed loop: so
many callers, each of which sends when it has its answer. Open loop: arrivals at fixed times, none skipped, each latency
counted from the time it was due, so that a slow server cannot slow its own test down (no coordinated omission); how
late the generator itself sent is part of the answer.
"""

import asyncio
import gc
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.photos import Photo
from bench.pressure.loads import Answer, Caller, Load, Summary
from bench.pressure.processes import cpu_seconds, resident_bytes
from bench.pressure.statistics import percentiles

PAUSE_SECONDS = 0.05
"""What a caller of a closed loop waits after a call without a verdict: it would be an endless loop on a full server."""


@dataclass(kw_only=True, slots=True)
class Record:
    """One call, in `time.perf_counter()` seconds."""

    stream: int
    due: float
    sent: float
    ended: float
    answer: Answer


class Run:
    """One run of a load.

    Args:
        load: What to send.
        caller: How.
    """

    def __init__(self, load: Load, caller: Caller) -> None:
        self._load, self._caller = load, caller
        self._records: list[Record] = []
        self._begin = self._end = 0.0
        self._cpu = (0.0, 0.0)
        self._peak = 0

    async def run(self) -> Summary:
        """Send, and wait for the last answer."""
        self._begin = time.perf_counter() + self._load.warm_seconds
        self._end = self._begin + self._load.seconds
        watch = asyncio.create_task(self._watch())
        measure = asyncio.create_task(self._measure())
        await (self._closed() if self._load.callers else self._burst() if self._load.burst else self._open())
        await measure
        watch.cancel()
        return self._summary()

    async def _closed(self) -> None:
        async def caller(number: int) -> None:
            while (now := time.perf_counter()) < self._end:
                if (await self._call(number, now)).outcome != "verdict":
                    await asyncio.sleep(PAUSE_SECONDS)

        await asyncio.gather(*(caller(number) for number in range(self._load.callers)))

    async def _burst(self) -> None:
        await asyncio.sleep(self._begin - time.perf_counter())
        await asyncio.gather(*(self._call(number, self._begin) for number in range(self._load.burst)))

    async def _open(self) -> None:
        loop, calls = asyncio.get_running_loop(), set[asyncio.Task[Answer]]()
        start = self._begin - self._load.warm_seconds
        rates = self._load.rates

        async def stream(number: int, rate: float) -> None:
            # Streams begin spread over their own interval, or all would call in the same instant.
            phase = (number + 1) / len(rates) / rate
            for count in itertools.count():
                due = start + phase + count / rate
                if due >= self._end:
                    return
                if (wait := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                task = loop.create_task(self._call(number if len(rates) > 1 else count, due, stream=number))
                calls.add(task)
                task.add_done_callback(calls.discard)

        await asyncio.gather(*(stream(number, rate) for number, rate in enumerate(rates)))
        while calls:
            await asyncio.wait(calls)

    async def _call(self, connection: int, due: float, *, stream: int = 0) -> Answer:
        sent = time.perf_counter()
        left = due + self._load.deadline - sent
        answer = await self._caller.call(connection, left) if left > 0 else Answer(outcome="never sent")
        ended = time.perf_counter()
        if answer.outcome == "verdict" and ended > due + self._load.deadline:
            answer = Answer(outcome="late", retries=answer.retries)
        self._records.append(Record(stream=stream, due=due, sent=sent, ended=ended, answer=answer))
        return answer

    async def _measure(self) -> None:
        await asyncio.sleep(self._begin - time.perf_counter())
        own, others = time.process_time(), cpu_seconds(self._load.pids)
        await asyncio.sleep(self._end - time.perf_counter())
        self._cpu = (time.process_time() - own, cpu_seconds(self._load.pids) - others)

    async def _watch(self) -> None:
        while True:
            self._peak = max(self._peak, resident_bytes(self._load.pids))
            await asyncio.sleep(0.5)

    def _summary(self) -> Summary:
        closed = bool(self._load.callers)
        records = [r for r in self._records if self._begin <= (r.ended if closed else r.due) < self._end]
        outcomes: dict[str, int] = {}
        for record in records:
            outcomes[record.answer.outcome] = outcomes.get(record.answer.outcome, 0) + 1
        streams = range(max(1, len(self._load.rates)))
        return Summary(
            seconds=self._load.seconds,
            offered=len(records),
            outcomes=outcomes,
            verdicts_a_second=outcomes.get("verdict", 0) / self._load.seconds,
            verdict_ms=_latencies(records, "verdict"),
            accepted_ms=_latencies(records, "verdict", "late"),
            refused_ms=_latencies(records, "refused"),
            unadvised=sum(r.answer.outcome == "refused" and not r.answer.advised for r in records),
            attempts=sum(1 + r.answer.retries for r in records),
            lag_ms=percentiles([(r.sent - r.due) * 1000 for r in records]),
            generator_cpu=self._cpu[0],
            server_cpu=self._cpu[1],
            peak_bytes=self._peak,
            verdicts_by_stream=[sum(r.stream == s and r.answer.outcome == "verdict" for r in records) for s in streams],
            offered_by_stream=[sum(r.stream == s for r in records) for s in streams],
        )


def _latencies(records: Sequence[Record], *outcomes: str) -> dict[str, float | None]:
    return percentiles([(r.ended - r.due) * 1000 for r in records if r.answer.outcome in outcomes])


def images(load: Load) -> Callable[[], bytes]:
    """Return what gives the next image: a new one each time, or always the same."""
    photo = Photo(load.size, padding=load.padding)
    source = photo if load.protocol in ("http", "client") else photo.in_request()
    if not load.same:
        return source.next
    only = source.next()
    return lambda: only


def make_caller(load: Load) -> Awaitable[Caller]:
    """Connect as the load says."""
    # Late, so that a generator loads only what it sends with.
    if load.protocol == "http":
        from bench.pressure.httpcalls import HttpCaller  # noqa: PLC0415

        return HttpCaller.connect(load, images(load))
    if load.protocol == "client":
        from bench.pressure.clientcalls import ClientCaller  # noqa: PLC0415

        return ClientCaller.connect(load, images(load))
    if load.protocol == "mix":
        from bench.pressure.mixedcalls import MixedCaller  # noqa: PLC0415

        return MixedCaller.connect(load, images(load))
    from bench.pressure.grpccalls import GrpcCaller  # noqa: PLC0415

    return GrpcCaller.connect(load, images(load))


async def run(load: Load) -> Summary:
    """Connect, send, and close."""
    caller = await make_caller(load)
    try:
        gc.collect()
        gc.freeze()
        return await Run(load, caller).run()
    finally:
        await caller.close()


def main() -> int:
    """Serve loads until stdin ends.

    Returns:
        Exit status.
    """
    for line in sys.stdin:
        load = Load(**_with_tuples(json.loads(line)))
        print(json.dumps(asdict(asyncio.run(run(load)))), flush=True)
    return 0


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Make tuples again of what JSON has lists for."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


if __name__ == "__main__":
    sys.exit(main())
