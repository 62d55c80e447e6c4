import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from recipes.mini.graphs import image_graph, read_image_tower, store_as_int8
from recipes.mini.looks import SIDE, embed_looks
from recipes.mini.network import ImageTower


@pytest.fixture(scope="module")
def tower() -> ImageTower:
    """With norms as after training: the exporter stores equal ones once, under one name."""
    chance = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    tower = ImageTower()
    for norm in (each for each in tower.modules() if isinstance(each, nn.BatchNorm2d)):
        for values in (norm.weight.data, norm.running_var, norm.bias.data, norm.running_mean):
            assert values is not None
            values.add_(0.1 * torch.rand(values.shape, generator=chance))
    return tower.eval()


@pytest.fixture(scope="module")
def graph(tower: ImageTower) -> bytes:
    """The exported tower."""
    with warnings.catch_warnings():  # torch's exporter warns of itself: `isinstance(treespec, LeafSpec)` is deprecated
        warnings.simplefilter("ignore")
        return image_graph(tower)


def test_an_exported_embedding_is_the_towers_and_ignores_its_batch(tower: ImageTower, graph: bytes) -> None:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    pixels[3:] = 255
    pixels[3, 20:40, 50:80] = (200, 30, 60)  # one with margins to cut, one blank
    together = session.run(None, {"pixels": pixels})[0]
    alone = np.concatenate([session.run(None, {"pixels": pixels[i : i + 1]})[0] for i in range(5)])
    with torch.inference_mode():
        expected = embed_looks(tower, torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).numpy()
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together - expected).max() < 2e-3  # weights are stored as fp16


def test_a_further_round_begins_from_the_exported_weights(tower: ImageTower, graph: bytes) -> None:
    again = read_image_tower(graph)
    pixels = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(again.eval()(pixels), tower(pixels), atol=2e-3)


def test_int8_tables_and_matrices_compute_what_their_codes_say() -> None:
    chance = np.random.default_rng(1)
    table, matrix = (chance.normal(size=(200, 64)).astype(np.float32) for _ in range(2))
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "rows"], ["looked_up"], axis=0),
            helper.make_node("MatMul", ["looked_up", "matrix"], ["out"]),
        ],
        "toy",
        [helper.make_tensor_value_info("rows", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 200])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(matrix.T.copy(), "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    store_as_int8(model)
    onnx.checker.check_model(model)
    assert {t.data_type for t in model.graph.initializer if np.prod(t.dims) > 1000} == {TensorProto.INT8}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.array([0, 5, 199])
    out = session.run(None, {"rows": rows})[0]
    exact = table[rows] @ matrix.T
    assert np.corrcoef(out.ravel(), exact.ravel())[0, 1] > 0.999
