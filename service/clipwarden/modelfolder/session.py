"""An ONNX file in, an onnxruntime session that runs where it was asked to run out, or ModelError."""

import ctypes
import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ModelError
from clipwarden.machine import available_cpus
from clipwarden.modelfolder.runtime import CPU_PROVIDER, import_onnxruntime

# onnxruntime places arithmetic on shapes on the CPU on purpose (fallback_cpu_capability.cc); it moves a few
# integers, so it does not make a graph slow or leave the device in any way that matters.
SHAPE_OPS = frozenset({"Shape", "Gather", "Concat", "Unsqueeze", "Squeeze", "Slice", "Cast"})
# EXHAUSTIVE, onnxruntime's default, tuned convolutions for every new batch size (onnxruntime issue 709). Since 1.20 it
# asks cuDNN's slower heuristic, HEURISTIC the light one, and DEFAULT the slow fallback (a maintainer in issue 22705,
# whose title says 1.12).
PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC"}}
_ERRORS_ONLY = 3  # onnxruntime's severity scale: 0 verbose, 2 warning, 3 error


class TensorFacts(Protocol):
    """Name, dtype and shape of a graph's input or output, as onnxruntime reports them."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class Session(Protocol):
    """The part of onnxruntime.InferenceSession that encoders use; `run` is thread-safe and releases the GIL."""

    def get_inputs(self) -> Sequence[TensorFacts]:
        """Describe the inputs."""

    def get_outputs(self) -> Sequence[TensorFacts]:
        """Describe the outputs."""

    def run(
        self, output_names: Sequence[str] | None, input_feed: dict[str, NDArray[np.generic]]
    ) -> Sequence[NDArray[np.float32]]:
        """Run the graph."""


def open_session(path: Path, *, provider: str = CPU_PROVIDER, threads: int | None = None) -> Session:
    """Open a graph on one execution provider, refusing a silent fall-back to the CPU.

    Creating a session holds the GIL for its whole length (onnxruntime issue 27063): keep it off the event loop.

    Args:
        path: The ONNX file.
        provider: The execution provider that must run every node, such as `CUDAExecutionProvider`.
        threads: Intra-op threads; None takes what the cgroup quota and affinity leave.

    Returns:
        The session.

    Raises:
        ModelError: The provider is not in this onnxruntime, did not start, or does not run every node; or the file
            is not a graph that onnxruntime reads.
        RuntimeMissingError: Neither or both runtime packages are installed.
    """
    ort = import_onnxruntime()
    require_provider(provider, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cpus() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Spinning workers steal the decoders' cores between batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = ort.InferenceSession(
            str(path), sess_options=options, providers=[(provider, PROVIDER_OPTIONS.get(provider, {}))]
        )
    except Exception as exc:  # onnxruntime's exceptions share no base but Exception
        raise ModelError(f"{path.name} cannot be opened by onnxruntime {ort.__version__}: {_first_line(exc)}") from exc
    _keep_in_forked_children(session)
    require_started(provider, session.get_providers())
    require_assigned(path.name, provider, assigned_nodes(session))
    return session  # type: ignore[no-any-return]


def _keep_in_forked_children(session: object) -> None:
    """Never let a forked child destroy a session of its parent.

    The child has the session but not the threads of its pool, and onnxruntime's destructor waits for those for ever:
    the child would hang at some later garbage collection.
    """
    _watch_forks()
    _OPENED.add(session)


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_leak_all)


def _leak_all() -> None:
    for session in _OPENED:
        # A count of references that nobody ever takes back; a list of ours would be cleared at the interpreter's end.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


_OPENED: WeakSet[object] = WeakSet()


def require_provider(provider: str, available: Sequence[str]) -> None:
    """Insist that this build of onnxruntime has the provider.

    Raises:
        ModelError: It has not.
    """
    if provider not in available:
        raise ModelError(f"This onnxruntime has no {provider}; it has {', '.join(available)}.{_meant(provider)}")


def _meant(provider: str) -> str:
    """Say what a short or an absent GPU's name calls for."""
    if not provider.upper().startswith("CUDA"):
        return ""
    return " On an NVIDIA GPU install clipwarden[gpu] and name it CUDAExecutionProvider."


def require_started(provider: str, active: Sequence[str]) -> None:
    """Insist that the session really uses the provider: onnxruntime only logs when CUDA fails to start.

    Raises:
        ModelError: It fell back to another one.
    """
    if provider not in active:
        raise ModelError(
            f"onnxruntime could not start {provider} and fell back to {', '.join(active)}; "
            f"check the driver and libraries, or ask for {CPU_PROVIDER}."
        )


def require_assigned(name: str, provider: str, nodes: Iterable[tuple[str, str]]) -> None:
    """Insist that every node runs on the provider, shape arithmetic aside.

    Args:
        name: The graph's file name.
        provider: The requested provider.
        nodes: Pairs of (provider, operator type).

    Raises:
        ModelError: Some nodes run elsewhere; the message counts and names them.
    """
    strays = [op for where, op in nodes if where != provider and op not in SHAPE_OPS]
    if strays:
        kinds = ", ".join(sorted(set(strays)))
        raise ModelError(
            f"{len(strays)} nodes of {name} ({kinds}) would leave {provider}; export the model for this provider."
        )


def assigned_nodes(session: object) -> list[tuple[str, str]]:
    """Ask a session which provider runs which node.

    Args:
        session: An onnxruntime session with `session.record_ep_graph_assignment_info` set.

    Returns:
        Pairs of (provider, operator type); empty when this onnxruntime is too old to say.
    """
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    return [] if ask is None else [(part.ep_name, node.op_type) for part in ask() for node in part.get_nodes()]


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
