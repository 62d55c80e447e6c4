"""What Prometheus scrapes, read by its own parser."""

import asyncio
import itertools
import time
import urllib.request
from collections.abc import Mapping

import grpc
from prometheus_client.parser import text_string_to_metric_families

from clipwarden.errors import Reason
from clipwarden.machine import usable_cpus
from clipwarden.modelfolder.load import Model
from clipwarden.serving.config import MESSAGE_MARGIN
from clipwarden.serving.looplag import watch_lag
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import Rig, eventually, held_decoding, picture, refused, serving

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
    assert info["clipwarden_plan_info"] == {
        "encoder_threads": "1",
        "encoder_runs": "1",
        "max_batch": "8",
        "decode_threads": "2",
        "cpus": f"{usable_cpus():g}",
    }


async def test_counters_of_known_labels_are_at_0_before_the_first_event(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        samples = await scrape(rig)
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["ModerationService"].methods}
    for method in methods:
        assert {value(samples, "errors_total", method=method, reason=reason) for reason in Reason} == {0}
        for code in ("OK", "CANCELLED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL"):
            assert value(samples, "requests_total", method=method, code=code) == 0
    for cause in ("items", "bytes", "share", "wait", "late", "streams"):
        assert value(samples, "refusals_total", cause=cause) == 0
    assert value(samples, "image_errors_total", reason="IMAGE_CORRUPT") == 0
    for source in ("encoder", "cache", "shared"):
        assert value(samples, "embeddings_total", source=source) == 0
    judging = {method for method in methods if not method.endswith(("Policies", "Policy"))}
    assert len(judging) == 4
    alike = {"policy": "colours", "shadow_incomplete": "false"}
    for method, word in itertools.product(judging, ("allow", "review", "block")):
        assert value(samples, "verdicts_total", method=method, verdict=word, shadow_verdict=word, **alike) == 0
    assert len([name for name, _ in samples if name == "clipwarden_verdicts_total"]) == 12


async def test_each_part_tells_how_long_it_was_at_work(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        before = await scrape(rig)
        with rig.encoder.held():
            call = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            held = await scrape(rig)
            await asyncio.sleep(0.05)
            later = await scrape(rig)
        await call
        after = await scrape(rig)
    limits = {part: value(after, "busy_limit", part=part) for part in ("decode", "encode", "processors")}
    assert limits == {"decode": 2, "encode": 1, "processors": usable_cpus()}
    encoding = [value(samples, "busy_seconds_total", part="encode") for samples in (before, held, later, after)]
    assert encoding == sorted(encoding)
    assert encoding[2] - encoding[1] >= 0.05  # though the run has not ended
    for part in ("read", "decode", "processors"):
        assert value(after, "busy_seconds_total", part=part) > value(before, "busy_seconds_total", part=part)


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


async def test_calls_that_die_of_their_deadline_are_errors_of_that_reason(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        with rig.encoder.held():
            # gRPC sends 1.234 s as 1.24: the caller leaves 6 ms before the server's deadline.
            deadlines = (0.2, 1.234)
            calls = [rig.moderate(picture("red", number=at), timeout=each) for at, each in enumerate(deadlines)]
            ended = await asyncio.gather(*calls, return_exceptions=True)
            await eventually(lambda: rig.server.gate._active == 0)
        samples = await scrape(rig)
    codes = [end.code() for end in ended if isinstance(end, grpc.aio.AioRpcError)]
    assert codes == [grpc.StatusCode.DEADLINE_EXCEEDED] * 2
    assert value(samples, "errors_total", method="Moderate", reason="DEADLINE_EXCEEDED") == 2
    assert value(samples, "requests_total", method="Moderate", code="DEADLINE_EXCEEDED") == 2
    assert (
        samples.get(("clipwarden_requests_total", frozenset({("method", "Moderate"), ("code", "CANCELLED")})), 0) == 0
    )


async def test_gauges_tell_of_messages_that_are_read_and_of_calls_that_wait_for_that(toy_model: Model) -> None:
    slot = 100_000 + MESSAGE_MARGIN
    limits = {"max_image_bytes": 100_000, "max_message_bytes": slot, "queue_bytes": slot}
    async with serving(toy_model, metrics_listen="127.0.0.1:0", max_streams=1, **limits) as rig:
        rig.server.reads._give_way_seconds = rig.server.reads._patience_seconds = 1000.0
        unsent = [rig.channel.stream_unary("/clipwarden.v1.ModerationService/Moderate")() for _ in range(3)]
        streams = [rig.stub.StreamModerate()]
        await eventually(lambda: rig.server.service.streams == 1)
        streams.append(rig.stub.StreamModerate())
        await refused(streams[1].read())
        await eventually(lambda: rig.server.reads.waiting == 2)
        busy = await scrape(rig)
        for call in (*unsent, streams[0]):
            call.cancel()
        await eventually(lambda: rig.server.gate._active == rig.server.reads.reading == 0)
        idle = await scrape(rig)
    told = {"reading_messages": 1, "reserved_bytes": slot, "unread_calls": 2, "open_streams": 1, "admitted_images": 3}
    assert {name: value(busy, name) for name in told} == told
    assert value(busy, "admitted_bytes") == 0
    assert value(busy, "refusals_total", cause="streams") == 1
    assert {name: value(idle, name) for name in told} == dict.fromkeys(told, 0)


async def test_gauges_tell_what_is_at_work_how_long_others_waited_and_what_is_stuck(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0", decode_threads=1, encoder_runs=1) as rig:
        with held_decoding() as release:
            calls = [asyncio.create_task(rig.moderate(picture("red", number=number))) for number in range(3)]
            await eventually(lambda: rig.server.pipeline.thread_statistics()["decode"].waiting == 2)
            busy = await scrape(rig)
            release.set()
            await asyncio.gather(*calls)
        rig.server.pipeline._judges._pool.stuck = 1
        idle = await scrape(rig)
        rig.server.pipeline._judges._pool.stuck = 0
    assert (value(busy, "line_images"), value(busy, "decode_threads_busy")) == (2, 1)
    assert value(busy, "oldest_seconds") > value(idle, "oldest_seconds") == 0
    assert (value(idle, "line_images"), value(idle, "decode_threads_busy"), value(idle, "encoder_runs_busy")) == (
        0,
        0,
        0,
    )
    assert 0 < value(idle, "batch_fill") <= 1
    stuck = {stage: value(idle, "stuck_threads", stage=stage) for stage in ("read", "decode", "judge", "encode")}
    assert stuck == {"read": 0, "decode": 0, "judge": 1, "encode": 0}


async def test_loop_that_is_held_up_is_seen_to_lag() -> None:
    seen: list[float] = []
    sampler = asyncio.create_task(watch_lag(seen.append, seconds=0.0))
    await eventually(lambda: len(seen) > 0)
    seen.clear()
    time.sleep(0.05)  # noqa: ASYNC251  what is measured
    await eventually(lambda: len(seen) > 0)
    sampler.cancel()
    assert seen[0] >= 0.05
