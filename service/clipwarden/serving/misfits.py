"""Settings and a model in, warnings out: where this machine gives less than they would use, or anybody may call."""

from collections.abc import Sequence

from clipwarden.engine.encoderplan import EncoderPlan, plan_for
from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.serving.access import exposure
from clipwarden.serving.audit import rotation_warning
from clipwarden.serving.config import Settings
from clipwarden.serving.connections import connections_warning
from clipwarden.serving.memory import memory_warning

MOST_THREADS_A_CPU = 4
"""Twice what any machine gains by: beyond, threads only push each other's data out of the caches."""


def misfits(settings: Settings, model: Model) -> Sequence[str]:
    """Say what a server would better not be given here; sentences without their full stop."""
    plan = plan_for(settings.engine, model)
    threads = _threads_warning(plan) if model.runtime.provider == CPU_PROVIDER else None
    shortages = (memory_warning(settings, model), threads, connections_warning(settings), rotation_warning(settings))
    warnings = (*shortages, *exposure(settings))
    return [warning for warning in warnings if warning]


def _threads_warning(plan: EncoderPlan) -> str | None:
    threads = plan.encoder_runs * plan.encoder_threads
    if max(threads, plan.decode_threads) <= MOST_THREADS_A_CPU * max(1.0, plan.cpus):
        return None
    return (
        f"{plan.encoder_runs} encoder_runs of {plan.encoder_threads} encoder_threads and {plan.decode_threads} "
        f"decode_threads are many for {plan.cpus:g} CPUs; 0 of each takes what suits them"
    )
