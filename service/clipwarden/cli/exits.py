"""Exit codes that a shell script can branch on, and the way from an error to one sentence and its code."""

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import ParamSpec

import typer

from clipwarden.cli.terminal import close_quietly, notice, printable
from clipwarden.errors import (
    ClipwardenError,
    ConfigError,
    FingerprintMismatchError,
    ModelError,
    PolicyError,
    RequestError,
    RuntimeMissingError,
)

DEBUG_VARIABLE = "CLIPWARDEN_DEBUG"

_P = ParamSpec("_P")


class Exit(IntEnum):
    """Every code that the command ends with."""

    OK = 0
    """All images allowed; or the command did what was asked."""
    FAILED = 1
    """The command failed: a server that does not answer, a file that cannot be written, a fault of ours."""
    USAGE = 2
    """Wrong arguments or settings, or nothing to judge."""
    POLICY = 3
    """A policy cannot be used, or `lint` found errors."""
    MODEL = 4
    """A model folder or the onnxruntime installation cannot be used."""
    REVIEW = 10
    """Some image is for review, none is blocked, all could be judged."""
    BLOCK = 20
    """Some image is blocked, all could be judged."""
    UNJUDGED = 30
    """Some image could not be judged, whatever became of the others."""
    INTERRUPTED = 130
    """Ctrl-C; 128 and the number of SIGINT, as shells do."""
    BROKEN_PIPE = 141
    """Whoever read our output went away; 128 and the number of SIGPIPE."""


EXIT_CODES_HELP = """**Exit codes**: 0 all allowed · 10 some for review · 20 some blocked · 30 some could not be judged
(the highest that applies) · 1 failure · 2 wrong usage · 3 unusable policy · 4 unusable model or runtime ·
130 interrupted. An ALLOW under a policy that enforces nothing also ends with 0, and is announced."""

# The nearest base decides, so order does not matter.
_EXIT_BY_ERROR: dict[type[BaseException], Exit] = {
    RequestError: Exit.USAGE,
    ConfigError: Exit.USAGE,
    PolicyError: Exit.POLICY,
    FingerprintMismatchError: Exit.POLICY,
    ModelError: Exit.MODEL,
    RuntimeMissingError: Exit.MODEL,
    ClipwardenError: Exit.FAILED,
}


def exit_of(error: ClipwardenError) -> Exit:
    """Choose the exit code of an error that ends a command."""
    # Late, because it brings gRPC: a command that has not failed, or only shows its help, should not wait for that.
    from clipwarden.client.errors import RequestRefusedError  # noqa: PLC0415

    if isinstance(error, RequestRefusedError):
        return Exit.USAGE
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
            # Here and not at interpreter exit, where a reader that went away would still cause a message.
            sys.stdout.flush()
        except BrokenPipeError:
            close_quietly()
            raise typer.Exit(Exit.BROKEN_PIPE) from None
        except KeyboardInterrupt:
            notice("Interrupted.")
            raise typer.Exit(Exit.INTERRUPTED) from None
        except (ClipwardenError, OSError) as error:
            if os.environ.get(DEBUG_VARIABLE) == "1":
                raise
            notice(_sentence(error), style="bold red")
            raise typer.Exit(exit_of(error) if isinstance(error, ClipwardenError) else Exit.FAILED) from error

    return answer


def _sentence(error: ClipwardenError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{printable(str(error.filename))}: {error.strerror}."
    text = printable(str(error), keep_lines=True)
    return text[:1].upper() + text[1:] if isinstance(error, RequestError) else text
