"""Phrases in, the unit vectors `t_p` out: each expanded text embedded once, averaged over templates in float64."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import EncoderError
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.embedding import EmbeddingModel, TextTower
from clipwarden.policy.contexts import scored_anywhere
from clipwarden.policy.schema import Concept, LearnedVector, Phrase, Policy

Progress = Callable[[int, int], None]
"""Called with how many texts are embedded, and how many have to be."""

SHORTEST_MEAN = 1e-3
"""Length of a mean below which the templates' vectors cancel out: its direction is then noise."""


def scored_concepts(policy: Policy) -> tuple[Concept, ...]:
    """Return the concepts that own rows, in row order: categories that are scored anywhere, then attributes."""
    live = (category for category in policy.categories if scored_anywhere(category))
    return (*live, *policy.attributes)


def embedded_texts(policy: Policy) -> tuple[str, ...]:
    """List every text that the text encoder has to embed, templates applied, each once; learned vectors need none."""
    return tuple(
        dict.fromkeys(
            expanded
            for concept in scored_concepts(policy)
            for phrase in concept.phrases
            if isinstance(phrase, str)
            for expanded in expand(phrase, concept.templates)
        )
    )


def expand(text: str, templates: Iterable[str]) -> tuple[str, ...]:
    """Put a text into each template."""
    return tuple(template.replace("{}", text) for template in templates)


def embed_texts(
    policy: Policy, *, model: EmbeddingModel, cache: VectorCache | None, progress: Progress | None
) -> dict[str, NDArray[np.float32]]:
    """Embed every text of a policy that the cache does not know, each once and alone.

    Args:
        policy: As parsed.
        model: With a text encoder, unless the cache knows every text.
        cache: Vectors of texts embedded before; new ones are added to it, and saved.
        progress: For a progress bar.

    Returns:
        float32 [D] for each of `embedded_texts(policy)`.

    Raises:
        EncoderError: The text encoder failed, or is missing.
    """
    cache = cache or VectorCache()
    # Held here as well as in the cache, which may have to forget some of a large policy's texts.
    found = {text: cache.get(model.fingerprint, text) for text in embedded_texts(policy)}
    embedded = {text: vector for text, vector in found.items() if vector is not None}
    missing = [text for text in found if text not in embedded]
    if not missing:
        return embedded
    if model.text is None:
        raise EncoderError(f'The model "{model.manifest.name}" has no text encoder.')
    _tell(progress, 0, len(missing))
    with closing(_embed_each(missing, model.text)) as vectors:
        for done, (text, vector) in enumerate(zip(missing, vectors, strict=True), 1):
            embedded[text] = vector
            cache.put(model.fingerprint, text, vector)
            _tell(progress, done, len(missing))
    cache.save(model.fingerprint)
    return embedded


def _embed_each(texts: Sequence[str], tower: TextTower) -> Generator[NDArray[np.float32]]:
    """Embed texts each alone, as many at the same time as is best, and yield their vectors in order."""
    if tower.at_once == 1:
        yield from (tower.embed([text])[0] for text in texts)
        return
    with ThreadPoolExecutor(tower.at_once, "clipwarden-texts") as threads:
        yield from threads.map(lambda text: tower.embed([text])[0], texts)


def policy_rows(
    policy: Policy, embedded: Mapping[str, NDArray[np.float32]], background: NDArray[np.float32] | None, *, dim: int
) -> NDArray[np.float32]:
    """Lay a policy's vectors out, its learned ones among them.

    Args:
        policy: As parsed.
        embedded: float32 [D] for each of `embedded_texts(policy)`, and of whatever else.
        background: float32 [K,D] unit rows, or None.
        dim: D.

    Returns:
        float32 [P+1,D], read-only, laid out as `CompiledPolicy.vectors` says; the last row is zero without background.

    Raises:
        EncoderError: A text's templates cancel out, or its vectors are not finite.
    """
    vectors = [
        _vector(phrase, concept.templates, embedded)
        for concept in scored_concepts(policy)
        for phrase in concept.phrases
    ]
    vectors.append(background_mean(background, dim=dim))
    table = np.stack(vectors).astype(np.float32)  # [P+1,D]
    table.setflags(write=False)
    return table


def background_mean(background: NDArray[np.float32] | None, *, dim: int) -> NDArray[np.float64]:
    """Return the mean [D] of the background vectors [K,D], so that one dot product yields `B`; zero without any."""
    if background is None:
        return np.zeros(dim, dtype=np.float64)
    return np.asarray(background.mean(axis=0, dtype=np.float64))


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _vector(
    phrase: Phrase, templates: Iterable[str], embedded: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    if isinstance(phrase, LearnedVector):
        return vector_of(phrase).astype(np.float64)  # float32 widens exactly, and comes back as it was
    return _text_vector(phrase, templates, embedded)


def vector_of(learned: LearnedVector) -> NDArray[np.float32]:
    """Return a learned vector as float32 [D], read-only."""
    return np.frombuffer(learned.values, dtype="<f4").astype(np.float32, copy=False)


def _text_vector(
    text: str, templates: Iterable[str], embedded: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return `t_p = norm(mean over templates of norm(E(template(p))))`, float64 [D]."""
    rows = np.array([embedded[each] for each in expand(text, templates)], dtype=np.float64)  # [T,D]
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    length = np.linalg.norm(mean)
    if not length >= SHORTEST_MEAN:  # NaN too
        raise EncoderError(f'The vectors of "{text}" in its templates cancel out or are not finite.')
    return np.asarray(mean / length)
