"""Policies and a counting text encoder for tests of everything that handles policies."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.policy.language.concept_keys import SAID
from clipwarden.policy.language.learned import BundleTensors, bundle_tensors
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    Adjustment,
    Attribute,
    Bounds,
    By,
    Calibration,
    Category,
    ChosenOn,
    Context,
    Drawn,
    Evidence,
    Exemption,
    Head,
    HeadLayer,
    LearnedVector,
    Metadata,
    Method,
    Mode,
    ModelBinding,
    OnTruncated,
    Override,
    Phrase,
    Policy,
    Pool,
    Prompt,
    Thresholds,
    Verdict,
    Waivable,
    Waiver,
)
from clipwarden.policy.slices import SliceFinding, slice_name
from clipwarden.policy.subjects.wordlist import word_list
from clipwarden.vision.plan import MAX_VIEWS, ViewPlan, Views

FINGERPRINT = "sha256:" + "ab" * 32
DIM = 8
CAPACITY = 12

FULL_POLICY = f"""\
api: clipwarden/v1
metadata: {{id: full, version: "1.4.0", owner: team@example.com, reason: "a test", review_by: 2999-06-01}}
model: {{fingerprint: "{FINGERPRINT}", calibration_scale: 0.5}}
defaults:
  mode: shadow
  on_error: block
  on_partial: allow
  templates: ["{{}}", "a photo of {{}}"]
contexts:
  hunting-shop: {{description: "licensed sporting goods"}}
  kids: {{description: "a stricter surface"}}
categories:
- id: weapons
  severity: 3
  definition: "Real firearms."
  mode: enforce
  prompts: ["a rifle", "a pistol on a table"]
  negatives: ["a toy water gun"]
  scoring: {{method: margin, pool: max}}
  thresholds: {{unit: score, review: 0.55, block: 0.92}}
  reason_code: WPN-1
  exemptions: [{{when: {{attribute: museum, gte: 0.8}}, effect: block_to_review}}]
  contexts: {{hunting-shop: {{review: 0.8, block: 0.99}}, kids: {{review: 0.3}}}}
- id: drugs.hard
  severity: 2
  definition: "Illegal drugs."
  templates: ["a screenshot of {{}}"]
  prompts: [{{text: "white powder", weight: 2}}, "a syringe"]
  scoring: {{method: cosine, pool: lse}}
  thresholds: {{unit: cosine, review: 0.2}}
- id: retired
  severity: 0
  definition: "No longer scored."
  mode: disabled
  prompts: ["an old thing"]
attributes:
- {{id: museum, prompts: ["a museum hall"], negatives: ["a bedroom"]}}
"""


@dataclass
class FakeTokenizer:
    """Counts words."""

    capacity: int = CAPACITY

    def content_tokens(self, text: str) -> int:
        return len(text.split())

    def pieces(self, text: str) -> Sequence[str | None]:
        return text.split()


@dataclass
class FakeText:
    """Embeds a text as a unit vector seeded by its hash, and remembers what it was asked."""

    tokenizer: FakeTokenizer = field(default_factory=FakeTokenizer)
    seen: list[str] = field(default_factory=list)
    at_once: int = 1

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        return np.stack([unit_vector(text) for text in texts])


@dataclass
class FakeManifest:
    name: str = "fake"
    dim: int = DIM
    logit_scale: float = 100.0
    logit_bias: float | None = None


@dataclass
class FakeModel:
    """A model as policies see it, without images and without onnxruntime."""

    fingerprint: str = FINGERPRINT
    manifest: FakeManifest = field(default_factory=FakeManifest)
    text: FakeText | None = field(default_factory=FakeText)
    background: NDArray[np.float32] | None = field(
        default_factory=lambda: np.stack([unit_vector(f"background {index}") for index in range(5)])
    )


def unit_vector(text: str, dim: int = DIM) -> NDArray[np.float32]:
    """Return a float32 [D] unit vector that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzäß'\"\\:#{}&*!%@éΩ猫🐈-,[]", min_size=1, max_size=12)
TEXTS = (
    st.lists(WORDS, min_size=1, max_size=4)
    .map(" ".join)
    .filter(lambda text: "{}" not in text and text == text.strip() and not word_list("minors").find(text))
)
SAID_TEXTS = TEXTS.filter(lambda text: SAID.pattern.fullmatch(text) is not None)
"""Texts that say something, unlike dots left in."""
IDS = st.from_regex(r"[a-z][a-z0-9_]{0,6}(\.[a-z0-9_]{1,5})?", fullmatch=True)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,10}", fullmatch=True)
TEMPLATES = st.lists(
    st.sampled_from(["{}", "a photo of {}", "a drawing of {}", "{} on a screen"]), min_size=1, max_size=4, unique=True
).map(tuple)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda data: "sha256:" + data.hex())


def _meaning(phrase: Phrase) -> str | bytes:
    return phrase.values if isinstance(phrase, LearnedVector) else " ".join(phrase.casefold().split())


_VECTOR_NAMES = NAMES.filter(lambda name: not word_list("minors").find(name))
_SEEDS = st.text(max_size=3)


@st.composite
def learned_vectors(draw: st.DrawFn, dim: int = DIM) -> LearnedVector:
    """Draw a vector as a file would have given it: of unit length, without -0.0."""
    return LearnedVector(name=draw(_VECTOR_NAMES), values=unit_vector(draw(_SEEDS), dim).astype("<f4").tobytes())


_HIDDEN = st.sampled_from([(), (3,)])


@st.composite
def heads(draw: st.DrawFn, dim: int = DIM) -> Head:
    """Draw a head of one or two layers."""
    widths = [dim, *draw(_HIDDEN), 1]
    return tuple(
        HeadLayer(
            place=place,
            weight=np.stack([unit_vector(f"{draw(WORDS)}{row}", inputs) for row in range(outputs)])
            .astype("<f4")
            .tobytes(),
            bias=unit_vector(draw(WORDS), outputs).astype("<f4").tobytes(),
        )
        for place, (inputs, outputs) in enumerate(pairwise(widths))
    )


def learned_of(policy: Policy) -> BundleTensors:
    """Return a bundle's tensors of all that a policy learned, so that its document can be parsed."""
    concepts = (*policy.categories, *policy.attributes)
    values = [each.values for item in concepts for each in item.phrases if isinstance(each, LearnedVector)]
    return BundleTensors(np.frombuffer(b"".join(values), dtype="<f4").reshape(-1, DIM), bundle_tensors(policy))


# Made once: whoever draws from a strategy of its own has it checked every time.
_METHODS, _POOLS, _MODES, _VERDICTS = (st.sampled_from(each) for each in (Method, Pool, Mode, Verdict))
_PHRASES = st.lists(st.one_of(TEXTS, learned_vectors()), min_size=1, max_size=5, unique_by=_meaning)
_HEADS = heads()
_EVEN, _WEIGHTS = st.just(1.0), st.floats(0.001, 999)
_MAYBE = st.booleans()
_SHARES = st.floats(0, 1)
_INSIDE = st.floats(0, 1, exclude_min=True, exclude_max=True)
_SCALES = st.floats(0, 1000, exclude_min=True, exclude_max=True)
_CALIBRATIONS = st.none() | st.builds(
    Calibration,
    slope=st.none() | _SCALES,
    bias=st.floats(-1000, 1000).map(lambda value: value + 0.0),
    prevalence=_INSIDE,
    fitted_on=DIGESTS,
)
_WAIVERS = st.lists(
    st.builds(
        Waiver,
        rule=st.sampled_from(Waivable),
        texts=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
        reason=SAID_TEXTS,
        approved_by=SAID_TEXTS,
    ),
    max_size=2,
)


@st.composite
def _concept_parts(draw: st.DrawFn, name: str) -> dict[str, object]:
    method = draw(_METHODS)
    pool = draw(_POOLS)
    texts = draw(_PHRASES)
    takes = METHODS[method].takes
    split = draw(st.integers(1, len(texts))) if "negatives" in takes else len(texts)
    weights = _EVEN if pool is Pool.MAX else _WEIGHTS
    waive = tuple(draw(_WAIVERS))
    if method is Method.HEAD:
        bare = {"id": name, "prompts": (), "templates": (), "method": method, "waive": waive}
        return {**bare, "head": draw(_HEADS), "calibration": draw(_CALIBRATIONS)}
    return {
        "id": name,
        "prompts": tuple(Prompt(text=text, weight=draw(weights)) for text in texts[:split]),
        "negatives": tuple(texts[split:]),
        "templates": draw(TEMPLATES),
        "method": method,
        "pool": pool,
        "calibration": draw(_CALIBRATIONS) if "calibration" in takes else None,
        "waive": waive,
    }


_ENDS = {
    low: st.lists(st.floats(low, 1), min_size=2, max_size=2, unique_by=lambda value: value + 0.0)
    for low in {facts.lowest for facts in METHODS.values()}
}


@st.composite
def _bounds(draw: st.DrawFn, low: float) -> Bounds:
    first, second = sorted(draw(_ENDS[low]))
    pair = (first + 0.0, second + 0.0)
    return draw(st.sampled_from([Bounds(review=pair[0], block=pair[1]), Bounds(review=pair[0]), Bounds(block=pair[1])]))


_COUNTS = st.integers(0, 10**9)
SLICES = st.builds(
    lambda name, value, outcome, ceiling, more, waived: (
        SliceFinding(
            name=slice_name(name, value), outcome=outcome, limit="block", ceiling=ceiling, more=more, waived=waived
        ).sentence
    ),
    TEXTS,
    st.text(max_size=8),
    st.sampled_from(["PASS", "FAIL", "UNKNOWN"]),
    st.none() | st.floats(1e-9, 1, exclude_max=True),
    st.none() | st.integers(1, 10**9 - 1),
    st.none() | SAID_TEXTS,
)

EVIDENCE = st.builds(
    Evidence,
    store=DIGESTS,
    labels=st.none() | DIGESTS,
    design=st.sampled_from(Drawn),
    labelled=_COUNTS,
    positives=_COUNTS,
    groups=_COUNTS,
    how=SAID_TEXTS,
    confidence=_INSIDE,
    looks=st.integers(1, 10**9),
    day=st.dates(min_value=date(1000, 1, 1)),
    author=TEXTS,
    promises=st.lists(SAID_TEXTS, max_size=3).map(tuple),
    targets=st.lists(TEXTS, max_size=3).map(tuple),
    slices=st.lists(SLICES, max_size=3).map(tuple),
)


_NOTHING = st.none()
_MAYBE_EVIDENCE = _NOTHING | EVIDENCE
_MAYBE_TEXTS = _NOTHING | TEXTS
_BY = st.sampled_from(By)


@st.composite
def _chosen_on(draw: st.DrawFn) -> ChosenOn | None:
    texts = SAID_TEXTS if draw(_MAYBE) else _NOTHING
    by = draw(_BY)
    told = {"reason": draw(SAID_TEXTS), "approved_by": draw(SAID_TEXTS)} if by is By.HAND else {"reason": draw(texts)}
    return draw(st.sampled_from([None, ChosenOn(digest=draw(DIGESTS), by=by, evidence=draw(_MAYBE_EVIDENCE), **told)]))


_MAYBE_BOUNDS = {low: _NOTHING | _bounds(low) for low in _ENDS}
_CHOSEN_ON = _chosen_on()
_MODES_WITHOUT_BOUNDS = st.sampled_from([Mode.SHADOW, Mode.DISABLED])
_SEVERITIES = st.integers(0, 4)
_COSINES = st.floats(-1, 1)


@st.composite
def _category(draw: st.DrawFn, name: str, attributes: Sequence[Attribute], contexts: Sequence[Context]) -> Category:
    parts = draw(_concept_parts(name))
    facts = METHODS[parts["method"]]
    low, unit = facts.lowest, facts.unit
    bounds = draw(_MAYBE_BOUNDS[low])
    modes = _MODES if bounds else _MODES_WITHOUT_BOUNDS
    # The same ends again never cross the base's; what matters here is the shape.
    ends = {"review": bounds.review, "block": bounds.block} if bounds else {}
    overrides = [Override(mode=draw(modes)), Override(**ends, mode=draw(modes))]
    overrides += [Override(**ends)] if bounds else []
    chosen = [each for each in attributes if draw(_MAYBE)]
    plain = [each for each in attributes if each.method is parts["method"] is Method.COSINE and draw(_MAYBE)]
    return Category(
        **parts,  # type: ignore[arg-type]
        severity=draw(_SEVERITIES),
        definition=draw(TEXTS),
        mode=draw(modes),
        thresholds=bounds and Thresholds(unit=unit, bounds=bounds, chosen_on=draw(_CHOSEN_ON)),
        reason_code=draw(_MAYBE_TEXTS),
        exemptions=tuple(Exemption(attribute=each.id, gte=draw(_SHARES) + 0.0) for each in chosen),
        contexts={each.name: draw(st.sampled_from(overrides)) for each in contexts if draw(_MAYBE)},
        adjustments=tuple(Adjustment(attribute=each.id, gte=draw(_COSINES) + 0.0, add=0.01) for each in plain),
    )


_CONCEPTS = st.lists(IDS, min_size=1, max_size=5, unique=True)
_CONTEXTS = st.lists(NAMES, max_size=2, unique=True)
_DATES = _NOTHING | st.dates()
_ON_TRUNCATED = st.sampled_from(OnTruncated)
_PLANS = st.builds(ViewPlan, views=st.sampled_from(Views), frames=st.integers(1, MAX_VIEWS))
_COVERAGES = st.none() | st.floats(0, 1, exclude_min=True)
_RESOLUTIONS = st.none() | st.floats(0, 10_000, exclude_min=True)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw any policy that `parse_policy` could return."""
    names = draw(_CONCEPTS)
    split = draw(st.integers(1, len(names)))
    contexts = tuple(Context(name=name, description=draw(TEXTS)) for name in draw(_CONTEXTS))
    attributes = tuple(Attribute(**draw(_concept_parts(name))) for name in names[split:])  # type: ignore[arg-type]
    return Policy(
        metadata=Metadata(
            id=draw(NAMES),
            version=draw(_MAYBE_TEXTS),
            owner=draw(_MAYBE_TEXTS),
            reason=draw(_MAYBE_TEXTS),
            author=draw(_MAYBE_TEXTS),
            approved_by=draw(_MAYBE_TEXTS),
            review_by=draw(_DATES),
        ),
        model=ModelBinding(fingerprint=draw(DIGESTS), calibration_scale=draw(_SCALES)),
        on_error=draw(_VERDICTS),
        on_partial=draw(_VERDICTS),
        on_truncated=draw(_ON_TRUNCATED),
        plan=draw(_PLANS),
        least_coverage=draw(_COVERAGES),
        least_resolution=draw(_RESOLUTIONS),
        contexts=contexts,
        categories=tuple(draw(_category(name, attributes, contexts)) for name in names[:split]),
        attributes=attributes,
    )
