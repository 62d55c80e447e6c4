"""Pixels or prompts in, unit vectors out; one ONNX session each.

Both encoders are safe to share between threads: sessions are, and nothing else here changes after construction.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import EncoderError, ModelError
from clipwarden.modelfolder.session import Session, TensorFacts
from clipwarden.modelfolder.tokenizer import Tokenizer
from clipwarden.unitvectors import require_unit


class ImageEncoder:
    """Embeds pixels.

    Args:
        session: Of image.onnx: one input uint8 [N,S,S,3], one output float32 [N,D].
        side: S.
        dim: D.
        max_batch: Largest batch the graph may be given; None means any.

    Raises:
        ModelError: The graph's input or output is not of that dtype and shape.
    """

    def __init__(self, session: Session, *, side: int, dim: int, max_batch: int | None = None) -> None:
        self._session = session
        self._input = _only(session.get_inputs(), "image.onnx", "input")
        _check_tensor(self._input, "image.onnx input", "tensor(uint8)", (None, side, side, 3))
        _check_output(session, "image.onnx", dim)
        self._side, self._dim, self._max_batch = side, dim, max_batch

    @property
    def max_batch(self) -> int | None:
        """Largest batch the graph is given; a batcher gains nothing from offering more."""
        return self._max_batch

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed images, in as many runs as `max_batch` asks for.

        Args:
            pixels: uint8 [N,S,S,3], RGB.

        Returns:
            float32 [N,D], unit norm; row i belongs to image i, whatever its neighbours.

        Raises:
            EncoderError: Wrong dtype or shape, the runtime failed, or it answered something other than unit vectors.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self._side, self._side, 3):
            raise EncoderError(
                f"The encoder wants uint8 [N,{self._side},{self._side},3], not {pixels.dtype} {list(pixels.shape)}."
            )
        count = len(pixels)
        step = self._max_batch or max(count, 1)
        if 0 < count <= step:
            return self._run(pixels)
        parts = [self._run(pixels[start : start + step]) for start in range(0, count, step)]
        return np.concatenate(parts) if parts else np.empty((0, self._dim), dtype=np.float32)

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        feed: dict[str, NDArray[np.generic]] = {self._input.name: np.ascontiguousarray(pixels)}
        return _run(self._session, feed, (len(pixels), self._dim))


class TextEncoder:
    """Embeds prompts, one at a time and at fixed length, so that no prompt can depend on another.

    Args:
        session: Of text.onnx: inputs `input_ids` and `attention_mask` int64 [N,L], one output float32 [N,D].
        tokenizer: Of the same folder.
        context_length: L.
        dim: D.
        at_once: How many runs of the session are best under way at the same time.

    Raises:
        ModelError: The graph's inputs or output are not of that name, dtype and shape.
    """

    def __init__(
        self, session: Session, tokenizer: Tokenizer, *, context_length: int, dim: int, at_once: int = 1
    ) -> None:
        inputs = {tensor.name: tensor for tensor in session.get_inputs()}
        if set(inputs) != {"input_ids", "attention_mask"}:
            found = ", ".join(sorted(inputs)) or "none"
            raise ModelError(f"text.onnx must have the inputs input_ids and attention_mask; it has {found}.")
        for name, tensor in inputs.items():
            _check_tensor(tensor, f"text.onnx input {name}", "tensor(int64)", (None, context_length))
        _check_output(session, "text.onnx", dim)
        self._session, self._dim = session, dim
        self.tokenizer = tokenizer
        self.at_once = at_once

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed prompts.

        Args:
            texts: P prompts; longer ones are truncated to the context.

        Returns:
            float32 [P,D], unit norm.

        Raises:
            EncoderError: The runtime failed, or answered something other than unit vectors.
        """
        rows = [self._embed_one(text) for text in texts]
        return np.concatenate(rows) if rows else np.empty((0, self._dim), dtype=np.float32)

    def _embed_one(self, text: str) -> NDArray[np.float32]:
        ids, mask = self.tokenizer.encode(text)
        return _run(self._session, {"input_ids": ids[None], "attention_mask": mask[None]}, (1, self._dim))


def _run(session: Session, feed: dict[str, NDArray[np.generic]], shape: tuple[int, int]) -> NDArray[np.float32]:
    try:
        output = session.run(None, feed)[0]
    except Exception as exc:  # onnxruntime's exceptions share no base but Exception
        first_line = str(exc).partition("\n")[0]
        raise EncoderError(f"onnxruntime failed: {first_line}") from exc
    if output.shape != shape:
        raise EncoderError(f"The encoder answered {list(output.shape)} where {list(shape)} was due.")
    require_unit(output, EncoderError("The encoder answered vectors that are not finite and of unit norm."))
    return output


def _only(tensors: Sequence[TensorFacts], graph: str, kind: str) -> TensorFacts:
    if len(tensors) != 1:
        raise ModelError(f"{graph} must have exactly one {kind}; it has {len(tensors)}.")
    return tensors[0]


def _check_output(session: Session, graph: str, dim: int) -> None:
    output = _only(session.get_outputs(), graph, "output")
    _check_tensor(output, f"{graph} output", "tensor(float)", (None, dim))


def _check_tensor(tensor: TensorFacts, what: str, dtype: str, shape: tuple[int | None, ...]) -> None:
    """Insist on dtype and rank, on a free batch axis, and on every other axis's size (a symbolic one may pass)."""
    found = tuple(tensor.shape)
    sizes_agree = len(found) == len(shape) and all(
        not isinstance(size, int) or size == wanted for size, wanted in zip(found, shape, strict=True)
    )
    if tensor.type != dtype or not sizes_agree:
        wanted_text = ", ".join("N" if size is None else str(size) for size in shape)
        raise ModelError(f"{what} is {tensor.type} {list(found)}; model.json promises {dtype} [{wanted_text}].")
