"""A torch tower in, a serialised fp32 ONNX graph with a free batch axis out."""

import logging
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clipwarden_export.errors import GraphError
from clipwarden_export.graphs.patches import linear_patches

# Nothing is fused here: layer norm is one node already, sessions fuse QuickGelu and scaled products as they load, and
# onnxruntime.transformers.optimizer ("clip" and "vit", 1.31) finds no attention to fuse in what torch writes.
# LayerNormalization came with opset 17 and Gelu with 20; onnxruntime 1.20, the oldest we run on, reads up to 21.
DEFAULT_OPSET = 20
OPSETS = range(18, 24)
# protobuf's limit, which is why a model folder's graphs are single files without external data.
MAX_GRAPH_BYTES = 2**31 - 1
# Warns of every operator of torchvision's that it passes over where torchvision is not installed; we use none.
_REGISTRATION = "torch.onnx._internal.exporter._registration"
# Two rows: torch.export takes an axis of size 1 for a constant.
_SAMPLE_ROWS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """Inputs of a tower.

    Attributes:
        names: Input names, in the order of `forward`.
        samples: One tensor for each, its first axis the batch.
    """

    names: tuple[str, ...]
    samples: tuple[Tensor, ...]


def image_signature(side: int) -> Signature:
    """Describe the image graph's input: uint8 [N,S,S,3]."""
    return Signature(names=("pixels",), samples=(torch.zeros(_SAMPLE_ROWS, side, side, 3, dtype=torch.uint8),))


def text_signature(ids: NDArray[np.int64]) -> Signature:
    """Describe the text graph's inputs: ids and mask int64 [N,L].

    Args:
        ids: int64 [2,L], of real texts: some towers look for the end of the text while they are traced.
    """
    tokens = torch.from_numpy(ids)
    return Signature(names=("input_ids", "attention_mask"), samples=(tokens, torch.ones_like(tokens)))


def export_graph(tower: nn.Module, signature: Signature, path: Path, *, opset: int = DEFAULT_OPSET) -> None:
    """Export a tower and write it as one self-contained ONNX file.

    Args:
        tower: In eval mode, on the CPU, in fp32.
        signature: Its inputs.
        path: The file to write.
        opset: ONNX operator set.

    Raises:
        GraphError: torch cannot export it, or the file would exceed 2 GiB.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in tower.parameters())
    if size > MAX_GRAPH_BYTES:
        msg = f"{path.name} would hold {size / 1e9:.1f} GB, and a single ONNX file holds at most 2.1 GB."
        raise GraphError(msg)
    batch = torch.export.Dim("N", min=1, max=4096)
    with _quiet(), linear_patches(tower):
        try:
            program: Any = torch.onnx.export(
                tower,
                signature.samples,
                dynamo=True,
                opset_version=opset,
                input_names=list(signature.names),
                output_names=["embeddings"],
                dynamic_shapes=tuple({0: batch} for _ in signature.samples),
                verbose=False,
            )
        except Exception as exc:  # torch.export raises many kinds, all of them its own
            first_line = str(exc).strip().partition("\n")[0]
            msg = f"torch cannot export {path.name} at opset {opset}: {first_line}"
            raise GraphError(msg) from exc
    program.save(str(path), external_data=False)
    _finish(path, signature.names)


def _finish(path: Path, names: Sequence[str]) -> None:
    """Give the batch axis its letter, and insist that no input was optimised away."""
    model = onnx.load(str(path))
    found = [tensor.name for tensor in model.graph.input]
    if found != list(names):
        msg = f"{path.name} came out with the inputs {found} where {list(names)} were due."
        raise GraphError(msg)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "N"
    # torch notes source lines of this machine on every node; a model folder travels.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    # Shapes of intermediates, some out of date after torch's own optimisation; converters infer their own.
    del model.graph.value_info[:]
    onnx.save(model, str(path))


@contextmanager
def _quiet() -> Any:  # noqa: ANN401
    """Silence torch's warnings about its own internals; ours stay."""
    log = logging.getLogger(_REGISTRATION)
    level = log.level
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
