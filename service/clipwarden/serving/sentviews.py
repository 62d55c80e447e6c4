"""Views that a request names of stored embeddings: read, and held against what it says of frames and parts.

Whoever kept one embedding of several would else be answered as if that were all of the picture.
"""

from collections.abc import Sequence

from clipwarden.errors import RequestError
from clipwarden.scoring.verdict import ViewRef
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.plan import ViewPlan, Views

_MAX_SECONDS = 315_576_000_000  # of a google.protobuf.Duration
_BACKGROUNDS = ({"on_black", "on_white"}, {""})
_ALL = "Send all embeddings of the answer that they came with, each with its view."


def read_view(view: pb.View, name: str) -> ViewRef:
    """Read a view.

    Args:
        view: Untrusted.
        name: Its name, bounded.

    Raises:
        RequestError: Its box is empty, or its time none that an animation has.
    """
    box = view.box if view.HasField("box") else None
    if box is not None and not (box.left < box.right and box.top < box.bottom):
        raise RequestError("view.box is empty; right must be more than left, and bottom more than top")
    seconds = view.time.seconds + view.time.nanos / 1e9 if view.HasField("time") else None
    if seconds is not None and not 0 <= seconds <= _MAX_SECONDS:
        raise RequestError(f"view.time is {seconds:g} s; it must be from 0 to {_MAX_SECONDS}")
    return ViewRef(
        name=name,
        frame=view.frame,
        seconds=seconds,
        box=None if box is None else (box.left, box.top, box.right, box.bottom),
    )


def check_views(views: Sequence[ViewRef], plan: ViewPlan, *, frames_judged: int) -> None:
    """Check that embeddings are of all frames that were judged, and of all parts as far as those tell.

    Args:
        views: Of the request, one an embedding.
        plan: That they are said to be of.
        frames_judged: As the request says.

    Raises:
        RequestError: Some are missing, or there twice.
    """
    frames = len({view.frame for view in views})
    if frames != frames_judged:
        raise RequestError(f"the embeddings are of {frames} frames, and frames_judged is {frames_judged}. {_ALL}")
    if plan.views is Views.WHOLE:
        return
    if len(set(views)) != len(views):
        raise RequestError(f"two embeddings are of the same view. {_ALL}")
    for frame in {view.frame for view in views}:
        _check_parts([view for view in views if view.frame == frame], frame)


def _check_parts(views: Sequence[ViewRef], frame: int) -> None:
    boxes = dict[str, set[object]]()
    for view in views:
        boxes.setdefault(view.name.removeprefix("part").removeprefix("full").removeprefix("_"), set()).add(view.box)
    first, *others = boxes.values()
    if boxes.keys() not in _BACKGROUNDS or any(other != first for other in others):
        raise RequestError(f"frame {frame} lacks views on white or on black. {_ALL}")
    if len(first) == 1 and None not in first:
        raise RequestError(f"frame {frame} has one part, and no picture has one alone. {_ALL}")
