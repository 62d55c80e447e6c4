"""The two consoles, and texts of others made safe to show: file names and prompts may hold anything."""

import os
import shutil
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

PIPED_WIDTH = 400
"""Columns when output goes to a file or program and COLUMNS says nothing: a row is one line that `grep` can find."""


class QuietConsole(Console):
    """A console that leaves a broken pipe to us; rich's own would end the process with code 1."""

    def on_broken_pipe(self) -> None:
        """Let the BrokenPipeError go on."""
        raise BrokenPipeError


def stdout() -> Console:
    """Make the console for results."""
    return QuietConsole(highlight=False, width=_width(sys.stdout.isatty()), emoji=False, markup=False)


def stderr() -> Console:
    """Make the console for progress and notices."""
    return QuietConsole(stderr=True, highlight=False, emoji=False, markup=False)


def notice(message: str, *, style: str = "yellow") -> None:
    """Say something that is no result, on stderr; long lines are left to the terminal to wrap."""
    stderr().print(Text(message, style=style), soft_wrap=True)


def print_facts(rows: Mapping[str, str]) -> None:
    """Print names and values, a line each.

    A long line is left to the terminal to wrap: digests are there to be copied, and a line break of ours would break
    them.

    Args:
        rows: Values by name; made printable here.
    """
    width = max(map(len, rows))
    for name, value in rows.items():
        stdout().print(Text.assemble((f"{name:<{width}}", "bold"), "  ", printable(value)), soft_wrap=True)


def close_quietly() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Make a text of unknown origin safe for a terminal.

    Control characters could move the cursor or recolour our verdicts; lone surrogates, as in file names that are
    no UTF-8, cannot be printed at all. Both become backslash escapes.

    Args:
        text: Anything.
        keep_lines: Whether line breaks stay.
    """
    kept = "\n" if keep_lines else ""
    return "".join(char if char.isprintable() or char in kept else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _width(is_terminal: bool) -> int | None:  # noqa: FBT001  one caller, one meaning
    if is_terminal or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return PIPED_WIDTH
