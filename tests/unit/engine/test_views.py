"""Images of many views on their way through the engine: by policy, in batches, cancelled, counted and kept."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwarden import EngineSettings, Moderator
from clipwarden.engine.admission import Work
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.terms import Terms
from clipwarden.errors import ImageError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.verdict import ViewRef
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import Unseen
from clipwarden.vision.plan import MAX_VIEWS, WHOLE, ViewPlan, Views
from kit.pictures import encode, natural_picture
from kit.serving import colours_snapshot, eventually, next_version, tapped

AUTO, TILES = ViewPlan(views=Views.AUTO), ViewPlan(views=Views.TILES)


def many_views(number: int = 0) -> bytes:
    """Encode a long see-through picture, which has as many views as there may be."""
    picture = natural_picture(number, (800, 100)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return encode(picture, "PNG")


MANY = many_views()


def looser(model: Model, views: str) -> str:
    """Have the policy about colours see red in a patch, and look at such views."""
    bounds = "review: 0.8, block: 0.9", "review: 0.05, block: 0.1"
    return next_version(model, bounds, ("on_partial: review", f"on_partial: review, views: {views}"))


@pytest.fixture(scope="module", params=["whole", "auto", "tiles"])
def judged_by(
    request: pytest.FixtureRequest, toy_model: Model, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Moderator]]:
    policy = tmp_path_factory.mktemp("views") / "colours.yaml"
    policy.write_text(looser(toy_model, request.param))
    with Moderator(toy_folder, policy, vector_cache=False) as moderator:
        yield request.param, moderator


def harmed(size: tuple[int, int], sixth: int, turn: int, image_format: str) -> tuple[bytes, tuple[int, int, int, int]]:
    """Paint one sixth of a grey picture's length red, and store it turned."""
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    (width, height), long, exif = size, max(size), Image.Exif()
    start, end = long * sixth // 6, long * (sixth + 1) // 6
    box = (start, 0, end, height) if width == long else (0, start, width, end)
    picture = Image.new("RGB", size, "grey")
    picture.paste("red", box)
    exif[0x112] = turn
    stored = picture.transpose(back[turn]) if turn in back else picture
    return encode(stored, image_format, exif=exif.tobytes()), box


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(400, 300), (1600, 900), (270, 480), (301, 900), (100, 2000)], ids=str)
def test_harm_in_any_sixth_is_judged_and_its_box_says_where(
    judged_by: tuple[str, Moderator], size: tuple[int, int], image_format: str
) -> None:
    views, moderator = judged_by
    found = []
    for sixth in range(6):
        data, harm = harmed(size, sixth, 1 if image_format == "WEBP" else (1, 3, 6, 8)[sixth % 4], image_format)
        judged = moderator.moderate(data)
        found.append(judged.verdict is Verdict.BLOCK)
        facts, scored = judged.image.facts, judged.categories[0].scored
        assert (facts.file.width, facts.file.height) == size
        assert scored is not None
        box = scored.view.box
        if box is not None and found[-1]:
            assert max(box[0], harm[0]) < min(box[2], harm[2])
            assert max(box[1], harm[1]) < min(box[3], harm[3])
        if views != "whole":
            assert (
                Unseen.PARTS in facts.unseen if size == (100, 2000) else (facts.coverage, facts.partial) == (1, False)
            )
    if views == "whole":
        # A crop of 4:3 keeps a quarter of the outermost sixths.
        assert size == (400, 300) or not (found[0] or found[5])
        assert moderator.moderate(data).image.facts.coverage < 1
        assert not moderator.moderate(data).image.facts.partial
    else:
        # What gaps are left between squares is smaller than a sixth.
        assert all(found)


def test_clean_pictures_are_allowed_by_all_views_or_reviewed_where_some_are_left(
    judged_by: tuple[str, Moderator],
) -> None:
    views, moderator = judged_by
    for size in ((400, 300), (300, 2000), (100, 2000)):
        picture = Image.new("RGB", size, "grey")
        picture.paste("white", (0, 0, 60, 60))
        judged = moderator.moderate(encode(picture, "PNG"))
        left = views != "whole" and size == (100, 2000)
        assert (judged.image.facts.parts_left, judged.image.facts.partial) == (left, left)
        assert judged.verdict is (Verdict.REVIEW if left else Verdict.ALLOW) or judged.image.facts.degraded


def test_moderator_embeds_by_any_plan(judged_by: tuple[str, Moderator], toy_model: Model) -> None:
    data, (_, moderator) = encode(natural_picture(1, (480, 270)), "JPEG"), judged_by
    images = {views: moderator.embed(data, plan=ViewPlan(views=views)) for views in Views}
    for views, image in images.items():
        decoded = decode_image(data, preprocessing=toy_model.manifest.image, plan=ViewPlan(views=views))
        assert image.plan == ViewPlan(views=views)
        assert np.allclose(image.embeddings, toy_model.image.encode(decoded.pixels), atol=1e-5)
        assert [(view.name, view.box) for view in image.views] == [(view.name, view.box) for view in decoded.views]
    assert [len(image.views) for image in images.values()] == [1, 3, 18]
    assert images[Views.AUTO].views[1] == ViewRef(name="part", frame=0, box=(105, 0, 375, 270))


@pytest.mark.parametrize("max_batch", [1, 8])
@pytest.mark.parametrize("runs", [1, 3])
async def test_as_many_views_as_there_may_be_come_back_in_order_from_many_runs(
    toy_model: Model, max_batch: int, runs: int
) -> None:
    settings = EngineSettings(max_batch=max_batch, encoder_runs=runs, cache_bytes=0)
    async with Pipeline(toy_model, settings) as pipeline:
        files = [many_views(number) for number in range(4)]
        images = await asyncio.gather(*(pipeline.embed(data, TILES) for data in files))
        assert pipeline.encoder_statistics().views == 4 * MAX_VIEWS
        assert pipeline.admission.ahead == 0
    for data, image in zip(files, images, strict=True):
        decoded = decode_image(data, preprocessing=toy_model.manifest.image, plan=TILES)
        assert image.embeddings.shape == (MAX_VIEWS, 16)
        assert np.allclose(image.embeddings, toy_model.image.encode(decoded.pixels), atol=1e-5)
        assert image.timings.batch_size <= max_batch
        assert [view.box for view in image.views] == [view.box for view in decoded.views]
        assert image.facts.parts_left  # see-through, and of eight squares: some tiles found no room


async def test_no_more_views_wait_for_the_encoder_than_decodes_under_way_may_bring(toy_model: Model) -> None:
    model, encoder = tapped(toy_model)
    settings = EngineSettings(decode_threads=2, encoder_runs=1, max_batch=4, cache_bytes=0)
    async with Pipeline(model, settings) as pipeline:
        encoder.forget()
        with encoder.held():
            calls = [asyncio.create_task(pipeline.embed(many_views(number), TILES)) for number in range(8)]
            await eventually(lambda: pipeline.encoder_statistics().waiting_views >= MAX_VIEWS)
            await asyncio.sleep(0.05)
            # The first that were decoded, and those that both threads had begun before these were counted.
            assert pipeline.encoder_statistics().waiting_views <= 4 * MAX_VIEWS
            assert pipeline.admission.ahead == pipeline.encoder_statistics().waiting_views
            assert pipeline.thread_statistics()["decode"].waiting >= 4
        await asyncio.gather(*calls)
        assert (pipeline.admission.ahead, pipeline.admission.items) == (0, 0)


@pytest.mark.parametrize("max_batch", [1, 8])
async def test_views_of_an_image_that_nobody_waits_for_are_encoded_no_more(toy_model: Model, max_batch: int) -> None:
    model, encoder = tapped(toy_model)
    settings = EngineSettings(decode_threads=1, encoder_runs=1, max_batch=max_batch, cache_bytes=0)
    async with Pipeline(model, settings) as pipeline:
        encoder.forget()
        with encoder.held():
            call = asyncio.create_task(pipeline.embed(MANY, TILES))
            await encoder.entered()
            assert pipeline.admission.ahead == MAX_VIEWS - max_batch
            call.cancel()
            await eventually(lambda: (pipeline.admission.ahead, pipeline.admission.items) == (0, 0))
            assert pipeline.encoder_statistics().waiting_views == 0
        other = await pipeline.embed(encode(natural_picture(5, (64, 64)), "PNG"), WHOLE)
        assert len(other.views) == 1
        assert sum(encoder.sizes) == max_batch + 1


async def test_work_costs_as_many_views_as_the_plan_has(toy_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Pipeline(toy_model, EngineSettings(cache_bytes=0)) as pipeline:
        costs = []
        begin = pipeline.admission.begin

        def note(terms: Terms, cost: float) -> Work:
            costs.append(cost)
            return begin(terms, cost)

        monkeypatch.setattr(pipeline.admission, "begin", note)
        for plan in (WHOLE, TILES):
            pipeline._batcher.note_pace(1.0)
            await pipeline.embed(MANY, plan)
        assert costs[0] == pytest.approx(2, abs=0.5)
        assert costs[1] == pytest.approx(MAX_VIEWS, abs=1)


async def test_plans_are_kept_apart(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    async with Pipeline(toy_model) as pipeline:
        data = encode(natural_picture(6, (300, 200)), "PNG")
        first = [await pipeline.embed(data, plan) for plan in (WHOLE, AUTO, ViewPlan(frames=2))]
        again = [await pipeline.embed(data, plan) for plan in (WHOLE, AUTO, ViewPlan(frames=2))]
        assert [image.source for image in first] == ["encoder"] * 3
        assert [image.source for image in again] == ["cache"] * 3
        assert [len(image.views) for image in again] == [1, 2, 1]
        assert (await pipeline.moderate(data, snapshot.select())).image.plan == WHOLE


def test_a_file_without_a_readable_size_is_refused_as_ever(judged_by: tuple[str, Moderator]) -> None:
    errors = set()
    for views in Views:
        with pytest.raises(ImageError) as raised:
            judged_by[1].embed(b"\xff\xd8\xff\xd9", plan=ViewPlan(views=views))
        errors.add(str(raised.value))
    assert len(errors) == 1
