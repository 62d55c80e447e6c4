"""Write the two towers as ONNX graphs: the text tower's matrices stored as int8, the image tower's as fp16."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from recipes.mini.looks import SIDE, embed_looks
from recipes.mini.network import ImageTower
from recipes.mini.text import MAX_TOKENS, TextTower

OPSET: Final = 18
_SMALLEST_MATRIX: Final = 10_000  # elements; anything smaller stays fp32
_SMALLEST_STORED: Final = 1_000  # elements; biases and norms stay fp32
_INT8_MAX: Final = 127.0
_FP16: Final = "_fp16"  # suffix of a weight stored so


class PixelTower(nn.Module):
    """The image tower as it is served: bytes in, unit vectors out."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed.

        Args:
            pixels: uint8 [N,S,S,3].

        Returns:
            Unit vectors, float32 [N,384].
        """
        return embed_looks(self.tower, pixels.permute(0, 3, 1, 2).float())


def image_graph(tower: ImageTower) -> bytes:
    """Export the image tower.

    Args:
        tower: The trained tower.

    Returns:
        A serialised ONNX model: `pixels` uint8 [N,S,S,3] to `embeddings` float32 [N,384].
    """
    pixels = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8)
    model = _export(PixelTower(tower).eval(), (pixels,), ["pixels"], {"pixels": {0: "N"}})
    store_as_fp16(model)
    return bytes(model.SerializeToString())


def read_image_tower(graph: bytes) -> ImageTower:
    """Read the weights back from an exported image tower, so that a further round of training can begin from them.

    Args:
        graph: What `image_graph` returned.

    Returns:
        The tower, its large weights rounded to fp16.
    """
    stored = {t.name.removesuffix(_FP16): t for t in onnx.load_from_string(graph).graph.initializer}
    tower = ImageTower()
    state = {
        name: torch.from_numpy(numpy_helper.to_array(stored[f"tower.{name}"]).astype(np.float32))
        for name, value in tower.state_dict().items()
        if value.is_floating_point()
    }
    tower.load_state_dict(state, strict=False)  # the norms' step counters are not exported and not used
    return tower


def text_graph(tower: TextTower) -> bytes:
    """Export the text tower with int8 matrices that are turned back to fp32 as the graph runs.

    Activations stay fp32, so an embedding does not depend on what else is in its batch.

    Args:
        tower: The locked tower.

    Returns:
        A serialised ONNX model: `input_ids`, `attention_mask` int64 [N,64] to `embeddings` float32 [N,384].
    """
    tokens = torch.ones(2, MAX_TOKENS, dtype=torch.int64)
    names = ["input_ids", "attention_mask"]
    model = _export(tower, (tokens, tokens.clone()), names, {name: {0: "N"} for name in names})
    store_as_int8(model)
    return bytes(model.SerializeToString())


def _export(
    module: nn.Module, args: tuple[Tensor, ...], names: list[str], axes: dict[str, dict[int, str]]
) -> onnx.ModelProto:
    batch = torch.export.Dim("N", min=1, max=4096)
    program = torch.onnx.export(
        module,
        args,
        input_names=names,
        output_names=["embeddings"],
        dynamic_shapes=tuple({0: batch} for _ in axes),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101 - only None when a path is given to the old exporter
    model: onnx.ModelProto = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    return model


def store_as_fp16(model: onnx.ModelProto) -> None:
    """Store large fp32 weights as fp16, in place, and cast them back as the graph loads: it computes in fp32.

    Args:
        model: A model whose weights are initialisers.
    """
    graph = model.graph
    for tensor in [t for t in graph.initializer if np.prod(t.dims) >= _SMALLEST_STORED]:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32:
            continue
        graph.initializer.remove(tensor)
        stored = _add(graph, f"{tensor.name}{_FP16}", values.astype(np.float16))
        graph.node.insert(0, helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))


def store_as_int8(model: onnx.ModelProto) -> None:
    """Replace large fp32 matrices by int8 codes and scales, in place.

    A matrix that is multiplied gets one scale an output column, a table that is looked up one a row.

    Args:
        model: A model whose matrices are initialisers.
    """
    graph = model.graph
    large = [t for t in graph.initializer if len(t.dims) == 2 and np.prod(t.dims) >= _SMALLEST_MATRIX]  # noqa: PLR2004
    for tensor in large:
        users = [n for n in graph.node if tensor.name in n.input]
        rule = {"MatMul": _dequantise_column, "Gather": _dequantise_row, "Gemm": _dequantise_column}
        for user in users:
            if user.op_type in rule:
                rule[user.op_type](graph, user, tensor)
        if all(user.op_type in rule for user in users):
            graph.initializer.remove(tensor)


def _codes(matrix: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    scale = np.maximum(np.abs(matrix).max(axis, keepdims=True), 1e-8) / _INT8_MAX
    return np.rint(matrix / scale).clip(-127, 127).astype(np.int8), scale.astype(np.float32)


def _add(graph: onnx.GraphProto, name: str, values: npt.NDArray[Any]) -> str:
    if all(t.name != name for t in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _dequantise_column(graph: onnx.GraphProto, user: onnx.NodeProto, tensor: TensorProto) -> None:
    """Cast and multiply: onnxruntime folds that into fp32 weights when it loads the graph.

    DequantizeLinear would not do: onnxruntime 1.31 fuses it with MatMul into a product that rounds
    activations to int8 (measured: 0.02 L2 from the fp32 vectors; other versions and machines differ).
    """
    transposed = user.op_type == "Gemm" and any(a.name == "transB" and a.i for a in user.attribute)
    codes, scale = _codes(numpy_helper.to_array(tensor), 1 if transposed else 0)
    name = tensor.name
    nodes = [
        helper.make_node("Cast", [_add(graph, f"{name}_codes", codes)], [f"{name}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_cast", _add(graph, f"{name}_scale", scale)], [f"{name}_fp32"]),
    ]
    _insert(graph, user, nodes)
    _rewire(user, name, f"{name}_fp32")


def _dequantise_row(graph: onnx.GraphProto, user: onnx.NodeProto, tensor: TensorProto) -> None:
    codes, scale = _codes(numpy_helper.to_array(tensor), 1)
    row, out = user.input[1], user.output[0]
    nodes = [
        helper.make_node("Gather", [_add(graph, f"{tensor.name}_codes", codes), row], [f"{out}_codes"], axis=0),
        helper.make_node("Gather", [_add(graph, f"{tensor.name}_scale", scale), row], [f"{out}_scale"], axis=0),
        helper.make_node("Cast", [f"{out}_codes"], [f"{out}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}_cast", f"{out}_scale"], [out]),
    ]
    _insert(graph, user, nodes)
    graph.node.remove(user)


def _insert(graph: onnx.GraphProto, before: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
    place = list(graph.node).index(before)
    for node in reversed(nodes):
        graph.node.insert(place, node)


def _rewire(node: onnx.NodeProto, old: str, new: str) -> None:
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new
