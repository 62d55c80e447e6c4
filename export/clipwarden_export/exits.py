"""Exit codes that a shell script can branch on, and which error has which."""

from enum import IntEnum

from clipwarden import commandline
from clipwarden.errors import ClipwardenError, ConfigError, ModelError, PolicyError, RuntimeMissingError
from clipwarden_export.errors import BelowBarError, SourceError


class Exit(IntEnum):
    """Every code that the command ends with; 0 to 4 mean what they mean to `clipwarden`."""

    OK = 0
    """Published, or verified."""
    FAILED = commandline.FAILED
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
    INTERRUPTED = commandline.INTERRUPTED
    """Ctrl-C."""
    BROKEN_PIPE = commandline.BROKEN_PIPE
    """Whoever read our output went away."""


EXIT_CODES_HELP = """**Exit codes**: 0 published or verified · 1 failure · 2 wrong usage · 3 unusable policy ·
4 unusable model folder or runtime · 5 unusable checkpoint · 6 below the bar · 130 interrupted"""

_EXIT_BY_ERROR: dict[type[BaseException], int] = {
    BelowBarError: Exit.BELOW_BAR,
    SourceError: Exit.SOURCE,
    ConfigError: Exit.USAGE,
    PolicyError: Exit.POLICY,
    ModelError: Exit.MODEL,
    RuntimeMissingError: Exit.MODEL,
    ClipwardenError: Exit.FAILED,
}


def exit_of(error: ClipwardenError) -> int:
    """Choose the exit code of an error that ends a command."""
    return commandline.nearest(_EXIT_BY_ERROR, error)
