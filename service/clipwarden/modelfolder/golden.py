"""Golden images and texts in, the largest drift of their embeddings out."""

import base64
import binascii
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.errors import ModelError
from clipwarden.modelfolder.encoder import ImageEncoder, TextEncoder
from clipwarden.modelfolder.manifest import Golden, GoldenImage


def golden_drift(golden: Golden, image: ImageEncoder, text: TextEncoder | None, *, side: int) -> float:
    """Measure how far the encoders' answers lie from those stored at export.

    Args:
        golden: Stored inputs and embeddings.
        image: The image encoder under test.
        text: The text encoder under test; None skips golden texts, and then there need be none.
        side: S of the image encoder.

    Returns:
        The largest L2 distance between a stored and a computed unit vector, in [0, 2].

    Raises:
        ModelError: A golden image is not an S x S RGB PNG, or an encoder has nothing to be tested on.
        EncoderError: An encoder failed.
    """
    if not golden.images:
        raise ModelError(
            "model.json has no golden image, so nothing shows that this runtime computes what was exported."
        )
    if text is not None and not golden.texts:
        raise ModelError(
            "model.json has no golden text, so nothing shows that this text encoder computes what was exported."
        )
    drifts = [_distance(image.encode(golden_pixels(item, side=side)[None]), item.embedding) for item in golden.images]
    if text is not None:
        drifts += [_distance(text.embed([item.text]), item.embedding) for item in golden.texts]
    return max(drifts)


def check_golden(golden: Golden, image: ImageEncoder, text: TextEncoder | None, *, side: int) -> float:
    """Measure the drift, and refuse a model whose drift exceeds its own tolerance.

    Args:
        golden: Stored inputs, embeddings and tolerance.
        image: The image encoder under test.
        text: The text encoder under test, if any.
        side: S of the image encoder.

    Returns:
        The drift, as `golden_drift` measures it.

    Raises:
        ModelError: The drift exceeds the tolerance, or a golden image is unusable.
        EncoderError: An encoder failed.
    """
    drift = golden_drift(golden, image, text, side=side)
    if drift > golden.tolerance:
        raise ModelError(
            f"The golden vectors drifted by {drift:.2g}, more than the tolerance of {golden.tolerance:.2g}: "
            "this runtime does not compute what was exported."
        )
    return drift


def golden_pixels(item: GoldenImage, *, side: int) -> NDArray[np.uint8]:
    """Decode a golden image.

    Args:
        item: The stored image.
        side: S.

    Returns:
        uint8 [S,S,3].

    Raises:
        ModelError: Not the base64 of an S x S RGB PNG.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(item.png, validate=True)), formats=["PNG"]) as opened:
            if opened.size == (side, side) and opened.mode == "RGB":
                return np.asarray(opened, dtype=np.uint8)
    except (binascii.Error, OSError, ValueError, SyntaxError) as exc:
        raise ModelError("A golden image in model.json is not the base64 of a PNG.") from exc
    raise ModelError(f"A golden image in model.json is not an RGB PNG of {side} x {side} pixels.")


def encode_golden_png(pixels: NDArray[np.uint8]) -> str:
    """Render pixels for a `GoldenImage`.

    Args:
        pixels: uint8 [S,S,3].

    Returns:
        Base64 of an RGB PNG.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _distance(computed: NDArray[np.float32], stored: tuple[float, ...]) -> float:
    return float(np.linalg.norm(computed[0].astype(np.float64) - np.asarray(stored)))
