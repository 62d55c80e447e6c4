"""A CLIP image encoder of real geometry and random weights, as an int8 ONNX file: right for time, useless for sight.

Built without torch. The graph is what a CLIP export has: uint8 pixels in, unit vectors out, one MatMul for each
linear layer, and dynamic int8 quantisation of those weights.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

OPSET = 17
"""The first with LayerNormalization."""
IR_VERSION = 10
"""Read by every onnxruntime since 1.20, our floor."""
LAYOUT = 1
"""Part of cached file names; raised when the graph below changes."""

MEAN_RGB = (0.48145466, 0.4578275, 0.40821073)
"""Source: OpenAI CLIP, `clip.py`, in [0, 1]."""
STD_RGB = (0.26862954, 0.26130258, 0.27577711)
"""Source: as `MEAN_RGB`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The sizes of a vision transformer.

    Attributes:
        side: S, pixels.
        patch: Side of a patch, pixels.
        width: Of the residual stream.
        layers: Transformer blocks.
        heads: Attention heads; divides `width`.
        hidden: Width inside the feed-forward layer.
        dim: D, of the embedding.
    """

    side: int
    patch: int
    width: int
    layers: int
    heads: int
    hidden: int
    dim: int

    @property
    def tokens(self) -> int:
        """Patches and one class token."""
        return (self.side // self.patch) ** 2 + 1


VIT_B_32 = Geometry(side=224, patch=32, width=768, layers=12, heads=12, hidden=3072, dim=512)
"""Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", table 20."""


class _Graph:
    """An ONNX graph in the making; every method returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)
        self._count = 0

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:  # noqa: ANN401 - as many types as ONNX has
        output = self._name(op)
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, value: NDArray[np.generic]) -> str:
        name = self._name("constant")
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def floats(self, *values: float) -> str:
        return self.constant(np.array(values, dtype=np.float32))

    def weights(self, *shape: int) -> str:
        """Draw weights that keep the size of what passes through them, as a trained network's do."""
        return self.constant((self._random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32))

    def reshape(self, value: str, *shape: int) -> str:
        return self.node("Reshape", [value, self.constant(np.array(shape, dtype=np.int64))])

    def linear(self, value: str, inner: int, outer: int) -> str:
        product = self.node("MatMul", [value, self.weights(inner, outer)])
        return self.node("Add", [product, self.constant(np.zeros(outer, dtype=np.float32))])

    def layer_norm(self, value: str, width: int) -> str:
        scale, shift = np.ones(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
        return self.node("LayerNormalization", [value, self.constant(scale), self.constant(shift)], epsilon=1e-5)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def build_vit(geometry: Geometry, *, seed: int) -> onnx.ModelProto:
    """Build the float32 model: `pixels` uint8 [N,S,S,3] to `embeddings` float32 [N,D], unit rows.

    Args:
        geometry: Its sizes.
        seed: Of the weights.

    Returns:
        The model, checked.
    """
    graph = _Graph(seed)
    stream = graph.layer_norm(_embed_patches(graph, geometry), geometry.width)
    for _ in range(geometry.layers):
        stream = graph.node("Add", [stream, _attend(graph, stream, geometry)])
        stream = graph.node("Add", [stream, _feed_forward(graph, stream, geometry)])
    first = graph.node("Gather", [stream, graph.constant(np.array(0, dtype=np.int64))], axis=1)
    projection = graph.weights(geometry.width, geometry.dim)
    projected = graph.node("MatMul", [graph.layer_norm(first, geometry.width), projection])
    graph.nodes.append(helper.make_node("LpNormalization", [projected], ["embeddings"], axis=-1, p=2))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", geometry.side, geometry.side, 3])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["N", geometry.dim])
    made = helper.make_graph(graph.nodes, "vit", [pixels], [embeddings], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def int8_vit(geometry: Geometry = VIT_B_32, *, folder: Path | None = None) -> Path:
    """Return the quantised model's file, made on the first call and kept for the next.

    Args:
        geometry: Its sizes.
        folder: Where it is kept; by default one under the system's temporary folder.

    Returns:
        Path of an ONNX file; about 90 MB for ViT-B/32.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"clipwarden-bench-{os.getuid()}"
    digest = sha256(repr((LAYOUT, OPSET, sorted(asdict(geometry).items()))).encode()).hexdigest()[:12]
    path = folder / f"vit-int8-{digest}.onnx"
    if path.exists():
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work, _quiet():
        float32, int8 = Path(work) / "float32.onnx", Path(work) / "int8.onnx"
        onnx.save(build_vit(geometry, seed=0), float32)
        quantize_dynamic(float32, int8, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8)
        int8.replace(path)  # Whole or not at all, should two benchmarks start at once.
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser, which recommends its own pre-processing on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _embed_patches(graph: _Graph, geometry: Geometry) -> str:
    """Normalise, cut and project: uint8 [N,S,S,3] -> [N,tokens,width]."""
    across, patch, width = geometry.side // geometry.patch, geometry.patch, geometry.width
    pixels = graph.node("Cast", ["pixels"], to=TensorProto.FLOAT)
    centred = graph.node("Sub", [pixels, graph.floats(*(255 * mean for mean in MEAN_RGB))])
    scaled = graph.node("Div", [centred, graph.floats(*(255 * std for std in STD_RGB))])
    # [N,S,S,3] -> [N,across,patch,across,patch,3] -> [N,across*across,patch*patch*3]
    grid = graph.node(
        "Transpose", [graph.reshape(scaled, -1, across, patch, across, patch, 3)], perm=[0, 1, 3, 2, 4, 5]
    )
    flat = graph.reshape(grid, -1, across * across, patch * patch * 3)
    patches = graph.node("MatMul", [flat, graph.weights(patch * patch * 3, width)])
    # A class token for each image: take one patch's shape, empty it, and add the token.
    one = graph.node("Gather", [patches, graph.constant(np.array([0], dtype=np.int64))], axis=1)
    zero = graph.node("Mul", [one, graph.floats(0.0)])
    token = graph.node("Add", [zero, graph.weights(1, width)])
    return graph.node("Add", [graph.node("Concat", [token, patches], axis=1), graph.weights(geometry.tokens, width)])


def _attend(graph: _Graph, stream: str, geometry: Geometry) -> str:
    """Attend over tokens: [N,tokens,width] -> the same."""
    width, heads = geometry.width, geometry.heads
    normed = graph.layer_norm(stream, width)

    def split(perm: Sequence[int]) -> str:
        projected = graph.linear(normed, width, width)
        return graph.node(
            "Transpose", [graph.reshape(projected, -1, geometry.tokens, heads, width // heads)], perm=perm
        )

    query, key, value = split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])
    logits = graph.node("MatMul", [graph.node("Mul", [query, graph.floats((width // heads) ** -0.5)]), key])
    mixed = graph.node("MatMul", [graph.node("Softmax", [logits], axis=-1), value])
    joined = graph.reshape(graph.node("Transpose", [mixed], perm=[0, 2, 1, 3]), -1, geometry.tokens, width)
    return graph.linear(joined, width, width)


def _feed_forward(graph: _Graph, stream: str, geometry: Geometry) -> str:
    """Widen, bend, narrow; `x * sigmoid(1.702 x)` is the activation of OpenAI's CLIP (`QuickGELU` in `model.py`)."""
    wide = graph.linear(graph.layer_norm(stream, geometry.width), geometry.width, geometry.hidden)
    gate = graph.node("Sigmoid", [graph.node("Mul", [wide, graph.floats(1.702)])])
    return graph.linear(graph.node("Mul", [wide, gate]), geometry.hidden, geometry.width)
