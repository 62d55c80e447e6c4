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
    words = only.split(",")
    if not all(map(str.strip, words)):
        raise ConfigError(f"--only {only!r}: a result is missing. Write some of {_known()}, with commas between them.")
    return frozenset(map(_selected_one, words))


def _selected_one(word: str) -> str:
    tidy = " ".join(word.upper().replace("-", " ").replace("_", " ").split())
    if tidy in ALL and not word.strip().startswith("-"):
        return tidy
    guess = closest(tidy, {result.lower(): result for result in RESULTS}) if tidy else None
    meant = f" Did you mean {_written(guess.upper())}?" if guess else ""
    raise ConfigError(
        f"--only {word.strip()!r}: there is no such result.{meant} Write some of {_known()}, with commas."
    )


def _known() -> str:
    return ", ".join(map(_written, RESULTS))


def _written(result: str) -> str:
    # Without a space, so that no quotes are needed.
    return result.replace(" ", "-")
