"""Pieces of the export: patch products, the checkpoint left as it was, graphs at every opset."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from clipwarden_export.errors import GraphError
from clipwarden_export.graphs import graph
from clipwarden_export.graphs.graph import export_graph, image_signature
from clipwarden_export.graphs.patches import PatchProduct, linear_patches
from clipwarden_export.sources.towers import ImageTower


class Patches(nn.Module):
    """A convolution over patches, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, kernel_size=4, stride=4)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.patches(pixels).mean(dim=(2, 3))


@pytest.fixture
def tower() -> ImageTower:
    torch.manual_seed(0)
    inner = Patches()
    return ImageTower(inner, inner.forward, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3]).eval()


@pytest.mark.parametrize("size", [(16, 16), (18, 23)])
@pytest.mark.parametrize("bias", [True, False])
def test_patch_product_equals_its_convolution(size: tuple[int, int], bias: bool) -> None:  # noqa: FBT001 - a parameter
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 8, kernel_size=4, stride=4, bias=bias)
    pixels = torch.randn(2, 3, *size)
    with torch.inference_mode():
        assert torch.allclose(PatchProduct(convolution)(pixels), convolution(pixels), atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(3, 8, kernel_size=3, stride=2),
        nn.Conv2d(3, 8, kernel_size=4, stride=4, padding=1),
        nn.Conv2d(4, 8, kernel_size=2, stride=2, groups=2),
        nn.Conv2d(3, 8, kernel_size=1),
    ],
)
def test_other_convolutions_stay(other: nn.Conv2d) -> None:
    holder = nn.Sequential(other)
    with linear_patches(holder):
        assert holder[0] is other


def test_checkpoint_is_as_before_after_the_export_even_when_it_fails() -> None:
    inner = Patches()
    before = inner.patches

    def fail_inside() -> None:
        with linear_patches(inner):
            assert isinstance(inner.patches, PatchProduct)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_inside()
    assert inner.patches is before


@pytest.mark.parametrize("opset", [18, 20, 21])
def test_graph_equals_the_tower_at_any_batch_size(opset: int, tower: ImageTower, tmp_path: Path) -> None:
    path = tmp_path / "image.onnx"
    export_graph(tower, image_signature(16), path, opset=opset)
    model = onnx.load(str(path))
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [opset]
    assert "Conv" not in {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (described,) = session.get_inputs()
    assert (described.name, described.type, described.shape) == ("pixels", "tensor(uint8)", ["N", 16, 16, 3])
    for count in (1, 3, 17):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = tower(torch.from_numpy(pixels)).numpy()
        (found,) = session.run(None, {"pixels": pixels})
        assert np.allclose(found, expected, atol=1e-5)
        assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_tower_beyond_one_file_is_refused_before_the_work(
    tower: ImageTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MAX_GRAPH_BYTES", 100)
    with pytest.raises(GraphError, match="a single ONNX file holds at most"):
        export_graph(tower, image_signature(16), tmp_path / "image.onnx")


def test_tower_that_torch_cannot_export_is_one_sentence(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.float() if pixels.sum() > 3 else -pixels.float()

    with pytest.raises(GraphError, match=r"torch cannot export image\.onnx at opset 20: "):
        export_graph(Branching(), image_signature(16), tmp_path / "image.onnx")
    assert list(tmp_path.iterdir()) == []
