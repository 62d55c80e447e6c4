"""An upgraded copy: only model.json differs, pictures without colour information are seen as before."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from clipwarden.errors import ConfigError, ModelError
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import load_manifest, load_model, write_image_only_copy
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.modelfolder.modeljson import dump_manifest
from clipwarden.modelfolder.upgrade import STEPS, fingerprint_before, plan_upgrade, write_upgrade
from clipwarden.vision.decode import decode_image
from kit.pictures import encode, natural_picture
from kit.toymodel import SIDE, build_toy_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Build a folder of before colours, with what people keep beside a model."""
    folder = build_toy_model(tmp_path / "toy", preprocessing=Preprocessing(side=SIDE, colour="ignore"))
    (folder / "README.md").write_text("mine")
    (folder / "LICENSE").write_text("Apache-2.0")
    (folder / ".DS_Store").write_text("hidden")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "model.json"}


def test_only_model_json_differs(folder: Path, tmp_path: Path) -> None:
    before = contents(folder) | {"model.json": (folder / "model.json").read_bytes()}
    seen: list[int] = []
    plan = plan_upgrade(folder)
    runtime = write_upgrade(plan, tmp_path / "new", done=seen.append)
    assert contents(folder) | {"model.json": (folder / "model.json").read_bytes()} == before
    assert contents(tmp_path / "new") == {name: data for name, data in before.items() if name[0] not in ".m"}
    old, new = (json.loads((each / "model.json").read_text()) for each in (folder, tmp_path / "new"))
    assert new["image"] == old["image"] | {"colour": "srgb"}
    assert {name for name in old if old[name] != new[name]} == {"image", "files"}
    assert new["files"].keys() - old["files"].keys() == {"LICENSE"}
    assert (load_model(tmp_path / "new", threads=1).fingerprint, plan.before) == (
        plan.after,
        fingerprint_before(plan.new),
    )
    assert plan.before != plan.after
    assert runtime.golden_drift is not None
    assert runtime.golden_drift < 1e-6
    assert seen == [*range(1, STEPS + 1)]


def test_jpegs_are_decoded_in_full_where_that_is_asked(folder: Path, tmp_path: Path) -> None:
    write_upgrade(plan_upgrade(folder), tmp_path / "new")
    plan = plan_upgrade(tmp_path / "new", full_decode=True)
    assert (plan.needed, plan.new.image.decode_scale, plan.new.image.colour) == (True, 0, "srgb")
    assert not plan_upgrade(tmp_path / "new").needed
    assert plan.after != plan.before
    for earlier in (plan.before, fingerprint(load_manifest(folder))):
        assert fingerprint_before(plan.new, earlier) == earlier
    assert fingerprint_before(plan.new, "sha256:another") not in (plan.before, "sha256:another")


def test_upgraded_folder_needs_no_upgrade(folder: Path, tmp_path: Path) -> None:
    write_upgrade(plan_upgrade(folder), tmp_path / "new")
    again = plan_upgrade(tmp_path / "new")
    assert (again.needed, again.before) == (False, again.after)
    assert fingerprint_before(load_manifest(folder)) is None


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures_without_colour_information_are_seen_as_before(name: str) -> None:
    data = encode(natural_picture(3, (150, 90)), name)
    stored, shown = (
        decode_image(data, preprocessing=Preprocessing(side=SIDE, colour=colour)) for colour in ("ignore", "srgb")
    )
    assert np.array_equal(stored.pixels, shown.pixels)
    assert stored.facts == shown.facts


def test_image_only_copy_is_upgraded_to_the_fingerprint_of_the_whole_folder(folder: Path, tmp_path: Path) -> None:
    write_image_only_copy(folder, tmp_path / "images", load_manifest(folder))
    plan = plan_upgrade(tmp_path / "images")
    write_upgrade(plan, tmp_path / "new")
    assert plan.after == plan_upgrade(folder).after
    assert load_model(tmp_path / "new", threads=1).text is None
    assert not (tmp_path / "new" / "text.onnx").exists()


def test_nothing_is_replaced_and_nothing_lands_in_the_old_folder(folder: Path, tmp_path: Path) -> None:
    plan = plan_upgrade(folder)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    there = sorted(tmp_path.rglob("*"))
    for taken in (folder, tmp_path, tmp_path / "link", tmp_path / "file", folder / ".." / folder.name):
        with pytest.raises(ConfigError, match=r"exists, and an upgrade replaces nothing. Name a new folder, such as"):
            write_upgrade(plan, taken)
    with pytest.raises(ConfigError, match=r"lies in .*toy, which stays as it is"):
        write_upgrade(plan, folder / "new")
    with pytest.raises(ConfigError, match="none is no folder; make it first"):
        write_upgrade(plan, tmp_path / "none" / "new")
    assert sorted(tmp_path.rglob("*")) == there


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_damage_is_not_given_a_new_digest(folder: Path, tmp_path: Path) -> None:
    flip(folder / "text.onnx")
    with pytest.raises(ModelError, match=r"text.onnx does not match its SHA-256"):
        write_upgrade(plan_upgrade(folder), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_folder_that_changes_while_it_is_copied_is_not_published(folder: Path, tmp_path: Path) -> None:
    other = build_toy_model(tmp_path / "other", seed=8)

    def swap(done: int) -> None:
        if done == 1:  # checked, and not copied yet
            shutil.copy(other / "background.safetensors", folder)

    with pytest.raises(ModelError, match="changed while it was copied; run it again"):
        write_upgrade(plan_upgrade(folder), tmp_path / "new", done=swap)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "toy"]


def test_drifted_golden_vectors_are_not_published(folder: Path, tmp_path: Path) -> None:
    manifest = load_manifest(folder)
    first, *rest = manifest.golden.images
    wrong = dataclasses.replace(first, embedding=rest[0].embedding)
    golden = dataclasses.replace(manifest.golden, images=(wrong, *rest))
    (folder / "model.json").write_bytes(dump_manifest(dataclasses.replace(manifest, golden=golden)))
    assert plan_upgrade(folder).before == fingerprint(manifest)
    with pytest.raises(ModelError, match="golden vectors drifted"):
        write_upgrade(plan_upgrade(folder), tmp_path / "new")
    assert not (tmp_path / "new").exists()
