"""LitServe on the same ONNX file: raw JPEG in, the nearest text and its cosine out; a worker of one thread a CPU.

Runs in an environment of its own and imports nothing of ours: `python litserve_server.py ONNX SIDE PORT CPUS`, with as
many CPUs as it may use.
"""

import io
import os
import sys
from typing import Annotated

import litserve as ls
import numpy as np
import onnxruntime as ort
from fastapi import Body
from numpy.typing import NDArray
from PIL import Image

Raw = Annotated[bytes, Body(media_type="image/jpeg")]
"""The body as it comes. LitServe's users mostly send base64 in JSON, which costs more at both ends."""


class Judge(ls.LitAPI):
    """Decodes, encodes and compares, one image at a time in each worker."""

    def __init__(self, onnx: str, side: int) -> None:
        super().__init__(api_path="/moderate")
        self._onnx, self._side = onnx, side

    def setup(self, device: str) -> None:  # noqa: ARG002  LitServe's signature
        """Load the session, in each worker."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(self._onnx, options, providers=["CPUExecutionProvider"])
        width = self._session.get_outputs()[0].shape[1]
        texts = np.random.default_rng(0).standard_normal((1000, width)).astype(np.float32)
        self._texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)

    def decode_request(self, request: Raw) -> NDArray[np.uint8]:
        """Decode a JPEG at twice the side or more, resize its shorter side, crop: uint8 [1,S,S,3]."""
        image, side = Image.open(io.BytesIO(request)), self._side
        width, height = image.size
        shorter = min(width, height)
        target = (side * width // shorter, side * height // shorter)
        image.draft("RGB", (2 * target[0], 2 * target[1]))
        small = image.convert("RGB").resize(target, Image.Resampling.BICUBIC)
        left, top = (target[0] - side) // 2, (target[1] - side) // 2
        return np.asarray(small.crop((left, top, left + side, top + side)))[None]

    def predict(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode and compare: [1000] cosines."""
        cosines: NDArray[np.float32] = self._texts @ self._session.run(None, {"pixels": x})[0][0]
        return cosines

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, float]:
        """Answer with the nearest text."""
        return {"text": int(output.argmax()), "cosine": float(output.max())}


if __name__ == "__main__":
    os.environ["DO_NOT_TRACK"] = "1"
    judge, cpus = Judge(sys.argv[1], int(sys.argv[2])), int(sys.argv[4])
    server = ls.LitServer(judge, accelerator="cpu", workers_per_device=cpus, timeout=False)
    server.run(host="127.0.0.1", port=int(sys.argv[3]), log_level="warning", generate_client_file=False)
