"""How long each part of a server has been at work, out of how long it could have: by that share a fleet is scaled.

What waits, and what is refused, tell of a server only once it is full. The share of its time that its busiest part is
at work rises with the images from the first one on, so that there is a number of servers that stays. On CPUs that part
is the processors, whose share grows as the images do, and threads' the faster the more of them fight for a core; with a
device it is the encoder's run, and with many cores the threads that wait for the interpreter.
"""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Read = Callable[[], tuple[float, float]]
"""Returns for how many seconds something has been at work so far, and how many of them each second could bring."""


class Workload(Collector):
    """Two series for each part, read when Prometheus asks.

    Args:
        registry: Where they are collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._parts: dict[str, Read] = {}
        registry.register(self)

    def watch(self, part: str, read: Read) -> None:
        """Read how much a part has worked from a function."""
        self._parts[part] = read

    def watch_processors(self, cpus: float) -> None:
        """Read what this process has had of so many processors."""
        self.watch("processors", lambda: (time.process_time(), cpus))

    def collect(self) -> Iterable[Metric]:
        """Read all parts."""
        busy = CounterMetricFamily(
            "clipwarden_busy_seconds", "Seconds that a part has been at work, its threads added up.", labels=["part"]
        )
        most = GaugeMetricFamily(
            "clipwarden_busy_limit", "How many of those seconds each second could bring: its threads.", labels=["part"]
        )
        for part, read in self._parts.items():
            seconds, limit = read()
            busy.add_metric([part], seconds)
            most.add_metric([part], limit)
        return busy, most
