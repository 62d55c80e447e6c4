"""How images were looked at, as metrics: how many views they took, and what of them was not seen."""

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from clipwarden.engine.results import Judged
from clipwarden.scoring.floors import Floor
from clipwarden.vision.facts import Unseen

_VIEWS: Final = (1, 2, 3, 4, 8, 16, 32, 64)


class SightCounts:
    """Counts them.

    Args:
        registry: Where they are collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.views = Histogram(
            "clipwarden_image_views", "Views that an image was judged by.", buckets=_VIEWS, registry=registry
        )
        self.unseen = Counter(
            "clipwarden_unseen",
            "Images judged of which not all was seen, by what: frames, parts, rows, HDR, or floors of the policy.",
            ["unseen"],
            registry=registry,
        )
        self._unseen = cache(self.unseen.labels)
        for kind in (*Unseen, *Floor):
            self._unseen(kind)

    def note(self, judged: Judged) -> None:
        """Count how an image was looked at."""
        self.views.observe(len(judged.image.views))
        for kind in judged.unseen:
            self._unseen(kind).inc()
