"""Exit codes that a shell script can branch on, and which error has which."""

from enum import IntEnum

from clipwarden import commandline
from clipwarden.cli import healthanswers
from clipwarden.errors import (
    ClipwardenError,
    ConfigError,
    DesignError,
    FingerprintMismatchError,
    LabelError,
    LineError,
    ModelError,
    PolicyError,
    RequestError,
    RuntimeMissingError,
    StoreError,
)


class Exit(IntEnum):
    """Every code that the command ends with."""

    OK = 0
    """All images allowed; or the command did what was asked."""
    FAILED = commandline.FAILED
    """The command failed: a server that does not answer, a file that cannot be written, a fault of ours."""
    USAGE = 2
    """Wrong arguments or settings, or nothing to judge."""
    POLICY = 3
    """A policy cannot be used, or `lint` found errors."""
    MODEL = 4
    """A model folder or the onnxruntime installation cannot be used."""
    LEFT_OUT = 5
    """What was judged is allowed, and something in a folder was left out that is or may hold an image."""
    NOT_SERVING = healthanswers.NOT_SERVING
    """`health` asked a server that does not serve; or, with `--live`, one that a restart would help."""
    UNREACHABLE = healthanswers.UNREACHABLE
    """`health` had no answer."""
    DATA = 8
    """A store of pictures cannot be used, or not for this."""
    REVIEW = 10
    """Some image is for review, none is blocked, none failed; or `diff` found changes; or an audit log says that it
    lacks lines; or a limit that `tune` was asked for cannot be had."""
    BLOCK = 20
    """Some image is blocked, none failed; or an audit log was changed."""
    UNJUDGED = 30
    """Some image, or something that may be one, could not be judged, whatever became of the others."""
    INTERRUPTED = commandline.INTERRUPTED
    """Ctrl-C; 128 and the number of SIGINT, as shells do."""
    BROKEN_PIPE = commandline.BROKEN_PIPE
    """Whoever read our output went away; 128 and the number of SIGPIPE."""
    ENDED = 143  # as `start` has it, which does more than say so when it is imported
    """SIGTERM; 128 and its number, as shells do."""


EXIT_CODES_HELP = """**Exit codes**: 0 all judged and allowed · 5 something was left out of a folder that is or may hold
an image · 10 some for review · 20 some blocked · 30 some could not be judged (the highest that applies) · 1 failure ·
2 wrong usage, or nothing to judge · 3 unusable policy · 4 unusable model or runtime · 6 a server that does not serve ·
7 nobody answers there · 8 unusable store · 130 interrupted · 143 ended. An ALLOW under a policy that enforces nothing
also ends with 0, and is announced."""

_EXIT_BY_ERROR: dict[type[BaseException], int] = {
    RequestError: Exit.USAGE,
    ConfigError: Exit.USAGE,
    LabelError: Exit.USAGE,
    DesignError: Exit.USAGE,
    LineError: Exit.USAGE,
    PolicyError: Exit.POLICY,
    FingerprintMismatchError: Exit.POLICY,
    ModelError: Exit.MODEL,
    RuntimeMissingError: Exit.MODEL,
    StoreError: Exit.DATA,
    ClipwardenError: Exit.FAILED,
}


def exit_of(error: ClipwardenError) -> int:
    """Choose the exit code of an error that ends a command."""
    # Late, because it brings gRPC: a command that has not failed, or only shows its help, should not wait for that.
    from clipwarden.client.errors import RequestRefusedError

    if isinstance(error, RequestRefusedError):
        return Exit.USAGE
    return commandline.nearest(_EXIT_BY_ERROR, error)
