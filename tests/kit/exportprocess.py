"""`clipwarden-export` as a process of its own, which a test may stop or kill at a chosen point.

Processes are forked from one that has imported torch already (multiprocessing's fork server), since importing it takes
seconds; each is a real process, and a signal to it is a real signal.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from shutil import copyfile

import torch

import kit.torchvisionschemas  # noqa: F401 - before transformers
from clipwarden.modelfolder import files as folder_module
from clipwarden_export import cli
from clipwarden_export import export as export_module

# Point -> module and function that is about to run there. At the first two the work goes on after the point is told, so
# that the signal falls into it; at the others the process waits for its end.
POINTS = {
    "graph export": (export_module, "export_graph"),
    "verification": (export_module, "verify_candidate"),
    "model.json": (folder_module, "dump_manifest"),
    "rename": (folder_module, "put_in_place"),
}
_GOING_ON = ("graph export", "verification")

torch.set_num_threads(1)  # several of these processes run at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """A running export.

    Attributes:
        process: Its process.
        reached: Set at the chosen point.
        log: Its stdout and stderr.
    """

    process: ForkServerProcess
    reached: Event
    log: Path


def start_export(arguments: Sequence[object], *, point: str, log: Path, graphs: Path) -> Export:
    """Start `clipwarden-export` with these arguments.

    Args:
        arguments: Of the command line.
        point: One of `POINTS`.
        log: Where its output goes.
        graphs: A finished model folder of the same checkpoint: beyond the point "graph export" its graphs are taken,
            which saves the seconds of exporting them again.
    """
    context = _context()
    reached = context.Event()
    words = [str(argument) for argument in arguments]
    process = context.Process(target=_run, args=(words, point, reached, log, graphs), daemon=True)
    process.start()
    return Export(process=process, reached=reached, log=log)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *_inherited()])
    context.set_forkserver_preload([f"kit.{Path(__file__).stem}"])
    return context


def _inherited() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _run(arguments: list[str], point: str, reached: Event, log: Path, graphs: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if point != "graph export":
        export_module.export_graph = lambda _tower, _signature, path, **_settings: copyfile(graphs / path.name, path)
    module, name = POINTS[point]
    setattr(module, name, _telling(getattr(module, name), reached, waits=point not in _GOING_ON))
    sys.argv = ["clipwarden-export", *arguments]
    cli.main()


def _telling(function: Callable[..., object], reached: Event, *, waits: bool) -> Callable[..., object]:
    def tell(*arguments: object, **settings: object) -> object:
        reached.set()
        if waits:
            time.sleep(600)
        return function(*arguments, **settings)

    return tell
