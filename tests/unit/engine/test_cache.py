"""What is kept of images: bounded by what it truly takes, the last asked for longest."""

import gc
import tracemalloc

import numpy as np
import pytest

from clipwarden.engine.cache import CacheStatistics, EmbeddingCache, EmbeddingKey
from clipwarden.engine.results import EmbeddedImage
from clipwarden.modelfolder.load import Runtime
from clipwarden.scoring.verdict import ViewRef
from clipwarden.vision.facts import FileFacts, ImageFacts
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.plan import WHOLE

RUNTIME = Runtime(provider="CPUExecutionProvider", onnxruntime="1.0", golden_drift=None)


def entry(
    number: int, *, dim: int = 512, views: int = 1, flags: int = 0, parts: bool = False
) -> tuple[EmbeddingKey, EmbeddedImage]:
    """Make an image as the pipeline hands it over, its values made anew as a decoder makes them."""
    digest = f"{number:064x}"
    key = EmbeddingKey(sha256=digest, fingerprint="sha256:0", runtime=RUNTIME, limits=DEFAULT_LIMITS, plan=WHOLE)
    file = FileFacts(format="JPEG", width=1600 + number, height=1200 + number, sha256=digest, bytes=620_000 + number)
    facts = ImageFacts(
        file=file,
        degraded=tuple(["BLURRED", "NOISY"][:flags]),
        share_shown=1 / (number + 1),
        coverage=2 / (number + 2),
        resolution=number / 3,
    )
    boxes = [(1000 + at, 1000 + at, 2000 + at, 2000 + at) if parts else None for at in range(views)]
    image = EmbeddedImage(
        embeddings=np.zeros((views, dim), dtype=np.float32),
        views=tuple(ViewRef(name="full", frame=0, seconds=number / 7 if box else None, box=box) for box in boxes),
        facts=facts,
        fingerprint="sha256:0",
    )
    return key, image


@pytest.mark.parametrize("count", [10, 100, 700, 1000])
@pytest.mark.parametrize(
    "shape", [(512, 1, 0, False), (64, 2, 1, False), (768, 2, 2, False), (64, 8, 0, True), (64, 64, 0, True)], ids=str
)
def test_bytes_are_counted_as_they_are(count: int, shape: tuple[int, int, int, bool]) -> None:
    # Whatever else the process does meanwhile, such as a coverage tracer or a test runner's own thread, only adds to
    # what is measured, does not come again each time, and is lost in the noise of larger sums.
    taken, counted = min(_taken_and_counted(count, shape) for _ in range(max(1, 50 // count)))
    assert taken <= counted <= 1.2 * taken


def _taken_and_counted(count: int, shape: tuple[int, int, int, bool]) -> tuple[int, int]:
    """Fill a new cache; return the bytes that the interpreter took for it, and those that it counts."""
    dim, views, flags, parts = shape
    cache = EmbeddingCache(max_bytes=2**40)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1000, 1000 + count):
        cache.put(*entry(number, dim=dim, views=views, flags=flags, parts=parts))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken, cache.statistics().bytes


def test_bound_holds_whatever_the_sizes_and_the_count_is_that_of_what_is_left() -> None:
    random = np.random.default_rng(5)
    cache = EmbeddingCache(max_bytes=100_000)
    sizes: dict[EmbeddingKey, int] = {}
    for _ in range(2000):
        key, image = entry(int(random.integers(0, 60)), dim=int(random.integers(1, 6000)))
        if random.random() < 0.5:
            cache.get(key)
            continue
        alone = EmbeddingCache(max_bytes=2**40)
        alone.put(key, image)
        sizes[key] = alone.statistics().bytes
        cache.put(key, image)
        held = cache.statistics()
        assert held.bytes == sum(size for each, size in sizes.items() if each in cache) <= 100_000
        assert held.images == sum(each in cache for each in sizes)
    assert cache.statistics().evictions > 0


def test_what_was_asked_for_last_is_kept_longest() -> None:
    (old, first), (used, second), (new, third) = (entry(number) for number in range(3))
    probe = EmbeddingCache(max_bytes=2**20)
    probe.put(old, first)
    cache = EmbeddingCache(max_bytes=int(2.5 * probe.statistics().bytes))
    cache.put(used, second)
    cache.put(old, first)
    assert cache.get(used) is not None
    assert old in cache  # asking whether it is there is no use of it
    cache.put(new, third)
    assert [key in cache for key in (old, used, new)] == [False, True, True]
    assert cache.get(old) is None
    each = probe.statistics().bytes
    assert cache.statistics() == CacheStatistics(
        images=2, bytes=pytest.approx(2 * each, abs=8), max_bytes=int(2.5 * each), hits=1, misses=1, evictions=1
    )


def test_kept_image_has_no_timings_and_says_where_it_comes_from() -> None:
    key, image = entry(1)
    cache = EmbeddingCache(max_bytes=2**20)
    cache.put(key, image)
    cache.put(key, image)
    kept = cache.get(key)
    assert kept is not None
    assert (kept.source, kept.from_cache, kept.timings, kept.facts) == ("cache", True, None, image.facts)
    assert cache.statistics().images == 1


@pytest.mark.parametrize("max_bytes", [0, 2000])
def test_what_does_not_fit_is_not_kept(max_bytes: int) -> None:
    cache = EmbeddingCache(max_bytes=max_bytes)
    key, image = entry(1)
    cache.put(key, image)
    assert key not in cache
    assert cache.statistics().bytes == 0
