"""The inputs that a verification runs on, and the reference vectors the origin gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.policy.schema import Policy
from clipwarden.vision.preprocess import fit_to_side
from clipwarden_export.sources.checkpoint import Checkpoint
from clipwarden_export.verification.background import background_texts
from clipwarden_export.verification.decisions import policy_texts
from clipwarden_export.verification.probes import Pictures, image_paths, probe_images, probe_texts

# Enough for every pattern at several sizes and every awkward text; a full-size ViT-B/32 takes seconds on two cores.
IMAGES = 32
TEXTS = 48
SEED = 20240229


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """Inputs with the origin's answers.

    Attributes:
        images: RGB, of any size.
        texts: Any.
        policy: Decides beside the figures; None: no decisions are compared.
        prompts: Texts that images are compared with: the policy's, or else the background's.
        image_vectors: float32 [N,D], the origin's.
        text_vectors: float32 [P,D], the origin's.
        prompt_vectors: float32 [Q,D], the origin's.
        background_vectors: float32 [K,D], the origin's.
        token_ids: int64 [P,L], the origin's.
    """

    images: Sequence[Image.Image]
    texts: Sequence[str]
    policy: Policy | None
    prompts: Sequence[str]
    image_vectors: NDArray[np.float32]
    text_vectors: NDArray[np.float32]
    prompt_vectors: NDArray[np.float32]
    background_vectors: NDArray[np.float32]
    token_ids: NDArray[np.int64]


def gather_evidence(
    checkpoint: Checkpoint, *, images_folder: Path | None = None, policy: Policy | None = None
) -> Evidence:
    """Run the origin on generated and given inputs.

    Args:
        checkpoint: Whose origin is asked.
        images_folder: The user's own pictures, taken beside the generated ones.
        policy: Whose texts images are compared with, and whose decisions; None takes the background texts.

    Returns:
        Inputs and reference answers.

    Raises:
        ExportError: The folder holds no readable image.
    """
    own = image_paths(images_folder) if images_folder else []
    images = Pictures([*probe_images(IMAGES, seed=SEED), *own])
    texts = probe_texts(TEXTS, seed=SEED, words=background_texts())
    background = checkpoint.origin.embed_texts(background_texts())
    # A policy of learned vectors or heads has no text of its own.
    prompts = (policy_texts(policy) if policy else ()) or background_texts()
    return Evidence(
        images=images,
        texts=texts,
        policy=policy,
        prompts=prompts,
        image_vectors=checkpoint.origin.embed_images(images),
        text_vectors=checkpoint.origin.embed_texts(texts),
        prompt_vectors=background if prompts == background_texts() else checkpoint.origin.embed_texts(prompts),
        background_vectors=background,
        token_ids=checkpoint.origin.token_ids(texts),
    )


def prepare_images(images: Sequence[Image.Image], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Fit images to the encoder's side as the server does; uint8 [N,S,S,3]."""
    return np.stack([fit_to_side(image, preprocessing) for image in images])
