"""A plain FastAPI server on the same ONNX file: raw JPEG in, the nearest text and its cosine out.

Runs in an environment of its own and imports nothing of ours: `python fastapi_server.py ONNX SIDE PORT CPUS`, with as
many CPUs as it may use. It is what a careful user writes in forty lines: one session of one thread, shared by a thread
pool of CPUs + 1, no checks.
"""

import asyncio
import io
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, Request
from numpy.typing import NDArray
from PIL import Image


def read_pixels(data: bytes, side: int) -> NDArray[np.uint8]:
    """Decode a JPEG at twice the side or more, resize its shorter side, crop: uint8 [1,S,S,3]."""
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    shorter = min(width, height)
    target = (side * width // shorter, side * height // shorter)
    image.draft("RGB", (2 * target[0], 2 * target[1]))
    small = image.convert("RGB").resize(target, Image.Resampling.BICUBIC)
    left, top = (target[0] - side) // 2, (target[1] - side) // 2
    return np.asarray(small.crop((left, top, left + side, top + side)))[None]


def make_app(onnx: str, side: int, cpus: int) -> FastAPI:
    """Make the application; its session is of one thread and shared by all calls."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    texts = np.random.default_rng(0).standard_normal((1000, session.get_outputs()[0].shape[1])).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    pool = ThreadPoolExecutor(cpus + 1)
    app = FastAPI()

    def judge(data: bytes) -> dict[str, float]:
        cosines = texts @ session.run(None, {"pixels": read_pixels(data, side)})[0][0]
        return {"text": int(cosines.argmax()), "cosine": float(cosines.max())}

    @app.post("/moderate")
    async def moderate(request: Request) -> dict[str, float]:
        return await asyncio.get_running_loop().run_in_executor(pool, judge, await request.body())

    return app


if __name__ == "__main__":
    app = make_app(sys.argv[1], int(sys.argv[2]), int(sys.argv[4]))
    uvicorn.run(app, port=int(sys.argv[3]), log_level="warning", access_log=False)
