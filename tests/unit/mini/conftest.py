"""Tests of the recipe's training half; they need the extra `mini` and are skipped without it."""

import importlib.util

import pytest

# Collected only where torch is: importing these modules imports it.
collect_ignore = (
    []
    if importlib.util.find_spec("torch") and importlib.util.find_spec("resvg_py")
    else ["test_training.py", "test_augment.py", "test_graphs.py", "test_prepare.py", "test_views.py"]
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Keep torch to one thread: its pools stall each other when tests share cores."""
    if not collect_ignore:
        import torch  # noqa: PLC0415 - an extra

        torch.set_num_threads(1)
