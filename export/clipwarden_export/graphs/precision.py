"""fp32 graphs in, graphs of the asked precision out, in place."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from clipwarden.modelfolder.manifest import Precision, Preprocessing
from clipwarden_export.errors import GraphError
from clipwarden_export.verification.evidence import prepare_images
from clipwarden_export.verification.probes import given_images

# Sums over many elements and the final division by the norm keep fp32: fp16 has 11 bits, and overflows at 65,504.
_FP32_OPS = ("LayerNormalization", "Softmax", "ReduceL2", "Div", "ArgMax")
# Weights on MatMul alone: convolutions, norms and the attention's own products stay in fp32.
_INT8_OPS = ["MatMul"]
# Seven bits: AVX2 and AVX-512 without VNNI add two products of 8 bits into 16, which saturates at full range. A
# folder travels between machines, so the safe range is not a choice.
# Measured on AVX2 without VNNI, seeded ViT-B/32, weights per channel, worst cosine to fp32: 0.9988 at seven bits,
# 0.9980 at eight, where saturation costs more than the bit brings.
# Source: onnxruntime's quantization guide, "When and why do I need to try U8U8?" and `reduce_range`.
_REDUCE_RANGE = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Static int8: activation ranges are measured once, on these images.

    Attributes:
        images_folder: A few dozen pictures like those to be judged.
    """

    images_folder: Path


def convert(
    image: Path, text: Path, precision: Precision, *, calibration: Calibration | None, preprocessing: Preprocessing
) -> None:
    """Convert the graphs in place.

    int8 touches the image graph alone: a prompt is embedded once, so its encoder's speed gains nothing and its error
    would move every score.

    Args:
        image: image.onnx in fp32.
        text: text.onnx in fp32.
        precision: What to make of them.
        calibration: Static int8 where given, dynamic otherwise.
        preprocessing: For calibration images.

    Raises:
        GraphError: onnxruntime cannot convert a graph.
        ExportError: There are no calibration images.
    """
    if precision == "fp16":
        _to_fp16(image)
        _to_fp16(text)
    elif precision == "int8" and calibration is None:
        _replace(image, _to_dynamic_int8)
    elif precision == "int8" and calibration is not None:
        pixels = prepare_images(given_images(calibration.images_folder), preprocessing)
        _replace(image, lambda source, target: _to_static_int8(source, target, pixels))


def _to_fp16(path: Path) -> None:
    model = onnx.load(str(path))
    with _quiet(path, "fp16"):
        half = convert_float_to_float16(model, keep_io_types=True, op_block_list=list(_FP32_OPS))
        _tidy_casts(half)
    onnx.save(half, str(path))


def _tidy_casts(model: onnx.ModelProto) -> None:
    """Keep one of each cast, and let no value pass through fp16 on its way from one fp32 node to the next.

    The converter adds the same cast for every fp32 node that a value feeds, which onnxruntime refuses; and it rounds
    the norm, and the division by it, to fp16 and back.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        narrow = producers.get(node.input[0]) if node.op_type == "Cast" else None
        if narrow is not None and _casts_to(node, TensorProto.FLOAT) and _casts_to(narrow, TensorProto.FLOAT16):
            node.input[0] = narrow.input[0]
    kept = {node.output[0]: node for node in reversed(model.graph.node)}
    ordered = list(reversed(kept.values()))
    del model.graph.node[:]
    model.graph.node.extend(ordered)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(part.name == "to" and part.i == kind for part in node.attribute)


def _replace(path: Path, convert_file: Any) -> None:  # noqa: ANN401
    """Run a conversion from file to file, and put the result in the source's place."""
    target = path.with_suffix(".int8.onnx")
    with _quiet(path, "int8"):
        convert_file(path, target)
    target.replace(path)


def _to_dynamic_int8(source: Path, target: Path) -> None:
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=_INT8_OPS,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=_REDUCE_RANGE,
        extra_options={"MatMulConstBOnly": True},
    )


def _to_static_int8(source: Path, target: Path, pixels: NDArray[np.uint8]) -> None:
    quantize_static(
        source,
        target,
        _Pictures(onnx.load(str(source), load_external_data=False).graph.input[0].name, pixels),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_INT8_OPS,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=_REDUCE_RANGE,
        extra_options={"MatMulConstBOnly": True},
    )


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Feeds images one at a time, so that calibration's memory does not grow with their number."""

    def __init__(self, name: str, pixels: NDArray[np.uint8]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.uint8]]] = ({name: one[None]} for one in pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._feeds, None)


@contextmanager
def _quiet(path: Path, precision: str) -> Iterator[None]:
    """Silence the converters' advice, and turn their failures into ours."""
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as exc:  # onnxruntime's converters raise ValueError, RuntimeError, KeyError and their own
        first_line = str(exc).strip().partition("\n")[0]
        msg = f"{path.name} cannot be converted to {precision}: {first_line}"
        raise GraphError(msg) from exc
    finally:
        root.setLevel(level)
