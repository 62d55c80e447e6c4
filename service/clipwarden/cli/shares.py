"""A share as people type it in, a number out: `0.5%`, or 0.005."""

from typing import Final

from clipwarden.errors import ConfigError

_MOST_WITHOUT_SIGN: Final = 0.1
"""Above it, a number without a sign is likelier meant in percent."""


def read_share(text: str, flag: str, *, small: bool = False) -> float:
    """Read a share.

    Args:
        text: Such as `0.5%`, `0.5 %` or `0.005`.
        flag: Where it was typed.
        small: Whether large shares make no sense there, so that 0.5 without a sign is a slip.

    Returns:
        A number in (0, 1).

    Raises:
        ConfigError: It is none, or may mean two things.
    """
    bare = text.strip().removesuffix("%").strip()
    has_sign = text.strip().endswith("%")
    try:
        share = float(bare) / (100 if has_sign else 1)
    except ValueError:
        hint = f"; write {bare.replace(',', '.')}%" if "," in bare else ", such as 0.5%"
        raise ConfigError(f'{flag} is "{text}", which is no share{hint}.') from None
    if not 0 < share < 1:  # false for NaN
        raise ConfigError(f'{flag} is "{text}"; write a share above 0 and below 100%, such as 0.5%.')
    if small and not has_sign and share > _MOST_WITHOUT_SIGN:
        raise ConfigError(f'{flag} is "{text}": write {text}% if percent are meant, or {100 * share:g}% for the share.')
    return share
