"""Judging in this process: what a notebook, a script or a worker does with `Moderator`."""

import asyncio
import gc
import io
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwarden import AsyncModerator, EngineSettings, ImageResult, Judged, Moderator
from clipwarden.engine.in_order import in_order
from clipwarden.errors import (
    ContextUnknownError,
    EmbeddingError,
    FingerprintMismatchError,
    ImageError,
    ModelError,
    PolicyUnknownError,
    Reason,
    ShuttingDownError,
)
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.floors import Floor
from clipwarden.scoring.verdict import Raise
from clipwarden.vision.facts import Unseen
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.plan import ViewPlan, Views
from kit.pictures import encode, natural_picture
from kit.serving import colours_yaml, cut_picture, picture

DEMO = Path(__file__).parents[3] / "service" / "clipwarden" / "demo" / "images"
COLOURS = {"blue": Verdict.ALLOW, "yellow": Verdict.REVIEW, "red": Verdict.BLOCK}


@pytest.fixture(scope="module")
def policy(toy_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for colour in COLOURS:
        (folder / f"{colour}.png").write_bytes(picture(colour))
    return folder


@pytest.fixture(scope="module")
def moderator(toy_folder: Path, policy: Path) -> Iterator[Moderator]:
    with Moderator(toy_folder, policy, vector_cache=False) as moderator:
        yield moderator


def test_a_folder_is_judged_in_five_lines(moderator: Moderator, folder: Path) -> None:
    verdicts = {}
    for result in moderator.moderate_many(sorted(folder.iterdir())):
        verdicts[Path(result.name).stem] = result.unwrap().verdict
    assert verdicts == COLOURS


def test_an_image_may_be_a_path_bytes_or_an_open_file(moderator: Moderator, folder: Path) -> None:
    path = folder / "red.png"
    data = path.read_bytes()
    with path.open("rb") as file:
        for image in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file):
            judged = moderator.moderate(image)
            assert (judged.verdict, judged.decided_by) == (Verdict.BLOCK, ("red",))


def test_results_are_typed_and_hold_what_they_rest_on(moderator: Moderator) -> None:
    judged = moderator.moderate(picture("red"))
    (red,) = [result for result in judged.categories if result.id == "red"]
    assert (red.band, red.category.reason_code) == (Verdict.BLOCK, "RED-1")
    assert red.scored is not None
    assert red.scored.score == pytest.approx(1, abs=0.1)
    assert judged.image.facts.file is not None
    assert (judged.image.facts.file.format, judged.judgement.policy_id) == ("PNG", "colours")


def test_what_cannot_be_judged_is_an_error_or_one_result_of_many(moderator: Moderator, folder: Path) -> None:
    with pytest.raises(ImageError):
        moderator.moderate(b"no image")
    with pytest.raises(FileNotFoundError):
        moderator.moderate(folder / "missing.png")
    with pytest.raises(TypeError, match="a path, bytes or a file"):
        moderator.moderate(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='mode "rb"'):
        moderator.moderate(io.StringIO("text"))  # type: ignore[arg-type]
    images = [b"no image", folder, folder / "red.png"]
    results = list(moderator.moderate_many(images))
    assert [type(result.error) for result in results] == [ImageError, IsADirectoryError, type(None)]
    assert [result.name for result in results] == ["<bytes>", str(folder), str(folder / "red.png")]
    with pytest.raises(ImageError):
        results[0].unwrap()


def test_wrong_requests_end_the_whole_and_not_one_image(moderator: Moderator) -> None:
    with pytest.raises(PolicyUnknownError):
        moderator.moderate(picture("red"), policy="typo")
    with pytest.raises(ContextUnknownError):
        next(moderator.moderate_many([picture("red")], context="typo"))


def test_contexts_change_thresholds(moderator: Moderator) -> None:
    assert moderator.moderate(picture("red"), context="poppies").verdict is Verdict.ALLOW


def test_files_are_read_no_further_than_the_limit(toy_folder: Path, policy: Path) -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1, /) -> bytes:
            assert size > 0
            self.taken += size
            return bytes(size)

    endless, settings = Endless(), EngineSettings(limits=DecodeLimits(max_image_bytes=1000))
    with (
        Moderator(toy_folder, policy, vector_cache=False, settings=settings) as small,
        pytest.raises(ImageError, match="more than 1,000 bytes"),
    ):
        small.moderate(endless)
    assert endless.taken == 1001


def test_images_are_taken_as_there_is_room_and_results_come_in_their_order(moderator: Moderator) -> None:
    taken = []

    def images() -> Iterator[bytes]:
        for number in range(20):
            taken.append(number)
            yield picture("red" if number % 3 == 0 else "blue")

    results = moderator.moderate_many(images(), at_once=4)
    first = next(results)
    assert first.unwrap().verdict is Verdict.BLOCK
    assert len(taken) <= 5
    verdicts = [result.unwrap().verdict for result in results]
    assert verdicts == [Verdict.BLOCK if number % 3 == 0 else Verdict.ALLOW for number in range(1, 20)]


@pytest.mark.parametrize("images", ["uploads", b"bytes", Path("uploads")])
def test_one_image_is_not_taken_for_several(moderator: Moderator, images: object) -> None:
    with pytest.raises(TypeError, match="for a folder, give"):
        moderator.moderate_many(images)  # type: ignore[arg-type]


def test_whoever_bounds_what_is_at_work_is_never_refused(toy_folder: Path, policy: Path, moderator: Moderator) -> None:
    with Moderator(toy_folder, policy, vector_cache=False, settings=EngineSettings(queue_items=2)) as small:
        results = list(small.moderate_many([picture("red")] * 40, at_once=40))
    assert [result.error for result in results] == [None] * 40
    with pytest.raises(ValueError, match="at least 1"):
        moderator.moderate_many([picture("red")], at_once=0)


def test_verdicts_travel_and_say_what_they_are_in_a_line(moderator: Moderator) -> None:
    judged = moderator.moderate(picture("red"))
    there = pickle.loads(pickle.dumps(judged))  # noqa: S301  our own bytes
    assert (there.judgement, there.model) == (judged.judgement, judged.model)
    assert np.array_equal(there.image.embeddings, judged.image.embeddings)
    assert repr(judged) == "<Judged BLOCK by red, policy colours, model toy>"
    (result,) = moderator.moderate_many([picture("blue")])
    assert repr(result) == "<ImageResult <bytes>: <Judged ALLOW, policy colours, model toy>>"


def test_judging_again_later_counts_no_time_before(moderator: Moderator) -> None:
    image = moderator.embed(picture("red", number=1))
    assert image.timings is not None
    first, second = moderator.judge(image), moderator.judge(image)
    assert min(first.total_seconds, second.total_seconds) < image.timings.total


def test_an_image_is_embedded_once_and_judged_again(moderator: Moderator) -> None:
    image = moderator.embed(picture("red"))
    assert moderator.judge(image).judgement == moderator.moderate(picture("red")).judgement


def test_an_embedding_of_a_file_that_ends_early_is_judged_where_the_policy_says_so(
    toy_folder: Path, toy_model: Model, policy: Path, tmp_path: Path
) -> None:
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(colours_yaml(toy_model, "lenient").replace("on_partial:", "on_truncated: judge, on_partial:"))
    with Moderator(toy_folder, [policy, lenient], vector_cache=False) as moderator:
        cut = moderator.embed(cut_picture("blue", rows=32))
        with pytest.raises(ImageError, match="The PNG image ends too early: 50 % of its rows are whole") as caught:
            moderator.judge(cut)
        with pytest.raises(ImageError, match="The PNG image ends too early"):
            moderator.moderate(cut_picture("blue", rows=32))
        judged = moderator.judge(cut, policy="lenient")
    assert caught.value.reason is Reason.IMAGE_TRUNCATED
    assert (judged.verdict, judged.judgement.raised_by) == (Verdict.REVIEW, (Raise.PARTIAL,))
    assert (judged.image.facts.unseen, judged.image.facts.share_shown) == ((Unseen.ROWS,), 0.5)


def test_a_picture_is_looked_at_as_the_policy_says_and_held_to_its_floors(
    toy_folder: Path, toy_model: Model, policy: Path, tmp_path: Path
) -> None:
    texts = {"strict": "least_coverage: 0.6, on_partial:", "all": "views: auto, least_coverage: 1, on_partial:"}
    for name, keys in texts.items():
        text = colours_yaml(toy_model, name).replace("on_partial:", keys).replace("mode: enforce", "mode: shadow")
        (tmp_path / f"{name}.yaml").write_text(text)
    wide = encode(natural_picture(1, (160, 90)), "PNG")
    with Moderator(
        toy_folder, [policy, *(tmp_path / f"{name}.yaml" for name in texts)], vector_cache=False
    ) as moderator:
        plain = moderator.moderate(wide)
        strict, everything = (moderator.moderate(wide, policy=name) for name in texts)
        embedded = moderator.embed(wide, plan=ViewPlan(views=Views.AUTO))
        assert moderator.judge(embedded, policy="all").judgement == everything.judgement
        with pytest.raises(EmbeddingError, match="the embeddings are of the view plan auto, not whole"):
            moderator.judge(embedded, policy="strict")
    assert (plain.partial, plain.judgement.missed) == (False, ())
    assert (strict.partial, strict.judgement.missed) == (True, (Floor.COVERAGE,))
    assert strict.judgement.shadow_verdict >= Verdict.REVIEW
    assert (everything.partial, everything.judgement.missed, everything.image.facts.coverage) == (False, (), 1.0)
    assert len(everything.image.views) > 1


def test_many_threads_share_one(moderator: Moderator) -> None:
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda colour: moderator.moderate(picture(colour)).verdict, [*COLOURS] * 8))
    assert verdicts == [*COLOURS.values()] * 8


def moderator_threads() -> int:
    return sum(thread.name == "clipwarden-moderator" for thread in threading.enumerate())


def test_it_opens_at_first_use_and_again_after_close(toy_folder: Path, policy: Path) -> None:
    before = moderator_threads()
    moderator = Moderator(toy_folder, policy, vector_cache=False)
    assert moderator_threads() == before
    assert moderator.moderate(picture("red")).verdict is Verdict.BLOCK
    moderator.close()
    moderator.close()
    assert moderator.moderate(picture("red")).verdict is Verdict.BLOCK
    moderator.close()


def test_what_cannot_be_loaded_says_so_and_may_be_tried_again(tmp_path: Path) -> None:
    moderator = Moderator(tmp_path / "missing")
    for _ in range(2):
        with pytest.raises(ModelError, match="no model folder"):
            moderator.moderate(picture("red"))
    moderator.close()


async def test_tasks_of_one_loop_share_the_asynchronous_twin(toy_folder: Path, policy: Path, folder: Path) -> None:
    paths = [folder / f"{colour}.png" for colour in COLOURS]

    async def images() -> AsyncIterator[Path]:
        for path in paths:
            yield path

    async with AsyncModerator(toy_folder, policy, vector_cache=False) as moderator:
        judged = await asyncio.gather(*(moderator.moderate(picture(colour)) for colour in COLOURS))
        assert [each.verdict for each in judged] == [*COLOURS.values()]
        results: list[ImageResult] = [result async for result in moderator.moderate_many(images())]
        assert {Path(result.name).stem: result.unwrap().verdict for result in results} == COLOURS
        image = await moderator.embed(picture("red"))
        assert (await moderator.judge(image)).verdict is Verdict.BLOCK


async def test_a_caller_that_leaves_does_not_take_the_others_model_along(toy_folder: Path, policy: Path) -> None:
    moderator = AsyncModerator(toy_folder, policy, vector_cache=False)
    leaving, staying = (asyncio.create_task(moderator.moderate(picture("red"))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).verdict is Verdict.BLOCK
    await moderator.close()


async def test_a_caller_that_is_cancelled_while_it_loads_is_cancelled(toy_folder: Path, policy: Path) -> None:
    moderator = AsyncModerator(toy_folder, policy, vector_cache=False)
    waiting = asyncio.create_task(moderator.moderate(picture("red")))
    await asyncio.sleep(0)
    waiting.cancel()
    await moderator.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_closing_fails_what_is_at_work_with_an_error_of_ours(toy_folder: Path, policy: Path) -> None:
    for _ in range(10):
        moderator = AsyncModerator(toy_folder, policy, vector_cache=False)
        await moderator.snapshot()
        calls = [asyncio.create_task(moderator.moderate(picture("red"))) for _ in range(8)]
        await asyncio.sleep(0.001)
        await moderator.close()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {Judged, ShuttingDownError}


async def test_closing_while_it_loads_tells_the_callers(toy_folder: Path, policy: Path) -> None:
    moderator = AsyncModerator(toy_folder, policy, vector_cache=False)
    waiting = asyncio.create_task(moderator.moderate(picture("red")))
    await asyncio.sleep(0)
    await moderator.close()
    with pytest.raises(ShuttingDownError):
        await waiting
    assert (await moderator.moderate(picture("red"))).verdict is Verdict.BLOCK
    await moderator.close()


def test_one_loop_after_another_may_use_it(toy_folder: Path, policy: Path) -> None:
    moderator = AsyncModerator(toy_folder, policy, vector_cache=False)
    for _ in range(2):
        assert asyncio.run(moderator.moderate(picture("red"))).verdict is Verdict.BLOCK


def test_use_beside_close_gives_verdicts_or_says_that_it_was_closed(toy_folder: Path, policy: Path) -> None:
    moderator, stop, strange = Moderator(toy_folder, policy, vector_cache=False), threading.Event(), []

    def use() -> None:
        while not stop.is_set():
            try:
                assert moderator.moderate(picture("red")).verdict is Verdict.BLOCK
                for result in moderator.moderate_many([picture("red")] * 3):
                    result.unwrap()
            except ShuttingDownError:
                continue
            except BaseException as error:  # noqa: BLE001  what else there may be is what this looks for
                strange.append(repr(error))
                return

    users = [threading.Thread(target=use, daemon=True) for _ in range(4)]
    for user in users:
        user.start()
    for _ in range(10):
        moderator.snapshot()
        moderator.close()
    stop.set()
    for user in users:
        user.join(60)
    assert not any(user.is_alive() for user in users)
    moderator.close()
    assert strange == []


def test_a_moderator_that_the_garbage_collector_finds_ends_its_thread(toy_folder: Path, policy: Path) -> None:
    before = moderator_threads()
    moderator = Moderator(toy_folder, policy, vector_cache=False)
    moderator.snapshot()
    cycle: list[object] = [moderator]
    cycle.append(cycle)
    (thread,) = [thread for thread in threading.enumerate() if thread is moderator._open()._end._thread]
    del moderator, cycle
    gc.collect()
    thread.join(60)
    assert moderator_threads() <= before


def test_results_carried_over_a_fork_say_so(toy_folder: Path, policy: Path, folder: Path) -> None:
    program = f"""
import os
from clipwarden import Moderator
from clipwarden.errors import ShuttingDownError

moderator = Moderator({str(toy_folder)!r}, {str(policy)!r}, vector_cache=False)
results = moderator.moderate_many([{str(folder / "red.png")!r}] * 50, at_once=2)
next(results)
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(list(results)))
    moderator.close()
else:
    try:
        next(results)
    except ShuttingDownError:
        os._exit(7)
"""
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.stdout, done.stderr) == ("7 49\n", "")


def test_results_asked_for_after_close_say_so(toy_folder: Path, policy: Path) -> None:
    moderator = Moderator(toy_folder, policy, vector_cache=False)
    results = moderator.moderate_many([picture("red")] * 10, at_once=2)
    assert next(results).unwrap().verdict is Verdict.BLOCK
    moderator.close()
    with pytest.raises(ShuttingDownError):
        list(results)


async def test_another_loop_is_refused_with_a_sentence(toy_folder: Path, policy: Path) -> None:
    async with AsyncModerator(toy_folder, policy, vector_cache=False) as moderator:

        def elsewhere() -> None:
            asyncio.run(moderator.moderate(picture("red")))

        with pytest.raises(RuntimeError, match="belongs to the event loop that used it first"):
            await asyncio.to_thread(elsewhere)


async def test_leaving_early_cancels_what_is_at_work() -> None:
    cancelled = []

    async def work(item: int) -> int:
        if item == 0:
            return item
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(item)
        raise AssertionError

    results = in_order(range(5), work, width=3)
    assert await anext(results) == 0
    await results.aclose()
    assert cancelled == [1, 2]


@pytest.mark.parametrize("ending", ["", "results.close()"])
def test_a_program_that_forgets_to_close_ends_in_silence(
    toy_folder: Path, policy: Path, folder: Path, ending: str
) -> None:
    program = f"""
from clipwarden import Moderator
first, second, third = (Moderator({str(toy_folder)!r}, {str(policy)!r}, vector_cache=False) for _ in range(3))
print(first.moderate({str(folder / "red.png")!r}).verdict.name)
print(second.moderate({str(folder / "red.png")!r}).verdict.name)
del second
results = third.moderate_many([{str(folder / "red.png")!r}] * 100)
print(next(results).judged.verdict.name)
{ending}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=90)
    assert (done.stdout, done.stderr) == ("BLOCK\n" * 3, "")


def test_an_interrupt_while_it_loads_leaves_one_traceback() -> None:
    program = """
import os, signal, threading, time
from clipwarden import Moderator
moderator = Moderator(vector_cache=False)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
moderator.snapshot()
time.sleep(600)  # where it was loaded by then
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert done.stderr.count("Traceback") == 1
    assert "never" not in done.stderr


def test_threads_of_a_fork_open_one_and_the_same(toy_folder: Path, policy: Path, folder: Path) -> None:
    program = f"""
import os, sys, threading
from clipwarden import Moderator

moderator = Moderator({str(toy_folder)!r}, {str(policy)!r}, vector_cache=False)
moderator.moderate({str(folder / "red.png")!r})
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    moderator.close()
    print(os.waitstatus_to_exitcode(status))
    sys.exit()
sys.setswitchinterval(1e-6)
verdicts = []
threads = [
    threading.Thread(target=lambda: verdicts.append(moderator.moderate({str(folder / "red.png")!r}).verdict.name))
    for _ in range(8)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
moderator.close()
print(verdicts == ["BLOCK"] * 8, flush=True)
os._exit(0)
"""
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.stdout.split(), done.stderr) == (["True", "0"], "")


def test_warnings_that_are_errors_change_no_verdict(toy_folder: Path, policy: Path, folder: Path) -> None:
    program = f"""
from clipwarden import Moderator
with Moderator({str(toy_folder)!r}, {str(policy)!r}, vector_cache=False) as moderator:
    print(moderator.moderate({str(folder / "odd.jpg")!r}).image.facts.file.format)
"""
    odd = Image.new("RGB", (64, 64), "red")
    odd.save(folder / "odd.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 3)
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    (folder / "odd.jpg").unlink()
    assert done.stdout == "JPEG\n", done.stderr


def _judge_for_pool(moderator: Moderator, data: bytes) -> Judged:
    return moderator.moderate(data)


def test_a_pool_of_workers_gives_verdicts_and_errors_back(moderator: Moderator) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        good = pool.submit(_judge_for_pool, moderator, picture("yellow"))
        bad = pool.submit(_judge_for_pool, moderator, b"no image")
        assert good.result(timeout=60).verdict is Verdict.REVIEW
        with pytest.raises(ImageError) as caught:
            bad.result(timeout=60)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


def _judge_in_child(moderator: Moderator, data: bytes) -> str:
    verdict = moderator.moderate(data).verdict.name
    moderator.close()
    return verdict


def test_a_moderator_travels_to_a_spawned_worker(moderator: Moderator) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(_judge_in_child, moderator, picture("yellow")).result(timeout=60) == "REVIEW"


def test_a_copy_carries_what_it_was_made_with_and_nothing_else(moderator: Moderator) -> None:
    copy = pickle.loads(pickle.dumps(moderator))  # noqa: S301  our own bytes
    assert copy.moderate(picture("red")).verdict is Verdict.BLOCK
    copy.close()


def test_embeddings_of_another_model_are_refused(moderator: Moderator) -> None:
    with Moderator(vector_cache=False) as other:
        image = other.embed(picture("red"))
    with pytest.raises(FingerprintMismatchError):
        moderator.judge(image)


def test_judging_here_loads_neither_grpc_nor_prometheus() -> None:
    program = f"""
import sys
from pathlib import Path
from clipwarden import Moderator
with Moderator(vector_cache=False) as moderator:
    for result in moderator.moderate_many(sorted(Path({str(DEMO)!r}).glob("*.png"))):
        print(Path(result.name).name, result.unwrap().verdict.name)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("grpc", "prometheus_client")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *verdicts, modules = done.stdout.splitlines()
    assert modules == "[]"
    assert "beer-mug.png BLOCK" in verdicts
    assert {line.split()[1] for line in verdicts} == {"ALLOW", "REVIEW", "BLOCK"}
