"""A policy in, the digest of everything in it that can change a judgement out."""

import dataclasses
import hashlib
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import cast

import rfc8785

from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    SCHEMA_VERSION,
    Attribute,
    Category,
    Concept,
    LearnedVector,
    Metadata,
    Policy,
)

JUDGED_VIEWS = ("full",)
"""The views that scores are taken over. Crops and frames will change this, and with it every fit."""

# Whatever is not listed counts: a field added to the schema moves digests until somebody decides otherwise.
_NOT_JUDGING: Mapping[type, frozenset[str]] = {Metadata: frozenset({"version", "owner", "reason", "review_by"})}
# These came after digests were in use: left out while empty, so that a policy without them keeps the digest it had.
_LATECOMERS = frozenset({(Category, "adjustments"), (Category, "head"), (Attribute, "head")})
_NOT_FITTED = frozenset({"id", "calibration"})
# A fit depends on the numbers of a vector alone, so that renaming a tensor undoes no calibration.
_NOT_FITTED_WITHIN: Mapping[type, frozenset[str]] = {LearnedVector: frozenset({"name"})}


def policy_digest(policy: Policy) -> str:
    """Name a policy by what it judges.

    Every order of categories, attributes, prompts, negatives, templates, exemptions and contexts gives the same
    digest, as do 1 and 1.0; of the metadata only `id` counts. Any other change moves it.

    Args:
        policy: As parsed, with defaults filled in.

    Returns:
        `sha256:` and 64 hexadecimal digits.

    Source: SHA-256 of RFC 8785 (canonical JSON), so that any language can recompute it.
    """
    return _hash({"schema": SCHEMA_VERSION, "policy": canonical(policy)})


def fit_digest(concept: Concept, *, fingerprint: str, calibration_scale: float) -> str:
    """Name everything that a calibration of this concept depends on; written as `fitted_on`.

    Thresholds, modes and the like are left out: moving a threshold must not undo a calibration. So is what cannot move
    a score: names of learned vectors, templates where no phrase is a text, and the scale under `Method.HEAD`.

    Args:
        concept: A category or attribute.
        fingerprint: Of the model whose margins were fitted.
        calibration_scale: `a` of `p = sigmoid(a*m + b)`: `b` was fitted beside it.

    Returns:
        `sha256:` and 64 hexadecimal digits.
    """
    skipped = _NOT_FITTED | _empty_latecomers(concept)
    if not any(isinstance(phrase, str) for phrase in concept.phrases):
        skipped |= {"templates"}
    names = [field.name for field in dataclasses.fields(Concept) if field.name not in skipped]
    scale = {} if METHODS[concept.method].has_head else {"calibration_scale": float(calibration_scale)}
    return _hash(
        {
            "schema": SCHEMA_VERSION,
            "fingerprint": fingerprint,
            **scale,
            "concept": {name: canonical(getattr(concept, name), left_out=_NOT_FITTED_WITHIN) for name in names},
            "views": list(JUDGED_VIEWS),
        }
    )


def canonical(value: object, *, left_out: Mapping[type, frozenset[str]] = _NOT_JUDGING) -> object:
    """Turn a value of the schema into plain JSON values in which order means nothing.

    Args:
        value: A dataclass, enum, tuple (taken as a set), mapping, number, text, bytes (taken by their SHA-256) or
            None.
        left_out: Fields that do not count, by dataclass.

    Returns:
        Dicts, lists sorted by their canonical bytes, floats, texts, None.

    Raises:
        TypeError: A type that the schema does not have; a programming error.
    """
    if isinstance(value, tuple):
        return sorted((canonical(item, left_out=left_out) for item in value), key=_dumps)
    if isinstance(value, Mapping):
        return {str(key): canonical(item, left_out=left_out) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        skipped = left_out.get(type(value), frozenset()) | _empty_latecomers(value)
        names = [field.name for field in dataclasses.fields(value) if field.name not in skipped]
        return {name: canonical(getattr(value, name), left_out=left_out) for name in names}
    return _canonical_scalar(value)


def _empty_latecomers(value: object) -> frozenset[str]:
    return frozenset(name for kind, name in _LATECOMERS if kind is type(value) and not getattr(value, name))


def _canonical_scalar(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, IntEnum):
        return value.name.lower()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return float(value)  # 1 and 1.0 judge alike
    if isinstance(value, bytes):
        return f"sha256:{hashlib.sha256(value).hexdigest()}"
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _dumps(value: object) -> bytes:
    # The package's own type of JSON is recursive and cannot be named from outside.
    return rfc8785.dumps(cast("dict[str, str]", value))


def _hash(value: object) -> str:
    return f"sha256:{hashlib.sha256(_dumps(value)).hexdigest()}"
