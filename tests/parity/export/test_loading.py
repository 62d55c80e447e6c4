"""Which library loads what, and what is refused on the way."""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest

from clipwarden.modelfolder.load import load_model
from clipwarden_export.errors import SourceError
from clipwarden_export.export import ExportSettings, export_model
from clipwarden_export.sources.loading import load_checkpoint
from clipwarden_export.sources.openclip import resolve_pair
from kit.checkpoints import Folders, varied_strings


def test_open_clips_names_become_hub_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_pair("ViT-B-32/laion2b_s34b_b79k") == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert resolve_pair("openai/clip-vit-base-patch32") == "openai/clip-vit-base-patch32"
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_pair: {"url": "https://example.com/RN50.pt"})
    with pytest.raises(SourceError, match="as a pickle outside the hub"):
        resolve_pair("RN50/example")


def test_repository_with_both_layouts_goes_to_transformers_unless_open_clip_is_asked_for(
    tiny_checkpoint: Path, checkpoint_of: Folders, tmp_path: Path
) -> None:
    folder = tmp_path / "both"
    shutil.copytree(tiny_checkpoint, folder)
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        shutil.copyfile(checkpoint_of("open_clip-vit") / name, folder / name)
    assert load_checkpoint(str(folder)).architecture == "CLIPModel ViT 64x2/16"
    assert load_checkpoint(f"hf-hub:{folder}").architecture == "open_clip CLIP ViT 192x2/32"


def test_hub_checkpoint_carries_its_commit_and_licence(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert (name, revision) == ("owner/tiny-clip", "v1")
        assert "*.safetensors" in allow_patterns
        return str(shutil.copytree(tiny_checkpoint, tmp_path / "4f5e"))

    checkpoint = load_checkpoint("owner/tiny-clip", revision="v1", download=download)
    assert (checkpoint.name, checkpoint.source) == ("tiny-clip", "owner/tiny-clip")
    assert (checkpoint.revision, checkpoint.license) == ("4f5e", "apache-2.0")


def old_layout(folder: Path) -> Path:
    """Turn what transformers saves today into what `openai/clip-vit-base-patch32` has held since 2021.

    Sizes are plain numbers, the processor is a "feature extractor", the tokenizer comes as vocabulary and merges, and
    the end of text bears the id 2, at which transformers looks for the largest id instead.
    """
    raw = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(raw["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in raw["merges"]))
    (folder / "tokenizer.json").unlink()
    end = "<|endoftext|>"
    special = {"bos_token": "<|startoftext|>", "eos_token": end, "pad_token": end, "unk_token": end}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    tokenizer = {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    kept = {key: processor[key] for key in ("image_mean", "image_std", "resample")}
    steps = {"do_resize": True, "do_center_crop": True, "do_normalize": True, "size": 64, "crop_size": 64}
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**kept, **steps, "feature_extractor_type": "CLIPFeatureExtractor"})
    )
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_checkpoint_in_the_layout_of_2021_is_the_same_model(tiny_checkpoint: Path, tmp_path: Path) -> None:
    new = load_checkpoint(str(tiny_checkpoint))
    old = load_checkpoint(str(old_layout(shutil.copytree(tiny_checkpoint, tmp_path / "old"))))
    assert (old.image, old.text) == (new.image, new.text)
    strings = varied_strings(300)
    assert np.array_equal(old.origin.token_ids(strings), new.origin.token_ids(strings))
    texts = strings[9:60]
    assert np.allclose(old.origin.embed_texts(texts), new.origin.embed_texts(texts), atol=1e-6)

    exported = export_model(old, tmp_path / "model", ExportSettings())
    assert exported.report.passed
    text = load_model(exported.folder).text
    assert text is not None
    assert np.allclose(text.embed(texts), new.origin.embed_texts(texts), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("tokenizer_config.json", {"padding_side": "left"}, "pads or truncates on the left"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 72}}, "resizes to .*72.* and crops to .*64"),
        (
            "preprocessor_config.json",
            {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
            "makes 32 pixels a side where the model takes 64",
        ),
    ],
)
def test_what_a_model_folder_cannot_express_is_refused(
    name: str, change: dict[str, object], sentence: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(tiny_checkpoint, folder)
    settings = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(settings | change))
    with pytest.raises(SourceError, match=sentence):
        load_checkpoint(str(folder))


def test_open_clip_folder_without_a_usable_configuration_is_refused(checkpoint_of: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(checkpoint_of("open_clip-vit"), folder)
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(SourceError, match="has no model_cfg"):
        load_checkpoint(str(folder))
    document = json.loads((checkpoint_of("open_clip-vit") / "open_clip_config.json").read_text())
    document["model_cfg"]["vision_cfg"]["width"] = 512
    (folder / "open_clip_config.json").write_text(json.dumps(document))
    with pytest.raises(SourceError, match="open_clip cannot load broken"):
        load_checkpoint(str(folder))
