"""Command lines of ours: a table of commands, imported as they run, and errors out as one sentence and an exit code."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from clipwarden.errors import ClipwardenError, RequestError
from clipwarden.terminal import close_quietly, notice, printable

DEBUG_VARIABLE = "CLIPWARDEN_DEBUG"
HELP_OPTIONS: Final = {"help_option_names": ["-h", "--help"]}
FAILED = 1
"""For a reason that no other code names."""
INTERRUPTED = 130
"""Ctrl-C; 128 and the number of SIGINT, as shells do."""
BROKEN_PIPE = 141
"""Whoever read our output went away; 128 and the number of SIGPIPE."""


class CommandGroup(TyperGroup):
    """The commands of a program, which give their exit code back, or None for 0.

    Those of the table are imported once one of them runs or shows its own help. All else, which is the program's help,
    completion and a misspelt command, reads the table alone.

    Attributes:
        table: By command, where it lies (`package.module:function`, or a `typer.Typer` with commands of its own), and
            the first line of its help. `models upgrade` may stand beside `models`, which takes all else.
    """

    table: ClassVar[Mapping[str, tuple[str, str]]]

    @staticmethod
    def exit_of(error: ClipwardenError) -> int:
        """Choose the exit code of an error of ours; each program has a table of its own."""
        raise NotImplementedError

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  typer's own
        super().__init__(**attributes)
        for name, (_, first_line) in self.table.items():
            self.add_command(TyperCommand(name, help=first_line))

    # `Any`, because typer keeps its classes of contexts and commands to itself.
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Find the command that `args` begin with, and import it; a name of two words goes first."""
        if (pair := " ".join(args[:2])) in self.table:
            args = [pair, *args[2:]]
        elif args[0] not in self.table and (whole := [name for name in self.table if name.startswith(f"{args[0]} ")]):
            ctx.fail(f"{args[0]!r} is half of a command; there is {', '.join(whole)}.")
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.table:
            return name, _load(name, self.table[name][0]), rest
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run a command to its exit code."""
        with answering(self.exit_of):
            code = super().invoke(ctx)
        raise typer.Exit(code or 0)


def _load(name: str, where: str) -> object:
    found = resolve_name(where)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False, rich_markup_mode="markdown")
        found.command(name)(function)
    return get_command(found)


@contextmanager
def answering(exit_of: Callable[[ClipwardenError], int]) -> Iterator[None]:
    """End what a command does with a sentence on stderr and a documented code, never with a traceback.

    CLIPWARDEN_DEBUG=1 lets tracebacks through.

    Args:
        exit_of: Chooses the exit code of an error of ours.

    Raises:
        typer.Exit: Something went wrong; what, has been said.
    """
    try:
        yield
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
        if _is_full(error):
            close_quietly()
        notice(_sentence(error), style="bold red")
        raise typer.Exit(exit_of(error) if isinstance(error, ClipwardenError) else FAILED) from error


def nearest(codes: Mapping[type[BaseException], int], error: ClipwardenError) -> int:
    """Choose an error's code: that of its nearest base, so that the order of the table does not matter.

    Args:
        codes: One for `ClipwardenError` at least.
        error: Any of ours.
    """
    return next(codes[kind] for kind in type(error).__mro__ if kind in codes)


def _is_full(error: Exception) -> bool:
    """Tell a disk that has no room for what we print; of files of our own the error names the file."""
    return isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None


def _sentence(error: ClipwardenError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{printable(str(error.filename))}: {error.strerror}."
    if _is_full(error):
        return f"Standard output: {os.strerror(errno.ENOSPC)}."
    text = printable(str(error), keep_lines=True)
    return text[:1].upper() + text[1:] if isinstance(error, RequestError) else text
