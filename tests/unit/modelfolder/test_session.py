import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import AvifImagePlugin
from threadpoolctl import threadpool_info

from clipwarden.errors import ModelError, RuntimeMissingError
from clipwarden.machine import prepare_process
from clipwarden.modelfolder import runtime, session
from clipwarden.modelfolder.runtime import check_packages, import_onnxruntime
from kit import toymodel


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "image.onnx"
    path.write_bytes(toymodel.image_graph(7))
    return path


def test_session_has_explicit_threads_and_does_not_spin(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "available_cpus", lambda: 3)
    by_quota = session.open_session(graph).get_session_options()
    asked = session.open_session(graph, threads=1).get_session_options()
    assert (by_quota.intra_op_num_threads, asked.intra_op_num_threads) == (3, 1)
    assert by_quota.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_provider_that_this_build_lacks_is_refused_with_what_it_has(graph: Path) -> None:
    with pytest.raises(ModelError, match=r"no NoSuchExecutionProvider; it has .*CPUExecutionProvider"):
        session.open_session(graph, provider="NoSuchExecutionProvider")


def test_silent_fall_back_to_the_cpu_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"could not start CUDAExecutionProvider and fell back to CPUExecutionProvider"
    ):
        session.require_started("CUDAExecutionProvider", ["CPUExecutionProvider"])


def test_session_that_fell_back_is_refused_on_opening(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ort = import_onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    real = ort.InferenceSession
    asked = []

    def open_on_cpu(path: str, sess_options: object, providers: list) -> object:
        asked.extend(providers)
        return real(path, sess_options, ["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", open_on_cpu)
    with pytest.raises(ModelError, match=r"fell back"):
        session.open_session(graph, provider="CUDAExecutionProvider")
    assert asked == [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})]


def test_nodes_that_leave_the_provider_are_refused_and_named() -> None:
    nodes = [("CUDA", "Conv"), ("CPUExecutionProvider", "MatMulInteger"), ("CPUExecutionProvider", "Erf")]
    with pytest.raises(ModelError, match=r"2 nodes of image.onnx \(Erf, MatMulInteger\) would leave CUDA"):
        session.require_assigned("image.onnx", "CUDA", nodes)


def test_shape_arithmetic_may_stay_on_the_cpu() -> None:
    session.require_assigned("image.onnx", "CUDA", [("CUDA", "Conv"), ("CPUExecutionProvider", "Shape")])


def test_onnxruntime_says_which_provider_runs_which_node(graph: Path) -> None:
    nodes = session.assigned_nodes(session.open_session(graph, threads=1))
    assert {provider for provider, _ in nodes} == {"CPUExecutionProvider"}
    assert "AveragePool" in {op for _, op in nodes}
    assert session.assigned_nodes(SimpleNamespace()) == []


@pytest.mark.parametrize("content", [b"", b"junk", b"\x08\x07"])
def test_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"^image.onnx cannot be opened by onnxruntime \d") as caught:
        session.open_session(path, threads=1)
    assert "\n" not in str(caught.value)


def test_neither_runtime_says_what_to_install() -> None:
    with pytest.raises(RuntimeMissingError, match=r"^No onnxruntime is installed: run `pip install onnxruntime`"):
        check_packages(cpu=False, gpu=False)


def test_both_runtimes_say_what_to_uninstall() -> None:
    with pytest.raises(RuntimeMissingError, match=r"run `pip uninstall -y onnxruntime onnxruntime-gpu`, then"):
        check_packages(cpu=True, gpu=True)


@pytest.mark.parametrize("found", [set(), {"onnxruntime", "onnxruntime-gpu"}])
def test_import_looks_at_what_is_installed(found: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package not in found:
            raise runtime.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(runtime, "version", version)
    with pytest.raises(RuntimeMissingError):
        import_onnxruntime()


def test_gpu_package_alone_is_fine() -> None:
    check_packages(cpu=False, gpu=True)


def test_installed_but_broken_runtime_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissingError, match=r"is installed but cannot be imported .*; reinstall it"):
        import_onnxruntime()


def test_prepared_process_is_quiet_about_pillow_and_keeps_blas_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AvifImagePlugin, "DEFAULT_MAX_THREADS", 0)
    prepare_process()
    assert all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 1
    assert not logging.getLogger("PIL").isEnabledFor(logging.ERROR)
    warnings.warn_explicit("hostile words", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")


def test_a_loaded_runtime_leaves_no_trace_in_the_home_folder(tmp_path: Path) -> None:
    code = (
        "from clipwarden.modelfolder.runtime import import_onnxruntime as ort; print(ort().get_available_providers())"
    )
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert "CPUExecutionProvider" in done.stdout
    assert list(tmp_path.rglob("*")) == []
