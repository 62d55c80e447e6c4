"""Numbers in; words as staff read them, out."""


def percent(share: float) -> str:
    """Write a share.

    Args:
        share: 0..1.

    Returns:
        As in `0.1 %`, three digits at most.
    """
    return f"{100.0 * share:.3g} %"


def counted(number: float) -> str:
    """Write a count.

    Args:
        number: Any.

    Returns:
        As in `2,995`.
    """
    return f"{number:,.0f}"
