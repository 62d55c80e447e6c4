"""The parts of a server in; the gauges that show how each of them stands, read whenever somebody asks, out."""

from collections.abc import Callable
from functools import partial

from clipwarden.engine.cache import EmbeddingCache
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.threads import ThreadStatistics
from clipwarden.serving.fetching import SharedFiles
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.reading import ReadBudget


def watch_work(
    metrics: Metrics, pipeline: Pipeline, cache: EmbeddingCache, reads: ReadBudget, *, streams: Callable[[], int]
) -> None:
    """Show what is at work and what waits; read from another thread, the numbers may lie a moment apart.

    Args:
        metrics: Show it.
        pipeline: Judges.
        cache: Of its embeddings.
        reads: Reads messages.
        streams: Counts those that are open.
    """

    def oldest_seconds() -> float:
        return max(decoding().oldest_seconds, pipeline.encoder_statistics().oldest_seconds)

    def decoding() -> ThreadStatistics:
        return pipeline.thread_statistics()["decode"]

    metrics.watch(
        admitted_images=lambda: pipeline.admission.items,
        admitted_bytes=lambda: pipeline.admission.bytes - reads.reserved_bytes,
        reserved_bytes=lambda: reads.reserved_bytes,
        reading_messages=lambda: reads.reading,
        unread_calls=lambda: reads.waiting,
        open_streams=streams,
        backlog_seconds=lambda: pipeline.admission.backlog_seconds,
        oldest_seconds=oldest_seconds,
        line_images=lambda: decoding().waiting,
        decode_threads_busy=lambda: decoding().busy,
        decode_bytes=lambda: pipeline.decode_bytes,
        queue_images=lambda: pipeline.encoder_statistics().waiting_items,
        encoder_runs_busy=lambda: pipeline.encoder_statistics().busy_runs,
        batch_fill=lambda: pipeline.encoder_statistics().batch_fill,
        cache_entries=lambda: cache.statistics().images,
        cache_bytes=lambda: cache.statistics().bytes,
    )


def watch_threads(metrics: Metrics, pipeline: Pipeline, files: SharedFiles) -> None:
    """Show how long the threads of each stage and the processors have worked, and how many may never come back.

    Args:
        metrics: Show it.
        pipeline: Judges.
        files: Reads files that are named.
    """
    for stage in pipeline.thread_statistics():
        metrics.watch_stuck(stage, partial(_stuck, pipeline, stage))
        metrics.workload.watch(stage, partial(_worked, pipeline, stage))
    metrics.workload.watch("encode", partial(_encoded, pipeline))
    metrics.workload.watch_processors(pipeline.encoder_plan.cpus)
    metrics.watch_stuck("fetch", lambda: files.statistics().stuck)
    metrics.watch_stuck("encode", lambda: pipeline.encoder_statistics().stuck_runs)


def _worked(pipeline: Pipeline, stage: str) -> tuple[float, int]:
    found = pipeline.thread_statistics()[stage]
    return found.busy_seconds, found.threads


def _encoded(pipeline: Pipeline) -> tuple[float, int]:
    found = pipeline.encoder_statistics()
    return found.busy_seconds, found.runs


def _stuck(pipeline: Pipeline, stage: str) -> int:
    return pipeline.thread_statistics()[stage].stuck
