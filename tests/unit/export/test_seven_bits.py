"""Why int8 weights keep seven bits: their products cannot overflow the 16 bits that older x86 adds them in."""

import numpy as np
import onnx
import onnxruntime
import pytest
from bench.measure import describe_machine
from onnx import TensorProto, helper


def product(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply uint8 [M,K] by int8 [K,N] as a quantised graph does."""
    node = helper.make_node("MatMulInteger", ["a", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, list(activations.shape))],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [len(activations), weights.shape[1]])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"a": activations})
    return np.asarray(found)


def exact(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return activations.astype(np.int64) @ weights.astype(np.int64)


def extremes(limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations at their top, against weights at theirs: what saturates first."""
    random = np.random.default_rng(limit)
    return np.full((3, 768), 255, dtype=np.uint8), random.choice([-limit, limit], (768, 32)).astype(np.int8)


def test_seven_bits_are_exact_on_every_processor() -> None:
    assert 2 * 255 * 64 <= np.iinfo(np.int16).max < 2 * 255 * 127
    activations, weights = extremes(64)
    weights[:, 0] = 64
    assert np.array_equal(product(activations, weights), exact(activations, weights))


def test_eight_bits_are_exact_where_the_processor_has_vnni() -> None:
    if "yes" not in describe_machine()["int8"]:
        pytest.skip("this processor adds products in 16 bits")
    activations, weights = extremes(127)
    weights[:, 0] = 127
    assert np.array_equal(product(activations, weights), exact(activations, weights))
