"""Import onnxruntime, or say in one sentence which package to install or remove."""

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from clipwarden.errors import RuntimeMissingError

CPU_PACKAGE = "onnxruntime"
GPU_PACKAGE = "onnxruntime-gpu"
CPU_PROVIDER = "CPUExecutionProvider"


def import_onnxruntime() -> ModuleType:
    """Import the one onnxruntime that is installed.

    The two packages unpack into the same folder, so with both installed either may be half overwritten.

    Returns:
        The `onnxruntime` module.

    Raises:
        RuntimeMissingError: Neither package is installed, both are, or the one installed cannot be imported.
    """
    check_packages(cpu=_is_installed(CPU_PACKAGE), gpu=_is_installed(GPU_PACKAGE))
    keep_onnxruntime_silent()
    try:
        return import_module("onnxruntime")
    except ImportError as exc:
        raise RuntimeMissingError(f"onnxruntime is installed but cannot be imported ({exc}); reinstall it.") from exc


def keep_onnxruntime_silent() -> None:
    """Turn onnxruntime's reports to its makers off; to be called before its first import, which starts them.

    Since 1.31 the Linux packages write an identifier under the user's cache folder and send usage events; the call
    `disable_telemetry_events` comes too late for the former. Source: Privacy.md of onnxruntime 1.31.1.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def check_packages(*, cpu: bool, gpu: bool) -> None:
    """Insist on exactly one runtime package.

    Args:
        cpu: Whether `onnxruntime` is installed.
        gpu: Whether `onnxruntime-gpu` is installed.

    Raises:
        RuntimeMissingError: Neither is, or both are.
    """
    if cpu and gpu:
        raise RuntimeMissingError(
            "Both onnxruntime and onnxruntime-gpu are installed and overwrite each other: "
            "run `pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install onnxruntime` "
            "or `pip install onnxruntime-gpu`."
        )
    if not cpu and not gpu:
        raise RuntimeMissingError(
            "No onnxruntime is installed: run `pip install onnxruntime`, "
            "or `pip install onnxruntime-gpu` for an NVIDIA GPU."
        )


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
