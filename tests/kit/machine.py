"""Keep what lies outside the tests' own folders out of them: the user's settings, proxies, caches; heavy packages."""

import os
import signal
import sys
import tempfile
from collections.abc import Collection, Sequence
from types import ModuleType

import pytest

# What steers us, rich, click and gRPC; a test that is about one of them sets it.
_STEERING = ("CLIPWARDEN_", "CLICOLOR", "GRPC_")
_STEERING_NAMES = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERM"}


def forget_the_machine(config: pytest.Config) -> None:
    """Run this process, and those it starts, as on a machine where nobody has set anything."""
    for name in list(os.environ):
        if name in _STEERING_NAMES or name.startswith(_STEERING):
            del os.environ[name]
    # Proxies stay: pip needs them to build and install the wheel. Our own servers are never behind them.
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = "127.0.0.1,localhost"
    if not hasattr(config, "workerinput"):  # workers of xdist share their master's, so that a text is embedded once
        cache = tempfile.TemporaryDirectory(prefix="clipwarden-cache-")
        config.add_cleanup(cache.cleanup)
        os.environ["XDG_CACHE_HOME"] = cache.name
    # A shell starts what runs in its background with Ctrl-C ignored, and every process below would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _Forbidden:
    """A finder that refuses packages by name."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None) -> None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"a fast test imports {name}, which the extra `test` does not have", name=name)


def forbid_imports(packages: Collection[str]) -> None:
    """Refuse to import packages that may be installed here, but are not where the tests have to run."""
    sys.meta_path.insert(0, _Forbidden(packages))
