"""What Prometheus scrapes, read by its own parser."""

import asyncio
import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import Rig, eventually, picture, refused, serving

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(rig: Rig) -> Samples:
    def read() -> str:
        with urllib.request.urlopen(f"http://{rig.server.metrics_address}/metrics", timeout=60) as answer:
            return str(answer.read().decode())

    families = text_string_to_metric_families(await asyncio.to_thread(read))
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"clipwarden_{name}", frozenset(labels.items())]


async def test_scrape_tells_what_happened(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        for colour in ("red", "red", "blue", "green"):
            await rig.moderate(picture(colour))
        await refused(rig.moderate(b""))
        await refused(rig.moderate(b"x", policy_id="typo"))
        batch = pb.BatchModerateRequest(images=[pb.ImageSource(data=b""), pb.ImageSource(data=picture("red"))])
        await rig.stub.BatchModerate(batch)
        samples = await scrape(rig)
    assert value(samples, "requests_total", method="Moderate", code="OK") == 4
    assert value(samples, "requests_total", method="Moderate", code="INVALID_ARGUMENT") == 1
    assert value(samples, "requests_total", method="Moderate", code="NOT_FOUND") == 1
    assert value(samples, "requests_total", method="BatchModerate", code="OK") == 1
    blocked = {"policy": "colours", "verdict": "block", "shadow_verdict": "block", "shadow_incomplete": "false"}
    assert value(samples, "verdicts_total", method="Moderate", **blocked) == 2
    assert value(samples, "verdicts_total", method="BatchModerate", **blocked) == 1
    shadow = {**blocked, "verdict": "allow"}
    assert value(samples, "verdicts_total", method="Moderate", **shadow) == 1
    assert value(samples, "errors_total", method="Moderate", reason="POLICY_UNKNOWN") == 1
    assert value(samples, "image_errors_total", reason="IMAGE_EMPTY") == 2
    bands = {"policy": "colours", "category": "red", "mode": "enforce"}
    assert value(samples, "category_bands_total", band="block", **bands) == 3
    assert value(samples, "category_bands_total", band="allow", **bands) == 2
    assert not any(("category", "black") in labels and name.endswith("bands_total") for name, labels in samples)
    # Red came three times: its stages ran once.
    for stage in ("decode_wait", "decode", "queue", "encode"):
        assert value(samples, "stage_seconds_count", stage=stage) == 3
    for stage in ("judge", "total"):
        assert value(samples, "stage_seconds_count", stage=stage) == 5
    assert value(samples, "batch_views_sum") == 3
    assert value(samples, "embeddings_total", source="encoder") == 3
    assert value(samples, "embeddings_total", source="cache") == 2
    assert value(samples, "batch_seconds_count") == value(samples, "batch_views_count")
    assert value(samples, "ready") == 1
    assert value(samples, "policy_categories", policy="colours", context="", mode="enforce") == 2
    assert value(samples, "policy_unbound_categories", policy="colours") == 0
    info = {name: dict(labels) for name, labels in samples if name.endswith("_info")}
    assert info["clipwarden_model_info"]["fingerprint"] == toy_model.fingerprint
    assert info["clipwarden_policy_info"]["default"] == "true"
    assert info["clipwarden_build_info"]["version"]


async def test_gauges_follow_the_queue(toy_model: Model) -> None:
    data = picture("red")
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        with rig.encoder.held():
            calls = [asyncio.create_task(rig.moderate(data))]
            await rig.encoder.entered()
            calls += [asyncio.create_task(rig.moderate(picture("red", number=number))) for number in range(1, 3)]
            await eventually(lambda: rig.server.pipeline._batcher.statistics().waiting_items == 2)
            busy = await scrape(rig)
        await asyncio.gather(*calls)
        idle = await scrape(rig)
    assert value(busy, "admitted_images") == 3
    assert value(busy, "admitted_bytes") == sum(len(picture("red", number=number)) for number in range(3))
    assert value(busy, "queue_images") == 2
    assert value(busy, "requests_in_flight", method="Moderate") == 3
    for name in ("admitted_images", "admitted_bytes", "queue_images"):
        assert value(idle, name) == 0
    assert value(idle, "requests_in_flight", method="Moderate") == 0


async def test_callers_that_leave_are_counted_as_such(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        with rig.encoder.held():
            leaving = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            leaving.cancel()
            await eventually(lambda: rig.server.pipeline.admission.items == 0)
        await eventually(lambda: rig.server.gate._active == 0)
        samples = await scrape(rig)
    assert value(samples, "requests_total", method="Moderate", code="CANCELLED") == 1
