"""Candidates beside the live policy: they say what they would have said, and no caller can tell that they are there."""

import asyncio
import hashlib
import io
import itertools
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from clipwarden import Client, StreamItem
from clipwarden.engine import threads
from clipwarden.engine.candidates import MAX_NAME_BYTES
from clipwarden.engine.judging import judge_image, judging_microseconds
from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.snapshot import Selection
from clipwarden.modelfolder.load import Model
from clipwarden.scoring.verdict import Judgement
from clipwarden.serving import candidates
from clipwarden.serving.server import QUIET_SECONDS
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.serving import Rig, eventually, held_decoding, next_version, picture, refused, serving
from kit.toymodel import COLOURS

CONTEXTS = ("contexts:\n  poppies: {description: a field of poppies}\n", "")
RED_IN_CONTEXT = ("\n  contexts: {poppies: {review: 0.999, block: 1.0}}", "")


@pytest.fixture
def milder(toy_model: Model) -> str:
    """Version 2: reviews much, blocks no red, enforces green."""
    red = ("thresholds: {unit: cosine, review: 0.8, block: 0.9}", "thresholds: {unit: cosine, review: 0.5}")
    context = ("{review: 0.999, block: 1.0}", "{review: 0.999}")
    return next_version(toy_model, red, context, ("  mode: shadow\n", ""))


@pytest.fixture
def unenforced(toy_model: Model) -> str:
    """Version 3: blocks much, but all in shadow; declares no context."""
    yellow = ("review: 0.9}", "block: 0.4}")
    shadow = ("mode: enforce", "mode: shadow")
    return next_version(toy_model, CONTEXTS, RED_IN_CONTEXT, yellow, shadow, version="3")


@pytest.fixture
def _no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything judged in a thread."""
    monkeypatch.setattr(threads, "LOOP_BUDGET_MICROSECONDS", 0.0)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[..., list[dict[str, Any]]]:
    """The log's lines of one message; those of judged images, unless another is asked for."""
    caplog.set_level(logging.INFO, logger="clipwarden.access")
    return lambda message="judged": [vars(record) for record in caplog.records if record.message == message]


def two_coloured_pictures() -> list[bytes]:
    """Every two colours side by side, in several shares."""
    pictures = []
    for (left, right), share in itertools.product(itertools.permutations(COLOURS.values(), 2), (0, 8, 16, 24)):
        pixels = np.full((32, 32, 3), right, dtype=np.uint8)
        pixels[:, share:] = left
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "PNG")
        pictures.append(data.getvalue())
    return pictures


async def judged_by(rig: Rig, pictures: list[bytes]) -> list[pb.Moderation]:
    images = [pb.ImageSource(data=data) for data in pictures]
    batches = [images[first : first + 60] for first in range(0, len(images), 60)]
    answers = [await rig.stub.BatchModerate(pb.BatchModerateRequest(images=batch)) for batch in batches]
    return [result.moderation for answer in answers for result in answer.results]


def counts(rig: Rig, metric: str) -> Mapping[tuple[str, ...], float]:
    """Read a counter of candidates: labels to value, but for those at 0."""
    (family,) = (
        each for each in rig.server.metrics.registry.collect() if each.name == f"clipwarden_candidate_{metric}"
    )
    samples = [sample for sample in family.samples if sample.name.endswith("_total") and sample.value]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


def verdicts(rig: Rig) -> float:
    """Count the live verdicts."""
    (family,) = (each for each in rig.server.metrics.registry.collect() if each.name == "clipwarden_verdicts")
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))


def word(verdict: int) -> str:
    return pb.Verdict.Name(verdict).removeprefix("VERDICT_").lower()  # type: ignore[arg-type]


def paired(
    apart: Mapping[str, list[pb.Moderation]], verdict: Callable[[pb.Moderation], int]
) -> Mapping[tuple[str, ...], float]:
    """Count pairs of verdicts of servers run apart as the metrics of one should."""
    live = [word(verdict(each)) for each in apart["1"]]
    pairs: Counter[tuple[str, ...]] = Counter()
    for version in ("2", "3"):
        own = [word(verdict(each)) for each in apart[version]]
        pairs.update(
            ("colours", version, *pair, str(pair[0] == pair[1]).lower()) for pair in zip(live, own, strict=True)
        )
    return pairs


async def test_counts_are_those_of_servers_run_apart(toy_model: Model, milder: str, unenforced: str) -> None:
    pictures = two_coloured_pictures()
    apart = {}
    for version, text in (("1", None), ("2", milder), ("3", unenforced)):
        async with serving(toy_model, live=text) as rig:
            apart[version] = await judged_by(rig, pictures)
    async with serving(toy_model, watched_by=[unenforced, milder]) as rig:
        together = await judged_by(rig, pictures)
        await rig.server.drain()
        found, shadow = counts(rig, "verdicts"), counts(rig, "shadow_verdicts")
        assert not counts(rig, "not_compared")
    assert [each.verdict for each in together] == [each.verdict for each in apart["1"]]
    assert found == paired(apart, lambda each: each.verdict)
    assert shadow == {(*pair, "false"): n for pair, n in paired(apart, lambda each: each.shadow_verdict).items()}
    # The pictures tell the versions apart, in verdicts or, where nothing is enforced, in shadow verdicts.
    assert len([pair for pair in found if pair[1] == "2"]) >= 5
    assert {pair[3] for pair in found if pair[1] == "3"} == {"allow"}
    assert len([pair for pair in shadow if pair[1] == "3" and pair[4] == "false"]) >= 2


async def test_every_way_of_judging_is_watched(
    toy_model: Model, milder: str, lines: Callable[..., list[dict[str, Any]]]
) -> None:
    image = pb.ImageSource(data=picture("red"))

    async def items() -> Any:  # noqa: ANN401  an async generator of requests
        yield pb.StreamModerateRequest(id="s", image=image)

    async with serving(toy_model, watched_by=[milder]) as rig:
        first = await rig.moderate(picture("red"), return_embeddings=True)
        await rig.stub.BatchModerate(pb.BatchModerateRequest(images=[image]))
        assert [each.id async for each in rig.stub.StreamModerate(items())] == ["s"]
        kept = pb.ModerateEmbeddingRequest(
            embeddings=first.embeddings, model_fingerprint=first.model.fingerprint, request_id="e"
        )
        await rig.stub.ModerateEmbedding(kept)
        await rig.server.drain()
        digest = rig.server.snapshot.candidates["colours@2"].compiled.digest
        assert counts(rig, "verdicts") == {("colours", "2", "block", "review", "false"): 4}
    assert [line["method"] for line in lines()] == ["Moderate", "BatchModerate", "StreamModerate", "ModerateEmbedding"]
    review = {"verdict": "REVIEW", "shadow_verdict": "REVIEW", "decided_by": ("red",), "agrees": False}
    review |= {"shadow_incomplete": (), "shadow_agrees": False}
    for line in lines():
        assert line["verdict"] == "BLOCK"
        assert line["candidates"] == [{"version": "2", "digest": digest, **review}]


async def test_only_the_policy_that_has_its_id_is_watched(
    toy_model: Model, milder: str, lines: Callable[..., list[dict[str, Any]]]
) -> None:
    async with serving(toy_model, "colours", "others", watched_by=[milder]) as rig:
        await rig.moderate(picture("blue"), policy_id="others")
        await rig.moderate(picture("blue"), policy_id="colours")
        await rig.server.drain()
        assert sum(counts(rig, "verdicts").values()) == 1
    others, colours = lines()
    assert others["candidates"] == []
    assert [(each["version"], each["agrees"]) for each in colours["candidates"]] == [("2", True)]


def bare(message: Any) -> bytes:  # noqa: ANN401  any of our messages
    """Render an answer without its times, and without how many images happened to share a run."""
    moderations = [each.moderation for each in message.results] if hasattr(message, "results") else [message.moderation]
    for moderation in moderations:
        moderation.ClearField("timings")
    return bytes(message.SerializeToString(deterministic=True))


async def answers(rig: Rig) -> list[bytes]:
    """Ask for everything that an image can get, under ids of our own."""
    images = [pb.ImageSource(data=picture(colour)) for colour in COLOURS] + [pb.ImageSource(data=b"junk")]
    options = pb.ModerationOptions(return_embeddings=True)
    one = await rig.stub.Moderate(pb.ModerateRequest(image=images[0], options=options, request_id="m"))
    request = pb.BatchModerateRequest(images=images, options=options, request_id="b")
    several = await rig.stub.BatchModerate(request)
    kept = pb.ModerateEmbeddingRequest(
        embeddings=one.moderation.embeddings, model_fingerprint=one.moderation.model.fingerprint, request_id="e"
    )
    return [bare(one), bare(several), bare(await rig.stub.ModerateEmbedding(kept))]


@pytest.mark.parametrize("works", [True, False])
async def test_answers_are_the_same_with_candidates_and_without(
    toy_model: Model, milder: str, unenforced: str, monkeypatch: pytest.MonkeyPatch, *, works: bool
) -> None:
    async with serving(toy_model) as rig:
        alone = await answers(rig)
    if not works:
        monkeypatch.setattr(candidates, "judge_image", broken_for("2", "3"))
    async with serving(toy_model, watched_by=[milder, unenforced]) as rig:
        watched = await answers(rig)
        await rig.server.drain()
        compared = 8 if works else 0
        assert sum(counts(rig, "verdicts").values()) == 2 * compared
        assert sum(counts(rig, "not_compared").values()) == 2 * (8 - compared)
    assert watched == alone


def broken_for(*versions: str) -> Callable[[EmbeddedImage, Selection], tuple[Judgement, float]]:
    """Judge, but fail at some versions."""

    def judge(image: EmbeddedImage, selection: Selection) -> tuple[Judgement, float]:
        if selection.compiled.policy.metadata.version in versions:
            raise RuntimeError("broken by the test")
        return judge_image(image, selection)

    return judge


async def test_a_fault_in_one_candidate_is_logged_once_counted_each_time_and_stops_no_other(
    toy_model: Model,
    milder: str,
    unenforced: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="clipwarden.access")
    monkeypatch.setattr(candidates, "judge_image", broken_for("2"))
    async with serving(toy_model, watched_by=[milder, unenforced]) as rig:
        for _ in range(3):
            assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
        await rig.server.drain()
        assert counts(rig, "not_compared") == {("colours", "2", "failed"): 3}
        assert counts(rig, "verdicts") == {("colours", "3", "block", "allow", "false"): 3}
    (fault,) = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
    said = "candidate colours@2 failed: broken by the test; said once, "
    assert fault["message"] == said + "clipwarden_candidate_not_compared_total counts each image"
    assert fault["exc_info"]
    line, _, _ = [vars(record) for record in caplog.records if record.message == "judged"]
    assert [each.get("not_compared") for each in line["candidates"]] == ["failed", None]


async def test_images_of_a_context_that_a_candidate_lacks_are_counted_as_not_compared(
    toy_model: Model, milder: str, unenforced: str, lines: Callable[..., list[dict[str, Any]]]
) -> None:
    async with serving(toy_model, watched_by=[milder, unenforced]) as rig:
        assert (await rig.moderate(picture("red"), context="poppies")).verdict == pb.VERDICT_ALLOW
        await rig.server.drain()
        assert counts(rig, "not_compared") == {("colours", "3", "context_unknown"): 1}
        assert counts(rig, "verdicts") == {("colours", "2", "allow", "allow", "true"): 1}
    (line,) = lines()
    assert line["candidates"][1]["not_compared"] == "context_unknown"


async def test_a_candidate_whose_thresholds_do_not_hold_agrees_in_shadow_only_as_incomplete(
    toy_model: Model, lines: Callable[..., list[dict[str, Any]]]
) -> None:
    edited = next_version(toy_model).replace('negatives: ["blue"]', 'negatives: ["black"]')
    async with serving(toy_model, watched_by=[edited]) as rig:
        labels = {"policy": "colours", "version": "2"}
        registry = rig.server.metrics.registry
        assert registry.get_sample_value("clipwarden_candidate_unbound_categories", labels) == 1
        assert registry.get_sample_value("clipwarden_policy_unbound_categories", {"policy": "colours"}) == 0
        await rig.moderate(picture("green"))
        await rig.server.drain()
        pair = ("colours", "2", "block", "allow", "false", "true")
        assert counts(rig, "shadow_verdicts") == {pair: 1}
    (line,) = lines()
    (opinion,) = line["candidates"]
    assert (opinion["shadow_incomplete"], opinion["agrees"], opinion["shadow_agrees"]) == (("green",), True, False)
    assert line["shadow_incomplete"] == ()


async def test_a_live_policy_whose_thresholds_do_not_hold_says_so_in_the_log(
    toy_model: Model, lines: Callable[..., list[dict[str, Any]]]
) -> None:
    edited = next_version(toy_model).replace('negatives: ["blue"]', 'negatives: ["black"]')
    async with serving(toy_model, live=edited, watched_by=[next_version(toy_model, version="3")]) as rig:
        await rig.moderate(picture("green"))
        await rig.server.drain()
        assert counts(rig, "shadow_verdicts") == {("colours", "3", "allow", "block", "false", "true"): 1}
    (line,) = lines()
    assert line["shadow_incomplete"] == ("green",)
    assert line["candidates"][0]["shadow_incomplete"] == ()


@contextmanager
def held_candidates() -> Iterator[threading.Event]:
    """Hold whoever judges by a candidate until the end of the block, or until the event is set."""
    release = threading.Event()

    def hold(image: EmbeddedImage, selection: Selection) -> tuple[Judgement, float]:
        assert release.wait(timeout=60), "the test never let go of the candidates"
        return judge_image(image, selection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "judge_image", hold)
        try:
            yield release
        finally:
            release.set()


def ask_for_one(client: Client) -> Iterator[list[str]]:
    """Ask for pictures and yield, as answers come, the colours that each holds."""
    for colour in COLOURS:
        client.moderate(picture(colour), timeout=60)
        yield [colour]


def ask_for_a_batch(client: Client) -> Iterator[list[str]]:
    client.moderate_batch([picture(colour) for colour in COLOURS], timeout=60)
    yield list(COLOURS)


def ask_for_a_stream(client: Client) -> Iterator[list[str]]:
    for result in client.moderate_stream(
        [StreamItem(id=colour, image=picture(colour)) for colour in COLOURS], timeout=60
    ):
        yield [str(result.id)]


@pytest.mark.parametrize("ask", [ask_for_one, ask_for_a_batch, ask_for_a_stream])
async def test_an_answer_is_on_its_way_before_its_candidates_judge(
    toy_model: Model, milder: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Client], Iterator[list[str]]]
) -> None:
    answered = {hashlib.sha256(picture(colour)).hexdigest(): threading.Event() for colour in COLOURS}
    colours, in_time = dict(zip(COLOURS, answered.values(), strict=True)), list[bool]()

    def judge(image: EmbeddedImage, selection: Selection) -> tuple[Judgement, float]:
        assert image.facts.file
        # The server's loop stands still meanwhile: an answer that is not on its way yet never comes.
        in_time.append(answered[image.facts.file.sha256].wait(timeout=5 if all(in_time) else 0))
        return judge_image(image, selection)

    def use(target: str) -> None:
        with Client(target) as client:
            for held in ask(client):
                for colour in held:
                    colours[colour].set()

    monkeypatch.setattr(candidates, "judge_image", judge)
    async with serving(toy_model, watched_by=[milder]) as rig:
        await asyncio.to_thread(use, str(rig.server.address))
        await rig.server.drain()
    assert in_time == [True] * len(COLOURS)


async def test_the_loop_serves_others_between_a_batchs_images(
    toy_model: Model, milder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, turns, seen = asyncio.get_running_loop(), itertools.count(), list[int]()
    turn = next(turns)

    def count() -> None:
        nonlocal turn
        turn = next(turns)
        handle[0] = loop.call_soon(count)

    def judge(image: EmbeddedImage, selection: Selection) -> tuple[Judgement, float]:
        seen.append(turn)
        return judge_image(image, selection)

    handle = [loop.call_soon(count)]
    monkeypatch.setattr(candidates, "judge_image", judge)
    async with serving(toy_model, watched_by=[milder]) as rig:
        await judged_by(rig, [picture("red")] * 40)
        await rig.server.drain()
    handle[0].cancel()
    assert len(set(seen)) == len(seen) == 40


async def test_what_a_batch_holds_until_its_answer_is_no_overload(toy_model: Model, milder: str) -> None:
    async with serving(toy_model, watched_by=[milder], queue_items=4, call_in_flight=2) as rig:
        await judged_by(rig, [picture("red")] * 40)
        await rig.server.drain()
        assert counts(rig, "verdicts") == {("colours", "2", "block", "review", "false"): 40}


async def test_what_a_batch_judged_for_a_caller_who_left_is_compared(toy_model: Model, milder: str) -> None:
    async with serving(toy_model, watched_by=[milder]) as rig:
        with held_decoding(picture("blue")):
            images = [pb.ImageSource(data=picture(colour)) for colour in ("red", "blue")]
            call = rig.stub.BatchModerate(pb.BatchModerateRequest(images=images))
            await eventually(lambda: verdicts(rig) == 1)
            assert not counts(rig, "verdicts")
            call.cancel()
            await eventually(lambda: bool(counts(rig, "verdicts")))
            assert counts(rig, "verdicts") == {("colours", "2", "block", "review", "false"): 1}


async def test_what_a_stream_judged_for_a_caller_who_left_is_compared(toy_model: Model, milder: str) -> None:
    async def items() -> Any:  # noqa: ANN401  an async generator of requests
        for number in itertools.count():
            yield pb.StreamModerateRequest(id=f"{number}", image=pb.ImageSource(data=picture("red", side=8)))

    states = deque([(0.0, 0.0)], maxlen=20)

    def full() -> bool:
        states.append((verdicts(rig), sum(counts(rig, "verdicts").values())))
        judged, compared = states[-1]
        return judged - compared == 4 and states.count(states[-1]) == states.maxlen

    async with serving(toy_model, watched_by=[milder], call_in_flight=4) as rig:
        # A caller who reads nothing: once the connection is full, all that is at work has been judged and waits.
        # Probing would make it wider and wider.
        narrow = [("grpc.http2.bdp_probe", 0)]
        async with grpc.aio.insecure_channel(str(rig.server.address), options=narrow) as channel:
            stream = moderation_pb2_grpc.ModerationServiceStub(channel).StreamModerate(items())
            await eventually(full)
            stream.cancel()
        await rig.server.drain()
        assert sum(counts(rig, "verdicts").values()) == verdicts(rig)


@pytest.mark.usefixtures("_no_budget")
async def test_a_stuck_candidate_costs_no_answer_and_no_health(
    toy_model: Model, milder: str, lines: Callable[..., list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(toy_model, watched_by=[milder]) as rig:
        rig.server.candidates._threads._stall_seconds = 0.05
        with held_candidates():
            for _ in range(3):
                assert (await rig.moderate(picture("red"), timeout=60)).verdict == pb.VERDICT_BLOCK
            await eventually(lambda: counts(rig, "not_compared") == {("colours", "2", "failed"): 3})
            assert rig.server.stuck
            check = health_pb2_grpc.HealthStub(rig.channel).Check(health_pb2.HealthCheckRequest())
            assert (await check).status == health_pb2.HealthCheckResponse.SERVING
        await eventually(lambda: not rig.server.stuck)
        rig.server.candidates._threads._stall_seconds = 60
        await rig.moderate(picture("red"))
        await rig.server.drain()
        assert counts(rig, "verdicts") == {("colours", "2", "block", "review", "false"): 1}
    assert len(lines()) == 4
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


@pytest.mark.usefixtures("_no_budget")
async def test_images_that_would_wait_too_long_are_counted_as_not_compared(
    toy_model: Model, milder: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(toy_model, watched_by=[milder], queue_items=2) as rig:
        with held_candidates():
            for _ in range(5):
                await rig.moderate(picture("red"), timeout=60)
            assert counts(rig, "not_compared") == {("colours", "2", "overloaded"): 3}
        await rig.server.drain()
        assert sum(counts(rig, "verdicts").values()) == 2
    said = "candidate colours@2 overloaded; said once, clipwarden_candidate_not_compared_total counts each image"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [said]


@pytest.mark.usefixtures("_no_budget")
async def test_a_server_that_drains_waits_for_candidates_and_one_that_hurries_says_so(
    toy_model: Model, milder: str, lines: Callable[..., list[dict[str, Any]]]
) -> None:
    async with serving(toy_model, watched_by=[milder]) as rig:
        with held_candidates() as release:
            await rig.moderate(picture("red"))
            draining = asyncio.create_task(rig.server.drain())
            await eventually(rig.server.gate.draining.is_set)
            # By then no call has come for long enough; all that the drain waits for is the candidate.
            done, _ = await asyncio.wait({draining}, timeout=3 * QUIET_SECONDS)
            assert not done
            assert lines() == []
            release.set()
            await draining
            assert len(lines()) == 1
    async with serving(toy_model, watched_by=[milder]) as rig:
        with held_candidates():
            await rig.moderate(picture("blue"))
            await rig.server.close()
            assert counts(rig, "not_compared") == {("colours", "2", "stopped"): 1}
    drained, hurried = lines()
    assert drained["candidates"][0]["verdict"] == "REVIEW"
    assert hurried["candidates"][0]["not_compared"] == "stopped"


async def test_candidates_that_are_long_together_leave_the_loop(
    toy_model: Model, milder: str, unenforced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def judge(image: EmbeddedImage, selection: Selection) -> tuple[Judgement, float]:
        seen.append(threading.current_thread().name)
        return judge_image(image, selection)

    monkeypatch.setattr(candidates, "judge_image", judge)
    here = threading.current_thread().name
    for watched_by, in_thread in (([milder], False), ([milder, unenforced], True)):
        seen.clear()
        async with serving(toy_model, watched_by=watched_by) as rig:
            costs = [judging_microseconds(1, each.compiled) for each in rig.server.snapshot.candidates.values()]
            monkeypatch.setattr(threads, "LOOP_BUDGET_MICROSECONDS", 1.5 * max(costs))
            await rig.moderate(picture("red"))
            await rig.server.drain()
        assert len(seen) == len(watched_by)
        assert all(name.startswith("clipwarden-judge candidates") if in_thread else name == here for name in seen)


async def test_candidates_are_listed_apart_and_told_in_full(toy_model: Model, milder: str, unenforced: str) -> None:
    async with serving(toy_model, "ant", "colours", watched_by=[unenforced, milder]) as rig:
        listed = await rig.stub.ListPolicies(pb.ListPoliciesRequest())
        pages = [
            await rig.stub.ListPolicies(pb.ListPoliciesRequest(page_size=1, page_token=token)) for token in ("", "1")
        ]
        live = (await rig.stub.GetPolicy(pb.GetPolicyRequest(policy_id="colours"))).policy
        shown = (await rig.stub.GetPolicy(pb.GetPolicyRequest(policy_id="colours@2"))).policy
        unknown = await refused(rig.stub.GetPolicy(pb.GetPolicyRequest(policy_id="colours@1.0")))
    assert [each.policy.id for each in listed.policies] == ["ant", "colours"]
    told = [(each.policy.id, each.policy.version, each.enforced_categories) for each in listed.candidates]
    assert told == [("colours", "2", 3), ("colours", "3", 0)]
    assert [[each.policy.version for each in page.candidates] for page in pages] == [[], ["2", "3"]]
    assert (shown.ref.version, live.ref.version) == ("2", "1.0")
    assert shown.ref.digest == listed.candidates[0].policy.digest != live.ref.digest
    assert not shown.categories[0].bounds.HasField("block")
    assert unknown.code == code_pb2.NOT_FOUND


async def test_the_longest_name_of_a_candidate_may_be_asked_for(toy_model: Model) -> None:
    longest = "v" * (MAX_NAME_BYTES - len("colours@"))
    async with serving(toy_model, watched_by=[next_version(toy_model, version=longest)]) as rig:
        shown = (await rig.stub.GetPolicy(pb.GetPolicyRequest(policy_id=f"colours@{longest}"))).policy
    assert shown.ref.version == longest


async def test_the_candidate_of_a_default_policy_is_no_default(toy_model: Model, milder: str) -> None:
    async with serving(toy_model, watched_by=[milder]) as rig:
        listed = await rig.stub.ListPolicies(pb.ListPoliciesRequest())
        shown = (await rig.stub.GetPolicy(pb.GetPolicyRequest(policy_id="colours@2"))).policy
    assert [each.is_default for each in (*listed.policies, *listed.candidates, shown)] == [True, False, False]


async def test_no_request_is_judged_by_a_candidate(toy_model: Model, milder: str) -> None:
    async with serving(toy_model, watched_by=[milder]) as rig:
        answer = await refused(rig.moderate(picture("red"), policy_id="colours@2"))
    assert (answer.code, answer.reason) == (code_pb2.NOT_FOUND, "POLICY_UNKNOWN")
    assert answer.message == "'colours@2' is a candidate, which only watches; 'colours' is the policy to name"


async def test_a_share_of_nothing_is_0_before_any_image(toy_model: Model, milder: str) -> None:
    async with serving(toy_model, watched_by=[milder]) as rig:
        registry = rig.server.metrics.registry
        labels = {"policy": "colours", "version": "2"}
        pair = {**labels, "verdict": "allow", "candidate_verdict": "block", "agrees": "false"}
        assert registry.get_sample_value("clipwarden_candidate_verdicts_total", pair) == 0
        digest = rig.server.snapshot.candidates["colours@2"].compiled.digest
        assert registry.get_sample_value("clipwarden_candidate_info", {**labels, "digest": digest}) == 1
        assert registry.get_sample_value("clipwarden_candidate_unbound_categories", labels) == 0
        (family,) = (each for each in registry.collect() if each.name == "clipwarden_candidate_verdicts")
        assert len([sample for sample in family.samples if sample.name.endswith("_total")]) == 9
