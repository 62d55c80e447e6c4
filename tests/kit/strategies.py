"""Draw policies, and the cosines of images, for property tests."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.policy.schema import (
    Adjustment,
    Attribute,
    Bounds,
    Category,
    Exemption,
    Method,
    Mode,
    Override,
    Policy,
    Pool,
    Verdict,
)
from kit.builders import make_attribute, make_category, make_policy, scored_texts

CONTEXTS = ("shop", "museum-site")

# A tenth of the range, so that ties between cosines and bounds happen often: that is where inclusiveness shows.
coarse = st.integers(-10, 10).map(lambda tenth: tenth / 10)
cosine = st.one_of(st.floats(-1, 1, width=32), coarse)
methods = st.sampled_from([Method.COSINE, Method.MARGIN])  # heads see embeddings, not cosines: test_head.py
logit_scales = st.sampled_from([1.0, 14.3, 100.0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A policy and one image's rows `[V,P+1]`."""

    policy: Policy
    rows: NDArray[np.float32]
    logit_scale: float


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    low, high = sorted(draw(st.tuples(cosine, cosine)))
    return Bounds(
        review=draw(st.sampled_from([low, None])),
        block=draw(st.sampled_from([high, None])),
    )


@st.composite
def overrides(draw: st.DrawFn, *, bounded: bool) -> Override:
    """Draw what a context changes: a mode alone where there are no thresholds that bounds could override."""
    ends = draw(bounds()) if bounded else Bounds()
    return Override(review=ends.review, block=ends.block, mode=draw(st.none() | st.sampled_from(Mode)))


@st.composite
def categories(draw: st.DrawFn, number: int, attributes: list[Attribute]) -> Category:
    method = draw(methods)
    pool = draw(st.sampled_from(Pool))
    weight = st.just(1.0) if pool is Pool.MAX else st.floats(0.125, 8)
    negatives = draw(st.integers(0, 3)) if method is Method.MARGIN else 0
    own = draw(bounds())
    exemptions = [Exemption(attribute=item.id, gte=draw(cosine)) for item in attributes if draw(st.booleans())]
    return make_category(
        f"c{number}",
        prompts=[(f"p{number}.{index}", draw(weight)) for index in range(draw(st.integers(1, 4)))],
        negatives=[f"n{number}.{index}" for index in range(negatives)],
        method=method,
        pool=pool,
        mode=draw(st.sampled_from(Mode)),
        severity=draw(st.integers(0, 4)),
        review=own.review,
        block=own.block,
        bias=draw(st.sampled_from([None, -2.5, 0.75])),
        slope=draw(st.sampled_from([None, 0.3, 1.5])),
        exemptions=exemptions,
        adjustments=[
            Adjustment(attribute=item.id, gte=draw(cosine), add=draw(st.sampled_from([0.01, 0.1, 0.5])))
            for item in attributes * 2
            if method is Method.COSINE and item.method is Method.COSINE and draw(st.booleans())
        ],
        contexts={name: draw(overrides(bounded=own != Bounds())) for name in CONTEXTS if draw(st.booleans())},
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    attributes = [make_attribute(f"a{number}", method=draw(methods)) for number in range(draw(st.integers(0, 2)))]
    return make_policy(
        [draw(categories(number, attributes)) for number in range(draw(st.integers(1, 4)))],
        attributes=attributes,
        contexts=CONTEXTS,
        on_error=draw(st.sampled_from(Verdict)),
        on_partial=draw(st.sampled_from(Verdict)),
        calibration_scale=draw(st.sampled_from([0.25, 1.0, 2.0])),
    )


@st.composite
def cases(draw: st.DrawFn, *, views: st.SearchStrategy[int] | None = None) -> Case:
    policy = draw(policies())
    width = len(scored_texts(policy)) + 1
    row = st.lists(cosine, min_size=width, max_size=width)
    count = draw(views if views is not None else st.integers(1, 3))
    rows = np.array(draw(st.lists(row, min_size=count, max_size=count)), dtype=np.float32)
    return Case(policy=policy, rows=rows, logit_scale=draw(logit_scales))
