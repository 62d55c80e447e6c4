"""Load a model and policies for a command, showing what takes long and remembering what was embedded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clipwarden.engine.snapshot import Snapshot, in_brief, load_snapshot, user_cache_folder
from clipwarden.errors import Problem
from clipwarden.machine import prepare_process
from clipwarden.modelfolder.load import EMBEDDED_MODEL, Model, load_model, resolve_model
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.vectors import Progress as OnProgress
from clipwarden.terminal import notice, printable, stderr


def load_model_and_policies(model: str | None, policies: Sequence[str]) -> Snapshot:
    """Load what images are judged with in this process.

    Args:
        model: Model folder; None for the embedded model.
        policies: Files or names of shipped policies; none takes the shipped one that suits the model.

    Raises:
        ClipwardenError: As `clipwarden.engine.snapshot.load_snapshot`.
    """
    prepare_process()
    return load_snapshot(
        model or EMBEDDED_MODEL, policies, cache=vector_cache(), progress=progress_bar, on_findings=notice_findings
    )


def notice_findings(findings: Sequence[Problem]) -> None:
    """Say on stderr what lint warns of in a policy that was loaded."""
    for line in in_brief(findings):
        notice(printable(line))


def load_named_model(model: str | None) -> Model:
    """Load one model.

    Args:
        model: Model folder; None for the embedded model.

    Raises:
        ModelError: It cannot be trusted.
        RuntimeMissingError: Neither or both onnxruntime packages are installed.
    """
    prepare_process()
    return load_model(resolve_model(model or EMBEDDED_MODEL))


def vector_cache() -> VectorCache:
    """Open the user's cache of text vectors, which servers use too."""
    return VectorCache(user_cache_folder())


@contextmanager
def progress_bar(label: str) -> Iterator[OnProgress]:
    """Show a progress bar on stderr while it is a terminal; otherwise, say nothing.

    Args:
        label: What takes long.

    Yields:
        A function to call with (done, total).
    """
    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if not console.is_terminal:
        # A disabled bar would do, were it not for older versions of rich, which end it with an empty line.
        yield lambda _done, _total: None
        return
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None, visible=False)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, visible=total > 0)

        yield advance
