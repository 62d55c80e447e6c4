"""What the tests of the embedded model's recipe share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Keep torch to one thread: its pools stall each other when tests share cores."""
    torch.set_num_threads(1)
