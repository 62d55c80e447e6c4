"""An animation's frames in, one after another, those that are judged out, and how many count as seen by them.

The first frame is judged always. What is near enough to it, or to another frame that was kept, counts as seen with it
(`distance`); of what is not, the last of up to eight frames in a row that are all near to it is kept for them, so that
what moves steadily is kept half as often. In the end the kept frames are judged in order of novelty: next is always the
one that is farthest from all that are judged already, up to the plan's frames and `MAX_VIEWS`. What room is left then
goes to frames that count as seen, but not surely (`distance.SURE_LEVELS`), farthest from what they count with first:
nearness saves views where there are too many frames, and hides none from a policy that has room for it.

Nothing ends early, and nothing goes by a clock or by what a policy looks for: the same frames under the same plan are
the same choice. Memory is bounded, in one pass: at most `KEPT_VIEWS` views are kept. Where more frames differ, the two
that are closest lose the later one, and with it those that were near to it: they stay unseen. That takes nothing from
what is said of the animation, since more of them differ by then than may be judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from clipwarden.vision.frames.distance import SURE_LEVELS, Seen, estimate, is_near, nearness, seen
from clipwarden.vision.plan import MAX_VIEWS
from clipwarden.vision.rendering import Rendered

KEPT_VIEWS: Final = 2 * MAX_VIEWS
"""Most views that are kept of frames to choose among: 3.4 MiB at a side of 96 pixels, 18 at 224."""
MOST_IN_A_ROW: Final = 8
"""Most frames that wait for the last one of them that is near to all."""
_TRIES = 4
"""Kept frames whose pixels a new one is compared with, after the one that was near last: those closest by means."""


@dataclass(eq=False, kw_only=True, slots=True)
class Kept:
    """A frame that may be judged.

    Attributes:
        index: Of the frame.
        seconds: When it is shown first.
        rendered: Its views.
        seen: What it is compared by.
        standing: How many frames count as seen if it is judged, with itself.
    """

    index: int
    seconds: float | None
    rendered: Rendered
    seen: Seen
    standing: int = 1


class Choosing:
    """Takes frames, and chooses.

    Args:
        frames: Most that may be judged.
        merges: Whether one that is near to another counts as seen by it; else each stands for itself alone.
    """

    def __init__(self, frames: int, *, merges: bool = True) -> None:
        self._frames = frames
        self._merges = merges
        self._kept: list[Kept] = []
        self._apart = np.empty((0, 0), np.float32)  # [K,K], infinite on the diagonal
        self._row: list[Kept] = []
        self._last: Kept | None = None
        self._spare: list[tuple[float, Kept]] = []  # the farthest first

    def take(self, index: int, seconds: float | None, rendered: Rendered) -> None:
        """Take the next frame.

        Args:
            index: Of the frame.
            seconds: When it is shown first; None where it belongs to no animation.
            rendered: Its views, which are kept as they are.
        """
        frame = Kept(index=index, seconds=seconds, rendered=rendered, seen=seen(rendered.pixels))
        if not self._kept or not self._merges:
            self._keep(frame)
        elif not self._stands(frame):
            self._line_up(frame)

    def chosen(self) -> list[Kept]:
        """Choose, once all frames were taken; at least the first.

        Returns:
            In the order of the file.
        """
        self._settle()
        if not self._room_left():
            self._spare.clear()
        chosen, views = [0], _views(self._kept[:1])
        novelty = self._apart[0].copy()
        while len(chosen) < min(self._frames, len(self._kept)):
            novelty[chosen] = -1
            most = int(novelty.argmax())  # of equals the earliest
            views += _views([self._kept[most]])
            if views > MAX_VIEWS:
                break
            chosen.append(most)
            novelty = np.minimum(novelty, self._apart[most])
        judged = [*(self._kept[place] for place in chosen), *(spare for _, spare in self._spare)]
        return sorted(judged, key=lambda kept: kept.index)

    def _stands(self, frame: Kept) -> bool:
        """Find a kept frame that it is near to, and count it there."""
        apart = nearness(self._last.seen, frame.seen) if self._last else None
        if self._last is None or apart is None:
            near = self._found_near(frame)
            if near is None:
                return False
            self._last, apart = near
        self._last.standing += frame.standing
        self._spare_it(frame, apart)
        return True

    def _spare_it(self, frame: Kept, apart: float) -> None:
        """Keep a frame that counts with another, for what room there may be; bounded by what all kept ones leave."""
        frame.standing = 0
        if apart <= SURE_LEVELS or not self._room_left():
            return
        if any(_surely(spare, frame) for _, spare in self._spare):
            return
        self._spare.append((apart, frame))
        self._spare.sort(key=lambda each: -each[0])
        self._trim()

    def _room_left(self) -> bool:
        return len(self._kept) < self._frames and _views(self._kept) < MAX_VIEWS

    def _trim(self) -> None:
        while self._spare and (
            len(self._kept) + len(self._spare) > self._frames
            or _views([*self._kept, *(spare for _, spare in self._spare)]) > MAX_VIEWS
        ):
            self._spare.pop()

    def _found_near(self, frame: Kept) -> tuple[Kept, float] | None:
        apart, may_be_near = estimate(frame.seen, [kept.seen for kept in self._kept])
        closest = np.argsort(apart, kind="stable")[: _TRIES + 1]
        likely = [self._kept[place] for place in closest if may_be_near[place]]
        others = ((kept, nearness(kept.seen, frame.seen)) for kept in likely if kept is not self._last)
        return next(((kept, apart) for kept, apart in others if apart is not None), None)

    def _line_up(self, frame: Kept) -> None:
        if self._row and np.array_equal(self._row[-1].seen.pixels, frame.seen.pixels):
            self._row[-1].standing += 1  # which says when it is shown first
            return
        if not all(is_near(each.seen, frame.seen) for each in self._row):
            self._settle()
            if self._stands(frame):
                return
        self._row.append(frame)
        if len(self._row) == MOST_IN_A_ROW or _views(self._row) >= MAX_VIEWS:
            self._settle()

    def _settle(self) -> None:
        """Keep the last one of a row for all of it: each was found near to all before it."""
        if self._row:
            *before, last = self._row
            last.standing = sum(each.standing for each in self._row)
            self._row.clear()
            self._keep(last)
            for each in before:
                self._spare_it(each, nearness(last.seen, each.seen) or 0.0)

    def _keep(self, frame: Kept) -> None:
        distances = estimate(frame.seen, [kept.seen for kept in self._kept]).apart
        self._kept.append(frame)
        self._last = frame
        size = len(self._kept)
        grown = np.full((size, size), np.inf, np.float32)
        grown[:-1, :-1] = self._apart
        grown[-1, :-1] = grown[:-1, -1] = distances
        self._apart = grown
        self._trim()
        while _views(self._kept) > KEPT_VIEWS:
            self._drop_one()

    def _drop_one(self) -> None:
        """Let the later of the two go that are closest, or of those without parts in common the last of all."""
        place = int(max(np.unravel_index(int(self._apart.argmin()), self._apart.shape))) or len(self._kept) - 1
        gone = self._kept.pop(place)
        self._last = None if gone is self._last else self._last
        self._apart = np.delete(np.delete(self._apart, place, axis=0), place, axis=1)


def _surely(one: Kept, other: Kept) -> bool:
    apart = nearness(one.seen, other.seen)
    return apart is not None and apart <= SURE_LEVELS


def _views(frames: Sequence[Kept]) -> int:
    return sum(len(frame.rendered.pixels) for frame in frames)
