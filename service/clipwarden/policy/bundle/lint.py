"""What only a model can tell about a policy: truncation, look-alikes, another model, odd words, stale numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import Problem
from clipwarden.policy.bundle.bindings import check_bindings, check_scales
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.embedding import EmbeddingModel, ModelFacts, Tokens
from clipwarden.policy.bundle.reading import check_reading
from clipwarden.policy.bundle.vectors import (
    Progress,
    embed_texts,
    embedded_texts,
    expand,
    policy_rows,
    scored_concepts,
)
from clipwarden.policy.contexts import scored_anywhere
from clipwarden.policy.language.rules import concepts_with_paths, phrases_with_paths
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Category, Concept, LearnedVector, Phrase, Policy
from clipwarden.textfiles.findings import Findings, Path, Positions

LOOK_ALIKE_COSINE = 0.95
"""Text cosine from which two texts say the same thing. Chosen: it only warns. Of the shipped policies' prompts no two
come above 0.86 with the embedded model."""

MOST_COMPARED = 5000
"""Prompts compared with each other, the first of the file; the time grows by their square."""
_ROWS_AT_ONCE = 256
"""Prompts compared in one product: 5,000 take 0.16 s so, and 1.6 s one by one (D = 384, one core)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prompt:
    """One prompt of a policy: where it is written, whose it is, and its row among the vectors."""

    path: Path
    concept: Concept
    text: Phrase
    row: int


def lint_with_model(
    policy: Policy,
    model: EmbeddingModel,
    positions: Positions,
    *,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
    usable: Findings | None = None,
) -> tuple[Problem, ...]:
    """Check a policy against the model that is to judge with it.

    Args:
        policy: As parsed.
        model: The model.
        positions: Where the policy was written (`LoadedPolicy.positions`).
        cache: Vectors of texts embedded before; a later `compile_policy` with it embeds nothing.
        progress: For a progress bar.
        usable: What `check_usable` found before, as `compile_policy` hands it on; None looks itself.

    Returns:
        Errors and warnings, in file order; empty when all is well.

    Raises:
        EncoderError: The text encoder failed.
    """
    findings = usable or Findings(positions.file, positions.places)
    _check_model(policy, model, findings)
    if usable is None:
        check_usable(policy, model, findings)
    check_scales(policy, findings)
    if model.text is not None:
        check_reading(_scored_with_paths(policy), model.text.tokenizer.pieces, findings)
    if _can_embed(policy, model):
        embedded = embed_texts(policy, model=model, cache=cache, progress=progress)
        _check_alike(policy, policy_rows(policy, embedded, model.background, dim=model.manifest.dim), findings)
    return findings.problems


def lint_bundle(compiled: CompiledPolicy, model: EmbeddingModel, file: str) -> tuple[Problem, ...]:
    """Check what a bundle holds against its model, as `lint_with_model` does; embeds nothing.

    Args:
        compiled: As read; `file.read_bundle` tells what needs no model.
        model: That embedded it.
        file: Name that problems repeat.

    Returns:
        Warnings; what its tokenizer reads only where the model still has one.
    """
    findings = Findings(file)
    if model.text is not None:
        check_reading(_scored_with_paths(compiled.policy), model.text.tokenizer.pieces, findings)
    _check_alike(compiled.policy, compiled.vectors, findings)
    return findings.problems


def check_usable(policy: Policy, model: EmbeddingModel, findings: Findings) -> None:
    """Report what would make judging with this model impossible or wrong; embeds nothing.

    Args:
        policy: As parsed.
        model: The model; its fingerprint is not compared here.
        findings: Receives the problems.
    """
    if model.text is not None:
        check_truncation(policy, model.text.tokenizer, findings)
    elif embedded_texts(policy):
        message = f'The model "{model.manifest.name}" has no text encoder, so a policy in YAML cannot be read with it.'
        fix = "Compile the policy to a bundle with the complete model folder (`clipwarden compile`), and load that."
        findings.error(findings.positions.find(), "no-text-encoder", message, fix)
    facts = ModelFacts.of(model.manifest, model.fingerprint)
    check_facts(policy, facts, findings, has_background=model.background is not None)


def check_facts(policy: Policy, facts: ModelFacts, findings: Findings, *, has_background: bool) -> None:
    """Report what would make judging with this model impossible or wrong, but for the texts themselves.

    Args:
        policy: As parsed.
        facts: Of the model; its fingerprint is compared with those of calibrations alone.
        findings: Receives the problems.
        has_background: Whether margins can be scored.
    """
    _check_widths(policy, facts, findings)
    for path, concept in _scored_with_paths(policy):
        if METHODS[concept.method].needs_background and not has_background:
            message = f'"{concept.id}" needs a background, which the model "{facts.name}" lacks.'
            fix = "Export the model again with background texts, or write `scoring: {method: cosine}`."
            findings.error(findings.positions.find(*path), "no-background", message, fix)
    # Another model makes every calibration stale and unbinds all thresholds, and that is reported as what it is.
    if policy.model.fingerprint in (None, facts.fingerprint):
        check_bindings(policy, facts.fingerprint, findings)


def _check_model(policy: Policy, model: EmbeddingModel, findings: Findings) -> None:
    wanted = policy.model.fingerprint
    if wanted is not None and wanted != model.fingerprint:
        message = f'The policy is bound to model {wanted}; "{model.manifest.name}" is {model.fingerprint}.'
        fix = "Use the right model, or choose the thresholds again for this one and write its fingerprint."
        findings.error(findings.positions.find("model", "fingerprint"), "fingerprint-mismatch", message, fix)


def _scored_with_paths(policy: Policy) -> Iterator[tuple[Path, Concept]]:
    for path, concept in concepts_with_paths(policy):
        if not isinstance(concept, Category) or scored_anywhere(concept):
            yield path, concept


def _can_embed(policy: Policy, model: EmbeddingModel) -> bool:
    """Tell whether every phrase has a vector of the model's width."""
    widths = {each.dim for concept in scored_concepts(policy) for each in _learned(concept)}
    widths |= {concept.head[0].inputs for concept in scored_concepts(policy) if concept.head}
    return widths <= {model.manifest.dim} and (model.text is not None or not embedded_texts(policy))


def _learned(concept: Concept) -> Iterator[LearnedVector]:
    return (phrase for phrase in concept.phrases if isinstance(phrase, LearnedVector))


def _check_widths(policy: Policy, facts: ModelFacts, findings: Findings) -> None:
    for concept_path, concept in _scored_with_paths(policy):
        if concept.head and concept.head[0].inputs != facts.dim:
            message = f'The head reads {concept.head[0].inputs} numbers, but "{facts.name}" gives {facts.dim}.'
            fix = "Use the model that it was trained on, or a head trained on this one."
            findings.error(findings.positions.find(*concept_path, "scoring", "file"), "vector-width", message, fix)
        for path, phrase in phrases_with_paths(concept_path, concept):
            if isinstance(phrase, LearnedVector) and phrase.dim != facts.dim:
                message = f'The {phrase} has {phrase.dim} numbers; "{facts.name}" needs {facts.dim}.'
                fix = "Use the model that it was made for, or a vector made for this one."
                findings.error(findings.positions.find(*path), "vector-width", message, fix)


def check_truncation(policy: Policy, tokenizer: Tokens, findings: Findings) -> None:
    """Report every text that the model would read in part only.

    Args:
        policy: As parsed.
        tokenizer: Of the text encoder.
        findings: Receives the problems.
    """
    for concept_path, concept in _scored_with_paths(policy):
        for path, text in phrases_with_paths(concept_path, concept):
            if not isinstance(text, str):
                continue
            longest = max(expand(text, concept.templates), key=tokenizer.content_tokens)
            count = tokenizer.content_tokens(longest)
            if count > tokenizer.capacity:
                message = (
                    f'"{longest}" has {count} tokens, but the model reads {tokenizer.capacity}; the end is cut off.'
                )
                findings.error(
                    findings.positions.find(*path), "truncated", message, "Shorten the text or its template."
                )


def _check_alike(policy: Policy, vectors: NDArray[np.float32], findings: Findings) -> None:
    _check_look_alikes(policy, vectors, findings)
    _check_twins(policy, vectors, findings)


def _check_look_alikes(policy: Policy, vectors: NDArray[np.float32], findings: Findings) -> None:
    start = 0
    for path, concept in _scored_with_paths(policy):  # in the order of the rows
        middle = start + len(concept.prompts)
        end = middle + len(concept.negatives)
        cosines = vectors[start:middle] @ vectors[middle:end].T  # [prompts,D] x [D,negatives]
        for prompt, negative in np.argwhere(cosines > LOOK_ALIKE_COSINE):
            _warn_look_alike(path, concept, int(prompt), int(negative), findings)
        start = end


def _warn_look_alike(path: Path, concept: Concept, prompt: int, negative: int, findings: Findings) -> None:
    message = (
        f'The negative "{concept.negatives[negative]}" is nearly the prompt "{concept.prompts[prompt].text}" '
        f"to this model (cosine above {LOOK_ALIKE_COSINE})."
    )
    fix = "Delete one, or make them differ: a negative must exclude the harm."
    findings.warn(findings.positions.find(*path, "negatives", negative), "look-alike", message, fix)


def _check_twins(policy: Policy, vectors: NDArray[np.float32], findings: Findings) -> None:
    """Warn of prompts that say the same: in one concept the second adds nothing, in two both always fire together."""
    prompts: list[_Prompt] = []
    start = 0
    for path, concept in _scored_with_paths(policy):  # in the order of the rows
        prompts += [
            _Prompt(path=(*path, "prompts", index), concept=concept, text=prompt.text, row=start + index)
            for index, prompt in enumerate(concept.prompts)
        ]
        start += len(concept.phrases)
    prompts = prompts[:MOST_COMPARED]
    rows = vectors[[prompt.row for prompt in prompts]]
    for start in range(0, len(prompts), _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, len(prompts))
        alike = rows[start:end] @ rows[:end].T > LOOK_ALIKE_COSINE
        alike &= np.tri(end - start, end, start - 1, dtype=np.bool_)  # with those before it alone
        for second in np.flatnonzero(alike.any(axis=1)):
            _warn_twin(prompts[int(alike[second].argmax())], prompts[start + int(second)], findings)


def _warn_twin(first: _Prompt, second: _Prompt, findings: Findings) -> None:
    same = first.concept is second.concept
    whose = "" if same else f' of "{first.concept.id}"'
    what = "it adds nothing" if same else f'"{second.concept.id}" fires wherever that does'
    message = (
        f'"{second.text}" is nearly "{first.text}"{whose} to this model (cosine above {LOOK_ALIKE_COSINE}): {what}.'
    )
    fix = "Delete one of the two, or make them differ."
    findings.warn(findings.positions.find(*second.path), "same-prompt", message, fix)
