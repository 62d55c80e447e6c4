"""What is known of drawings: labels, families of sets, identity slices, and which of them count as one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Truth = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Members:
    """The drawings of an identity slice, their skin tones among them.

    Attributes:
        places: Their places among the cases [M].
        groups: Equal for twins and near copies [M].
    """

    places: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What lines are chosen on, or held against.

    Attributes:
        rows: Of the rendered pixels [K].
        families: Of each drawing's set [K].
        colour: Whether a drawing carries its own colours [K].
        listed: Whether a drawing counts in rates: no skin tone, and no copy of another [K].
        truth: Label of each drawing by category: `positive`, `ambiguous` or a kind of negative.
        slices: By the names of GATED.
        detail: The finer slice of each drawing, empty for most [K].
    """

    rows: npt.NDArray[np.int64]
    families: npt.NDArray[np.str_]
    colour: Mask
    listed: Mask
    truth: Mapping[str, Truth]
    slices: Mapping[str, Members]
    detail: npt.NDArray[np.str_]

    def negative(self, category: str) -> Mask:
        """Return which drawings a category must leave alone.

        Args:
            category: Its id.

        Returns:
            bool [K].
        """
        labels = self.truth[category]
        negative: Mask = (labels != "positive") & (labels != "ambiguous")
        return negative
