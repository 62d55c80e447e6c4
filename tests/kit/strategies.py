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

# Made once: whoever draws from a strategy of its own has it checked every time.
_modes, _pools, _verdicts = (st.sampled_from(each) for each in (Mode, Pool, Verdict))
_maybe_modes = st.none() | _modes
_maybe = st.booleans()
_even, _weights = st.just(1.0), st.floats(0.125, 8)
_up_to = {most: st.integers(0, most) for most in (2, 3, 4)}
_from_one = {most: st.integers(1, most) for most in (3, 4)}
_cosines = st.tuples(cosine, cosine)
_keep = st.tuples(_maybe, _maybe)
_biases, _slopes = st.sampled_from([None, -2.5, 0.75]), st.sampled_from([None, 0.3, 1.5])
_adds = st.sampled_from([0.01, 0.1, 0.5])
_scales = st.sampled_from([0.25, 1.0, 2.0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A policy and one image's rows `[V,P+1]`."""

    policy: Policy
    rows: NDArray[np.float32]
    logit_scale: float


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    low, high = sorted(draw(_cosines))
    review, block = draw(_keep)
    return Bounds(review=low if review else None, block=high if block else None)


_bounds = bounds()


@st.composite
def overrides(draw: st.DrawFn, *, bounded: bool) -> Override:
    """Draw what a context changes: a mode alone where there are no thresholds that bounds could override."""
    ends = draw(_bounds) if bounded else Bounds()
    return Override(review=ends.review, block=ends.block, mode=draw(_maybe_modes))


_overrides = {bounded: overrides(bounded=bounded) for bounded in (True, False)}


@st.composite
def categories(draw: st.DrawFn, number: int, attributes: list[Attribute]) -> Category:
    method = draw(methods)
    pool = draw(_pools)
    weight = _even if pool is Pool.MAX else _weights
    negatives = draw(_up_to[3]) if method is Method.MARGIN else 0
    own = draw(_bounds)
    exemptions = [Exemption(attribute=item.id, gte=draw(cosine)) for item in attributes if draw(_maybe)]
    return make_category(
        f"c{number}",
        prompts=[(f"p{number}.{index}", draw(weight)) for index in range(draw(_from_one[4]))],
        negatives=[f"n{number}.{index}" for index in range(negatives)],
        method=method,
        pool=pool,
        mode=draw(_modes),
        severity=draw(_up_to[4]),
        review=own.review,
        block=own.block,
        bias=draw(_biases),
        slope=draw(_slopes),
        exemptions=exemptions,
        adjustments=[
            Adjustment(attribute=item.id, gte=draw(cosine), add=draw(_adds))
            for item in attributes * 2
            if method is Method.COSINE and item.method is Method.COSINE and draw(_maybe)
        ],
        contexts={name: draw(_overrides[own != Bounds()]) for name in CONTEXTS if draw(_maybe)},
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    attributes = [make_attribute(f"a{number}", method=draw(methods)) for number in range(draw(_up_to[2]))]
    return make_policy(
        [draw(categories(number, attributes)) for number in range(draw(_from_one[4]))],
        attributes=attributes,
        contexts=CONTEXTS,
        on_error=draw(_verdicts),
        on_partial=draw(_verdicts),
        calibration_scale=draw(_scales),
    )


_policies = policies()


@st.composite
def cases(draw: st.DrawFn, *, views: st.SearchStrategy[int] | None = None) -> Case:
    policy = draw(_policies)
    width = len(scored_texts(policy)) + 1
    row = st.lists(cosine, min_size=width, max_size=width)
    count = draw(views if views is not None else _from_one[3])
    rows = np.array(draw(st.lists(row, min_size=count, max_size=count)), dtype=np.float32)
    return Case(policy=policy, rows=rows, logit_scale=draw(logit_scales))
