"""A policy in, the digest of everything in it that can change a judgement out."""

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum, StrEnum
from functools import cache, partial
from typing import cast

import rfc8785

from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    ADDED_LATER,
    ANY_ORDER,
    SCHEMA_VERSION,
    Category,
    ChosenOn,
    Concept,
    LearnedVector,
    Metadata,
    Policy,
)
from clipwarden.vision.plan import ViewPlan

# Whatever is not listed counts: a field added to the schema moves digests until somebody decides otherwise.
_NOT_JUDGING: Mapping[type, frozenset[str]] = {
    Metadata: frozenset({"version", "owner", "reason", "author", "approved_by", "review_by"}),
    ChosenOn: frozenset({"by", "reason", "approved_by", "evidence"}),
    Concept: frozenset({"waive"}),
}
_NOT_FITTED = frozenset({"id", "calibration", "waive"})
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


def counts(record: type, field: str) -> bool:
    """Tell whether a field of the schema is part of a policy's digest.

    Args:
        record: The dataclass.
        field: Its field's name.
    """
    return all(field not in _NOT_JUDGING.get(kind, ()) for kind in record.__mro__)


def fit_digest(concept: Concept, *, fingerprint: str, calibration_scale: float, plan: ViewPlan) -> str:
    """Name everything that a calibration of this concept depends on; written as `fitted_on`.

    Thresholds, modes and the like are left out: moving a threshold must not undo a calibration. So is what cannot move
    a score: names of learned vectors, templates where no phrase is a text, and the scale under `Method.HEAD` and where
    the calibration has a slope of its own.

    Args:
        concept: A category or attribute.
        fingerprint: Of the model whose margins were fitted.
        calibration_scale: `a` of `p = sigmoid(a*m + b)`: a calibration without a slope was fitted beside it.
        plan: The policy's: over more views the highest score is another one.

    Returns:
        `sha256:` and 64 hexadecimal digits.
    """
    skipped = _NOT_FITTED
    if not any(isinstance(phrase, str) for phrase in concept.phrases):
        skipped |= {"templates"}
    fields = [field for field in dataclasses.fields(Concept) if field.name not in skipped]
    own = METHODS[concept.method].has_head or (concept.calibration and concept.calibration.slope is not None)
    scale = {} if own else {"calibration_scale": float(calibration_scale)}
    return _hash(
        {
            "schema": SCHEMA_VERSION,
            "fingerprint": fingerprint,
            **scale,
            "concept": _canonical_fields(concept, fields, _NOT_FITTED_WITHIN),
            "views": plan.digest_words,
        }
    )


def lines_digest(category: Category, policy: Policy, *, fingerprint: str) -> str:
    """Name everything that a category's bands rest on; written as `chosen_on`.

    That is how its number is made, over which views, the calibration, the thresholds, what contexts put in their
    place, and of each exemption and adjustment its numbers and how the attribute's number is made. Names of attributes,
    modes and texts for people are left out: they move no band.

    Args:
        category: Of the policy; its thresholds' own `chosen_on` does not count.
        policy: Knows the attributes, the calibration scale and the view plan.
        fingerprint: Of the model whose scores the numbers are compared with.

    Returns:
        `sha256:` and 64 hexadecimal digits.
    """
    return lines_digests((category,), policy, fingerprint=fingerprint)[category.id]


def lines_digests(categories: Iterable[Category], policy: Policy, *, fingerprint: str) -> Mapping[str, str]:
    """Name what the bands of several categories rest on, as `lines_digest`; attributes are looked at once.

    Returns:
        By category id.
    """
    scale = policy.model.calibration_scale
    number = partial(_number, fingerprint=fingerprint, calibration_scale=scale, plan=policy.plan)
    attributes = {attribute.id: attribute for attribute in policy.attributes}

    @cache
    def asked(attribute: str) -> object:
        return number(attributes[attribute])

    return {each.id: _hash({"schema": SCHEMA_VERSION, **number(each), **_lines(each, asked)}) for each in categories}


def _lines(category: Category, asked: Callable[[str], object]) -> dict[str, object]:
    thresholds = category.thresholds
    exemptions = ((each.attribute, each.gte, each.effect) for each in category.exemptions)
    adjustments = ((each.attribute, each.gte, each.add) for each in category.adjustments)
    overrides = {name: (bounds.review, bounds.block) for name, bounds in category.contexts.items()}
    return {
        "unit": canonical(thresholds and thresholds.unit),
        "bounds": canonical(thresholds and thresholds.bounds),
        "contexts": {name: canonical(bounds) for name, bounds in overrides.items() if bounds != (None, None)},
        "exemptions": _in_one_order([asked(name), *map(canonical, rest)] for name, *rest in exemptions),
        "adjustments": _in_one_order([asked(name), *map(canonical, rest)] for name, *rest in adjustments),
    }


def _number(concept: Concept, *, fingerprint: str, calibration_scale: float, plan: ViewPlan) -> dict[str, object]:
    """Name all that a concept's number depends on: what a fit depends on, and what the fit gave."""
    # The scale moves margins alone, whatever `fit_digest` takes in of it: a fit there is only of margins and heads.
    scale = calibration_scale if METHODS[concept.method].scale_is_open else 1.0
    fit = fit_digest(concept, fingerprint=fingerprint, calibration_scale=scale, plan=plan)
    return {"fit": fit, "calibration": canonical(concept.calibration)}


def canonical(value: object, *, left_out: Mapping[type, frozenset[str]] = _NOT_JUDGING) -> object:
    """Turn a value of the schema into plain JSON values, in which order means what the schema says it does.

    Args:
        value: A dataclass, enum, tuple, frozenset, mapping, number, text, bytes (taken by their SHA-256) or None.
        left_out: Fields that do not count, by dataclass.

    Returns:
        Dicts, lists, floats, texts, None. Frozensets, and tuples in fields marked `ANY_ORDER`, are sorted by their
        canonical bytes; fields marked `ADDED_LATER` that hold their default are left out.

    Raises:
        TypeError: A type that the schema does not have; a programming error.
    """
    if dataclasses.is_dataclass(value):
        skipped = frozenset[str]().union(*(left_out.get(kind, ()) for kind in inspect.getmro(type(value))))
        fields = [field for field in dataclasses.fields(value) if field.name not in skipped]
        return _canonical_fields(value, fields, left_out)
    if isinstance(value, Mapping):
        return {str(key): canonical(item, left_out=left_out) for key, item in value.items()}
    if isinstance(value, tuple):
        return [canonical(item, left_out=left_out) for item in value]
    if isinstance(value, frozenset):
        return _in_one_order(canonical(item, left_out=left_out) for item in value)
    return _canonical_scalar(value)


def _canonical_fields(
    value: object, fields: Iterable["dataclasses.Field[object]"], left_out: Mapping[type, frozenset[str]]
) -> dict[str, object]:
    found = {}
    for field in fields:
        item = getattr(value, field.name)
        if _says(field, ADDED_LATER) and item == _default(field):
            continue
        # As a list, not as a frozenset: what stands in it twice counts twice.
        items = canonical(item, left_out=left_out)
        found[field.name] = _in_one_order(cast("list[object]", items)) if _says(field, ANY_ORDER) else items
    return found


def _in_one_order(items: Iterable[object]) -> list[object]:
    return sorted(items, key=_dumps)


def _says(field: "dataclasses.Field[object]", mark: Mapping[str, bool]) -> bool:
    return mark.items() <= field.metadata.items()


def _default(field: "dataclasses.Field[object]") -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


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
