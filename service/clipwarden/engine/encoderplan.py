"""Settings, a model and this machine's CPUs in, what runs at once out: threads, runs of the encoder, batch, decodes."""

from dataclasses import dataclass

from clipwarden.engine.settings import EngineSettings
from clipwarden.machine import available_cpus, usable_cpus
from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.runtime import CPU_PROVIDER

CPU_BATCH = 1
"""Most views of a run on CPUs. Larger batches gain little there and add latency, and with int8 weights an embedding
depends on its neighbours: only `clipwarden plan` proposes more, where it finds a gain and the same bits."""
DEVICE_BATCH = 32
"""Most views of a run elsewhere. Source: queue simulation at 3 + 0.15 n ms a batch; larger ones only add latency."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderPlan:
    """What an engine does at the same time.

    Attributes:
        encoder_threads: Threads of one run of the image encoder.
        encoder_runs: Runs of it at the same time, of one session.
        max_batch: Most views of one run.
        decode_threads: Images decoded at the same time.
        cpus: Processor time a second that the process may use, such as 1.5 CPUs.
    """

    encoder_threads: int
    encoder_runs: int
    max_batch: int
    decode_threads: int
    cpus: float


def plan_for(settings: EngineSettings, model: Model) -> EncoderPlan:
    """Fill in what the settings leave open.

    Args:
        settings: Numbers of 0 are left open.
        model: Loaded; has the last word on its batches.

    Returns:
        The plan. On CPUs, by default: one thread a run, as many runs and decodes as CPUs, and batches of one. Threads
        that a run computes with count: two runs of two threads would fight over two CPUs. From two whole CPUs on there
        is one run more of one thread, which has a CPU while another's end is on its way over the event loop to the next
        (two CPUs, ViT-B/32 int8: beside two runs of 16 ms each, some 6 % of the processors stood idle).
    """
    cpus, threads = available_cpus(), model.runtime.encoder_threads
    on_cpus = model.runtime.provider == CPU_PROVIDER
    batch = settings.max_batch or (CPU_BATCH if on_cpus else DEVICE_BATCH)
    spare = usable_cpus() >= 2 and threads == 1  # noqa: PLR2004
    return EncoderPlan(
        encoder_threads=threads,
        encoder_runs=settings.encoder_runs or (max(1, cpus // threads) + spare if on_cpus else 1),
        max_batch=min(batch, model.manifest.max_batch or batch),
        decode_threads=settings.decode_threads or cpus,
        cpus=usable_cpus(),
    )
