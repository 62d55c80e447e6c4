"""A fleet under the autoscaler that the chart renders: by its targets and pace the number of pods settles and stays."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from tests.platform.kit import render

CAPACITY = 60.0
"""Images a second of one pod."""
OWN_CPUS = ((0.0, 0.0), (1.0, 1.0))
SHARED_CPUS = ((0.0, 0.0), (0.5, 0.37), (0.7, 0.46), (0.85, 0.59), (1.0, 1.0))
"""Share of time that the busiest part of a server works, by load: the latter as measured, straight in between."""
Curve = Sequence[tuple[float, float]]
STEP_SECONDS = 15
START_STEPS, SEEN_STEPS = 3, 4
"""Steps until a pod that is added judges, and until what it does is in a rate, as of its middle."""
TOLERANCE = 0.1
"""How far what is wanted may be from what is there, and an HPA does nothing. Source: its default in Kubernetes."""


def busy(curve: Curve, load: float) -> float:
    for (low, from_), (high, to) in pairwise(curve):
        if load <= high:
            return from_ + (to - from_) * (load - low) / (high - low)
    return 1.0


def measured(curve: Curve, load: float) -> dict[str, float]:
    """What a pod says on average; by short deadlines what is too much is refused, and the queue stays short."""
    full = load > 1
    return {
        "clipwarden_busy_share": busy(curve, load),
        "clipwarden_oldest_seconds": 2.0 if full else 0.0,
        "clipwarden_refusals_per_second": max(0.0, load - 1) * CAPACITY,
    }


def quantity(text: str) -> float:
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)


class Autoscaler:
    """Kubernetes' own arithmetic: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/."""

    def __init__(self, metrics: Sequence[str], *, curve: Curve = OWN_CPUS, target: str = "700m") -> None:
        scaling = {"type": "hpa", "minReplicas": 2, "maxReplicas": 30, "hpa": {"busy": {"averageValue": target}}}
        self.spec = spec = render({"autoscaling": scaling}).one("HorizontalPodAutoscaler")["spec"]
        self.curve = curve
        self.targets = {
            item["pods"]["metric"]["name"]: quantity(item["pods"]["target"]["averageValue"])
            for item in spec["metrics"]
            if item["pods"]["metric"]["name"] in metrics
        }
        self.pods: list[int] = [spec["minReplicas"]]
        self.wanted: list[int] = []

    def step(self, images: float) -> None:
        now = self.pods[-1]
        # Pods that do not judge yet count as idle: what the others say is added up, and shared by all.
        telling = min(now, self.pods[max(0, len(self.pods) - 1 - START_STEPS - SEEN_STEPS)])
        told = measured(self.curve, images / (CAPACITY * telling))
        shares = [told[name] * telling / now / target for name, target in self.targets.items()]
        asked = max(now if abs(share - 1) <= TOLERANCE else math.ceil(now * share) for share in shares)
        self.wanted.append(max(self.spec["minReplicas"], min(self.spec["maxReplicas"], asked)))
        self.pods.append(self._paced(now))

    def _paced(self, now: int) -> int:
        up, down = self.spec["behavior"]["scaleUp"], self.spec["behavior"]["scaleDown"]
        lowest_wanted = max(self.wanted[-max(1, down["stabilizationWindowSeconds"] // STEP_SECONDS) :])
        if self.wanted[-1] > now:
            return min(self.wanted[-1], max(self._bound(policy, sign=1) for policy in up["policies"]))
        return now if lowest_wanted >= now else max(lowest_wanted, self._least(down["policies"]))

    def _least(self, policies: Sequence[dict[str, Any]]) -> int:
        return min(self._bound(policy, sign=-1) for policy in policies)

    def _bound(self, policy: dict[str, Any], *, sign: int) -> int:
        before = self.pods[max(0, len(self.pods) - 1 - policy["periodSeconds"] // STEP_SECONDS)]
        by = policy["value"] if policy["type"] == "Pods" else before * policy["value"] / 100
        return math.ceil(before + by) if sign > 0 else math.floor(before - by)


def hours(scaler: Autoscaler, images: float, *, count: float = 3) -> list[int]:
    """The number of pods, a quarter of a minute each, under load that varies by some percent about a mean."""
    chance = random.Random(7)  # noqa: S311  no secret
    for _ in range(int(count * 3600 / STEP_SECONDS)):
        scaler.step(images * chance.uniform(0.97, 1.03))
    return scaler.pods


ALL = ("clipwarden_busy_share", "clipwarden_oldest_seconds", "clipwarden_refusals_per_second")


@pytest.mark.parametrize("images", [150.0, 400.0, 1000.0])
@pytest.mark.parametrize(("curve", "target"), [(OWN_CPUS, "700m"), (SHARED_CPUS, "500m")], ids=["own", "shared"])
def test_the_number_of_pods_settles_and_has_room(images: float, curve: Curve, target: str) -> None:
    last_hour = hours(Autoscaler(ALL, curve=curve, target=target), images)[-240:]
    assert len(set(last_hour)) == 1
    assert 0.45 < images / (CAPACITY * last_hour[0]) < 0.85


def test_by_waiting_and_refusals_alone_it_would_come_and_go() -> None:
    pods = hours(Autoscaler(ALL[1:]), 400.0)
    assert len(set(pods[-240:])) > 1
    assert min(pods[-240:]) * CAPACITY < 400.0 * 1.03


def test_a_rush_is_followed_at_once_and_left_slowly() -> None:
    pods = hours(Autoscaler(ALL), 1000.0, count=0.25)
    assert max(after / before for before, after in zip(pods, pods[4:], strict=False)) <= 2
    assert pods[-1] * CAPACITY > 1000.0
    scaler = Autoscaler(ALL)
    scaler.pods, scaler.wanted = [20], [20] * 20
    for _ in range(240):
        scaler.step(60.0)
    assert scaler.pods[:19] == [20] * 19  # there was need until then, for all that anybody knows
    assert all(
        before - after <= math.ceil(before * 0.1) for before, after in zip(scaler.pods, scaler.pods[4:], strict=False)
    )
    assert scaler.pods[-1] <= 3
