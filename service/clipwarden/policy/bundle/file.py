"""A compiled policy in one pickle-free file, and back; a file is hostile until every part of it agrees."""

import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import rfc8785
from numpy.typing import NDArray

from clipwarden.errors import PolicyError, Problem
from clipwarden.policy.bundle.bindings import check_bindings, check_scales
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.calibrations import calibrations_enforced, stale_calibrations
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.concept_keys import DIGEST
from clipwarden.policy.language.dump import dump_policy
from clipwarden.policy.language.learned import BundleTensors, bundle_tensors
from clipwarden.policy.language.load import LoadedPolicy, parse_policy
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Concept, LearnedVector, Phrase, Policy
from clipwarden.policy.tensors import Tensors, dump_tensors, parse_metadata, parse_tensors, read_bounded
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.textfiles.findings import Findings
from clipwarden.unitvectors import UNIT_TOLERANCE, require_unit, row_lengths

FORMAT = "clipwarden-bundle/1"
MAX_BUNDLE_BYTES = 256 * 1024 * 1024
"""Largest bundle that is read: 30,000 texts of width 2,048."""
MAX_POLICY_CHARACTERS = 4 * 1024 * 1024
"""Longest policy inside. Four times a file's limit, since templates are repeated in every category."""

_LARGEST_NUMBER = 1e6
"""Logit scales lie around 100 and biases around -10."""

OnWarning = Callable[[Problem], None]

_TENSOR = "vectors"
# One entry only: the library writes several in random order, and equal policies must give equal bytes.
_METADATA = "clipwarden"
_KEYS = frozenset({"format", "policy", "digest", "fingerprint", "logit_scale", "logit_bias", "rows"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Header:
    """What a bundle says besides its vectors."""

    policy: str
    digest: str
    fingerprint: str
    logit_scale: float
    logit_bias: float | None
    rows: tuple[str, ...]


class _BundleError(Exception):
    """Why a bundle is refused; ends a sentence that starts with its name."""


def write_bundle(compiled: CompiledPolicy, path: Path) -> None:
    """Write a compiled policy, atomically; equal policies and vectors give equal bytes.

    Args:
        compiled: From `compile_policy` or `read_bundle`.
        path: The file to write or replace.

    Raises:
        PolicyError: The policy was not made by `parse_policy` and would not be read back as it is, or the bundle
            would be larger than any that is read.
        OSError: The file cannot be written.
    """
    text = dump_policy(compiled.policy)
    learned = bundle_tensors(compiled.policy)
    if len(text) > MAX_POLICY_CHARACTERS or _read_back(text, path, compiled.vectors, learned) != compiled.policy:
        raise _refusal(path, "the policy cannot be stored without change", "Write it as YAML and load that.")
    header = {
        "format": FORMAT,
        "policy": text,
        "digest": compiled.digest,
        "fingerprint": compiled.fingerprint,
        "logit_scale": compiled.logit_scale,
        "logit_bias": compiled.logit_bias,
        "rows": row_hashes(compiled.policy),
    }
    metadata = {_METADATA: json.dumps(header, ensure_ascii=False, allow_nan=False, separators=(",", ":"))}
    data = dump_tensors({_TENSOR: compiled.vectors, **learned}, metadata=metadata)
    if len(data) > MAX_BUNDLE_BYTES:
        reason = f"it would come to {len(data)} bytes, and none above {MAX_BUNDLE_BYTES} is read"
        raise _refusal(path, reason, "Leave out texts, vectors or heads, or load the policy as YAML.")
    write_atomically(path, data)


def _read_back(text: str, path: Path, vectors: NDArray[np.float32], learned: Tensors) -> Policy:
    return parse_policy(text, file=str(path), learned=BundleTensors(vectors, learned)).policy


def read_bundle(path: Path, *, on_warning: OnWarning | None = None, to_judge: bool = True) -> CompiledPolicy:
    """Read a bundle, believing nothing in it that can be checked.

    Whether it belongs to the model in use is for the caller to compare (`load.load_compiled` does); that the
    vectors are those of the texts only the model that made them can tell.

    Args:
        path: The file.
        on_warning: Told of what deserves a look, such as a policy past its `review_by`.
        to_judge: Whether to refuse a bundle that enforces numbers which do not hold; False reads it to be looked at,
            and leaves errors to `on_warning`.

    Returns:
        The compiled policy.

    Raises:
        PolicyError: Not a bundle, of another format, or its parts contradict each other.
    """
    try:
        data = read_bounded(path, limit=MAX_BUNDLE_BYTES)
        tensors = parse_tensors(data)
        header = _parse_header(parse_metadata(data))
        vectors, others = _check_vectors(tensors), _check_others(tensors)
        loaded = _parse_inner(header.policy, path, BundleTensors(vectors, others))
        _check_rows(header, loaded.policy)
        if to_judge:
            _check_numbers(path, header, loaded.policy)
        _check_count(vectors, len(header.rows) + 1)
        _check_learned(vectors, others, loaded.policy)
        _check_background(vectors, loaded.policy)
    except OSError as exc:
        raise _refusal(path, f"it cannot be read: {exc.strerror}", "Check the path and its permissions.") from exc
    except (ValueError, RecursionError, _BundleError) as exc:
        raise _refusal(path, str(exc), "Compile the policy again with `clipwarden compile`.") from exc
    if on_warning is not None:
        findings = Findings(str(path))
        check_scales(loaded.policy, findings)
        check_bindings(loaded.policy, header.fingerprint, findings)
        for warning in (*loaded.warnings, *findings.problems):
            on_warning(warning)
    return CompiledPolicy(
        policy=loaded.policy,
        digest=header.digest,
        fingerprint=header.fingerprint,
        logit_scale=header.logit_scale,
        logit_bias=header.logit_bias,
        vectors=vectors,
        dropped_calibrations=stale_calibrations(loaded.policy, header.fingerprint),
        unbound=unbound_lines(loaded.policy, header.fingerprint),
    )


def row_hashes(policy: Policy) -> list[str]:
    """Return what each row of a policy's vectors is the vector of: SHA-256 of the text and its templates.

    A learned vector stands for itself, whatever the templates.
    """
    return [
        hashlib.sha256(rfc8785.dumps(_row_name(phrase, concept))).hexdigest()
        for concept in scored_concepts(policy)
        for phrase in concept.phrases
    ]


def _row_name(phrase: Phrase, concept: Concept) -> list[str | list[str]]:
    if isinstance(phrase, LearnedVector):
        return ["vector", phrase.content]  # no text looks like this: its second item is a list
    return [phrase, sorted(concept.templates)]


def _parse_header(metadata: dict[str, str]) -> _Header:
    if set(metadata) != {_METADATA}:
        raise _BundleError("it is not a clipwarden bundle")
    fields = json.loads(metadata[_METADATA])
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise _BundleError(f"it is not of the format {FORMAT}")
    if set(fields) != _KEYS:
        raise _BundleError("its header has missing or unknown keys")
    bias = fields["logit_bias"]
    return _Header(
        policy=_text(fields, "policy"),
        digest=_digest(fields, "digest"),
        fingerprint=_digest(fields, "fingerprint"),
        logit_scale=_number(fields["logit_scale"]),
        logit_bias=None if bias is None else _number(bias),
        rows=_texts(fields, "rows"),
    )


def _parse_inner(text: str, path: Path, learned: BundleTensors) -> LoadedPolicy:
    if len(text) > MAX_POLICY_CHARACTERS:
        raise _BundleError("the policy inside is too long")
    try:
        return parse_policy(text, file=str(path), learned=learned)
    except PolicyError as exc:
        raise _BundleError(f"the policy inside is refused: {exc.problems[0].message}") from exc


def _check_rows(header: _Header, policy: Policy) -> None:
    if header.digest != policy_digest(policy):
        raise _BundleError("its digest is not that of the policy inside")
    if policy.model.fingerprint not in (None, header.fingerprint):
        raise _BundleError("its vectors come from another model than the policy inside is bound to")
    if list(header.rows) != row_hashes(policy):
        raise _BundleError("its vectors belong to other texts than the policy inside")


def _check_numbers(path: Path, header: _Header, policy: Policy) -> None:
    """Refuse to enforce numbers that do not hold. Compiling again would not help: the policy has to be mended."""
    enforced = calibrations_enforced(policy)
    unbound = unbound_lines(policy, header.fingerprint)
    if stale := sorted(stale_calibrations(policy, header.fingerprint) & enforced):
        reason = f'the calibration of "{stale[0]}", on which an enforced verdict rests, was fitted on something else'
    elif found := sorted(set(unbound) & enforced):
        old = unbound[found[0]] is Unbound.NOT_CHOSEN
        reason = f'"{found[0]}" is enforced by thresholds ' + (
            "that do not say what they were chosen on, as in bundles made before they had to"
            if old
            else "that were chosen on something else than it holds"
        )
    else:
        return
    names = shlex.join(("clipwarden", "policies", str(path)))
    fix = f"Write its policy out (`{names} > mine.yaml`), do what `clipwarden lint mine.yaml` says, and compile that."
    raise _refusal(path, reason, fix)


def _check_vectors(tensors: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Check float32 [P+1,D]: unit rows, then a mean of unit rows."""
    table = tensors.get(_TENSOR)
    if table is None or table.dtype != np.float32 or table.ndim != len("PD") or not table.size:
        raise _BundleError("it does not hold one table of float32 vectors")
    vectors = cast("NDArray[np.float32]", table)
    error = _BundleError("its vectors are not finite unit vectors")
    require_unit(vectors[:-1], error)
    if not row_lengths(vectors[-1:])[0] <= 1.0 + UNIT_TOLERANCE:  # NaN too
        raise error
    vectors.setflags(write=False)
    return vectors


def _check_others(tensors: Tensors) -> Tensors:
    others = {name: tensor for name, tensor in tensors.items() if name != _TENSOR}
    if any(tensor.dtype != np.float32 for tensor in others.values()):
        raise _BundleError("it holds a tensor that is no float32")
    return others


def _check_count(vectors: NDArray[np.float32], rows: int) -> None:
    if len(vectors) != rows:
        raise _BundleError(f"it holds {len(vectors)} vectors where {rows} belong to the policy inside")


def _check_learned(vectors: NDArray[np.float32], others: Tensors, policy: Policy) -> None:
    """Refuse a learned vector in another row than its own, which unlike a text's can be told, and tensors of nobody."""
    if set(others) != set(bundle_tensors(policy)):
        raise _BundleError("it holds a tensor that its policy does not name")
    if any(concept.head and concept.head[0].inputs != vectors.shape[1] for concept in scored_concepts(policy)):
        raise _BundleError("a head in it reads vectors of another width")
    phrases = (phrase for concept in scored_concepts(policy) for phrase in concept.phrases)
    for row, phrase in enumerate(phrases):
        if isinstance(phrase, LearnedVector) and vectors[row].astype("<f4").tobytes() != phrase.values:
            raise _BundleError(f"the row of the {phrase} holds something else")


def _check_background(vectors: NDArray[np.float32], policy: Policy) -> None:
    """Refuse margins over no background, as `compile_policy` does: without `B` every picture scores high."""
    if not vectors[-1].any() and any(METHODS[concept.method].needs_background for concept in scored_concepts(policy)):
        raise _BundleError("its policy scores margins, but it holds no background")


def _text(fields: dict[str, object], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str):
        raise _BundleError(f"{key} in its header is no text")
    return value


def _texts(fields: dict[str, object], key: str) -> tuple[str, ...]:
    value = fields[key]
    if not isinstance(value, list):
        raise _BundleError(f"{key} in its header is no list")
    return tuple(str(item) for item in value)


def _digest(fields: dict[str, object], key: str) -> str:
    value = _text(fields, key)
    if not DIGEST.fullmatch(value):
        raise _BundleError(f"{key} in its header is no digest")
    return value


def _number(value: object) -> float:
    # An integer beyond float's range has no infinity to become, so it is tested before it is converted.
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST_NUMBER:
        raise _BundleError("a number in its header is not finite")
    return float(value)


def _refusal(path: Path, reason: str, fix: str) -> PolicyError:
    message = f"The bundle is refused: {reason}."
    return PolicyError([Problem(file=str(path), line=0, column=0, message=message, fix=fix, code="bad-bundle")])
