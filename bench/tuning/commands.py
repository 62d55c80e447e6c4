"""Run clipwarden's own commands, as staff would."""

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path


class CommandError(RuntimeError):
    """A command ended otherwise than it should."""


def run(*arguments: str | Path, fine: Collection[int] = (0,)) -> str:
    """Run `clipwarden ARGUMENTS`.

    Args:
        arguments: Of the command line.
        fine: Exit codes that are no failure.

    Returns:
        What it printed.

    Raises:
        CommandError: It ended with another code.
    """
    command = [sys.executable, "-m", "clipwarden", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in fine:
        raise CommandError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
