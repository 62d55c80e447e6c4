"""What a command is at, and how far: one bar on a terminal, whose label changes with what is under way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from clipwarden.terminal import stderr

Told = Callable[[str, int, int], None]
"""Called with what is under way, how much of it is done, and how much there is."""


@contextmanager
def stage_bar() -> Iterator[Told]:
    """Show a bar on stderr while it is a terminal; otherwise, say nothing.

    Yields:
        A function to call with what is under way, how much of it is done, and how much there is.
    """
    console = stderr()
    if not console.is_terminal:
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, visible=False)
        under_way = ""

        def tell(what: str, done: int, total: int) -> None:
            nonlocal under_way
            if what != under_way:
                under_way = what
                progress.reset(task, description=what)
            progress.update(task, completed=done, total=total, visible=total > 0)

        yield tell
