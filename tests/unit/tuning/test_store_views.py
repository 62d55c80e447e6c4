"""Stores of more views than one: times, boxes and what was seen are kept, floors are judged, other plans refused."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clipwarden.engine.judging import judge_image
from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.snapshot import make_snapshot
from clipwarden.errors import StoreError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.floors import Floor
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.scores import missed_floors, score_store
from clipwarden.tuning.store.columns import LATER_FIELDS, Kind
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.records import PictureRecord
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.store.storefile import Charter, read_charter
from clipwarden.tuning.verdicts import judge_store
from clipwarden.vision.plan import MAX_VIEWS, WHOLE, ViewPlan, Views
from kit.serving import colours_yaml, compile_text
from kit.stores import digest_of, made_picture, made_upload, only_part, rewrite_part, write_store
from kit.toymodel import DIM

AUTO16 = ViewPlan(views=Views.AUTO, frames=16)


def charter(model: Model, plan: ViewPlan) -> Charter:
    sight = Sight(model="toy", fingerprint=model.fingerprint, provider="X", precision="fp32", plan=plan, width=DIM)
    return Charter(source=Source.SET, sight=sight)


def looked_at(number: int, *views: ViewRef, **facts: object) -> PictureRecord:
    """Make a picture up that was looked at in some ways."""
    return replace(made_picture(number, views=len(views), **facts), views=views)


PARTS = (
    ViewRef(name="part", box=(0, 0, 48, 48)),
    ViewRef(name="part", box=(16, 0, 64, 48)),
)
FRAMES = tuple(ViewRef(name="full", frame=frame, seconds=frame / 7) for frame in (0, 3, 12))
PICTURES = (
    made_picture(1, coverage=0.75, resolution=48.0),
    looked_at(2, *PARTS, resolution=48.0),
    looked_at(3, *FRAMES, frames_total=20, frames_judged=3, frames_seen=20, coverage=0.5, resolution=20.5),
    looked_at(4, *FRAMES, frames_total=20, frames_judged=3, frames_seen=19),
    looked_at(5, *PARTS, parts_left=True, coverage=0.1, resolution=200.0),
    looked_at(6, *(replace(PARTS[0], frame=frame, seconds=0.5 * frame) for frame in range(MAX_VIEWS))),
)


def stored(path: Path, model: Model, plan: ViewPlan = AUTO16) -> Path:
    numbers = range(1, len(PICTURES) + 1)
    return write_store(path, map(made_upload, numbers), PICTURES, charter=charter(model, plan), each=4)


def row_of(store: Store, number: int) -> int:
    return store.pictures.sha256.find([digest_of(number)])[0]


def images(store: Store) -> list[EmbeddedImage]:
    """Give every picture back as the engine had it."""
    facts = {each.sha256: each.facts for each in PICTURES}
    bounds = [*store.pictures.starts.tolist(), len(store.pictures.views)]
    return [
        EmbeddedImage(
            embeddings=store.pictures.embeddings[begin:end],
            views=store.pictures.views[begin:end],
            facts=facts[sha256],  # type: ignore[arg-type]
            fingerprint=store.info.fingerprint,
            plan=store.info.plan,
        )
        for sha256, (begin, end) in zip(store.pictures.sha256, pairwise(bounds), strict=True)
    ]


def of_plan(compiled: CompiledPolicy, plan: ViewPlan = AUTO16, **changes: object) -> CompiledPolicy:
    """Give a policy another plan; its numbers are said to hold, since none of this is about them."""
    return replace(compiled, policy=replace(compiled.policy, plan=plan, **changes))  # type: ignore[arg-type]


@pytest.fixture
def compiled(toy_model: Model) -> CompiledPolicy:
    return compile_text(colours_yaml(toy_model), toy_model)


def test_times_boxes_and_what_was_seen_come_back(tmp_path: Path, toy_model: Model) -> None:
    path = stored(tmp_path / "store", toy_model)
    assert read_charter(path).sight.plan == AUTO16
    store = open_store(path)
    assert store.info.plan == AUTO16
    for picture in PICTURES:
        row = store.pictures.sha256.find([picture.sha256])[0]
        first = int(store.pictures.starts[row])
        assert tuple(store.pictures.views[first : first + len(picture.views)]) == tuple(picture.views)
        facts = picture.facts
        assert facts is not None
        assert store.pictures.partial[row] == facts.partial
        assert store.pictures.coverage[row] == facts.coverage
        assert np.array_equal(store.pictures.resolution[row], facts.resolution or np.nan, equal_nan=True)


def test_a_store_of_one_view_says_what_it_said_before_there_were_more(tmp_path: Path, toy_model: Model) -> None:
    path = write_store(tmp_path / "one", [made_upload(1)], [made_picture(1)], charter=charter(toy_model, WHOLE))
    assert '"views": "whole"' in (path / "store.json").read_text()
    assert "frames" not in (path / "store.json").read_text()


def drop_later(path: Path) -> None:
    """Write the parts of pictures as releases before the later columns did."""
    for part in (path / Kind.EMBEDDINGS).glob("part-*.parquet"):
        rewrite_part(part, lambda table: table.drop_columns([each.name for each in LATER_FIELDS]))


def test_parts_of_before_are_read_and_miss_every_floor(
    tmp_path: Path, toy_model: Model, compiled: CompiledPolicy
) -> None:
    pictures = [made_picture(1), made_picture(2, frames_total=9), made_picture(3, hdr=True)]
    path = write_store(
        tmp_path / "old", map(made_upload, (1, 2, 3)), pictures, charter=charter(toy_model, WHOLE), each=4
    )
    digest = open_store(path).info.digest
    drop_later(path)
    store = open_store(path)
    assert store.info.digest == digest
    assert np.isnan(store.pictures.coverage).all()
    assert np.isnan(store.pictures.resolution).all()
    assert [bool(store.pictures.partial[row_of(store, number)]) for number in (1, 2, 3)] == [False, True, True]
    floors = replace(compiled.policy, least_coverage=0.1, least_resolution=1.0)
    assert missed_floors(store.pictures, 0, floors) == (Floor.COVERAGE, Floor.RESOLUTION)
    assert missed_floors(store.pictures, 0, compiled.policy) == ()
    # Somebody may embed the same picture again with a release that keeps it: neither contradicts the other.
    again = write_store(tmp_path / "new", map(made_upload, (1, 2, 3)), pictures, charter=charter(toy_model, WHOLE))
    new = only_part(again, Kind.EMBEDDINGS)
    (path / Kind.EMBEDDINGS / new.name).write_bytes(new.read_bytes())
    assert len(open_store(path).pictures) == 3


def test_a_part_that_says_something_else_of_what_was_seen_is_an_error(tmp_path: Path, toy_model: Model) -> None:
    path = write_store(tmp_path / "one", [made_upload(1)], [made_picture(1)], charter=charter(toy_model, WHOLE))
    other = write_store(
        tmp_path / "two", [made_upload(1)], [made_picture(1, coverage=0.5)], charter=charter(toy_model, WHOLE)
    )
    part = only_part(other, Kind.EMBEDDINGS)
    (path / Kind.EMBEDDINGS / part.name).write_bytes(part.read_bytes())
    with pytest.raises(StoreError, match="Two parts contradict each other about the picture"):
        open_store(path)


def test_hostile_boxes_of_another_kind_are_refused(tmp_path: Path, toy_model: Model) -> None:
    path = write_store(tmp_path / "one", [made_upload(1)], [made_picture(1)], charter=charter(toy_model, WHOLE))
    part = only_part(path, Kind.EMBEDDINGS)

    def texts(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("view_boxes")
        return table.set_column(place, "view_boxes", pa.array([["a", "b", "c", "d"]]))

    rewrite_part(part, texts)
    with pytest.raises(StoreError, match="is no sound part of a store"):
        open_store(path)


@pytest.mark.parametrize(
    ("floors", "missing"),
    [
        ({}, ()),
        ({"least_coverage": 0.75}, (3, 5)),
        ({"least_resolution": 48.0}, (3, 4, 6)),  # of 4 and 6 nobody knows it
        ({"least_coverage": 0.2, "least_resolution": 20.6, "on_partial": Verdict.BLOCK}, (3, 4, 5, 6)),
    ],
)
def test_floors_raise_stored_pictures_as_the_server_raises_them(
    tmp_path: Path, toy_model: Model, compiled: CompiledPolicy, floors: dict[str, object], missing: tuple[int, ...]
) -> None:
    store = open_store(stored(tmp_path / "store", toy_model))
    looking = of_plan(compiled, **floors)
    snapshot = make_snapshot(toy_model, [looking])
    found = judge_store(store, prepare(looking))
    raised = set()
    for index, image in enumerate(images(store)):
        judgement, _ = judge_image(image, snapshot.select())
        assert (found.verdict[index], found.shadow_verdict[index]) == (judgement.verdict, judgement.shadow_verdict)
        assert missed_floors(store.pictures, index, looking.policy) == judgement.missed
        raised |= {image.facts.file.sha256} if image.facts.file and judgement.missed else set()
    assert raised == {digest_of(number) for number in missing}


def test_a_policy_of_another_view_plan_is_refused_with_the_command_to_run(
    tmp_path: Path, toy_model: Model, compiled: CompiledPolicy
) -> None:
    store = open_store(stored(tmp_path / "store", toy_model))
    assert len(score_store(store, prepare(of_plan(compiled))).logit) == len(PICTURES)
    for plan, said in (
        (WHOLE, r"policy looks at whole: .*`clipwarden embed SOURCE -o STORE --views whole`"),
        (replace(AUTO16, frames=8), r"looks at auto with up to 8 frames: .*--views auto --frames 8`"),
        (replace(AUTO16, views=Views.TILES), r"--views tiles --frames 16`"),
    ):
        for use in (score_store, judge_store):
            with pytest.raises(StoreError, match=rf"holds the views auto with up to 16 frames, and the .*{said}"):
                use(store, prepare(of_plan(compiled, plan)))


def test_what_was_begun_with_one_plan_goes_on_with_no_other(tmp_path: Path, toy_model: Model) -> None:
    path = stored(tmp_path / "store", toy_model)
    with pytest.raises(
        StoreError, match=r"is of the view plan auto with up to 16 frames, not whole. Name another folder"
    ):
        write_store(path, [made_upload(9)], [made_picture(9)], charter=charter(toy_model, WHOLE))
