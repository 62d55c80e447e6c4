"""What an engine is told: bounds and threads in, and whom it reports its timings to."""

import sys
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits

AT_ONCE = 16
"""Images at work at the same time for a caller in this process: enough for the decodes and runs of eight CPUs, so that
neither waits for the other."""

ENCODER_NICENESS = 10
"""What a server's encoder runs have above its other threads: a tenth of their weight (sched(7)). An event loop that has
no more than an even share beside them refuses a rush of calls after hundreds of milliseconds, since it waits anew each
time that it gave the interpreter's lock away, and so do health checks. Decodes are not nicer: they hold that lock now
and then, and whoever waits for it would wait for all that goes before them."""

Stage = Literal["fetch", "decode_wait", "decode", "queue", "encode", "judge", "total"]
"""Where the time of one image goes."""

Cause = Literal["items", "bytes", "share", "wait", "late"]
"""Why there is no room: too many images or bytes, the caller's share of them, a wait beyond the deadline as foreseen at
arrival or once the header is known, or as it turned out."""

Source = Literal["encoder", "cache", "shared"]
"""Where embeddings come from: a run for this image, an earlier one, or one that is under way for the same bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """Bounds and threads of one engine.

    Attributes:
        limits: Files that are refused.
        decode_threads: Images decoded at the same time; 0 for as many as the process may use CPUs, rounded up: one
            leaves the encoder waiting where decodes are the longer half, and more gain nothing, since no more is
            decoded than the encoder is about to take. Measured beside two runs on two CPUs (ViT-B/32 int8, JPEGs of
            1600 x 1200, medians of three): 64, 68, 67 and 68 images/s with 1, 2, 3 and 4.
        encoder_runs: Runs of the encoder at the same time; 0 takes the default of the provider, as `encoderplan` says.
        max_batch: Most views of one run; 0 likewise.
        queue_items: Most images at work or waiting.
        queue_bytes: Most bytes of their files, read or about to be.
        cache_bytes: Most bytes of embeddings kept for images that come again; 0 keeps none.
        stall_seconds: Time after which one decode or one batch counts as stuck.
        niceness: Of the encoder's threads, above the event loop's (Linux); 0 leaves them as they are.
    """

    limits: DecodeLimits = DEFAULT_LIMITS
    decode_threads: int = 0
    encoder_runs: int = 0
    max_batch: int = 0
    queue_items: int = 512
    queue_bytes: int = 512 * 2**20
    cache_bytes: int = 32 * 2**20
    stall_seconds: float = 30.0
    niceness: int = 0

    def without_queue_limits(self) -> Self:
        """Never refuse for want of room: for callers in this process, who bound what is at work themselves."""
        return replace(self, queue_items=sys.maxsize, queue_bytes=sys.maxsize)


class Observer(Protocol):
    """Told of what an engine does, on its event loop; must return at once."""

    def note_stage(self, stage: Stage, seconds: float) -> None:
        """Hear how long one image took in one stage."""

    def note_batch(self, views: int, seconds: float) -> None:
        """Hear how many views one run of the encoder had, and how long it took."""

    def note_refusal(self, cause: Cause) -> None:
        """Hear that an image was refused for want of room or time, and why."""

    def note_forecast(self, predicted_seconds: float, actual_seconds: float) -> None:
        """Hear how long an image was thought to take when its header was known, and how long it took."""

    def note_lookup(self, source: Source) -> None:
        """Hear where an image's embeddings came from."""


class Unobserved:
    """Hears nothing."""

    def note_stage(self, stage: Stage, seconds: float) -> None:
        """Let it pass."""

    def note_batch(self, views: int, seconds: float) -> None:
        """Let it pass."""

    def note_refusal(self, cause: Cause) -> None:
        """Let it pass."""

    def note_forecast(self, predicted_seconds: float, actual_seconds: float) -> None:
        """Let it pass."""

    def note_lookup(self, source: Source) -> None:
        """Let it pass."""
