"""What a server may take by its settings, against what its cgroup allows."""

import logging

import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.serving import memory
from clipwarden.serving.config import Settings
from clipwarden.serving.memory import MIB, memory_bounds, memory_warning
from kit.serving import serving


def test_bounds_of_the_defaults_are_those_that_are_documented() -> None:
    total = sum(memory_bounds(Settings(), decode_threads=2).values())
    assert 2.6 < total / 2**30 < 2.8  # docs/operate.md: on two CPUs, below that


def test_less_memory_than_the_settings_may_take_is_told_with_what_to_lower(toy_model: Model) -> None:
    settings = Settings(cache_bytes=2**31)
    warning = memory_warning(settings, toy_model, limit=400 * MIB)
    assert warning
    assert "the cgroup allows 400 MiB: lower cache_bytes (2,048 MiB), max_decode_bytes (1," in warning
    assert memory_warning(settings, toy_model, limit=2**40) is None


async def test_server_warns_of_it_at_its_start(
    toy_model: Model, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 400 * MIB)
    with caplog.at_level(logging.WARNING, "clipwarden.serving.server"):
        async with serving(toy_model):
            pass
    (record,) = [record for record in caplog.records if "the cgroup allows" in record.getMessage()]
    assert record.levelname == "WARNING"
