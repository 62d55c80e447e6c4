"""A path in, a compiled policy that belongs to the given model out: what server and commands call."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from clipwarden.errors import FingerprintMismatchError, PolicyError, Problem
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.embedding import EmbeddingModel
from clipwarden.policy.bundle.file import OnWarning, read_bundle
from clipwarden.policy.bundle.lint import lint_bundle, lint_with_model
from clipwarden.policy.bundle.vectors import Progress, background_mean
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.versions import reused_version
from clipwarden.textfiles.findings import Findings, Positions

Look = Callable[[CompiledPolicy, Positions], Iterable[Problem]]
"""Finds what deserves a look in a policy that was loaded, written at these positions."""

COMPILE_AGAIN = "Compile the policy again with this model."

BACKGROUND_TOLERANCE = 1e-4
"""How far a bundle's mean background may lie from the model's: both are float32 means of the same unit rows."""


def load_compiled(
    path: Path,
    *,
    model: EmbeddingModel,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
    on_warning: OnWarning | None = None,
    look: Look | None = None,
) -> CompiledPolicy:
    """Load a policy for a model, from YAML or from a bundle; the content decides which, not the name.

    YAML is compiled, which takes about 10 ms a new text on one core: keep it off an event loop.

    Args:
        path: The file.
        model: The model that is to judge.
        cache: Vectors of texts embedded before.
        progress: For a progress bar; a bundle embeds nothing.
        on_warning: Told of what deserves a look and stops nothing.
        look: Looks for more of that in what was loaded, where layers above know more; asked if there is `on_warning`.

    Returns:
        The compiled policy.

    Raises:
        PolicyError: The file breaks a rule, or is YAML and the model has no text encoder.
        FingerprintMismatchError: The policy or bundle belongs to another model.
        EncoderError: The text encoder failed.
    """
    if is_bundle(path):
        compiled, positions = load_bundle(path, model, on_warning), Positions(file=str(path))
    else:
        loaded = load_policy(path)
        positions, cache = loaded.positions, cache or VectorCache()
        findings = Findings(positions.file, positions.places)
        compiled = compile_policy(loaded.policy, model=model, cache=cache, progress=progress, findings=findings)
        if on_warning:
            found = lint_with_model(loaded.policy, model, positions, cache=cache, usable=findings)
            for warning in (*loaded.warnings, *found):
                on_warning(warning)
    if on_warning:
        for warning in (*(look(compiled, positions) if look else ()), *filter(None, [reused_version(path)])):
            on_warning(warning)
    return compiled


def is_bundle(path: Path) -> bool:
    """Tell a bundle from a policy file by its first bytes.

    A bundle starts with a 64-bit length below 4 GiB, thus with four zero bytes from the fifth on, and then `{`;
    no text holds zero bytes there. An unreadable file counts as text: reading it will say what is wrong.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return False
    return head[4:] == b"\0\0\0\0{"


def load_bundle(
    path: Path, model: EmbeddingModel, on_warning: OnWarning | None = None, *, to_judge: bool = True
) -> CompiledPolicy:
    """Load a bundle for a model; raises and warns as `load_compiled` does, `to_judge` as in `read_bundle`."""
    compiled = read_bundle(path, on_warning=on_warning, to_judge=to_judge)
    if compiled.fingerprint != model.fingerprint:
        raise FingerprintMismatchError(
            f"The bundle {path} was compiled for model {compiled.fingerprint}, but the model "
            f'"{model.manifest.name}" is {model.fingerprint}. {COMPILE_AGAIN}'
        )
    facts = model.manifest
    background = background_mean(model.background, dim=facts.dim)
    same_numbers = (compiled.logit_scale, compiled.logit_bias) == (facts.logit_scale, facts.logit_bias)
    same_width = compiled.vectors.shape[1] == facts.dim
    if not (same_numbers and same_width and np.allclose(compiled.vectors[-1], background, atol=BACKGROUND_TOLERANCE)):
        message = "The bundle claims this model's fingerprint, but its width, logit scale or background differ."
        fix = "Compile the policy again with `clipwarden compile`."
        raise PolicyError([Problem(file=str(path), line=0, column=0, message=message, fix=fix, code="bad-bundle")])
    if on_warning:
        for warning in lint_bundle(compiled, model, str(path)):
            on_warning(warning)
    return compiled
