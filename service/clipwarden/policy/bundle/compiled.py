"""A policy joined to one model's vectors: everything judging needs, immutable, no text encoder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.schema import Head, Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledPolicy:
    """A policy with the vector of each of its texts.

    Attributes:
        policy: Stale calibrations are already dropped (and named in `dropped_calibrations`).
        digest: `sha256:...` of the canonical policy as it was written, before any calibration was dropped, so
            that it is the digest that `clipwarden lint` shows for the file.
        fingerprint: Of the model that embedded the texts.
        logit_scale: `s`; dimensionless.
        logit_bias: SigLIP's bias, or None.
        vectors: `[P+1,D]` float32, read-only. Rows 0..P-1 are the unit vectors `t_p`, concept by concept
            (categories that are not disabled in file order, then attributes), each concept's prompts before its
            negatives. The last row is the mean of the background vectors (not unit), so that one matmul
            also yields `B`.
        dropped_calibrations: Ids of concepts whose calibration was fitted on something else.
        heads: Those of the scored concepts, in their order, each once; their logits follow the cosines.
        source: The policy as it was written, which bundles store; None means that it is `policy`.
    """

    policy: Policy
    digest: str
    fingerprint: str
    logit_scale: float
    logit_bias: float | None
    vectors: NDArray[np.float32]
    dropped_calibrations: frozenset[str]
    source: Policy | None = None
    heads: tuple[Head, ...] = ()
