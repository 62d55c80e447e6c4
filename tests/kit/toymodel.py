"""Build a tiny deterministic model folder, so that tests of every layer run without a real checkpoint.

The image tower is an average pool, a seeded projection and a norm: it tells pictures apart by colour layout and
nothing else. The text tower is a masked mean of seeded word vectors. Colour words are planted where plain pictures
of that colour land, so that policies can be written against it: "red", "green", "blue", "white", "black", "yellow".
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from clipwarden.modelfolder.golden import encode_golden_png
from clipwarden.modelfolder.load import Model, load_model, write_model_folder
from clipwarden.modelfolder.manifest import (
    COLOUR,
    Golden,
    GoldenImage,
    GoldenText,
    ModelManifest,
    Preprocessing,
    TextSettings,
)

SIDE = 32
DIM = 16
CONTEXT = 12
POOL = 8
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "yellow": (255, 255, 0),
}
WORDS = (
    *COLOURS,
    *("a", "an", "the", "photo", "drawing", "screenshot", "of", "picture"),
    *("weapon", "knife", "gun", "cat", "dog", "bottle", "flower", "statue"),
)
BACKGROUND_TEXTS = ("a photo of a cat", "a drawing of a flower", "the dog", "a picture", "a statue")
_OPSET = 17
_IR_VERSION = 8


def build_toy_model(
    folder: Path,
    *,
    seed: int = 7,
    text: bool = True,
    max_batch: int | None = None,
    preprocessing: Preprocessing | None = None,
    name: str = "toy",
) -> Path:
    """Write a model folder of S=32, D=16, L=12 in well under a second.

    Args:
        folder: Where; must not exist.
        seed: Another seed is another model with another fingerprint.
        text: Whether the folder has a text encoder.
        max_batch: Written into the manifest.
        preprocessing: Of side 32; None takes what the exporter writes, displayed colours among it.
        name: Shown to people.

    Returns:
        The folder.
    """
    manifest = ModelManifest(
        name=name,
        architecture="average pool + projection",
        source="tests/toymodel.py",
        revision=str(seed),
        license="Apache-2.0",
        dim=DIM,
        logit_scale=20.0,
        max_batch=max_batch,
        image=preprocessing or Preprocessing(side=SIDE, colour=COLOUR),
        text=TextSettings(context_length=CONTEXT) if text else None,
        background=BACKGROUND_TEXTS,
        golden=_golden(seed, text=text),
    )
    files: dict[str, bytes | Path] = {"image.onnx": image_graph(seed)}
    if text:
        files |= {"text.onnx": text_graph(seed), "tokenizer.json": tokenizer_json()}
    background = reference_texts(BACKGROUND_TEXTS, seed)
    write_model_folder(folder, manifest, files=files, background=background)
    return folder


def load_toy_model(folder: Path, **settings: Any) -> Model:  # noqa: ANN401
    """Build a toy model and load it on one thread; `settings` as for `build_toy_model`."""
    return load_model(build_toy_model(folder, **settings), threads=1)


def plain_picture(colour: str, side: int = SIDE) -> NDArray[np.uint8]:
    """Paint uint8 [side,side,3] in one of `COLOURS`."""
    return np.full((side, side, 3), COLOURS[colour], dtype=np.uint8)


def image_graph(seed: int) -> bytes:
    """Serialise uint8 [N,32,32,3] -> cast, average pool to 4x4, project, normalise -> float32 [N,16]."""
    cells = SIDE // POOL
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "range"], ["unit"]),
        helper.make_node("Sub", ["unit", "half"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[POOL, POOL], strides=[POOL, POOL]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["projected"]),
        *_normalise("projected", "embeddings"),
    ]
    constants = {
        "range": np.float32(255),
        "half": np.float32(0.5),
        "projection": _projection(seed).reshape(3 * cells * cells, DIM),
        "axis": np.array([1], dtype=np.int64),
    }
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    return _serialise(nodes, [pixels], constants)


def text_graph(seed: int) -> bytes:
    """Serialise ids and mask int64 [N,12] -> embed, masked mean, normalise -> float32 [N,16]."""
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["vectors", "weights"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "axis"], ["summed"], keepdims=0),
        # An empty text has no word: a constant keeps its norm off zero.
        helper.make_node("Add", ["summed", "bias"], ["shifted"]),
        *_normalise("shifted", "embeddings"),
    ]
    constants = {
        "words": _word_vectors(seed),
        "bias": _bias(),
        "axis": np.array([1], dtype=np.int64),
        "last": np.array([2], dtype=np.int64),
    }
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["N", CONTEXT])
        for name in ("input_ids", "attention_mask")
    ]
    return _serialise(nodes, inputs, constants)


def tokenizer_json() -> bytes:
    """Serialise a word-level tokenizer over `WORDS`; id 0 is padding, id 1 any unknown word."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: index for index, word in enumerate(WORDS, start=2)}
    tokenizer = RawTokenizer(WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer.to_str().encode()


def reference_images(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Embed uint8 [N,32,32,3] in plain numpy, as the graph does; float32 [N,16]."""
    cells = SIDE // POOL
    centred = pixels.astype(np.float32) / 255 - 0.5
    # [N,32,32,3] -> [N,cells,POOL,cells,POOL,3] -> [N,cells,cells,3] -> [N,3,cells,cells]
    pooled = centred.reshape(-1, cells, POOL, cells, POOL, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    return _unit(pooled.reshape(len(pixels), -1) @ _projection(seed).reshape(-1, DIM))


def reference_texts(texts: Sequence[str], seed: int) -> NDArray[np.float32]:
    """Embed texts in plain numpy, as the graph does; float32 [P,16]."""
    index = {word: position for position, word in enumerate(WORDS, start=2)}
    rows = [[index.get(word, 1) for word in text.lower().split()][:CONTEXT] for text in texts]
    vectors = _word_vectors(seed)
    return _unit(np.stack([vectors[row].sum(axis=0) + _bias() for row in rows]))


def _golden(seed: int, *, text: bool) -> Golden:
    noise = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    pictures = np.stack([noise, plain_picture("red"), plain_picture("blue")])
    texts = ("a photo of a cat", "red") if text else ()
    return Golden(
        tolerance=1e-4,
        images=tuple(
            GoldenImage(png=encode_golden_png(pixels), embedding=_floats(vector))
            for pixels, vector in zip(pictures, reference_images(pictures, seed), strict=True)
        ),
        texts=tuple(GoldenText(text=prompt, embedding=_floats(reference_texts([prompt], seed)[0])) for prompt in texts),
    )


def _floats(vector: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in vector)


@cache
def _projection(seed: int) -> NDArray[np.float32]:
    cells = SIDE // POOL
    return np.random.default_rng(seed).normal(size=(3, cells, cells, DIM)).astype(np.float32)


@cache
def _word_vectors(seed: int) -> NDArray[np.float32]:
    """Draw small random word vectors, and put each colour word where plain pictures of that colour land."""
    vectors = np.random.default_rng(seed + 1).normal(scale=0.05, size=(len(WORDS) + 2, DIM)).astype(np.float32)
    pictures = np.stack([plain_picture(colour) for colour in COLOURS])
    vectors[2 : 2 + len(COLOURS)] = reference_images(pictures, seed)
    return vectors


def _bias() -> NDArray[np.float32]:
    return np.full(DIM, 1e-3, dtype=np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _normalise(source: str, target: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceL2", [source], [f"{source}_norm"], axes=[1], keepdims=1),
        helper.make_node("Div", [source, f"{source}_norm"], [target]),
    ]


def _serialise(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, NDArray[np.generic] | np.generic],
) -> bytes:
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used]
    output = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["N", DIM])
    graph = helper.make_graph(nodes, "toy", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
