"""Scores of harmless pictures, or of any, in; the lowest line that stops at most a share of them, out.

The line is found by a fixed sequence of exact binomial tests from the strict end over the scores that were seen (Learn
then Test, Angelopoulos et al., arXiv:2110.01052): lower it as long as the test rejects "more than `limit` are stopped".
Since the p-value only grows on the way down, that is the order statistic of the Neyman-Pearson umbrella algorithm
(Tong, Feng, Li, Science Advances 2018): with k exceptions allowed, the line lies strictly above the (k+1)-th false
alarm, as lines are inclusive; midway to the next distinct score, so that rounding has room.
"""

from numpy.typing import ArrayLike

from clipwarden.tuning.lines.promises import Line, NotMet


def line_for_fpr(
    clean: ArrayLike,
    *,
    limit: float,
    delta: float = 0.05,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    others: ArrayLike = (),
) -> Line | NotMet:
    """Choose the lowest line that stops at most a share of harmless pictures.

    The pictures must have had the same chance of being drawn; of a sample that had not, take `draws.evenly` first. What
    orders the scores (texts, pool, head, views) must have been chosen on other groups.

    Args:
        clean: `[N]` scores of harmless pictures with a label, before calibration.
        limit: The greatest share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        group: `[N]` numbers of near-duplicates, of which one each is tested; None when all are independent.
        u: `[N]` of `design.sampling.chances`, which choose that one; needed with `group`.
        uploads: `[N]`, how often each was uploaded; once by default.
        others: Further scores seen, as of harmful pictures: the line lies between them too.

    Returns:
        The line, or how many harmless pictures are missing.

    Raises:
        LineError: Scores that are not finite; a limit or delta outside (0,1).
    """
    raise NotImplementedError


def line_for_flag_rate(
    scores: ArrayLike,
    *,
    limit: float,
    delta: float = 0.05,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
) -> Line | NotMet:
    """Choose the lowest line that stops at most a share of uploads, without any label: a fallback.

    It bounds the share of harmless pictures stopped only while harmful ones are stopped at least as often, since the
    rate of all is a mean of both. It costs recall: what is harmful counts against the limit.

    Args:
        scores: `[N]` scores of uniformly drawn uploads, before calibration.
        limit: The greatest share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        group: As above.
        u: As above.
        uploads: As above.

    Returns:
        The line, or how many uploads are missing.

    Raises:
        LineError: As above.
    """
    raise NotImplementedError
