"""What commands that work for minutes share: a progress bar on stderr, and a look for packages before they begin."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clipwarden.errors import ConfigError
from clipwarden.terminal import stderr

NEEDED = ("torch", "transformers", "onnx", "onnxscript")
Step = Callable[[str], None]


@contextmanager
def showing(steps: tuple[str, ...]) -> Iterator[Step]:
    """Show which step runs and for how long, on stderr; stdout is for results.

    Args:
        steps: Every step, in order.

    Yields:
        To be called with each step's name as it begins.
    """
    columns = (TextColumn("{task.description:<16}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=stderr()) as bar:
        task = bar.add_task("", total=len(steps))

        def step(name: str) -> None:
            bar.update(task, description=name, completed=steps.index(name))

        yield step
        bar.update(task, description="done", completed=len(steps))


def require_packages(*names: str) -> None:
    """Insist that packages are installed.

    Args:
        names: Of modules; empty takes those that an export needs.

    Raises:
        ConfigError: Some are missing; says how to install them.
    """
    missing = [name for name in names or NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"Not installed: {', '.join(missing)}. Run `pip install {' '.join(missing)}`.")
