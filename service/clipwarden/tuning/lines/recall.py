"""Scores of harmful pictures in; the highest line that still finds a share of them, out.

A fixed sequence again, from the lenient end: raise the line as long as the lower limit of recall, one-sided, is at
least the target.
"""

from numpy.typing import ArrayLike

from clipwarden.tuning.lines.promises import Line, NotMet


def line_for_recall(
    harmful: ArrayLike,
    *,
    target: float,
    delta: float = 0.05,
    pi: ArrayLike | None = None,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    others: ArrayLike = (),
) -> Line | NotMet:
    """Choose the highest line that stops at least a share of harmful uploads.

    Args:
        harmful: `[K]` scores of harmful pictures with a label, before calibration.
        target: The least share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        pi: `[K]` chances of a sample: recall per upload, limits of `design.rates`. None where all had the same chance:
            exact test, one picture a group.
        group: `[K]` numbers of near-duplicates; None when all are independent.
        u: `[K]` of `design.sampling.chances`; needed with `group` and without `pi`.
        uploads: `[K]`, how often each was uploaded; once by default.
        others: Further scores seen, as of harmless pictures: the line lies between them too.

    Returns:
        The line, or how many harmful pictures are missing.

    Raises:
        LineError: Scores that are not finite; a target or delta outside (0,1).
    """
    raise NotImplementedError
