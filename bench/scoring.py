"""What judging costs beside encoding: from the embedding to the finished verdict, over the encoder's time per image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.measure import Ratio, time_together
from bench.vit import VIT_B_32, Geometry, int8_vit
from clipwarden.policy.bundle.compile import bind_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.schema import (
    Attribute,
    Bounds,
    Category,
    Metadata,
    Mode,
    ModelBinding,
    Policy,
    Pool,
    Prompt,
    Thresholds,
    Unit,
    Verdict,
)
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef

TEXTS = 1000
CATEGORIES, ATTRIBUTES = 13, 3
"""As many as the default taxonomy has; their texts share `TEXTS`, and every second one is a negative."""

BAR = 0.01
"""Judging 1,000 prompts may take at most 1 % of the time that encoding the image takes."""

JUDGEMENTS_PER_TIMING = 20


def run(*, rounds: int = 40, geometry: Geometry = VIT_B_32, folder: Path | None = None) -> list[Ratio]:
    """Measure judging against encoding, one thread each.

    Args:
        rounds: How often each is timed.
        geometry: Of the encoder; the bar is meant for ViT-B/32.
        folder: Where the encoder is kept; see `int8_vit`.

    Returns:
        One ratio for each kind of policy or image.
    """
    works = {
        "encode": _encode_one(int8_vit(geometry, folder=folder), side=geometry.side),
        "margin, max": _judge_one(make_compiled(Pool.MAX), views=1),
        "margin, lse": _judge_one(make_compiled(Pool.LSE), views=1),
        "margin, max, 2 views": _judge_one(make_compiled(Pool.MAX), views=2),
    }
    calls = {name: JUDGEMENTS_PER_TIMING for name in works if name != "encode"}
    with threadpool_limits(limits=1):
        timings = time_together(works, rounds=rounds, calls=calls)
    encode = timings.pop("encode")
    return [
        Ratio(
            name=f"judge {TEXTS} prompts ({name}) / encode one view, ViT-B/32 int8",
            cost=timing,
            reference=encode,
            bar=None if "views" in name else BAR,
        )
        for name, timing in timings.items()
    ]


def make_compiled(
    pool: Pool, *, texts: int = TEXTS, seed: int = 0, fingerprint: str = "sha256:" + "0" * 64
) -> CompiledPolicy:
    """Compile a policy of random unit vectors, spread evenly over the default taxonomy's number of concepts.

    Args:
        pool: Of every concept.
        texts: P, prompts and negatives together.
        seed: Of the vectors.
        fingerprint: Of the model it is bound to.

    Returns:
        A policy in which every category is enforced.
    """
    shares = np.array_split(np.arange(texts), CATEGORIES + ATTRIBUTES)
    ids = [[f"text {number}" for number in share] for share in shares]
    policy = Policy(
        metadata=Metadata(id="bench"),
        model=ModelBinding(fingerprint=fingerprint),
        on_error=Verdict.REVIEW,
        on_partial=Verdict.REVIEW,
        contexts=(),
        categories=tuple(_category(number, own, pool) for number, own in enumerate(ids[:CATEGORIES])),
        attributes=tuple(
            Attribute(id=f"a{number}", prompts=_prompts(own), templates=("{}",), pool=pool)
            for number, own in enumerate(ids[CATEGORIES:])
        ),
    )
    rows = _unit_rows(texts, seed=seed)
    vectors = {f"text {number}": rows[number] for number in range(texts)}
    facts = ModelFacts(name="bench", fingerprint=fingerprint, dim=VIT_B_32.dim, logit_scale=100.0, logit_bias=None)
    return bind_policy(choose_lines(policy, facts.fingerprint), vectors, background_rows(), facts)


def background_rows() -> NDArray[np.float32]:
    """Return the background of the bench's model: [1,D], of a text that is none of the policy's."""
    return _unit_rows(1, seed=1)


def _category(number: int, texts: list[str], pool: Pool) -> Category:
    return Category(
        id=f"c{number}",
        prompts=_prompts(texts[::2]),
        negatives=tuple(texts[1::2]),
        templates=("{}",),
        pool=pool,
        severity=number % 5,
        definition="Measured, not meant.",
        mode=Mode.ENFORCE,
        thresholds=Thresholds(unit=Unit.SCORE, bounds=Bounds(review=0.5, block=0.9)),
    )


def _prompts(texts: list[str]) -> tuple[Prompt, ...]:
    return tuple(Prompt(text=text) for text in texts)


def _unit_rows(count: int, *, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, VIT_B_32.dim))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _encode_one(path: Path, *, side: int) -> Callable[[], object]:
    """Make the work of encoding one image on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    return lambda: session.run(None, {"pixels": pixels})


def _judge_one(compiled: CompiledPolicy, *, views: int) -> Callable[[], object]:
    """Make the work of judging one image: the matmul and everything after it."""
    tables = prepare(compiled)
    embeddings = _unit_rows(views, seed=2)
    names = [ViewRef(name=name) for name in ("on_white", "on_black")[:views]]

    def work() -> object:
        rows = cosines(embeddings, compiled)
        return judge(rows, names, tables, context=None, partial=False, degraded=False)

    return work
