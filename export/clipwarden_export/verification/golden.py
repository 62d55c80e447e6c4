"""A candidate's encoders in, golden images and texts with their vectors and tolerance out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.golden import encode_golden_png
from clipwarden.modelfolder.manifest import Golden, GoldenImage, GoldenText, Precision, Preprocessing
from clipwarden_export.errors import ExportError
from clipwarden_export.verification.evidence import SEED, prepare_images
from clipwarden_export.verification.probes import probe_images
from clipwarden_export.verification.verify import Encoders

# Largest L2 distance between a stored and a computed unit vector. Kernels of other CPUs move fp32 by about 1e-6; the
# room above that is for GPUs, whose TF32 and fp16 keep 11 bits (not measured: no GPU was at hand). int8 may round a
# value to the neighbouring step.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 5e-3, "int8": 2e-2}
# A tolerance near the distance between different inputs would accept a wrong model; seeded weights come close.
_SHARE_OF_DISTANCE = 0.1
_IMAGES = 4
_TEXTS = ("a photo of a cat", "a screenshot of a chat", "Two people, 3 dogs & a café!")


def make_golden(encoders: Encoders, *, side: int, precision: Precision) -> Golden:
    """Store what the candidate answers to a few images and texts.

    Args:
        encoders: The verified candidate on the CPU.
        side: S.
        precision: Decides the tolerance.

    Returns:
        Golden vectors; the tolerance is at most a tenth of the least distance between any two of them.

    Raises:
        ExportError: Two golden inputs get the same vector, so no tolerance could tell a wrong model.
    """
    images, closest = _golden_images(encoders.image, side)
    text_vectors = encoders.text.embed(_TEXTS)
    return Golden(
        tolerance=_tolerance(precision, min(closest, _least_distance(text_vectors))),
        images=images,
        texts=tuple(
            GoldenText(text=text, embedding=_floats(vector)) for text, vector in zip(_TEXTS, text_vectors, strict=True)
        ),
    )


def make_image_golden(encoder: ImageEncoder, *, side: int, precision: Precision) -> Golden:
    """Store what an image encoder without a text encoder answers to a few images.

    Args:
        encoder: The verified candidate on the CPU.
        side: S.
        precision: Decides the tolerance.

    Returns:
        Golden vectors of images alone; the tolerance as in `make_golden`.

    Raises:
        ExportError: Two golden images get the same vector, so no tolerance could tell a wrong model.
    """
    images, closest = _golden_images(encoder, side)
    return Golden(tolerance=_tolerance(precision, closest), images=images)


def _golden_images(encoder: ImageEncoder, side: int) -> tuple[tuple[GoldenImage, ...], float]:
    """Encode the golden images; also return the least distance between any two of their vectors."""
    pixels = prepare_images(probe_images(_IMAGES, seed=SEED), Preprocessing(side=side))
    vectors = np.concatenate([encoder.encode(one[None]) for one in pixels])
    images = tuple(
        GoldenImage(png=encode_golden_png(one), embedding=_floats(vector))
        for one, vector in zip(pixels, vectors, strict=True)
    )
    return images, _least_distance(vectors)


def _tolerance(precision: Precision, closest: float) -> float:
    if closest == 0:
        msg = "The model gives two different golden inputs the same vector; it cannot tell anything apart."
        raise ExportError(msg)
    return min(TOLERANCE[precision], _SHARE_OF_DISTANCE * closest)


def _least_distance(vectors: NDArray[np.float32]) -> float:
    pairs = [(left, right) for left in range(len(vectors)) for right in range(left)]
    return min(float(np.linalg.norm(vectors[left] - vectors[right])) for left, right in pairs)


def _floats(vector: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in vector)
