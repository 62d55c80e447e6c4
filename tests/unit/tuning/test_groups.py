"""Near-duplicates are one group, whoever only resembles is not, and splits keep groups whole."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy.cluster.hierarchy import fcluster, linkage

import clipwarden
from clipwarden.errors import DesignError
from clipwarden.modelfolder.load import Model, embedded_model_path, load_model
from clipwarden.tuning.design.groups import NEAR, folds, group_pictures, named, near_duplicates, one_of_each
from clipwarden.vision.decode import decode_image

DRAWINGS = sorted((Path(clipwarden.__path__[0]) / "demo" / "images").glob("*.png"))
Vectors = NDArray[np.float32]


def crowd(seed: int, count: int, width: int = 4) -> Vectors:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 6), width))
    vectors: Vectors = (centres[rng.integers(0, len(centres), count)] + rng.normal(0, 0.25, (count, width))).astype(
        "f4"
    )
    return vectors


def same(one: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    pairs = len(set(zip(one.tolist(), other.tolist(), strict=True)))
    return pairs == len(set(one.tolist())) == len(set(other.tolist()))


@given(st.integers(0, 10_000), st.integers(2, 60), st.floats(0.005, 0.6))
def test_groups_are_those_of_scipys_complete_linkage(seed: int, count: int, threshold: float) -> None:
    vectors = crowd(seed, count)
    expected = fcluster(linkage(vectors.astype(float), "complete", "cosine"), threshold, "distance")
    assert same(near_duplicates(vectors, threshold), expected)


@given(st.integers(0, 10_000), st.integers(1, 60), st.floats(0.005, 0.6))
def test_order_and_length_of_vectors_change_no_group(seed: int, count: int, threshold: float) -> None:
    vectors = crowd(seed, count)
    order = np.random.default_rng(seed).permutation(count)
    stretched = vectors[order] * np.float32(2.0)  # a power of two rounds nothing
    assert same(near_duplicates(vectors, threshold)[order], near_duplicates(stretched, threshold))


@given(st.integers(0, 10_000), st.integers(1, 60), st.floats(0.005, 0.6))
def test_copies_join_what_they_copy_and_move_nobody_else(seed: int, count: int, threshold: float) -> None:
    vectors = crowd(seed, count)
    copied = near_duplicates(np.concatenate([vectors, vectors]), threshold)
    assert (copied[:count] == copied[count:]).all()
    assert same(copied[:count], near_duplicates(vectors, threshold))


@given(st.integers(0, 10_000), st.integers(10, 60))
def test_a_crowd_that_is_thinned_out_still_has_its_copies_together(seed: int, count: int) -> None:
    vectors = np.repeat(crowd(seed, count), 5, axis=0)
    exact, rough = near_duplicates(vectors, 0.05), group_pictures(vectors, threshold=0.05, most_edges=count)
    assert rough.rough > 0
    assert rough.groups == len(set(rough.number.tolist()))
    assert all(len(set(rough.number[start : start + 5].tolist())) == 1 for start in range(0, len(vectors), 5))
    # No wider than nine thresholds, as promised, and never more groups than single pictures.
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (
        max(1 - (unit[rough.number == g] @ unit[rough.number == g].T).min() for g in set(rough.number)) <= 0.45 + 1e-5
    )
    assert len(set(exact.tolist())) <= count


def test_tiles_do_not_cut_groups() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(9_000, 16)).astype(np.float32)
    vectors[8_500] = vectors[3]
    vectors[1_024] = vectors[1_023]
    number = near_duplicates(vectors, 0.0001)
    assert number[8_500] == number[3]
    assert number[1_024] == number[1_023]
    assert number.max() + 1 == 8_998


def test_a_chain_of_small_changes_is_not_one_group() -> None:
    angle = np.linspace(0, np.pi / 2, 40)
    number = near_duplicates(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), 0.05)
    spread = [angle[number == each].max() - angle[number == each].min() for each in set(number.tolist())]
    assert 1 < len(spread) < 40
    assert max(spread) <= np.arccos(0.95)


@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf])
def test_vectors_that_resemble_nothing_are_refused(wrong: float) -> None:
    vectors = np.ones((3, 4), np.float32)
    vectors[1] = wrong
    with pytest.raises(DesignError, match="embed that picture again"):
        near_duplicates(vectors)


def test_no_pictures_are_no_groups() -> None:
    assert group_pictures(np.empty((0, 4), np.float32)).groups == 0


def test_names_overrule() -> None:
    assert named([0, 0, 1, 1, 2], ["a", None, "a", "", "b"]).tolist() == [0, 1, 0, 2, 3]
    vectors = np.eye(3, dtype=np.float32)
    assert group_pictures(vectors, ["x", "x", None]).number.tolist() == [0, 0, 1]
    with pytest.raises(DesignError, match="2 names of groups for 3 pictures"):
        group_pictures(vectors, ["x", "x"])


GROUPS = st.lists(st.integers(0, 8), min_size=1, max_size=50)


@given(GROUPS)
def test_one_of_each_group_is_chosen_whatever_the_order(groups: list[int]) -> None:
    u = np.random.default_rng(len(groups)).random(len(groups))
    chosen = one_of_each(groups, u)
    assert sorted(np.array(groups)[chosen]) == sorted(set(groups))
    order = np.random.default_rng(1).permutation(len(groups))
    assert (one_of_each(np.array(groups)[order], u[order]) == chosen[order]).all()


@given(GROUPS, st.integers(2, 5), st.integers(0, 99))
def test_folds_keep_groups_whole_and_deal_positives_evenly(groups: list[int], parts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    u, positive = rng.random(len(groups)), rng.random(len(groups)) < 0.3
    part = folds(groups, u, parts, positive=positive)
    assert len(set(zip(groups, part.tolist(), strict=True))) == len(set(groups))
    assert set(part.tolist()) <= set(range(parts))
    held = [
        len({g for g, p, y in zip(groups, part.tolist(), positive, strict=True) if y and p == each})
        for each in range(parts)
    ]
    assert max(held) - min(held) <= 1
    order = rng.permutation(len(groups))
    again = folds(np.array(groups)[order], u[order], parts, positive=positive[order])
    assert (again == part[order]).all()


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(embedded_model_path())


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality)
    return Image.open(io.BytesIO(held.getvalue())).convert("RGB")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda picture: jpeg(picture, 75),
    "recompressed hard": lambda picture: jpeg(picture, 40),
    "half the size": lambda picture: picture.resize((48, 48), Image.Resampling.LANCZOS),
    "twice the size": lambda picture: picture.resize((192, 192), Image.Resampling.BICUBIC),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
}


def embedded(model: Model, pictures: list[Image.Image]) -> Vectors:
    views = []
    for picture in pictures:
        held = io.BytesIO()
        picture.save(held, "PNG")
        views.append(decode_image(held.getvalue(), preprocessing=model.manifest.image).views[0].pixels)
    vectors: Vectors = model.image.encode(np.stack(views))
    return vectors


def on_white(path: Path) -> Image.Image:
    drawing = Image.open(path).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", drawing.size, "white"), drawing).convert("RGB")


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_drawings_are_near_and_other_drawings_are_not(model: Model, copy: str) -> None:
    drawings = [on_white(path) for path in DRAWINGS]
    number = near_duplicates(embedded(model, [*drawings, *map(COPIES[copy], drawings)]), NEAR)
    assert (number[: len(drawings)] == number[len(drawings) :]).all()
    assert len(set(number.tolist())) == len(drawings)


def test_mirrored_drawings_are_other_pictures_to_this_model(model: Model) -> None:
    drawings = [on_white(path) for path in DRAWINGS]
    number = near_duplicates(embedded(model, [*drawings, *map(ImageOps.mirror, drawings)]), NEAR)
    assert (number[: len(drawings)] != number[len(drawings) :]).sum() > len(drawings) / 2
