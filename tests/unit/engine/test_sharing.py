"""The same bytes asked for by many: one piece of work, whoever of them leaves, and each by their own terms."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np
import pytest

from clipwarden.engine import pipeline as pipeline_module
from clipwarden.engine.cache import EmbeddingCache, EmbeddingKey
from clipwarden.engine.line import PATIENCE_SECONDS
from clipwarden.engine.pipeline import HASHED_HERE_BYTES, Pipeline
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.settings import EngineSettings, Source, Unobserved
from clipwarden.engine.sharing import SharedWork, Sharing
from clipwarden.engine.snapshot import Selection
from clipwarden.engine.terms import UNBOUND, Priority, Terms
from clipwarden.errors import DeadlineError, ImageError, OverloadedError, Reason, ShuttingDownError
from clipwarden.modelfolder.load import Model, Runtime
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.verdict import ViewRef
from clipwarden.vision.facts import ImageFacts
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.plan import WHOLE
from kit.serving import (
    TappedEncoder,
    colours_snapshot,
    cut_picture,
    eventually,
    held_decoding,
    next_version,
    picture,
    tapped,
)

RED = picture("red")


class Lookups(Unobserved):
    """Remembers where embeddings came from."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def note_lookup(self, source: Source) -> None:
        self.sources.append(source)


@dataclass(kw_only=True)
class Rig:
    """A pipeline with taps on its encoder, and a policy that blocks red."""

    pipeline: Pipeline
    encoder: TappedEncoder
    selection: Selection
    lookups: Lookups

    def ask(self, data: bytes = RED, selection: Selection | None = None) -> "asyncio.Task[Judged]":
        return asyncio.create_task(self.pipeline.moderate(data, selection or self.selection))

    @property
    def waiting(self) -> int:
        """How many wait for work that is under way."""
        return sum(len(work._waiters) for work in self.pipeline._sharing._works.values())

    async def ask_together(self, *selections: Selection, data: bytes = RED) -> "list[asyncio.Task[Judged]]":
        """Have several ask, one after the other; the first of them begins the work."""
        calls = []
        for selection in selections:
            calls.append(self.ask(data, selection))
            await eventually(lambda: self.waiting == len(calls))
        return calls


@asynccontextmanager
async def running(model: Model, *, cache: EmbeddingCache | None = None, **settings: object) -> AsyncIterator[Rig]:
    model, encoder = tapped(model)
    lookups = Lookups()
    async with Pipeline(model, EngineSettings(decode_threads=1, **settings), lookups, cache=cache) as pipeline:  # type: ignore[arg-type]
        encoder.forget()
        yield Rig(pipeline=pipeline, encoder=encoder, selection=colours_snapshot(model).select(), lookups=lookups)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("leaving", [0, 1, 2])
async def test_whoever_leaves_the_others_are_answered_by_one_run(
    toy_model: Model, order: tuple[int, ...], leaving: int
) -> None:
    async with running(toy_model) as rig:
        with rig.encoder.held():
            calls = await rig.ask_together(*[rig.selection] * 3)
            await rig.encoder.entered()
            for index in order[:leaving]:
                calls[index].cancel()
                with pytest.raises(asyncio.CancelledError):
                    await calls[index]
            assert rig.waiting == 3 - leaving
        answers = {index: await calls[index] for index in order[leaving:]}
        assert {answer.verdict for answer in answers.values()} == {Verdict.BLOCK}
        assert rig.encoder.sizes == [1]
        assert {index: answer.image.source for index, answer in answers.items()} == {
            index: "shared" if index else "encoder" for index in answers
        }
        assert {index: answer.image.timings is None for index, answer in answers.items()} == {
            index: index > 0 for index in answers
        }
        assert sorted(rig.lookups.sources) == sorted(answer.image.source for answer in answers.values())
        assert rig.pipeline.admission.items == 0


@pytest.mark.parametrize("stage", ["decoding", "encoding"])
@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
async def test_work_ends_with_the_last_who_waits_and_begins_anew_with_the_next(
    toy_model: Model, order: tuple[int, ...], stage: str
) -> None:
    async with running(toy_model) as rig:
        with rig.encoder.held() if stage == "encoding" else held_decoding():
            calls = await rig.ask_together(rig.selection, rig.selection)
            if stage == "encoding":
                await rig.encoder.entered()
            for index in order:
                calls[index].cancel()
                with suppress(asyncio.CancelledError):
                    await calls[index]
            again = rig.ask()  # at once: what was given up must not be joined
            await eventually(lambda: rig.waiting == 1)
        assert (await again).image.source == "encoder"
        assert rig.encoder.sizes == ([1, 1] if stage == "encoding" else [1])
        await eventually(lambda: not rig.pipeline._sharing._tasks)
        assert len(rig.pipeline._sharing) == 0


async def test_seen_image_is_neither_read_nor_decoded_nor_encoded(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = picture("red", "BMP", 256)
    assert len(RED) <= HASHED_HERE_BYTES < len(large)
    async with running(toy_model) as rig:
        first = [await rig.ask(RED), await rig.ask(large)]
        monkeypatch.setattr(pipeline_module, "read_header", pytest.fail)
        monkeypatch.setattr(pipeline_module, "decode_file", pytest.fail)
        with rig.encoder.held():
            second = [await rig.ask(RED), await rig.ask(large)]
            third = await rig.pipeline.embed(RED, WHOLE)
    assert [answer.judgement for answer in second] == [answer.judgement for answer in first]
    assert [answer.image.facts for answer in second] == [answer.image.facts for answer in first]
    assert rig.lookups.sources == ["encoder", "encoder", "cache", "cache", "cache"]
    assert (third.source, third.from_cache, third.timings) == ("cache", True, None)
    with pytest.raises(ValueError, match="read-only"):
        third.embeddings[0, 0] = 0
    with pytest.raises(DeadlineError):
        await rig.pipeline.moderate(RED, rig.selection, terms=Terms(deadline=0.0))


async def test_policy_that_is_loaded_later_judges_what_was_embedded_before(toy_model: Model) -> None:
    async with running(toy_model) as rig:
        assert (await rig.ask()).verdict is Verdict.BLOCK
        milder = colours_snapshot(toy_model, live=next_version(toy_model, ("block: 0.9}", "block: 1}"))).select()
        judged = await rig.ask(RED, milder)
    assert (judged.verdict, judged.judgement.policy_version, judged.image.from_cache) == (Verdict.REVIEW, "2", True)
    assert rig.encoder.sizes == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda model: replace(model, fingerprint="sha256:" + "0" * 64),
        lambda model: replace(model, runtime=replace(model.runtime, provider="OtherExecutionProvider")),
        lambda model: replace(model, runtime=replace(model.runtime, golden_drift=0.5)),
    ],
    ids=["fingerprint", "provider", "precision"],
)
async def test_another_model_or_way_to_run_it_shares_a_cache_but_nothing_in_it(
    toy_model: Model, change: Callable[[Model], Model]
) -> None:
    cache = EmbeddingCache(max_bytes=2**20)
    for model, source in ((toy_model, "encoder"), (change(toy_model), "encoder"), (toy_model, "cache")):
        async with running(model, cache=cache) as rig:
            assert (await rig.pipeline.embed(RED, WHOLE)).source == source
    assert cache.statistics().images == 2


async def test_what_another_engine_refuses_is_not_answered_from_what_one_took(toy_model: Model) -> None:
    cache = EmbeddingCache(max_bytes=2**20)
    async with running(toy_model, cache=cache) as rig:
        await rig.pipeline.embed(RED, WHOLE)
    async with running(toy_model, cache=cache, limits=replace(DEFAULT_LIMITS, max_side=32)) as rig:
        with pytest.raises(ImageError) as caught:
            await rig.pipeline.embed(RED, WHOLE)
    assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS


async def test_cache_of_no_bytes_keeps_nothing_but_shares(toy_model: Model) -> None:
    async with running(toy_model, cache_bytes=0) as rig:
        with rig.encoder.held():
            calls = await rig.ask_together(rig.selection, rig.selection)
        assert [answer.image.source for answer in await asyncio.gather(*calls)] == ["encoder", "shared"]
        assert (await rig.ask()).image.source == "encoder"
    assert rig.encoder.sizes == [1, 1]


async def test_bad_image_is_told_to_all_in_errors_of_their_own_and_is_not_kept(toy_model: Model) -> None:
    async with running(toy_model) as rig:
        with held_decoding():
            calls = await rig.ask_together(*[rig.selection] * 3, data=RED[:-60])
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, ImageError) for error in errors)
        assert len({str(error) for error in errors}) == 1
        assert len({id(error) for error in errors}) == 3
        assert [error.__cause__ is None for error in errors[1:] if isinstance(error, Exception)] == [True, True]
        assert len(rig.pipeline._sharing) == 0
        assert rig.encoder.sizes == []
        assert rig.lookups.sources == []


async def test_who_follows_lets_their_bytes_go(toy_model: Model) -> None:
    async with running(toy_model) as rig:
        with rig.encoder.held():
            first = rig.ask(bytes(bytearray(RED)))
            await eventually(lambda: rig.waiting == 1)
            second = bytes(bytearray(RED))
            before = sys.getrefcount(second)
            call = rig.ask(second)
            await eventually(lambda: rig.waiting == 2)
            assert sys.getrefcount(second) == before
        assert [(await each).verdict for each in (first, call)] == [Verdict.BLOCK] * 2


@pytest.mark.parametrize("strict_first", [True, False])
async def test_policy_that_refuses_cut_files_spoils_them_for_no_other(toy_model: Model, *, strict_first: bool) -> None:
    cut = cut_picture("blue", rows=32)
    lenient_text = next_version(toy_model, ("on_partial:", "on_truncated: judge, on_partial:"))
    async with running(toy_model) as rig:
        lenient = colours_snapshot(toy_model, live=lenient_text).select()
        for _ in range(2):  # made, and then kept
            with held_decoding():
                both = [rig.selection, lenient] if strict_first else [lenient, rig.selection]
                calls = [rig.ask(cut, each) for each in both]
                await eventually(lambda: rig.waiting == 2 or rig.pipeline.admission.items < 2)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            strict, judged = answers if strict_first else reversed(answers)
            assert isinstance(strict, ImageError)
            assert strict.reason is Reason.IMAGE_TRUNCATED
            assert isinstance(judged, Judged)
            assert judged.verdict is Verdict.REVIEW
        assert rig.encoder.sizes == [1]


async def test_cut_file_that_all_refuse_is_neither_encoded_nor_kept(toy_model: Model) -> None:
    async with running(toy_model) as rig:
        for _ in range(2):
            with held_decoding():
                calls = await rig.ask_together(rig.selection, rig.selection, data=cut_picture("blue", rows=32))
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, ImageError)
                assert answer.reason is Reason.IMAGE_TRUNCATED
        await eventually(lambda: not rig.pipeline._sharing._tasks)
        assert rig.encoder.sizes == []


async def test_closing_fails_all_who_wait(toy_model: Model) -> None:
    async with running(toy_model) as rig:
        with held_decoding():
            calls = await rig.ask_together(rig.selection, rig.selection)
            await rig.pipeline.close()
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, ShuttingDownError)


# The work's own terms, with what waits for a turn played by the test, and a clock that it steps.

KEY = EmbeddingKey(
    sha256="0" * 64,
    fingerprint="sha256:0",
    runtime=Runtime(provider="p", onnxruntime="1", golden_drift=None),
    limits=DEFAULT_LIMITS,
    plan=WHOLE,
)
IMAGE = EmbeddedImage(
    embeddings=np.eye(1, 4, dtype=np.float32), views=(ViewRef(name="full"),), facts=ImageFacts(), fingerprint="sha256:0"
)


@dataclass(kw_only=True)
class Queue:
    """Work that waits in a queue of the test's: the terms it queued under, and the futures it waits for."""

    now: float = 0.0
    movable: bool = True
    queued: list[Terms] = field(default_factory=list)
    turns: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sharing = Sharing(EmbeddingCache(max_bytes=0), Unobserved(), clock=lambda: self.now)

    def ask(self, terms: Terms = UNBOUND) -> "asyncio.Task[EmbeddedImage]":
        return asyncio.create_task(self.sharing.get(KEY, self._make, terms))

    async def _make(self, work: SharedWork) -> EmbeddedImage:
        await work.patiently(lambda terms: self._wait(work, terms))
        return IMAGE

    async def _wait(self, work: SharedWork, terms: Terms) -> None:
        work.movable = lambda _: self.movable
        self.queued.append(terms)
        self.turns.append(asyncio.get_running_loop().create_future())
        await self.turns[-1]


async def turns(count: int = 10) -> None:
    """Let everyone on the loop go on who can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_somebody_more_urgent_moves_the_work_and_somebody_less_does_not() -> None:
    queue = Queue()
    calls = [queue.ask(Terms(priority=Priority.BULK, caller="a"))]
    await turns()
    for terms, times in (
        (Terms(priority=Priority.BULK, caller="b"), 1),
        (Terms(priority=Priority.INTERACTIVE, caller="c"), 2),
        (Terms(priority=Priority.BULK, deadline=PATIENCE_SECONDS), 2),  # as due as it is already
        (Terms(priority=Priority.BULK, deadline=4.0), 3),
        (Terms(priority=Priority.INTERACTIVE, deadline=4.5), 3),
    ):
        calls.append(queue.ask(terms))
        await turns()
        assert len(queue.queued) == times
    assert queue.queued == [
        Terms(priority=Priority.BULK, caller="a"),
        Terms(priority=Priority.INTERACTIVE, caller="a"),
        Terms(priority=Priority.INTERACTIVE, caller="a", deadline=4.0),
    ]
    assert [turn.cancelled() for turn in queue.turns] == [True, True, False]
    queue.turns[-1].set_result(None)
    assert [image.source for image in await asyncio.gather(*calls)] == ["encoder"] + ["shared"] * 5


async def test_work_whose_turn_has_come_as_somebody_urgent_comes_ends_once() -> None:
    queue = Queue()
    calls = [queue.ask(Terms(priority=Priority.BULK))]
    await turns()
    queue.turns[0].set_result(None)
    calls.append(queue.ask())
    await turns()
    for turn in queue.turns[1:]:
        turn.set_result(None)
    assert len(await asyncio.gather(*calls)) == 2


@pytest.mark.parametrize("movable", [True, False])
async def test_work_goes_on_to_the_latest_deadline_of_those_who_wait(*, movable: bool) -> None:
    queue = Queue(movable=movable)
    calls = [queue.ask(Terms(deadline=1.0)), queue.ask(Terms(deadline=5.0))]
    await turns()
    queue.now = 2.0
    queue.turns[-1].set_exception(DeadlineError("late"))
    await turns()
    assert [terms.deadline for terms in queue.queued] == [1.0, 5.0]
    queue.now = 6.0
    queue.turns[-1].set_exception(DeadlineError("late"))
    assert isinstance((await asyncio.gather(*calls, return_exceptions=True))[0], DeadlineError)


async def test_what_is_refused_for_those_with_the_least_time_goes_on_for_the_others() -> None:
    queue = Queue()
    patient = [queue.ask(Terms(deadline=9.0)), queue.ask()]
    hurried = [queue.ask(Terms(deadline=deadline)) for deadline in (2.0, 1.0)]
    await turns()
    for _ in hurried:
        queue.turns[-1].set_exception(OverloadedError("full", retry_after_seconds=1.0))
        await turns()
    assert [terms.deadline for terms in queue.queued[-3:]] == [1.0, 2.0, 9.0]
    refused = await asyncio.gather(*hurried, return_exceptions=True)
    assert [type(error) for error in refused] == [OverloadedError] * 2
    assert refused[0] is not refused[1]
    queue.turns[-1].set_result(None)
    assert [image.source for image in await asyncio.gather(*patient)] == ["encoder", "shared"]


async def test_what_is_refused_to_the_most_patient_is_refused() -> None:
    queue = Queue()
    calls = [queue.ask(Terms(deadline=9.0)), queue.ask(Terms(deadline=9.0))]
    await turns()
    for _ in calls:  # whoever follows tries in their own name
        queue.turns[-1].set_exception(OverloadedError("full", retry_after_seconds=1.0))
        await turns()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in errors] == [OverloadedError] * 2
    assert len(queue.queued) == 2


async def test_work_that_all_refuse_for_its_facts_is_cancelled_before_it_waits_again() -> None:
    sharing = Sharing(EmbeddingCache(max_bytes=0), Unobserved())
    ended: asyncio.Future[type[BaseException] | None] = asyncio.get_running_loop().create_future()

    async def make(work: SharedWork) -> EmbeddedImage:
        work.note_facts(ImageFacts())
        try:
            await work.patiently(lambda _: asyncio.sleep(0))
        except BaseException as error:
            ended.set_result(type(error))
            raise
        return IMAGE

    def refuse(_: ImageFacts) -> None:
        raise ImageError("cut", reason=Reason.IMAGE_CORRUPT)

    with pytest.raises(ImageError):
        await sharing.get(KEY, make, UNBOUND, check=refuse)
    assert await ended is asyncio.CancelledError


async def test_caller_is_whoever_has_waited_longest() -> None:
    queue = Queue()
    first, second = queue.ask(Terms(caller="a", deadline=1.0)), queue.ask(Terms(caller="b", deadline=5.0))
    await turns()
    first.cancel()
    await turns()
    queue.now = 2.0
    queue.turns[-1].set_exception(DeadlineError("late"))
    await turns()
    assert [terms.caller for terms in queue.queued] == ["a", "b"]
    queue.turns[-1].set_result(None)
    assert (await second).source == "shared"


async def test_last_to_leave_while_the_work_moves_ends_it() -> None:
    queue = Queue()
    first = queue.ask(Terms(priority=Priority.BULK))
    await turns()
    second = queue.ask()
    await asyncio.sleep(0)  # the move is asked for, and not made yet
    first.cancel()
    second.cancel()
    await turns()
    assert queue.turns[-1].cancelled()
    assert len(queue.sharing) == 0
    assert not queue.sharing._tasks


@pytest.mark.parametrize("error", [OverloadedError("full", retry_after_seconds=1.0), DeadlineError("late"), KeyError()])
async def test_fault_of_the_one_who_began_is_not_the_others(error: Exception) -> None:
    sharing = Sharing(EmbeddingCache(max_bytes=0), Unobserved())
    outcomes: list[Exception | EmbeddedImage] = [error, IMAGE]
    goes_on = asyncio.Event()

    async def make(_: SharedWork) -> EmbeddedImage:
        await goes_on.wait()
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def never(_: SharedWork) -> Awaitable[EmbeddedImage]:
        pytest.fail("who follows has let their bytes go")

    makes = [make, never, never]
    calls = [asyncio.create_task(sharing.get(KEY, each, UNBOUND)) for each in makes]
    await turns()
    goes_on.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[0] is error
    assert [answer.source for answer in answers[1:] if isinstance(answer, EmbeddedImage)] == ["encoder", "shared"]


async def test_error_that_is_shared_keeps_no_file_alive() -> None:
    sharing = Sharing(EmbeddingCache(max_bytes=0), Unobserved())
    file = bytes(bytearray(RED))

    def asker(data: bytes) -> "asyncio.Task[EmbeddedImage]":
        async def make(_: SharedWork) -> EmbeddedImage:
            await asyncio.sleep(0)
            raise ImageError(f"{len(data)} bad bytes", reason=Reason.IMAGE_CORRUPT)

        return asyncio.create_task(sharing.get(KEY, make, UNBOUND))

    before = sys.getrefcount(file)
    calls = [asker(file) for _ in range(3)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert len({id(error) for error in errors}) == len(errors) == 3
    assert sys.getrefcount(file) == before
