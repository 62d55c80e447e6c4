"""Exit codes that a shell script can branch on, and the way from an error to one sentence and its code."""

import os
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import ParamSpec

import typer
from rich.console import Console
from rich.text import Text

from clipwarden.errors import ClipwardenError, ConfigError, ModelError, PolicyError, RuntimeMissingError
from clipwarden_export.errors import BelowBarError, SourceError

_P = ParamSpec("_P")


class Exit(IntEnum):
    """Every code that the command ends with; 0 to 4 mean what they mean to `clipwarden`."""

    OK = 0
    """Published, or verified."""
    FAILED = 1
    """The command failed for a reason that no other code names."""
    USAGE = 2
    """Wrong arguments."""
    POLICY = 3
    """The policy given for comparison cannot be used."""
    MODEL = 4
    """A model folder, or the onnxruntime installation, cannot be used."""
    SOURCE = 5
    """The checkpoint cannot be found, trusted or understood."""
    BELOW_BAR = 6
    """The model is not its checkpoint: nothing was published, or the folder did not pass."""


EXIT_CODES_HELP = """**Exit codes**: 0 published or verified · 1 failure · 2 wrong usage · 3 unusable policy ·
4 unusable model folder or runtime · 5 unusable checkpoint · 6 below the bar"""

# The nearest base decides, so order does not matter.
_EXIT_BY_ERROR: dict[type[BaseException], Exit] = {
    BelowBarError: Exit.BELOW_BAR,
    SourceError: Exit.SOURCE,
    ConfigError: Exit.USAGE,
    PolicyError: Exit.POLICY,
    ModelError: Exit.MODEL,
    RuntimeMissingError: Exit.MODEL,
    ClipwardenError: Exit.FAILED,
}


def exit_of(error: ClipwardenError) -> Exit:
    """Choose the exit code of an error that ends a command."""
    return next(_EXIT_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _EXIT_BY_ERROR)


def answering(command: Callable[_P, None]) -> Callable[_P, None]:
    """Make a command end with a sentence and a documented code, never with a traceback.

    CLIPWARDEN_DEBUG=1 lets tracebacks through.

    Args:
        command: A command's function.

    Returns:
        The same, for typer to register.
    """

    @wraps(command)
    def answer(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (ClipwardenError, OSError) as error:
            if os.environ.get("CLIPWARDEN_DEBUG") == "1":
                raise
            # As text, not markup: file names and shapes hold square brackets.
            Console(stderr=True).print(Text(str(error), style="bold red"), soft_wrap=True)
            raise typer.Exit(exit_of(error) if isinstance(error, ClipwardenError) else Exit.FAILED) from error

    return answer
