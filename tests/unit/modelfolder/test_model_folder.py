import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save

from clipwarden.errors import EncoderError, ModelError
from clipwarden.modelfolder import files as folder_module
from clipwarden.modelfolder import load as model_module
from clipwarden.modelfolder.files import verify_files
from clipwarden.modelfolder.golden import golden_drift, golden_pixels
from clipwarden.modelfolder.load import (
    embedded_model_path,
    load_manifest,
    load_model,
    resolve_model,
    write_image_only_copy,
    write_model_folder,
)
from clipwarden.modelfolder.manifest import GoldenImage
from clipwarden.modelfolder.modeljson import dump_manifest
from clipwarden.modelfolder.staging import unfinished_folder
from kit import toymodel


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toymodel.build_toy_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def folder(toy: Path, tmp_path: Path) -> Path:
    """Return a copy to damage."""
    return Path(shutil.copytree(toy, tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "model.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_whole_folder_loads_and_reports_its_runtime_and_drift(toy: Path) -> None:
    model = load_model(toy, threads=1)
    assert model.runtime.provider == "CPUExecutionProvider"
    assert model.runtime.golden_drift < 1e-6
    assert model.manifest.name == "toy"
    assert model.background.shape == (5, 16)
    assert model.fingerprint.startswith("sha256:")
    assert model.text.tokenizer.capacity == 12


# Each is a file that the roster passes over: a companion, or one in a folder below.
@pytest.mark.parametrize("place", [".weights", "weights.md", "LICENSE.bin", "below/weights"])
@pytest.mark.parametrize("name", ["image.onnx", "text.onnx"])
@pytest.mark.parametrize("chunk", [16 * 1024 * 1024, 48])
def test_weights_outside_the_graph_are_refused_since_no_digest_covers_them(
    folder: Path, name: str, place: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_CHUNK_BYTES", chunk)
    (folder / place).parent.mkdir(exist_ok=True)
    graph = onnx.load(folder / name)
    (folder / name).unlink()
    onnx.save(graph, folder / name, save_as_external_data=True, location=place, size_threshold=0)
    data = (folder / name).read_bytes()
    record = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    edit(folder, lambda document: document["files"].update({name: record}))
    with pytest.raises(ModelError, match=f"{name} keeps weights in another file"):
        load_model(folder, threads=1)


def test_golden_check_can_be_left_out_and_then_no_drift_is_claimed(toy: Path) -> None:
    assert load_model(toy, threads=1, check_golden=False).runtime.golden_drift is None


def test_encoders_agree_with_the_reference_written_in_numpy(toy: Path) -> None:
    model = load_model(toy, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    assert np.abs(model.image.encode(pixels) - toymodel.reference_images(pixels, 7)).max() < 1e-6
    texts = ["a photo of a cat", "unknown words", "RED", ""]
    assert np.abs(model.text.embed(texts) - toymodel.reference_texts(texts, 7)).max() < 1e-6


def test_folder_without_text_encoder_loads(tmp_path: Path) -> None:
    model = toymodel.load_toy_model(tmp_path / "toy", text=False)
    assert model.text is None


def test_folder_without_background_loads(toy: Path, tmp_path: Path) -> None:
    manifest = dataclasses.replace(load_manifest(toy), background=())
    files = {name: toy / name for name in manifest.files if name != "background.safetensors"}
    write_model_folder(tmp_path / "bare", manifest, files=files)
    assert load_model(tmp_path / "bare", threads=1).background is None


def flip_last_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "half-written folder": (lambda f: (f / "model.json").unlink(), "has no model.json, so it is not a finished model"),
    "missing graph": (lambda f: (f / "image.onnx").unlink(), "lacks image.onnx, which model.json lists"),
    "missing tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "lacks tokenizer.json, which model.json lists"),
    "missing background": (lambda f: (f / "background.safetensors").unlink(), "lacks background.safetensors"),
    "truncated graph": (
        lambda f: (f / "image.onnx").write_bytes((f / "image.onnx").read_bytes()[:-9]),
        "bytes where model.json says .*; it is truncated or was replaced",
    ),
    "altered graph": (lambda f: flip_last_byte(f / "text.onnx"), "text.onnx does not match its SHA-256"),
    "unlisted weights": (
        lambda f: (f / "image.onnx.data").write_bytes(b"x"),
        "holds image.onnx.data, which .* not list",
    ),
    "manifest not JSON": (lambda f: (f / "model.json").write_text("{"), "model.json is not valid JSON"),
    "manifest not UTF-8": (lambda f: (f / "model.json").write_bytes(b"\xff{}"), "model.json is not valid JSON"),
    "manifest a list": (lambda f: (f / "model.json").write_text("[]"), "must hold a JSON object, not a list"),
    "manifest with NaN": (lambda f: (f / "model.json").write_text('{"a": NaN}'), "NaN is not a JSON number"),
    "manifest with a key twice": (lambda f: (f / "model.json").write_text('{"a": 1, "a": 2}'), 'key "a" appears twice'),
    "manifest too deep": (lambda f: (f / "model.json").write_text("[" * 200_000), "nested too deeply"),
    "manifest absurdly large": (
        lambda f: (f / "model.json").write_bytes(b" " * (16 * 1024 * 1024 + 1)),
        "larger than 16777216 bytes, so it is not a manifest",
    ),
    "later format": (
        lambda f: edit(f, lambda d: d.update(format="clipwarden-model/2")),
        'is of format "clipwarden-model/2"; this version of clipwarden reads "clipwarden-model/1"',
    ),
    "unlisted tokenizer": (lambda f: edit(f, lambda d: d["files"].pop("tokenizer.json")), "lists no tokenizer.json"),
    "unlisted background": (
        lambda f: edit(f, lambda d: d["files"].pop("background.safetensors")),
        "lists no background.safetensors, which this model needs",
    ),
    "text files without text settings": (lambda f: edit(f, lambda d: d.update(text=None)), 'its "text" is null'),
    "wrong side": (
        lambda f: edit(f, lambda d: d["image"].update(side=48)),
        r"image.onnx input is tensor\(uint8\) .*; model.json promises tensor\(uint8\) \[N, 48, 48, 3\]",
    ),
    "wrong width of background": (
        lambda f: replace_background(f, np.eye(5, 8, dtype=np.float32)),
        r"background.safetensors is float32 \[5, 8\]; model.json promises float32 \[5, 16\]",
    ),
    "wrong count of background": (
        lambda f: edit(f, lambda d: d["background"]["texts"].append("one more")),
        r"is float32 \[5, 16\]; model.json promises float32 \[6, 16\]",
    ),
    "raw background": (
        lambda f: replace_background(f, np.ones((5, 16), dtype=np.float32)),
        "rows that are not finite and of unit norm",
    ),
    "background with NaN": (
        lambda f: replace_background(f, np.full((5, 16), np.nan, dtype=np.float32)),
        "rows that are not finite and of unit norm",
    ),
    "background of doubles": (lambda f: replace_background(f, np.eye(5, 16)), "background.safetensors is float64"),
    "background under another name": (
        lambda f: replace_background(f, np.eye(5, 16, dtype=np.float32), name="rows"),
        'must hold the one tensor "background"',
    ),
    "background not safetensors": (
        lambda f: replace_file(f, "background.safetensors", b"not safetensors at all"),
        "background.safetensors is not a safetensors file",
    ),
    "graph not ONNX": (lambda f: replace_file(f, "image.onnx", b"junk"), "image.onnx cannot be opened by onnxruntime"),
    "graphs swapped": (
        lambda f: replace_file(f, "image.onnx", (f / "text.onnx").read_bytes()),
        "image.onnx must have exactly one input; it has 2",
    ),
    "text graph swapped": (
        lambda f: replace_file(f, "text.onnx", (f / "image.onnx").read_bytes()),
        "text.onnx must have the inputs input_ids and attention_mask; it has pixels",
    ),
    "tokenizer not a tokenizer": (
        lambda f: replace_file(f, "tokenizer.json", b"{}"),
        "tokenizer.json is not a tokenizer that the tokenizers library reads",
    ),
    "wrong context length": (
        lambda f: edit(f, lambda d: d["text"].update(context_length=9)),
        r"text.onnx input .* promises tensor\(int64\) \[N, 9\]",
    ),
    "drifted image": (
        lambda f: edit(f, lambda d: d["golden"]["images"][0].update(embedding=[0.25] * 16)),
        "golden vectors drifted by [01].*, more than the tolerance of 0.0001: this runtime does not compute what was",
    ),
    "drifted text": (
        lambda f: edit(f, lambda d: d["golden"]["texts"][0].update(embedding=[0.25] * 16)),
        "golden vectors drifted by [01].*, more than the tolerance of 0.0001",
    ),
    "no golden image": (lambda f: edit(f, lambda d: d["golden"].update(images=[])), "has no golden image"),
    "no golden text": (lambda f: edit(f, lambda d: d["golden"].update(texts=[])), "has no golden text"),
    "golden image not base64": (
        lambda f: edit(f, lambda d: d["golden"]["images"][0].update(png="?")),
        "golden image in model.json is not the base64 of a PNG",
    ),
    "golden image not PNG": (
        lambda f: edit(f, lambda d: d["golden"]["images"][0].update(png="aGVsbG8=")),
        "golden image in model.json is not the base64 of a PNG",
    ),
    "path out of the folder": (
        lambda f: edit(f, lambda d: d["files"].update({"../evil.onnx": d["files"]["image.onnx"]})),
        'lists "../evil.onnx"; a model folder holds plain file names only, no paths',
    ),
    "path with backslashes": (
        lambda f: edit(f, lambda d: d["files"].update({"..\\evil": d["files"]["image.onnx"]})),
        "plain file names only, no paths",
    ),
    "unknown file": (
        lambda f: edit(f, lambda d: d["files"].update({"weights.bin": d["files"]["image.onnx"]})),
        'lists "weights.bin", a file that clipwarden-model/1 does not know',
    ),
    "omitted image": (
        lambda f: edit(f, lambda d: d.update(omitted=["image.onnx"])),
        "omitted may be empty, or name text.onnx and tokenizer.json; nothing else",
    ),
}


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Swap a file and list its new digest, as a careless exporter would."""
    manifest = load_manifest(folder)
    files = {other: (folder / other).read_bytes() for other in manifest.files} | {name: content}
    write_model_folder(folder, manifest, files=files, overwrite=True)


def replace_background(folder: Path, rows: np.ndarray, name: str = "background") -> None:
    replace_file(folder, "background.safetensors", save({name: rows}))


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_damaged_folder_never_loads_and_says_why_in_one_sentence(damage: str, folder: Path) -> None:
    wreck, sentence = DAMAGE[damage]
    wreck(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        load_model(folder, threads=1)
    assert "\n" not in str(caught.value)


def test_wrong_dim_is_refused(folder: Path) -> None:
    def shorten(document: dict) -> None:
        document["dim"] = 15
        for item in document["golden"]["images"] + document["golden"]["texts"]:
            item["embedding"].pop()

    edit(folder, shorten)
    replace_background(folder, np.eye(5, 15, dtype=np.float32))
    with pytest.raises(ModelError, match=r"image.onnx output is .* promises tensor\(float\) \[N, 15\]"):
        load_model(folder, threads=1)


def test_golden_image_of_another_size_is_refused() -> None:
    png = toymodel.encode_golden_png(np.zeros((8, 8, 3), dtype=np.uint8))
    with pytest.raises(ModelError, match=r"is not an RGB PNG of 32 x 32 pixels"):
        golden_pixels(GoldenImage(png=png, embedding=()), side=32)


def test_model_that_fails_on_its_own_golden_inputs_is_a_model_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EncoderError("onnxruntime failed: boom")

    monkeypatch.setattr("clipwarden.modelfolder.encoder._run", fail)
    with pytest.raises(ModelError, match=r"fails on its own golden images or texts: onnxruntime failed: boom"):
        load_model(folder, threads=1)


def test_drift_is_the_largest_over_images_and_texts(toy: Path) -> None:
    model = load_model(toy, threads=1)
    golden = model.manifest.golden
    moved = (*golden.images[0].embedding[:-1], golden.images[0].embedding[-1] + 0.03)
    changed = dataclasses.replace(golden, images=(GoldenImage(png=golden.images[0].png, embedding=moved),))
    assert golden_drift(changed, model.image, model.text, side=32) == pytest.approx(0.03, abs=1e-4)


def test_companions_are_welcome(folder: Path) -> None:
    for name in ("README.md", "LICENSE", "LICENSE.txt", "NOTICE", ".gitattributes"):
        (folder / name).write_text("hello")
    (folder / "lost+found").mkdir()
    assert load_model(folder, threads=1).manifest.name == "toy"


def test_image_only_copy_keeps_the_fingerprint_and_drops_the_text_encoder(toy: Path, tmp_path: Path) -> None:
    full = load_model(toy, threads=1)
    write_image_only_copy(toy, tmp_path / "copy", full.manifest)
    copy = load_model(tmp_path / "copy", threads=1)
    assert copy.fingerprint == full.fingerprint
    assert copy.text is None
    assert not (tmp_path / "copy" / "text.onnx").exists()
    with pytest.raises(ModelError, match=r"has no text encoder to leave out"):
        write_image_only_copy(tmp_path / "copy", tmp_path / "again", copy.manifest)


def test_image_only_copy_that_still_holds_the_text_encoder_is_refused(folder: Path) -> None:
    edit(folder, lambda document: document.update(omitted=["text.onnx", "tokenizer.json"]))
    with pytest.raises(ModelError, match=r"holds text.onnx, which model.json does not list"):
        load_model(folder, threads=1)


def test_writing_refuses_an_existing_folder_unless_told_and_then_replaces_it_whole(folder: Path) -> None:
    manifest = load_manifest(folder)
    files = {name: folder / name for name in manifest.files}
    with pytest.raises(ModelError, match=r"exists; remove it or ask to overwrite it"):
        write_model_folder(folder, manifest, files=files)
    (folder / "stale.md").write_text("old")
    contents = {name: path.read_bytes() for name, path in files.items()} | {"README.md": b"card"}
    write_model_folder(folder, manifest, files=contents, overwrite=True)
    assert load_model(folder, threads=1).manifest == manifest
    assert not (folder / "stale.md").exists()
    assert (folder / "README.md").read_bytes() == b"card"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_failed_verification_publishes_nothing_and_leaves_no_litter(toy: Path, tmp_path: Path) -> None:
    manifest = load_manifest(toy)
    seen = []

    def refuse(staging: Path) -> None:
        seen.append(load_model(staging, threads=1).fingerprint)
        raise ModelError("below the bar")

    with pytest.raises(ModelError, match=r"below the bar"):
        write_model_folder(
            tmp_path / "new", manifest, files={n: toy / n for n in manifest.files}, before_publish=refuse
        )
    assert seen == [load_model(toy, threads=1).fingerprint]
    assert list(tmp_path.iterdir()) == []


def test_crash_at_any_write_leaves_no_folder_that_loads(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(toy)
    files = {name: toy / name for name in manifest.files}
    monkeypatch.setattr("clipwarden.modelfolder.files.shutil.rmtree", lambda *_args, **_options: None)  # as if killed
    for survived in range(6):
        left = iter(range(survived))

        def sync(_path: Path, left: object = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr("clipwarden.modelfolder.files._sync", sync)
        with pytest.raises(KeyboardInterrupt):
            write_model_folder(tmp_path / "new", manifest, files=files)
        assert not (tmp_path / "new").exists()
    for found in tmp_path.iterdir():
        with pytest.raises(ModelError, match=r"was never published"):
            load_model(found, threads=1)


def test_unfinished_folders_load_for_their_maker_alone_and_are_cleared_when_it_is_gone(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(toy)
    files = {name: toy / name for name in manifest.files}
    left = Path(shutil.copytree(toy, tmp_path / ".new.unfinished.dead"))

    def look_around(staging: Path) -> None:
        assert not left.exists(), "its maker is gone"
        assert load_model(staging, threads=1).manifest.name == "toy"
        monkeypatch.setattr("clipwarden.modelfolder.staging._OWN", set())  # as another process sees it
        with pytest.raises(ModelError, match=r"was never published: its export is still running, or was stopped"):
            load_model(staging, threads=1)
        with unfinished_folder(tmp_path / "new"):
            assert staging.exists(), "its maker is alive"

    write_model_folder(tmp_path / "new", manifest, files=files, before_publish=look_around)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_lies_in_an_unfinished_folder_does_not_load_and_anothers_is_left_alone(toy: Path, tmp_path: Path) -> None:
    inner = Path(shutil.copytree(toy, tmp_path / ".import.unfinished.dead" / "model"))
    with pytest.raises(ModelError, match=r"was never published"):
        load_model(inner, threads=1)
    namesake = tmp_path / ".m.unfinished.x.unfinished.abc"  # of a model called m.unfinished.x
    namesake.mkdir()
    with unfinished_folder(tmp_path / "m"):
        assert namesake.exists()


def test_an_unfinished_folder_may_hold_another(toy: Path, tmp_path: Path) -> None:
    manifest = load_manifest(toy)
    with unfinished_folder(tmp_path / "import") as outer:
        write_model_folder(outer / "model", manifest, files={name: toy / name for name in manifest.files})
        assert load_model(outer / "model", threads=1).manifest.name == "toy"


def test_a_folder_that_came_up_while_verifying_is_not_replaced(toy: Path, tmp_path: Path) -> None:
    manifest = load_manifest(toy)
    files = {name: toy / name for name in manifest.files}

    def another_publishes(_staging: Path) -> None:
        shutil.copytree(toy, tmp_path / "new")
        (tmp_path / "new" / "README.md").write_text("theirs")

    with pytest.raises(ModelError, match=r"new exists; remove it or ask to overwrite it"):
        write_model_folder(tmp_path / "new", manifest, files=files, before_publish=another_publishes)
    assert (tmp_path / "new" / "README.md").read_text() == "theirs"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_link_stays_and_what_it_points_to_is_replaced(
    can_exchange: bool,  # noqa: FBT001 - a parameter
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not can_exchange:
        monkeypatch.setattr("clipwarden.modelfolder.staging._exchange", lambda *_folders: False)
    link = tmp_path / "current"
    link.symlink_to(folder)
    manifest = load_manifest(folder)
    contents = {name: (folder / name).read_bytes() for name in manifest.files} | {"README.md": b"new"}
    write_model_folder(link, manifest, files=contents, overwrite=True)
    assert link.readlink() == folder
    assert (folder / "README.md").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "model"]


def test_overwriting_replaces_model_folders_and_nothing_else(toy: Path, tmp_path: Path) -> None:
    manifest = load_manifest(toy)
    files = {name: toy / name for name in manifest.files}
    (tmp_path / "empty").mkdir()
    write_model_folder(tmp_path / "empty", manifest, files=files, overwrite=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / "letters.txt").write_text("dear")
    for name in ("home", "home/letters.txt"):
        with pytest.raises(ModelError, match=r"is no model folder, so it is not replaced"):
            write_model_folder(tmp_path / name, manifest, files=files, overwrite=True)
    assert (home / "letters.txt").read_text() == "dear"


def test_file_names_are_checked_on_writing_too(toy: Path, tmp_path: Path) -> None:
    manifest = load_manifest(toy)
    with pytest.raises(ModelError, match=r"plain file names only"):
        write_model_folder(tmp_path / "new", manifest, files={"../evil": b""})
    assert list(tmp_path.iterdir()) == []


def test_manifest_survives_writing_and_reading(toy: Path, tmp_path: Path) -> None:
    manifest = load_manifest(toy)
    (tmp_path / "model.json").write_bytes(dump_manifest(manifest))
    assert load_manifest(tmp_path) == manifest


def test_verification_notices_a_manifest_without_an_image_graph(toy: Path) -> None:
    manifest = load_manifest(toy)
    files = {name: record for name, record in manifest.files.items() if name != "image.onnx"}
    with pytest.raises(ModelError, match=r"lists no image.onnx"):
        verify_files(toy, model_module.ModelManifest(**{**fields_of(manifest), "files": files}))


def fields_of(manifest: model_module.ModelManifest) -> dict:
    return {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}


def test_names_and_paths_resolve_to_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_model("mini") == embedded_model_path()
    assert embedded_model_path().parts[-2:] == ("models", "mini")
    assert resolve_model(tmp_path) == resolve_model(str(tmp_path)) == tmp_path
    with pytest.raises(ModelError, match=r'There is no model folder at .*; give a folder, or "mini" for the embedded'):
        resolve_model(tmp_path / "absent")
    with pytest.raises(ModelError, match=r"There is no model folder at mini"):
        resolve_model(Path("mini"))


def test_unreadable_manifest_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.json").write_text("{}")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match=r"model.json cannot be read: Permission denied\."):
        load_manifest(tmp_path)
