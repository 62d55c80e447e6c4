"""What tuning proposes for one category."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clipwarden.policy.schema import Bounds, Evidence
from clipwarden.tuning.calibration import Fitted


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """What one category is to say; what is not proposed stays as it is.

    Attributes:
        category: Its id.
        calibration: None keeps the one that is there, which has to hold, unless `removes_calibration`.
        removes_calibration: Whether the category is to have none.
        bounds: In the unit of its method, mapped through the calibration and rounded. `Bounds()` takes the thresholds
            out, and the bounds of its contexts with them: it is scored and has no band.
        contexts: Bounds that contexts are to have instead, in the same unit; `carrying` says what becomes of others.
        evidence: What it was chosen on.
    """

    category: str
    calibration: Fitted | None = None
    removes_calibration: bool = False
    bounds: Bounds
    contexts: Mapping[str, Bounds] = field(default_factory=dict)
    evidence: Evidence
