"""Nothing is published unless it is the checkpoint, and nothing half-written ever loads."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clipwarden.errors import ClipwardenError, ModelError
from clipwarden.modelfolder.load import load_manifest, load_model
from clipwarden.modelfolder.manifest import TOKENIZER_NAME
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden_export.errors import BelowBarError, ExportError
from clipwarden_export.export import STEPS, ExportSettings, export_model, open_candidate
from clipwarden_export.sources.checkpoint import Checkpoint
from clipwarden_export.sources.loading import load_checkpoint
from clipwarden_export.verification.evidence import Evidence, gather_evidence
from clipwarden_export.verification.verify import Candidate, Encoders, Report, verify_candidate

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]


class Bent:
    """An image encoder with something wrong in front of it or behind it."""

    max_batch = None

    def __init__(self, encode: Callable[[Pixels], Vectors]) -> None:
        self.encode = encode


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(str(tiny_checkpoint))


@pytest.fixture(scope="module")
def evidence(checkpoint: Checkpoint) -> Evidence:
    return gather_evidence(checkpoint)


def verify_bent(
    checkpoint: Checkpoint, evidence: Evidence, folder: Path, bend: Callable[[Encoders], Encoders]
) -> Report:
    """Verify an exported folder's encoders after bending them."""

    def open_bent(provider: str) -> Encoders:
        return bend(open_candidate(checkpoint, folder, None, provider))

    facts = ModelFacts(fingerprint="sha256:none", name="bent", dim=checkpoint.dim, logit_scale=100.0, logit_bias=None)
    candidate = Candidate(open=open_bent, preprocessing=checkpoint.image, precision="fp32", facts=facts)
    return verify_candidate(candidate, evidence)


def test_export_writes_a_verified_folder_with_the_models_facts(tiny_checkpoint: Path, tiny_model: Path) -> None:
    manifest = load_manifest(tiny_model)
    assert (manifest.license, manifest.source, manifest.revision) == ("apache-2.0", tiny_checkpoint.name, "local")
    assert manifest.logit_scale == pytest.approx(100.0)
    assert len(manifest.background) == 300
    assert manifest.max_batch is None
    assert manifest.verification is not None
    assert manifest.verification["passed"] is True
    model = load_model(tiny_model)
    assert model.background is not None
    assert model.text is not None
    assert np.allclose(model.text.embed(manifest.background[:3]), model.background[:3], atol=1e-6)


def test_a_folder_tells_nothing_of_the_machine_it_was_made_on(tiny_checkpoint: Path, tiny_model: Path) -> None:
    traces = [str(tiny_checkpoint.parent), str(tiny_model.parent), str(Path.home()), torch.__file__]
    for path in tiny_model.iterdir():
        assert [trace for trace in traces if trace.encode() in path.read_bytes()] == []


def test_the_right_encoder_passes(checkpoint: Checkpoint, evidence: Evidence, tiny_model: Path) -> None:
    assert verify_bent(checkpoint, evidence, tiny_model, lambda encoders: encoders).shortfalls == ()


def constant(encoders: Encoders) -> Encoders:
    def encode(pixels: Pixels) -> Vectors:
        return np.repeat(encoders.image.encode(pixels[:1] * 0), len(pixels), axis=0)

    return replace(encoders, image=Bent(encode))


def shuffled(encoders: Encoders) -> Encoders:
    return replace(encoders, image=Bent(lambda pixels: np.roll(encoders.image.encode(pixels), 1, axis=0)))


def upside_down(encoders: Encoders) -> Encoders:
    return replace(encoders, image=Bent(lambda pixels: encoders.image.encode(pixels[:, ::-1])))


def slightly_dark(encoders: Encoders) -> Encoders:
    """What a mean that is off by a twentieth does."""
    return replace(encoders, image=Bent(lambda pixels: encoders.image.encode(np.where(pixels > 12, pixels - 12, 0))))


@pytest.mark.parametrize("bend", [constant, shuffled, upside_down, slightly_dark])
def test_a_wrong_image_encoder_is_below_the_bar(
    bend: Callable[[Encoders], Encoders], checkpoint: Checkpoint, evidence: Evidence, tiny_model: Path
) -> None:
    found = verify_bent(checkpoint, evidence, tiny_model, bend).shortfalls
    assert any("times the 0.001 allowed" in sentence for sentence in found)


def test_a_wrong_tokenizer_is_below_the_bar(
    checkpoint: Checkpoint, evidence: Evidence, tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("image.onnx", "text.onnx"):
        shutil.copyfile(tiny_model / name, tmp_path / name)
    wrong = (tiny_model / TOKENIZER_NAME).read_bytes().replace(b'"Lowercase"', b'"NFC"')
    (tmp_path / TOKENIZER_NAME).write_bytes(wrong)
    report = verify_bent(checkpoint, evidence, tmp_path, lambda encoders: encoders)
    assert "A" in report.token_mismatches
    assert "texts tokenise differently from the checkpoint" in report.shortfalls[0]


def test_a_checkpoint_that_tells_nothing_apart_proves_nothing(
    checkpoint: Checkpoint, evidence: Evidence, tiny_model: Path
) -> None:
    def same(pixels: Pixels) -> Vectors:
        return np.repeat(evidence.image_vectors[:1], len(pixels), axis=0)

    blind = replace(evidence, image_vectors=same(np.zeros((len(evidence.images), 1), dtype=np.uint8)))
    report = verify_bent(checkpoint, blind, tiny_model, lambda encoders: replace(encoders, image=Bent(same)))
    image_figures = report.providers["CPUExecutionProvider"].images
    assert image_figures.worst_cosine == pytest.approx(1.0)
    assert any("every input the same vector" in sentence for sentence in report.shortfalls)


class Flipped(nn.Module):
    """The right tower, shown pictures upside down."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tower(pixels.flip(1))


def test_a_refused_export_leaves_nothing_behind(checkpoint: Checkpoint, tmp_path: Path) -> None:
    broken = replace(checkpoint, image_tower=Flipped(checkpoint.image_tower).eval())
    with pytest.raises(BelowBarError, match=r"Below the bar, so nothing was published: .* times the 0\.001 allowed"):
        export_model(broken, tmp_path / "model", ExportSettings())
    assert list(tmp_path.iterdir()) == []


def test_no_folder_loads_at_any_step_of_an_export_that_dies(checkpoint: Checkpoint, tmp_path: Path) -> None:
    class PowerCutError(BaseException):
        """No handler of ours catches it."""

    seen = []

    def look_around(name: str) -> None:
        seen.append(name)
        for path in (tmp_path, *tmp_path.rglob("*")):
            if path.is_dir():
                with pytest.raises(ClipwardenError):
                    load_model(path)
        if name == STEPS[-1]:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        export_model(checkpoint, tmp_path / "model", ExportSettings(), step=look_around)
    assert tuple(seen) == STEPS
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_or_cannot_be_made_is_refused_before_the_work(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    began: list[str] = []
    with pytest.raises(ExportError, match="pass --overwrite"):
        export_model(checkpoint, tmp_path / "model", ExportSettings(), step=began.append)
    with pytest.raises(ExportError, match="does not exist; make it first"):
        export_model(checkpoint, tmp_path / "no" / "model", ExportSettings(), step=began.append)
    assert began == []


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "half-written": (lambda folder: (folder / "model.json").unlink(), "not a finished model folder"),
    "incomplete": (lambda folder: (folder / "text.onnx").unlink(), "lacks text.onnx"),
    "truncated": (lambda folder: cut(folder / "image.onnx"), "truncated or was replaced"),
    "corrupted": (lambda folder: flip_byte(folder / "image.onnx"), "does not match its SHA-256"),
    "mismatched": (lambda folder: shutil.copyfile(folder / "text.onnx", folder / "image.onnx"), "was replaced"),
    "manifest cut short": (lambda folder: cut(folder / "model.json"), "not valid JSON"),
    "foreign file": (lambda folder: (folder / "weights.bin").write_bytes(b"x"), "does not list"),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_folder_is_refused_with_its_own_sentence(damage: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    load_model(folder, check_golden=False)
    harm, sentence = DAMAGES[damage]
    harm(folder)
    with pytest.raises(ModelError, match=sentence):
        load_model(folder)
