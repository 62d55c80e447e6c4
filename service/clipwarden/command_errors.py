"""A command's error in, one sentence on stderr and an exit code out: what every command line of ours ends with."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec

import typer

from clipwarden.errors import ClipwardenError, RequestError
from clipwarden.terminal import close_quietly, notice, printable

DEBUG_VARIABLE = "CLIPWARDEN_DEBUG"
FAILED = 1
"""For a reason that no other code names."""
INTERRUPTED = 130
"""Ctrl-C; 128 and the number of SIGINT, as shells do."""
BROKEN_PIPE = 141
"""Whoever read our output went away; 128 and the number of SIGPIPE."""

P = ParamSpec("P")
Command = Callable[P, None]


def nearest(codes: Mapping[type[BaseException], int], error: ClipwardenError) -> int:
    """Choose an error's code: that of its nearest base, so that the order of the table does not matter.

    Args:
        codes: One for `ClipwardenError` at least.
        error: Any of ours.
    """
    return next(codes[kind] for kind in type(error).__mro__ if kind in codes)


def answering_with(exit_of: Callable[[ClipwardenError], int]) -> Callable[[Command[P]], Command[P]]:
    """Make a decorator under which a command ends with a sentence and a documented code, never with a traceback.

    CLIPWARDEN_DEBUG=1 lets tracebacks through.

    Args:
        exit_of: The exit code of an error of ours.

    Returns:
        Wraps a command's function for typer to register.
    """

    def answering(command: Command[P]) -> Command[P]:
        @wraps(command)
        def answer(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
                # Here and not at interpreter exit, where a reader that went away would still cause a message.
                sys.stdout.flush()
            except BrokenPipeError:
                close_quietly()
                raise typer.Exit(BROKEN_PIPE) from None
            except KeyboardInterrupt:
                notice("Interrupted.")
                raise typer.Exit(INTERRUPTED) from None
            except (ClipwardenError, OSError) as error:
                if os.environ.get(DEBUG_VARIABLE) == "1":
                    raise
                notice(_sentence(error), style="bold red")
                raise typer.Exit(exit_of(error) if isinstance(error, ClipwardenError) else FAILED) from error

        return answer

    return answering


def _sentence(error: ClipwardenError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{printable(str(error.filename))}: {error.strerror}."
    text = printable(str(error), keep_lines=True)
    return text[:1].upper() + text[1:] if isinstance(error, RequestError) else text
