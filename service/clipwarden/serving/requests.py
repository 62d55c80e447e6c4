"""Read untrusted request messages into plain values, or raise RequestError for what the proto forbids."""

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np

from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.terms import Priority
from clipwarden.errors import EmbeddingError, RequestError
from clipwarden.scoring.verdict import ViewRef
from clipwarden.serving.config import MESSAGE_MARGIN
from clipwarden.serving.sentviews import check_views, read_view
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.facts import ImageFacts, Unseen
from clipwarden.vision.plan import MAX_VIEWS, WHOLE, ViewPlan, Views

MAX_ID_BYTES = 128
"""Longest request id, item id, policy id and context. Source: the proto's comments."""
MAX_EMBEDDINGS = MAX_VIEWS
"""Most embeddings of one image. Source: the proto's comment."""
A_NUMBER_MICROSECONDS = 0.035
"""What reading one number of an embedding takes. Measured: 1,156 for 64 x 512 (CPython 3.11, a Xeon)."""
MAX_FINGERPRINT_BYTES = 71
"""Length of "sha256:" and 64 hex digits; longer text need not be repeated in an error."""

# Ids are unique, and no secrets: a number behind what no other process has costs no system call.
_PROCESS, _NUMBERS = uuid.uuid4().hex[:16], count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a request wants to be judged; None for what it leaves to the server."""

    policy_id: str | None
    context: str | None
    return_embeddings: bool
    priority: Priority


def read_request_id(text: str) -> str:
    """Take the caller's request id, or make one.

    Raises:
        RequestError: It is longer than 128 bytes.
    """
    return _bounded(text, "request_id") or f"{_PROCESS}{next(_NUMBERS):016x}"


def read_item_id(text: str) -> str:
    """Take the id of a stream's item.

    Raises:
        RequestError: It is missing or longer than 128 bytes.
    """
    if not text:
        raise RequestError("an item of a stream needs an id of 1 to 128 bytes")
    return _bounded(text, "id")


def read_options(options: pb.ModerationOptions) -> Options:
    """Read the options.

    Raises:
        RequestError: A name is longer than 128 bytes, or the priority is none that this server knows.
    """
    return _options(options.policy_id, options.context, options.priority, return_embeddings=options.return_embeddings)


@lru_cache  # most requests want what others did
def _options(policy_id: str, context: str, priority: int, *, return_embeddings: bool) -> Options:
    if priority not in _PRIORITIES:
        raise RequestError(f"options.priority is {priority}; it must be 1 (INTERACTIVE) or 2 (BULK), or unset")
    return Options(
        policy_id=_bounded(policy_id, "options.policy_id") or None,
        context=_bounded(context, "options.context") or None,
        return_embeddings=return_embeddings,
        priority=_PRIORITIES[priority],
    )


def read_policy_id(text: str) -> str | None:
    """Take a policy id; None for the default policy.

    Raises:
        RequestError: It is longer than 128 bytes.
    """
    return _bounded(text, "policy_id") or None


def read_source(source: bytes | str | None) -> bytes | str:
    """Take the image's bytes, or the path of a shared file; an empty file is the decoder's to refuse.

    Raises:
        RequestError: No source is set.
    """
    if source is None:
        raise RequestError("the image has no source; set image.data to the bytes of the file")
    return source


def read_timeout(request: pb.StreamModerateRequest) -> float | None:
    """Read the longest wait for a stream's item, in seconds; None when it has none of its own.

    Raises:
        RequestError: It is not above 0.
    """
    if not request.HasField("timeout"):
        return None
    seconds = request.timeout.seconds + request.timeout.nanos / 1e9
    if seconds <= 0:
        raise RequestError(f"timeout is {seconds:g} s; it must be above 0")
    return seconds


def most_embedding_bytes(width: int) -> int:
    """Bound a message of the most embeddings that an image has.

    Args:
        width: D of the loaded model.
    """
    # Numbers that are not packed have a tag each; a view's name and its message take less than two ids.
    return MAX_EMBEDDINGS * (5 * width + 2 * MAX_ID_BYTES) + MESSAGE_MARGIN


def count_embeddings(request: pb.ModerateEmbeddingRequest) -> int:
    """Count the embeddings of an image.

    Raises:
        RequestError: There is none, or there are more than any image has.
    """
    count = len(request.embeddings)
    if not 1 <= count <= MAX_EMBEDDINGS:
        raise RequestError(f"{count} embeddings are given; 1 to {MAX_EMBEDDINGS} belong to one image")
    return count


def read_embedded_image(request: pb.ModerateEmbeddingRequest, *, width: int) -> EmbeddedImage:
    """Read stored embeddings; whether they are unit vectors is the pipeline's to check.

    Args:
        request: Untrusted, but for its `count_embeddings`.
        width: D of the loaded model.

    Raises:
        RequestError: The frames, the share shown, what was unseen or degradations make no sense, or views are missing.
        EmbeddingError: A vector is not `width` numbers wide.
    """
    # Before they become an array: a message full of numbers would hold up the event loop for seconds.
    if any(len(embedding.values) != width for embedding in request.embeddings):
        raise EmbeddingError(f"embeddings must be vectors of {width} numbers, the width of the loaded model")
    facts, plan = _facts(request), _plan(request)
    views = [_view(embedding.view) for embedding in request.embeddings]
    check_views(views, plan, frames_judged=facts.frames_judged)
    if plan.views is not Views.WHOLE and not request.coverage:
        raise RequestError(f"coverage is required under the view plan {plan.name}, as ImageFacts.coverage had it")
    return EmbeddedImage(
        embeddings=np.array([embedding.values for embedding in request.embeddings], dtype=np.float32),
        views=views,
        facts=facts,
        fingerprint=request.model_fingerprint,
        plan=plan,
    )


def read_fingerprint(text: str) -> str:
    """Take the fingerprint that stored embeddings come with.

    Raises:
        RequestError: It is missing or no fingerprint.
    """
    if not text.startswith("sha256:") or len(text.encode()) != MAX_FINGERPRINT_BYTES:
        raise RequestError('model_fingerprint is required: "sha256:" and 64 hex digits, as Moderation.model gave it')
    return text


def read_page(request: pb.ListPoliciesRequest, *, total: int) -> tuple[int, int]:
    """Read which entries of a list are asked for; a page token is the number of the first one.

    Returns:
        First and one past the last.

    Raises:
        RequestError: The size is negative, or the token is none of ours.
    """
    if request.page_size < 0:
        raise RequestError(f"page_size is {request.page_size}; it must be 0 or more")
    token = request.page_token
    if token and not (token.isascii() and token.isdigit() and len(token) < MAX_TOKEN_DIGITS and 0 < int(token) < total):
        raise RequestError("page_token must be empty, or the next_page_token of the page before")
    first = int(token or 0)
    return first, min(total, first + min(request.page_size or DEFAULT_PAGE, MAX_PAGE))


DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_TOKEN_DIGITS = 10


_PRIORITIES: Mapping[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    pb.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    pb.PRIORITY_BULK: Priority.BULK,
}
# Without the first of each, which is never sent.
_DEGRADATIONS: Mapping[int, str] = {
    number: name.removeprefix("DEGRADATION_") for name, number in pb.Degradation.items() if number
}
# What a policy misses, and another may not.
_OF_A_POLICY = frozenset({"COVERAGE", "RESOLUTION"})
_UNSEEN: Mapping[int, str] = {number: name.removeprefix("UNSEEN_") for name, number in pb.Unseen.items() if number}


def _facts(request: pb.ModerateEmbeddingRequest) -> ImageFacts:
    total, judged, share = request.frames_total or 1, request.frames_judged or 1, request.share_shown or 1.0
    seen, coverage = request.frames_seen or judged, request.coverage or 1.0
    resolution = request.resolution if request.HasField("resolution") else None
    if judged > total:
        raise RequestError(f"frames_judged is {judged} and frames_total {total}; no more can be judged than there are")
    if not judged <= seen <= total:
        raise RequestError(f"frames_seen is {seen}; it must be from frames_judged, {judged}, to frames_total, {total}")
    for name, number in (("share_shown", share), ("coverage", coverage)):
        if not 0 < number <= 1:
            raise RequestError(f"{name} is {number:g}; it must be above 0 and at most 1")
    if resolution is not None and not 0 < resolution < math.inf:
        raise RequestError(f"resolution is {resolution:g}; it must be a number of pixels above 0")
    unseen = {Unseen(name) for name in _names(request.unseen, _UNSEEN, "unseen") if name not in _OF_A_POLICY}
    facts = ImageFacts(
        frames_total=total,
        frames_judged=judged,
        frames_seen=seen,
        coverage=coverage,
        resolution=resolution,
        parts_left=Unseen.PARTS in unseen,
        degraded=tuple(_names(request.degradations, _DEGRADATIONS, "degradations")),
        share_shown=share,
        hdr=Unseen.HDR in unseen,
    )
    if denied := unseen.difference(facts.unseen):
        raise RequestError(
            f"unseen names {' and '.join(sorted(denied))}, which frames_total, frames_seen and share_shown deny; "
            "send them all as ImageFacts had them"
        )
    return facts


def _plan(request: pb.ModerateEmbeddingRequest) -> ViewPlan:
    if not request.HasField("view_plan"):
        return WHOLE
    plan = request.view_plan
    known = [views.value for views in Views]
    if plan.views not in known:
        raise RequestError(f"view_plan.views must be one of {', '.join(known)}, as ImageFacts.view_plan had it")
    if not 1 <= plan.frames <= MAX_VIEWS:
        raise RequestError(f"view_plan.frames is {plan.frames}; it must be 1 to {MAX_VIEWS}")
    return ViewPlan(views=Views(plan.views), frames=plan.frames)


def _view(view: pb.View) -> ViewRef:
    return read_view(view, _bounded(view.name, "view.name") or "full")


def _names(values: Sequence[int], known: Mapping[int, str], field: str) -> list[str]:
    if len(values) > len(known):
        raise RequestError(f"{len(values)} {field} are given; there are {len(known)} at most")
    if unknown := [value for value in values if value not in known]:
        raise RequestError(f"{field} holds {unknown[0]}, which is none that this server knows")
    return [known[value] for value in values]


def _bounded(text: str, name: str) -> str:
    # A text has no fewer bytes than characters, and a message full of them need not be encoded to be refused.
    size = len(text) if len(text) > MAX_ID_BYTES else len(text.encode())
    if size > MAX_ID_BYTES:
        more = " or more" if size == len(text) and not text.isascii() else ""
        raise RequestError(f"{name} has {size} bytes{more}; at most {MAX_ID_BYTES} are allowed")
    return text
