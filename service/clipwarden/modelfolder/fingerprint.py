"""A manifest in, the fingerprint of everything that shapes an embedding or its score out."""

import hashlib

import rfc8785

from clipwarden.modelfolder.manifest import (
    BACKGROUND_NAME,
    IMAGE_NAME,
    TEXT_NAME,
    TOKENIZER_NAME,
    ModelManifest,
)
from clipwarden.modelfolder.modeljson import to_plain


def fingerprint(manifest: ModelManifest) -> str:
    """Name the model by what it computes: two folders share a fingerprint iff they judge alike.

    Never covers golden vectors, licence, names, sources or paths: mending a model card must not unbind policies.

    Args:
        manifest: With `files` filled in.

    Returns:
        `sha256:` and 64 hexadecimal digits.

    Source: RFC 8785 (canonical JSON), so that any language can recompute it.
    """
    canonical = rfc8785.dumps(
        {
            "image.onnx": _digest(manifest, IMAGE_NAME),
            "text.onnx": _digest(manifest, TEXT_NAME),
            "tokenizer.json": _digest(manifest, TOKENIZER_NAME),
            "background.safetensors": _digest(manifest, BACKGROUND_NAME),
            "image": to_plain(manifest.image),  # type: ignore[dict-item]
            "text": to_plain(manifest.text),  # type: ignore[dict-item]
            "dim": manifest.dim,
            "logit_scale": manifest.logit_scale,
            "logit_bias": manifest.logit_bias,
        }
    )
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def _digest(manifest: ModelManifest, name: str) -> str | None:
    record = manifest.files.get(name)
    return record.sha256 if record else None
