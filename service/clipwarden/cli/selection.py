"""What the user wrote behind `--only` in; which results are shown out."""

from clipwarden.cli.outcome import LEFT_OUT, RESULTS
from clipwarden.errors import ConfigError
from clipwarden.textfiles.wording import closest

ALL = frozenset(RESULTS)
IMAGES = ALL - {LEFT_OUT}


def selected(only: str) -> frozenset[str]:
    """Read results with commas between them, in any case; `NOT JUDGED` also as NOT-JUDGED or NOT_JUDGED.

    Args:
        only: Such as `BLOCK,review`.

    Returns:
        Some of `RESULTS`.

    Raises:
        ConfigError: One of them is none.
    """
    return frozenset(map(_selected_one, only.split(",")))


def _selected_one(word: str) -> str:
    tidy = " ".join(word.upper().replace("-", " ").replace("_", " ").split())
    if tidy in ALL:
        return tidy
    guess = closest(tidy, {result.lower(): result for result in RESULTS}) if tidy else None
    meant = f" Did you mean {_written(guess.upper())}?" if guess else ""
    known = ", ".join(map(_written, RESULTS))
    raise ConfigError(f"--only {word.strip()!r}: there is no such result.{meant} Write some of {known}, with commas.")


def _written(result: str) -> str:
    # Without a space, so that no quotes are needed.
    return result.replace(" ", "-")
