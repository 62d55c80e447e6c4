"""A value of the schema in, the same as JSON values out, under the keys that a policy file writes it with."""

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import date
from enum import IntEnum, StrEnum
from typing import cast

from clipwarden.policy.language.learned import head_content
from clipwarden.policy.schema import Head, LearnedVector, Policy, Prompt

KEYS: Mapping[str, tuple[str, ...]] = {
    "method": ("scoring", "method"),
    "pool": ("scoring", "pool"),
    "head": ("scoring", "file"),
    "on_error": ("defaults", "on_error"),
    "on_partial": ("defaults", "on_partial"),
    "on_truncated": ("defaults", "on_truncated"),
    "plan": ("defaults",),
    "least_coverage": ("defaults", "least_coverage"),
    "least_resolution": ("defaults", "least_resolution"),
    "attribute": ("when", "attribute"),
    "gte": ("when", "gte"),
    "values": ("file",),
    "bounds": (),
    "text": (),
}
"""Where a file keeps a field under another name than the schema does."""


def plain(value: object) -> object:
    """Return a value of the schema as JSON values, under a policy file's keys.

    What is empty, and a weight of 1, is left out; learned numbers are named by their content.
    """
    if isinstance(value, Prompt) and value.weight == 1.0:
        return plain(value.text)
    if isinstance(value, LearnedVector):
        return {"vector": value.name, "content": value.content}
    if dataclasses.is_dataclass(value):
        return _plain_record(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | frozenset):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_record(record: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in dataclasses.fields(cast("Policy", record)):
        value = plain_field(field.name, getattr(record, field.name))
        if value in (None, [], {}):
            continue
        if isinstance(value, dict) and KEYS.get(field.name) == ():
            found |= value
            continue
        *above, key = KEYS.get(field.name) or (field.name,)
        inner = found
        for part in above:
            inner = cast("dict[str, object]", inner.setdefault(part, {}))
        inner[key] = value
    return found


def plain_field(name: str, value: object) -> object:
    """Return a field of a record in the same way; it may say itself what it is made of."""
    if name == "head":
        return head_content(cast("Head", value)) if value else None
    return plain(value)


def _plain_scalar(value: object) -> object:
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bytes):
        return f"sha256:{hashlib.sha256(value).hexdigest()}"
    return value.isoformat() if isinstance(value, date) else value
