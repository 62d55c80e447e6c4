import copy
import dataclasses
import json
from pathlib import Path

import pytest

from clipwarden.errors import ModelError
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.manifest import Golden, ModelManifest, Preprocessing
from clipwarden.modelfolder.modeljson import dump_manifest, parse_manifest
from kit import toymodel


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = toymodel.build_toy_model(tmp_path_factory.mktemp("models") / "toy")
    return json.loads((folder / "model.json").read_text())


REMOVED = object()

WRONG = [
    ("name", REMOVED, 'model.json lacks the key "name"'),
    ("name", 5, "model.json: name must be a text, not a number"),
    ("dim", 0, "model.json: dim is 0; it must lie between 1 and 65536"),
    ("dim", 16.0, "model.json: dim must be a whole number, not a number"),
    ("dim", True, "model.json: dim must be a whole number, not true/false"),
    ("dim", 10**30, "must lie between 1 and"),
    ("precision", "fp8", 'precision is "fp8"; it must be one of fp32, fp16, int8'),
    ("logit_scale", 0, "logit_scale must be greater than 0"),
    ("logit_scale", "100", "logit_scale must be a number, not a text"),
    ("logit_scale", 10**400, "logit_scale must be a finite number"),
    ("logit_scale", float("inf"), "logit_scale must be a finite number"),
    ("logit_bias", [], "logit_bias must be a number, not a list"),
    ("max_batch", 0, "max_batch is 0; it must lie between 1 and 65536"),
    ("image", None, "model.json: image must be an object, not null"),
    ("image.side", 0, "model.json: image.side is 0"),
    ("image.fit", "stretch", 'model.json: image.fit is "stretch"; it must be one of crop, crop_half_even, pad, squash'),
    ("image.resample", "nearest", "must be one of bicubic, bilinear, lanczos, box"),
    ("image.alpha", "grey", "must be one of white_and_black"),
    ("image.orientation", "xmp", "must be one of exif, ignore"),
    ("image.colour", "p3", 'model.json: image.colour is "p3"; it must be one of ignore, srgb'),
    ("image.colour", None, "model.json: image.colour must be a text, not null"),
    ("image.decode_scale", 9, "must lie between 0 and 8"),
    ("image.pad_rgb", [1, 2, 256], "model.json: image.pad_rgb.blue is 256; it must lie between 0 and 255"),
    ("image.pad_rgb", [1, 2], "image.pad_rgb must have three values, not 2"),
    ("image.pad_rgb", [1, 2, 3, 4], "image.pad_rgb must have three values, not 4"),
    ("image.decode_skale", 2, 'model.json: image has the unknown key "decode_skale"'),
    ("text.lowercase", 1, "text.lowercase must be true or false, not a number"),
    ("text.context_length", -1, "text.context_length is -1"),
    ("background.texts", "a", "background.texts must be a list, not a text"),
    ("background.texts", [3], "background.texts must be a list of texts, not a number"),
    ("golden.tolerance", -1, "golden.tolerance must be a finite number between 0.0 and 0.1"),
    ("golden.tolerance", 0.11, "golden.tolerance must be a finite number between 0.0 and 0.1"),
    ("golden.images", [5], r"golden.images\[0\] must be an object, not a number"),
    ("golden.texts", [{"text": "a", "embedding": [1.0]}], r"golden.texts\[0\].embedding has 1 numbers; .* dim is 16"),
    ("files", {"image.onnx": {"sha256": "AB", "bytes": 1}}, "SHA-256 of image.onnx must be 64 lower-case hexadecimal"),
    ("files", {"image.onnx": {"sha256": "a" * 64, "bytes": -1}}, "files.image.onnx.bytes is -1"),
    ("files", [], "model.json: files must be an object, not a list"),
    ("verification", 3, "verification must be an object, not a number"),
    ("surprise", 1, 'model.json has the unknown key "surprise"'),
]


@pytest.mark.parametrize(("key", "value", "sentence"), WRONG, ids=[f"{key}={value!s:.20}" for key, value, _ in WRONG])
def test_wrong_value_is_refused_with_its_place(document: dict, key: str, value: object, sentence: str) -> None:
    changed = copy.deepcopy(document)
    *parents, last = key.split(".")
    target = changed
    for parent in parents:
        target = target[parent]
    if value is REMOVED:
        del target[last]
    else:
        target[last] = value
    with pytest.raises(ModelError, match=sentence):
        parse_manifest(changed)


def test_optional_values_are_read(document: dict) -> None:
    changed = copy.deepcopy(document) | {"logit_bias": -16.5, "max_batch": 1, "verification": {"cosine": 1.0}}
    manifest = parse_manifest(changed)
    assert (manifest.logit_bias, manifest.max_batch, manifest.verification) == (-16.5, 1, {"cosine": 1.0})


def test_folder_of_before_colours_keeps_its_fingerprint_and_its_bytes(document: dict) -> None:
    old = copy.deepcopy(document)
    old["image"].pop("colour", None)
    manifest = parse_manifest(old)
    assert manifest.image.colour == "ignore"
    assert json.loads(dump_manifest(manifest)) == old
    written_out = copy.deepcopy(old)
    written_out["image"]["colour"] = "ignore"
    assert fingerprint(parse_manifest(written_out)) == fingerprint(manifest)


def test_displayed_colours_are_written_and_read_back(document: dict) -> None:
    manifest = parse_manifest(document)
    displayed = dataclasses.replace(manifest, image=dataclasses.replace(manifest.image, colour="srgb"))
    written = json.loads(dump_manifest(displayed))
    assert written["image"]["colour"] == "srgb"
    assert parse_manifest(written) == displayed


@pytest.mark.parametrize("verification", [{"cosine": float("nan")}, {"path": Path()}])
def test_manifest_that_is_not_json_is_not_written(verification: dict) -> None:
    manifest = ModelManifest(
        name="x", architecture="x", source="x", revision="x", license="x", dim=1, logit_scale=1.0,
        image=Preprocessing(side=1), golden=Golden(tolerance=0.0), verification=verification,
    )  # fmt: skip
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        dump_manifest(manifest)
