"""A policy joined to one model's vectors: everything judging needs, immutable, no text encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.lines import Unbound
from clipwarden.policy.schema import Calibration, Concept, Head, Policy


@dataclass(frozen=True, kw_only=True)
class CompiledPolicy:
    """A policy with the vector of each of its texts.

    Attributes:
        policy: As it was written.
        digest: `sha256:...` of the canonical policy: the digest that `clipwarden lint` shows for the file.
        fingerprint: Of the model that embedded the texts.
        logit_scale: `s`; dimensionless.
        logit_bias: SigLIP's bias, or None.
        vectors: `[P+1,D]` float32, read-only. Rows 0..P-1 are the unit vectors `t_p`, concept by concept
            (categories that some context scores, in file order, then attributes), each concept's prompts before its
            negatives. The last row is the mean of the background vectors (not unit), so that one matmul
            also yields `B`.
        dropped_calibrations: Ids of concepts whose calibration was fitted on something else, and is not used.
        unbound: By category id, why its thresholds do not hold; none of those is enforced.
    """

    policy: Policy
    digest: str
    fingerprint: str
    logit_scale: float
    logit_bias: float | None
    vectors: NDArray[np.float32]
    dropped_calibrations: frozenset[str]
    unbound: Mapping[str, Unbound]

    @cached_property  # every image asks for them
    def heads(self) -> tuple[Head, ...]:
        """Those of the scored concepts, in their order, each once, however many share it; logits follow the cosines."""
        return tuple(dict.fromkeys(concept.head for concept in scored_concepts(self.policy) if concept.head))

    def calibration(self, concept: Concept) -> Calibration | None:
        """Return the calibration that a concept of the policy is scored with; None where none was fitted, or holds."""
        return None if concept.id in self.dropped_calibrations else concept.calibration
