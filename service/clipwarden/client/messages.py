"""What callers hand in becomes request messages; what the server answers becomes moderations and results."""

import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration

from clipwarden.client.errors import ClientError, ServerFaultError, error_from_status
from clipwarden.v1 import moderation_pb2 as v1

Priority: TypeAlias = Literal["interactive", "bulk"]
"""Whether somebody waits for the answer, or nobody does: a backfill, which takes what the others leave."""
_PRIORITIES: dict[str, v1.Priority.ValueType] = {
    "interactive": v1.PRIORITY_INTERACTIVE,
    "bulk": v1.PRIORITY_BULK,
}


@dataclass(frozen=True, slots=True)
class ServerFile:
    """An image that the server reads itself, from a volume that it shares with this program.

    Attributes:
        path: Below the server's `path_root`, such as "uploads/a.jpg"; never absolute, and without links.
    """

    path: str


Image: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | ServerFile
"""An encoded image file: its bytes, the path to read them from (a str is a path), or a file at the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamItem:
    """One image of a stream.

    Attributes:
        id: Unused in this stream, 1 to 128 bytes; its result carries it.
        image: The image.
        policy: Id of a loaded policy; None for the server's default.
        context: A context the policy declares; None for none.
        return_embeddings: Whether to return the image's embeddings.
        priority: "bulk" where nobody waits for the answer.
        timeout_seconds: Longest wait for this item once the server has read it; None for the stream's deadline.
    """

    id: str
    image: Image
    policy: str | None = None
    context: str | None = None
    return_embeddings: bool = False
    priority: Priority = "interactive"
    timeout_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of one image of a batch or stream: exactly one of `moderation` and `error`.

    Attributes:
        id: The stream item's id, or "<request id>/<index>" in a batch; the server's log has it.
        moderation: The verdict, or None.
        error: Why there is no verdict, or None. Not raised, so that one bad image spoils no other.
    """

    id: str
    moderation: v1.Moderation | None = None
    error: ClientError | None = None

    def unwrap(self) -> v1.Moderation:
        """Return the moderation, or raise the error.

        Raises:
            ClientError: There is no verdict on this image.
        """
        if self.moderation is not None:
            return self.moderation
        raise self.error or ServerFaultError("The server sent an empty result.", request_id=self.id)


def new_request_id() -> str:
    """Make an id that finds the request in the server's log, whatever became of it."""
    return uuid.uuid4().hex


def read_image(image: Image) -> bytes | ServerFile:
    """Return an image's bytes, or the file that the server is to read.

    Raises:
        OSError: The path cannot be read.
    """
    if isinstance(image, bytes | ServerFile):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    return Path(image).read_bytes()


def source(image: bytes | ServerFile) -> v1.ImageSource:
    """Wrap an image's bytes, or its path at the server."""
    if isinstance(image, ServerFile):
        return v1.ImageSource(shared_path=image.path)
    return v1.ImageSource(data=image)


def options(
    policy: str | None, context: str | None, *, return_embeddings: bool = False, priority: Priority = "interactive"
) -> v1.ModerationOptions:
    """Say how to judge; None leaves it to the server.

    Raises:
        ValueError: There is no such priority.
    """
    if priority not in _PRIORITIES:
        raise ValueError(f"priority is {priority!r}; it must be one of {', '.join(map(repr, _PRIORITIES))}")
    return v1.ModerationOptions(
        policy_id=policy or "",
        context=context or "",
        return_embeddings=return_embeddings,
        priority=_PRIORITIES[priority],
    )


def moderate_request(image: bytes | ServerFile, how: v1.ModerationOptions, request_id: str) -> v1.ModerateRequest:
    """Ask about one image."""
    return v1.ModerateRequest(image=source(image), options=how, request_id=request_id)


def batch_request(
    images: Iterable[bytes | ServerFile], how: v1.ModerationOptions, request_id: str
) -> v1.BatchModerateRequest:
    """Ask about several images."""
    return v1.BatchModerateRequest(images=map(source, images), options=how, request_id=request_id)


def stream_request(item: StreamItem, image: bytes | ServerFile) -> v1.StreamModerateRequest:
    """Ask about one image of a stream."""
    timeout = None
    if item.timeout_seconds is not None:
        timeout = Duration()
        timeout.FromNanoseconds(round(item.timeout_seconds * 1e9))
    return v1.StreamModerateRequest(
        id=item.id,
        image=source(image),
        options=options(item.policy, item.context, return_embeddings=item.return_embeddings, priority=item.priority),
        timeout=timeout,
    )


def embedding_request(
    embeddings: Sequence[v1.Embedding],
    how: v1.ModerationOptions,
    request_id: str,
    *,
    model_fingerprint: str,
    facts: v1.ImageFacts | None,
) -> v1.ModerateEmbeddingRequest:
    """Ask about stored vectors of one image."""
    known = facts or v1.ImageFacts(frames_total=1, frames_judged=1)
    return v1.ModerateEmbeddingRequest(
        embeddings=embeddings,
        model_fingerprint=model_fingerprint,
        options=how,
        request_id=request_id,
        frames_total=known.frames_total,
        frames_judged=known.frames_judged,
        degradations=known.degradations,
        share_shown=known.share_shown,
        unseen=known.unseen,
        frames_seen=known.frames_seen,
        coverage=known.coverage,
        resolution=known.resolution if known.HasField("resolution") else None,
        view_plan=known.view_plan if known.HasField("view_plan") else None,
    )


def readable(moderation: v1.Moderation, request_id: str) -> v1.Moderation:
    """Insist on a verdict that this client knows, so that no caller's `if verdict == BLOCK` lets another one pass.

    Raises:
        ServerFaultError: The verdict is missing, or newer than this client.
    """
    if moderation.verdict in (v1.VERDICT_ALLOW, v1.VERDICT_REVIEW, v1.VERDICT_BLOCK):
        return moderation
    message = f"The server sent no verdict that this client knows ({moderation.verdict}); it must not pass as ALLOW."
    raise ServerFaultError(message, code=grpc.StatusCode.INTERNAL, request_id=request_id)


def result(message: v1.ModerationResult, *, item_id: str) -> Result:
    """Turn one item's answer into a result."""
    if message.WhichOneof("result") == "error":
        return Result(id=item_id, error=error_from_status(message.error, request_id=item_id))
    try:
        return Result(id=item_id, moderation=readable(message.moderation, item_id))
    except ServerFaultError as error:
        return Result(id=item_id, error=error)


def batch_results(response: v1.BatchModerateResponse, *, sent: int, request_id: str) -> list[Result]:
    """Turn a batch's answer into results in the order of its images.

    Raises:
        ServerFaultError: There are not as many results as images, so none can be matched.
    """
    if len(response.results) != sent:
        message = f"The server answered {len(response.results)} results for {sent} images."
        raise ServerFaultError(message, code=grpc.StatusCode.INTERNAL, request_id=request_id)
    return [result(item, item_id=f"{request_id}/{index}") for index, item in enumerate(response.results)]
