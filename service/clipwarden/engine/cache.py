"""Embeddings of images that may come again: a key in, what was embedded under it before out; bounded in bytes.

What is kept is what any policy for the model needs, the embeddings and the facts: no bytes of a file, no pixels, and
nothing of an image that was refused. It can be personal data all the same, so it stays in this process's memory, and
`max_bytes` 0 keeps nothing.

Lives on one event loop, but `in` may be asked from any thread. It outlives policies and pipelines: neither is in a key.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from sys import getsizeof

from clipwarden.engine.results import EmbeddedImage
from clipwarden.modelfolder.load import Runtime
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.plan import ViewPlan

_PLACE_BYTES = 256
"""What a place in the order takes beside key and image: a slot of a table that may just have grown, a node of a list, a
pair. Measured: 173 to 229 (CPython 3.11); a test holds the sum of everything against tracemalloc."""
_BOX_BYTES = 216
"""What a view's box takes: a tuple, and four numbers of 32 bytes, for which `getsizeof` says 28 (CPython 3.11)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingKey:
    """Everything that an embedding and its facts depend on.

    Not in it is what no process changes under way, as long as nothing outlives the process: the versions of Pillow and
    its codecs, and whether HEIC can be read.

    Attributes:
        sha256: Of the file, 64 hexadecimal digits. A name for the content: nothing else of a file is looked at.
        fingerprint: Of the model: its graph, width, and its preprocessing, in which the rule of decoding is (side, fit,
            filter, colours, the scale that JPEGs are decoded at).
        runtime: Provider and onnxruntime, of which no two give the same bits; and the drift from the golden vectors, in
            which one precision of a provider shows beside another, whatever it was told to compute in.
        limits: What is refused. They shape no embedding, but an image that one engine takes another may refuse, and
            what a file that ends too early still shows depends on what may be held to look.
        plan: Which views were looked at.
    """

    sha256: str
    fingerprint: str
    runtime: Runtime
    limits: DecodeLimits
    plan: ViewPlan

    def __hash__(self) -> int:
        """Hash the content's name alone, which is as good as a hash of all and ten times as fast."""
        return hash(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheStatistics:
    """What a cache holds and did, at one moment.

    Attributes:
        images: Kept.
        bytes: That these take, keys and bookkeeping included.
        max_bytes: Most that they may.
        hits: Images found.
        misses: Images looked for in vain.
        evictions: Images let go for room.
    """

    images: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    evictions: int


class EmbeddingCache:
    """Keeps the images that were asked for last.

    Args:
        max_bytes: Most that all of them take together; 0 keeps none.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[EmbeddingKey, tuple[EmbeddedImage, int]] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evictions = 0

    def __contains__(self, key: EmbeddingKey) -> bool:
        """Say whether an image is kept, without counting that as a use of it."""
        return key in self._images

    def get(self, key: EmbeddingKey) -> EmbeddedImage | None:
        """Find an image, which then is the last to be let go.

        Args:
            key: Of the image.

        Returns:
            The image, without timings; None if it is not kept.
        """
        kept = self._images.get(key)
        if kept is None:
            self._misses += 1
            return None
        self._hits += 1
        self._images.move_to_end(key)
        return kept[0]

    def put(self, key: EmbeddingKey, image: EmbeddedImage) -> None:
        """Keep an image, and let those go that were not asked for the longest, until there is room for it.

        Args:
            key: Of the image.
            image: Embedded under it; its rows belong to no larger array, which would be kept along with them.
        """
        kept = replace(image, timings=None, source="cache")
        size = entry_bytes(key, kept)
        if size > self._max_bytes:
            return
        self._drop(key)
        while self._bytes + size > self._max_bytes:
            self._drop(next(iter(self._images)))
            self._evictions += 1
        self._images[key] = kept, size
        self._bytes += size

    def _drop(self, key: EmbeddingKey) -> None:
        _, size = self._images.pop(key, (None, 0))
        self._bytes -= size

    def statistics(self) -> CacheStatistics:
        """Describe this moment; read from another thread, its numbers may lie a moment apart."""
        return CacheStatistics(
            images=len(self._images),
            bytes=self._bytes,
            max_bytes=self._max_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
        )


def entry_bytes(key: EmbeddingKey, image: EmbeddedImage) -> int:
    """Count what keeping an image takes; parts that all images share, such as the fingerprint, are not counted.

    Args:
        key: Of the image.
        image: With rows of its own.

    Returns:
        Bytes.
    """
    facts, file = image.facts, image.facts.file
    own: list[object] = [
        key,
        key.sha256,
        image,
        image.embeddings,
        image.views,
        *image.views,
        *[view.seconds for view in image.views if view.seconds is not None],
        facts,
        facts.degraded,
        facts.share_shown,
        facts.coverage,
        facts.resolution,
    ]
    if file is not None:
        own += [file, file.sha256, file.width, file.height, file.bytes]
    boxes = sum(view.box is not None for view in image.views)
    # Key and facts may hold one and the same text.
    return _PLACE_BYTES + _BOX_BYTES * boxes + sum(map(getsizeof, {id(part): part for part in own}.values()))
