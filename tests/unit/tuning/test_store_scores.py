"""Scores and verdicts of stored pictures: those of the server, image for image, bit for bit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.engine.judging import judge_image
from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.snapshot import Selection, make_snapshot
from clipwarden.errors import ContextUnknownError, ImageError, StoreError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import OnTruncated, Verdict
from clipwarden.scoring.tables import Tables, prepare
from clipwarden.tuning import scores as scores_module
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.records import PictureRecord, UploadRecord
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.store.storefile import Charter
from clipwarden.tuning.verdicts import NO_BAND, judge_store
from clipwarden.vision.plan import WHOLE
from kit.serving import colours_yaml, compile_text
from kit.stores import digest_of, failed_picture, made_picture, made_upload, number_store, write_store
from kit.toymodel import DIM, plain_picture


@pytest.fixture
def charter(toy_model: Model) -> Charter:
    sight = Sight(model="toy", fingerprint=toy_model.fingerprint, provider="X", precision="fp32", plan=WHOLE, width=DIM)
    return Charter(source=Source.SET, sight=sight)


@pytest.fixture
def tables(toy_model: Model) -> Tables:
    return prepare(compile_text(colours_yaml(toy_model), toy_model))


def coloured(model: Model, number: int, *colours: str, **facts: object) -> PictureRecord:
    """Make a picture up whose views show colours."""
    made = made_picture(number, views=len(colours), **facts)
    return replace(made, vectors=model.image.encode(np.stack([plain_picture(colour) for colour in colours])))


def coloured_store(path: Path, model: Model, charter: Charter) -> Path:
    pictures = [
        coloured(model, 1, "red"),
        coloured(model, 2, "blue", "yellow"),
        coloured(model, 3, "green", degraded=("TINY",)),
        coloured(model, 4, "white", frames_total=8, frames_judged=1),
        coloured(model, 5, "red", "red", share_shown=0.5),
        *(made_picture(number, views=1 + number % 3) for number in range(6, 60)),
        failed_picture(60),
    ]
    return write_store(path, map(made_upload, range(1, 61)), pictures, charter=charter, each=13)


def images(store: Store) -> list[EmbeddedImage]:
    """Give every picture back as the engine has it."""
    found, bounds = [], [*store.pictures.starts.tolist(), len(store.pictures.views)]
    made = {digest_of(number): made_picture(number).facts for number in range(60)}
    for index, (begin, end) in enumerate(pairwise(bounds)):
        facts = made[store.pictures.sha256[index]]
        assert facts is not None
        found.append(
            EmbeddedImage(
                embeddings=store.pictures.embeddings[begin:end],
                views=store.pictures.views[begin:end],
                facts=replace(
                    facts,
                    frames_total=2 if store.pictures.partial[index] else 1,
                    degraded=("TINY",) if store.pictures.degraded[index] else (),
                    share_shown=float(store.pictures.share_shown[index]),
                ),
                fingerprint=store.info.fingerprint,
            )
        )
    return found


@pytest.mark.parametrize("context", [None, "poppies"])
def test_verdicts_are_the_servers(
    tmp_path: Path, toy_model: Model, charter: Charter, tables: Tables, context: str | None
) -> None:
    store = open_store(coloured_store(tmp_path / "store", toy_model, charter))
    selection = Selection(snapshot=make_snapshot(toy_model, [tables.compiled]), tables=tables, context=context)
    found = judge_store(store, tables, context=context)
    assert found.categories == ("red", "yellow", "green", "black")
    for index, image in enumerate(images(store)):
        bands = found.band[index].tolist()
        try:
            judgement, _ = judge_image(image, selection)
        except ImageError:
            assert (found.verdict[index], found.shadow_verdict[index], {*bands}) == (NO_BAND, NO_BAND, {NO_BAND})
            continue
        assert (found.verdict[index], found.shadow_verdict[index]) == (judgement.verdict, judgement.shadow_verdict)
        assert bands == [NO_BAND if each.band is None else each.band for each in judgement.categories]
    assert {*found.verdict.tolist()} == {NO_BAND, Verdict.ALLOW, Verdict.REVIEW} | (
        {Verdict.BLOCK} if context is None else set()
    )


def test_scores_are_the_servers_bit_for_bit(
    tmp_path: Path, toy_model: Model, charter: Charter, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores_module, "NUMBERS_AT_ONCE", 40)  # many small blocks
    store = open_store(coloured_store(tmp_path / "store", toy_model, charter))
    judging = replace(tables.compiled.policy, on_truncated=OnTruncated.JUDGE)
    selection = make_snapshot(toy_model, [replace(tables.compiled, policy=judging)]).select()
    found = score_store(store, tables)
    assert found.concepts == ("red", "yellow", "green", "white")
    for index, image in enumerate(images(store)):
        judgement, _ = judge_image(image, selection)
        for column, concept in enumerate(found.concepts):
            result = next(each for each in (*judgement.categories, *judgement.attributes) if each.id == concept)
            assert result.scored is not None
            assert found.score[index, column] == result.scored.score
            margin = result.scored.margin
            assert found.logit[index, column] == (result.scored.score if margin is None else margin)
            assert image.views[found.view[index, column]] == result.scored.view
    cut = store.pictures.sha256.find([digest_of(5)])[0]
    assert np.flatnonzero(found.refused).tolist() == [cut]


def test_a_policy_of_another_model_is_refused(tmp_path: Path, toy_model: Model, tables: Tables) -> None:
    store = open_store(number_store(tmp_path / "store", [1]))
    said = f"was seen by the model sha256:toy, and the policy is for {toy_model.fingerprint}"
    for use in (score_store, judge_store):
        with pytest.raises(StoreError, match=said):
            use(store, tables)


def test_a_context_that_is_not_declared_is_refused(
    tmp_path: Path, toy_model: Model, charter: Charter, tables: Tables
) -> None:
    store = open_store(coloured_store(tmp_path / "store", toy_model, charter))
    with pytest.raises(ContextUnknownError, match="declares no context 'moon'"):
        judge_store(store, tables, context="moon")


START = datetime(2026, 10, 1, tzinfo=UTC)
UPLOADS = st.lists(
    st.builds(
        lambda number, day, country: made_upload(
            number,
            time=None if day is None else START + timedelta(days=day),
            slices={} if country is None else {"country": country},
        ),
        st.integers(0, 12),
        st.none() | st.integers(0, 2),
        st.sampled_from([None, "DE", "FR"]),
    ),
    min_size=1,
    max_size=30,
)


def _build(path: Path, uploads: list[UploadRecord], each: int) -> Store:
    numbers = {digest_of(number): number for number in range(13)}
    shown = dict.fromkeys(numbers[upload.sha256 or ""] for upload in uploads)
    pictures = [
        failed_picture(number) if number == 12 else made_picture(number, views=1 + number % 3) for number in shown
    ]
    return open_store(write_store(path, uploads, pictures, each=each))


@settings(max_examples=30)
@given(uploads=UPLOADS, data=st.data())
def test_neither_order_nor_parts_nor_beginning_anew_change_a_store(
    tmp_path_factory: pytest.TempPathFactory, uploads: list[UploadRecord], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    one = _build(folder / "one", uploads, 1000)
    shuffled = data.draw(st.permutations(uploads))
    again = data.draw(st.integers(0, len(uploads)))
    write_store(
        folder / "two",
        shuffled[:again],
        [made_picture(0)] * any(upload.sha256 == digest_of(0) for upload in shuffled[:again]),
        each=2,
    )
    other = _build(folder / "two", shuffled, data.draw(st.integers(1, 5)))
    assert other.info.digest == one.info.digest
    assert np.array_equal(other.pictures.embeddings, one.pictures.embeddings)
    assert other.uploads.picture.tolist() == one.uploads.picture.tolist()
    assert [*other.uploads.uri] == [*one.uploads.uri]
    assert other.failed == one.failed


@settings(max_examples=30)
@given(uploads=UPLOADS)
def test_another_upload_of_a_picture_is_another_digest_and_no_other_picture(
    tmp_path_factory: pytest.TempPathFactory, uploads: list[UploadRecord]
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    one = _build(folder / "one", uploads, 1000)
    two = _build(folder / "two", [*uploads, uploads[0]], 1000)
    assert two.info.digest != one.info.digest
    assert len(two.uploads) == len(one.uploads) + 1
    assert [*two.pictures.sha256] == [*one.pictures.sha256]


def test_where_files_lie_is_no_part_of_the_digest(tmp_path: Path) -> None:
    uploads = (made_upload(1, uri=f"/{name}/1.png") for name in ("one", "two"))
    one, two = (write_store(tmp_path / each.uri[1:4], [each], [made_picture(1)]) for each in uploads)
    assert open_store(one).info.digest == open_store(two).info.digest
