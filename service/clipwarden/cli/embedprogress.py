"""How far a long run has come: a bar with its rate on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from clipwarden.terminal import notice, stderr

SECONDS_BETWEEN = 10.0
"""Between two plain lines: often enough to see that something moves, seldom enough for a log."""

Advance = Callable[[int], None]


class _Rate(ProgressColumn):
    """How many uploads a second."""

    def render(self, task: Task) -> Text:
        """Write it."""
        return Text("" if task.speed is None else f"{task.speed:,.1f}/s", style="dim")


@contextmanager
def upload_progress(label: str, total: int, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """Show how far a run has come, on stderr.

    Args:
        label: What is done.
        total: How many there are.
        clock: Seconds that only grow.

    Yields:
        A function to call with how many are done.
    """
    console = stderr()
    if not console.is_terminal:
        yield _Lines(label, total, clock)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


class _Lines:
    """Says how far it is, in a line now and then."""

    def __init__(self, label: str, total: int, clock: Callable[[], float]) -> None:
        self._label = label
        self._total = total
        self._clock = clock
        self._done = 0
        self._at = clock()

    def __call__(self, done: int) -> None:
        """Hear that so many are done."""
        now = self._clock()
        if now - self._at >= SECONDS_BETWEEN and done > self._done:
            notice(_line(self._label, done, self._total, rate=(done - self._done) / (now - self._at)), style="")
            self._done, self._at = done, now


def _line(label: str, done: int, total: int, *, rate: float) -> str:
    left = max(0, total - done) / rate
    return f"{label}: {done:,} of {total:,} ({done / max(1, total):.0%}), {rate:,.1f}/s, {in_words(left)} left"


def in_words(seconds: float) -> str:
    """Say a time in the largest unit that makes sense: `40 s`, `12 min`, `3.5 h`."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.{1 if unit == 'h' else 0}f} {unit}"
    return f"{seconds:.0f} s"
