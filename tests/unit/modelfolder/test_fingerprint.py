import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.manifest import (
    JUDGING_FILES,
    FileRecord,
    Golden,
    GoldenText,
    ModelManifest,
    Preprocessing,
    TextSettings,
)
from kit import toymodel

BASE = ModelManifest(
    name="base",
    architecture="a",
    source="s",
    revision="r",
    license="Apache-2.0",
    dim=16,
    logit_scale=100.0,
    image=Preprocessing(side=32),
    text=TextSettings(context_length=12),
    background=("a",),
    golden=Golden(tolerance=1e-4),
    files={name: FileRecord(sha256=f"{index}" * 64, bytes=10) for index, name in enumerate(JUDGING_FILES)},
)


def with_digest(name: str, digest: str) -> ModelManifest:
    return dataclasses.replace(BASE, files={**BASE.files, name: FileRecord(sha256=digest * 64, bytes=10)})


def without(name: str) -> ModelManifest:
    return dataclasses.replace(BASE, files={key: value for key, value in BASE.files.items() if key != name})


def with_image(**changes: object) -> ModelManifest:
    return dataclasses.replace(BASE, image=dataclasses.replace(BASE.image, **changes))


def with_text(**changes: object) -> ModelManifest:
    return dataclasses.replace(BASE, text=dataclasses.replace(BASE.text, **changes))


JUDGING_CHANGES = {
    **{f"digest of {name}": with_digest(name, "f") for name in JUDGING_FILES},
    **{f"no {name}": without(name) for name in JUDGING_FILES},
    "dim": dataclasses.replace(BASE, dim=17),
    "scale": dataclasses.replace(BASE, logit_scale=100.1),
    "bias": dataclasses.replace(BASE, logit_bias=-1.0),
    "no text": dataclasses.replace(BASE, text=None),
    "side": with_image(side=33),
    "resample": with_image(resample="box"),
    "fit": with_image(fit="pad"),
    "orientation": with_image(orientation="ignore"),
    "padding colour": with_image(pad_rgb=(255, 255, 254)),
    "decode scale": with_image(decode_scale=0),
    "colour": with_image(colour="srgb"),
    "context length": with_text(context_length=13),
    "pad id": with_text(pad_id=1),
    "lower-casing": with_text(lowercase=True),
    "mask": with_text(attention_mask=False),
}


def test_every_judging_change_gives_another_fingerprint() -> None:
    prints = {name: fingerprint(manifest) for name, manifest in JUDGING_CHANGES.items()} | {"base": fingerprint(BASE)}
    for (one, first), (other, second) in itertools.combinations(prints.items(), 2):
        assert first != second, f"{one} and {other} share a fingerprint"


def test_every_preprocessing_and_text_setting_is_covered_by_the_test_above() -> None:
    covered = {
        *(name for manifest in JUDGING_CHANGES.values() for name in changed(manifest.image, BASE.image)),
        *(name for manifest in JUDGING_CHANGES.values() if manifest.text for name in changed(manifest.text, BASE.text)),
    }
    settings = {field.name for kind in (Preprocessing, TextSettings) for field in dataclasses.fields(kind)}
    # alpha has a single value so far, so it cannot change.
    assert settings - covered == {"alpha"}


def changed(one: object, other: object) -> list[str]:
    return [field.name for field in dataclasses.fields(one) if getattr(one, field.name) != getattr(other, field.name)]


WORDS = st.text(max_size=20)


@given(name=WORDS, source=WORDS, revision=WORDS, license_name=WORDS, tolerance=st.floats(0, 2))
def test_names_licence_source_and_golden_vectors_do_not_move_it(
    name: str, source: str, revision: str, license_name: str, tolerance: float
) -> None:
    renamed = dataclasses.replace(
        BASE,
        name=name,
        architecture=source,
        source=source,
        revision=revision,
        license=license_name,
        golden=Golden(tolerance=tolerance, texts=(GoldenText(text=name, embedding=(1.0,) * 16),)),
        verification={"note": name},
        files={**BASE.files, "LICENSE": FileRecord(sha256="e" * 64, bytes=1)},
    )
    assert fingerprint(renamed) == fingerprint(BASE)


@given(st.permutations(list(BASE.files.items())))
def test_order_of_files_does_not_move_it(items: list) -> None:
    assert fingerprint(dataclasses.replace(BASE, files=dict(items))) == fingerprint(BASE)


@given(st.floats(min_value=1e-3, max_value=1e6))
def test_scale_is_compared_by_value_whatever_its_type(scale: float) -> None:
    whole = float(round(scale) + 1)
    as_float = dataclasses.replace(BASE, logit_scale=whole)
    assert fingerprint(as_float) == fingerprint(dataclasses.replace(BASE, logit_scale=int(whole)))


PINNED = "sha256:901d7192e7d491b5673c82fb1dc39ac4a9bcbe2f2fd76b26e4fd873d3cb84bb1"


def test_fingerprint_is_pinned_so_that_policies_stay_bound_across_releases() -> None:
    assert fingerprint(BASE) == PINNED


def test_path_of_the_folder_does_not_move_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    prints = [
        toymodel.load_toy_model(tmp_path_factory.mktemp("m") / name, name=name).fingerprint for name in ("one", "two")
    ]
    assert prints[0] == prints[1]
