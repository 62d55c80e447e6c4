"""Which views of an image are looked at, by name: whoever keeps embeddings or scores can say what they rest on."""

from dataclasses import dataclass
from enum import StrEnum

MAX_VIEWS = 64
"""Most views of one image, whatever the plan: frames times parts times backgrounds."""


class Views(StrEnum):
    """Which parts of a picture are looked at."""

    WHOLE = "whole"
    """One view of the whole picture, as the model folder's preprocessing fits it."""
    AUTO = "auto"
    """As few overlapping squares as it takes to see all of it, however long and narrow it is."""
    TILES = "tiles"
    """Those, and of large pictures closer looks besides: quarters and the centre."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewPlan:
    """A way to look at an image.

    Scores taken over other views are other scores: whoever keeps embeddings keeps the plan beside them, and no policy
    judges embeddings of another plan than its own. It never depends on what a policy looks for: there is no early exit.

    Attributes:
        views: Of each frame; each once on white and once on black where an image is see-through.
        frames: Most frames of an animation that are judged, in order of novelty, 1 to `MAX_VIEWS`; 1 takes what a
            browser shows first.
    """

    views: Views = Views.WHOLE
    frames: int = 1

    @property
    def name(self) -> str:
        """For people: `whole`, or `auto with up to 16 frames`."""
        return self.views.value if self.frames == 1 else f"{self.views.value} with up to {self.frames} frames"

    @property
    def options(self) -> str:
        """What `clipwarden embed` is told of it: `--views auto --frames 16`."""
        frames = "" if self.frames == 1 else f" --frames {self.frames}"
        return f"--views {self.views.value}{frames}"

    @property
    def digest_words(self) -> list[str]:
        """What digests of fits and lines take in; of the first plan there was, what it was called then."""
        if self == WHOLE:
            return ["full"]
        return [self.views.value, f"frames {self.frames}"]


WHOLE = ViewPlan()
"""One view of what is shown first, and nothing else."""
