"""What a server is warned of that its machine has too little for."""

import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.serving import memory
from clipwarden.serving.misfits import misfits
from kit.serving import settings_for_test


def test_far_more_threads_than_cpus_are_told(toy_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: None)
    (warning,) = misfits(settings_for_test(encoder_runs=1000), toy_model)
    assert warning.startswith("1000 encoder_runs of ")
    assert not misfits(settings_for_test(), toy_model)
