"""fp16 and int8: what converting a graph does to embeddings, and what it may not do."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from clipwarden.errors import ModelError
from clipwarden.modelfolder.batch_dependence import MAX_BATCH_DEPENDENCE, batch_dependence, varied_pixels
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden_export.errors import ExportError
from clipwarden_export.export import open_candidate
from clipwarden_export.graphs.precision import Calibration, convert
from clipwarden_export.sources.checkpoint import Checkpoint
from clipwarden_export.sources.loading import load_checkpoint
from clipwarden_export.verification.compare import BARS, Bar
from clipwarden_export.verification.evidence import Evidence, gather_evidence
from clipwarden_export.verification.verify import Candidate, Report, verify_candidate
from kit.pictures import natural_picture

CPU = "CPUExecutionProvider"
Converted = Callable[..., Path]


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(str(tiny_checkpoint))


@pytest.fixture(scope="module")
def evidence(checkpoint: Checkpoint) -> Evidence:
    return gather_evidence(checkpoint)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(8):
        natural_picture(seed).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def converted(checkpoint: Checkpoint, tiny_model: Path, tmp_path: Path) -> Converted:
    def make(precision: str, calibration: Calibration | None = None) -> Path:
        for name in ("image.onnx", "text.onnx", "tokenizer.json"):
            shutil.copyfile(tiny_model / name, tmp_path / name)
        image, text = tmp_path / "image.onnx", tmp_path / "text.onnx"
        convert(image, text, precision, calibration=calibration, preprocessing=checkpoint.image)
        return tmp_path

    return make


def verify(checkpoint: Checkpoint, evidence: Evidence, folder: Path, precision: str, **settings: bool) -> Report:
    facts = ModelFacts(fingerprint="sha256:none", name="tiny", dim=checkpoint.dim, logit_scale=100.0, logit_bias=None)
    candidate = Candidate(
        open=lambda provider: open_candidate(checkpoint, folder, None, provider),
        preprocessing=checkpoint.image,
        precision=precision,
        facts=facts,
        **settings,
    )
    return verify_candidate(candidate, evidence)


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(str(path)).graph.node}


def dependence(checkpoint: Checkpoint, folder: Path) -> float:
    image = open_candidate(checkpoint, folder, None, CPU).image
    return batch_dependence(image, varied_pixels(checkpoint.image.side))


def test_fp16_halves_the_files_and_keeps_within_its_bar(
    converted: Converted, checkpoint: Checkpoint, evidence: Evidence, tiny_model: Path
) -> None:
    folder = converted("fp16")
    report = verify(checkpoint, evidence, folder, "fp16")
    assert report.shortfalls == ()
    # It is fp16, and not fp32 under another name.
    assert report.providers[CPU].images.relative_error > BARS["fp32"].relative_error / 1e4
    for name in ("image.onnx", "text.onnx"):
        assert (folder / name).stat().st_size < 0.65 * (tiny_model / name).stat().st_size
    assert dependence(checkpoint, folder) <= MAX_BATCH_DEPENDENCE


def test_dynamic_int8_quantises_matrix_products_alone_with_signed_weights_of_seven_bits(
    converted: Converted, tiny_model: Path
) -> None:
    folder = converted("int8")
    graph = onnx.load(str(folder / "image.onnx")).graph
    weights = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1]
    assert "MatMulInteger" in operators(folder / "image.onnx")
    assert not {"ConvInteger", "QAttention"} & operators(folder / "image.onnx")
    assert weights
    assert max(abs(int(value)) for tensor in weights for value in onnx.numpy_helper.to_array(tensor).ravel()) <= 64
    assert (folder / "text.onnx").read_bytes() == (tiny_model / "text.onnx").read_bytes()


def test_dynamic_int8_depends_on_its_neighbours_and_static_int8_does_not(
    converted: Converted, checkpoint: Checkpoint, photos: Path
) -> None:
    assert dependence(checkpoint, converted("int8")) > MAX_BATCH_DEPENDENCE
    folder = converted("int8", Calibration(images_folder=photos))
    assert "QuantizeLinear" in operators(folder / "image.onnx")
    assert dependence(checkpoint, folder) <= MAX_BATCH_DEPENDENCE


def test_int8_that_moves_cosines_to_prompts_is_refused_unless_thresholds_are_fitted_again(
    converted: Converted, checkpoint: Checkpoint, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = converted("int8")
    strict = {**BARS, "int8": Bar(relative_error=2.0, cosine=0.0, prompt_change=1e-6)}
    monkeypatch.setattr("clipwarden_export.verification.verify.BARS", strict)
    report = verify(checkpoint, evidence, folder, "int8")
    assert any("thresholds would have to be fitted again" in sentence for sentence in report.shortfalls)
    accepted = verify(checkpoint, evidence, folder, "int8", refit=True)
    assert not any("prompts on" in sentence for sentence in accepted.shortfalls)
    assert any("thresholds would have to be fitted again" in sentence for sentence in accepted.notes)


def test_calibration_without_pictures_is_refused(converted: Converted, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match="holds no image"):
        converted("int8", Calibration(images_folder=tmp_path / "empty"))


def test_an_unknown_provider_is_named_as_missing(checkpoint: Checkpoint, evidence: Evidence, tiny_model: Path) -> None:
    facts = ModelFacts(fingerprint="sha256:none", name="tiny", dim=checkpoint.dim, logit_scale=100.0, logit_bias=None)
    candidate = Candidate(
        open=lambda provider: open_candidate(checkpoint, tiny_model, None, provider),
        preprocessing=checkpoint.image,
        precision="fp32",
        facts=facts,
    )
    with pytest.raises(ModelError, match="has no NoSuchExecutionProvider"):
        verify_candidate(replace(candidate), evidence, providers=["NoSuchExecutionProvider"])
