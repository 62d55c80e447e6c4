"""ModerationService: raw messages in, messages out; what happens between is the pipeline's.

Every method lets its call in or refuses it unread, reads its message (reading.py, bodies.py, requests.py), asks the
pipeline, and renders the answer (wire.py). Ids, deadlines, counts, log lines and errors are handled for all of them
alike in calls.py.
"""

# ruff: noqa: N802  the proto names the methods
import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from clipwarden.engine.admission import Ticket
from clipwarden.engine.pipeline import Pipeline, Reading
from clipwarden.engine.results import Judged
from clipwarden.engine.shares import Shares
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.engine.terms import Priority, Terms
from clipwarden.errors import OverloadedError, RequestError
from clipwarden.serving import requests, wire, wire_policy
from clipwarden.serving.bodies import Body, Source, parse, size_of, take_apart
from clipwarden.serving.calls import Call, Calls
from clipwarden.serving.config import MESSAGE_MARGIN, Settings
from clipwarden.serving.context import Context
from clipwarden.serving.fetching import SharedFiles
from clipwarden.serving.reading import ReadBudget
from clipwarden.serving.stream import ItemStream
from clipwarden.v1 import moderation_pb2 as pb

M = TypeVar("M", bound=Message)

SERVICE = "clipwarden.v1.ModerationService"
METHODS = tuple(pb.DESCRIPTOR.services_by_name["ModerationService"].methods_by_name)
"""Their names; the service has each as a method of its own."""
STREAM_RETRY_SECONDS = 1.0
"""When to open a stream again that found too many open: they end when their callers like, which nobody foresees."""


class ModerationService:
    """The service as the proto describes it, by methods that read their messages themselves (`add_to`).

    Args:
        pipeline: Judges.
        calls: Accounts.
        reads: Lends the room to read messages in.
        files: Reads the files that calls name.
        settings: Limits of batches and streams.
        snapshot: Gives what is loaded now; each request keeps what it was admitted with.
        on_refused_stream: Told of each stream that is one too many.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: Calls,
        reads: ReadBudget,
        files: SharedFiles,
        settings: Settings,
        *,
        snapshot: Callable[[], Snapshot],
        on_refused_stream: Callable[[], None],
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._reads = reads
        self._files = files
        self._settings = settings
        self._snapshot = snapshot
        self._on_refused_stream = on_refused_stream
        self._streams = Shares(max_items=settings.max_streams, max_bytes=0)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Have a server call these methods, before it starts.

        A unary method is registered as one whose caller streams: on the wire they are the same, but gRPC leaves the
        message of such a call to us to read, so that it can be refused unread.
        """
        stream_unary, stream_stream = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: (stream_stream if method.server_streaming else stream_unary)(
                getattr(self, name), response_serializer=methodcaller("SerializeToString")
            )
            for name, method in pb.DESCRIPTOR.services_by_name["ModerationService"].methods_by_name.items()
        }
        server.add_registered_method_handlers(SERVICE, handlers)

    async def Moderate(self, _: object, context: Context) -> pb.ModerateResponse | None:
        """Judge one image."""

        async def work(call: Call) -> pb.ModerateResponse:
            ticket = self._pipeline.admission.arrive(call.terms)
            try:
                body = await self._take_apart(call, ticket, context, pb.ModerateRequest)
                options = body.message.options
                return pb.ModerateResponse(moderation=await self._moderate(body.images.pop(), options, call, ticket))
            finally:
                self._reads.end(ticket)

        return await self._calls.answer("Moderate", context, work)

    async def BatchModerate(self, _: object, context: Context) -> pb.BatchModerateResponse | None:
        """Judge several images; one bad image is one item with an error."""
        most = self._settings.max_call_items

        async def work(call: Call) -> pb.BatchModerateResponse:
            ticket = self._pipeline.admission.arrive(call.terms)
            try:
                body = await self._take_apart(call, ticket, context, pb.BatchModerateRequest, most_images=most)
                if not body.images:
                    raise RequestError(f"0 images are given; one call takes 1 to {most}")
                return await self._batch(body, call, ticket)
            finally:
                self._reads.end(ticket)

        return await self._calls.answer("BatchModerate", context, work)

    async def StreamModerate(self, _: object, context: Context) -> AsyncIterator[pb.StreamModerateResponse]:
        """Judge images as they come; results come as they are ready."""
        in_flight = self._settings.call_in_flight
        stream = ItemStream(self._open_stream, self._result, self._calls, context, in_flight=in_flight)
        # Closed with this generator, not some time after: a caller that leaves must not keep items at work.
        async with aclosing(stream.responses()) as responses:
            async for response in responses:
                yield response

    async def ModerateEmbedding(self, _: object, context: Context) -> pb.ModerateEmbeddingResponse | None:
        """Judge stored embeddings again."""

        async def work(call: Call) -> pb.ModerateEmbeddingResponse:
            width = self._snapshot().model.manifest.dim
            most_bytes = requests.most_embedding_bytes(width)
            request = await self._parse(call, context, pb.ModerateEmbeddingRequest, most_bytes=most_bytes)
            call.request_id = requests.read_request_id(request.request_id)
            options = requests.read_options(request.options)
            selection = call.selection = self._snapshot().select(options.policy_id, options.context)
            self._pipeline.require_model(requests.read_fingerprint(request.model_fingerprint))
            read = partial(requests.read_embedded_image, request, width=width)
            numbers = width * requests.count_embeddings(request)
            cost = requests.A_NUMBER_MICROSECONDS * numbers
            reading = Reading(image=read, numbers=numbers, microseconds=cost)
            judged = await self._pipeline.judge_read(reading, selection, terms=_terms(call, options))
            return pb.ModerateEmbeddingResponse(moderation=await self._answer(judged, selection, options, call))

        return await self._calls.answer("ModerateEmbedding", context, work)

    async def ListPolicies(self, _: object, context: Context) -> pb.ListPoliciesResponse | None:
        """List the loaded policies, ordered by id."""

        async def work(call: Call) -> pb.ListPoliciesResponse:
            request = await self._parse(call, context, pb.ListPoliciesRequest)
            snapshot = self._snapshot()
            ids = list(snapshot.tables)
            first, end = requests.read_page(request, total=len(ids))
            token = str(end) if end < len(ids) else ""
            render = partial(wire_policy.policy_list, snapshot, ids[first:end], next_page_token=token)
            cost = wire_policy.list_microseconds(snapshot, ids[first:end])
            return await self._pipeline.run_if_long(render, microseconds=cost)

        return await self._calls.answer("ListPolicies", context, work)

    async def GetPolicy(self, _: object, context: Context) -> pb.GetPolicyResponse | None:
        """Tell all that is loaded under one policy id."""

        async def work(call: Call) -> pb.GetPolicyResponse:
            request = await self._parse(call, context, pb.GetPolicyRequest)
            selection = self._snapshot().show(requests.read_policy_id(request.policy_id))
            render = partial(wire_policy.policy, selection)
            policy = await self._pipeline.run_if_long(render, microseconds=wire_policy.microseconds(selection))
            return pb.GetPolicyResponse(policy=policy)

        return await self._calls.answer("GetPolicy", context, work)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams.items

    @contextmanager
    def _open_stream(self, terms: Terms) -> Iterator[None]:
        """Hold a stream's place: each may have an item that is read and counts nowhere yet."""
        account = self._streams.account(terms)
        cause = self._streams.objection(account, items=1, size=0, priority=Priority.INTERACTIVE)
        if cause is not None:
            self._on_refused_stream()
            most = f"of {self._settings.max_streams} streams (max_streams)"
            whole = f"{self._streams.items} {most} are open, and there is no place for more"
            share = f"this caller has {account.items} {most} open, and may have no more than are free"
            raise OverloadedError(share if cause == "share" else whole, retry_after_seconds=STREAM_RETRY_SECONDS)
        self._streams.take(account, items=1, size=0)
        try:
            yield
        finally:
            self._streams.take(account, items=-1, size=0)

    async def _take_apart(
        self, call: Call, ticket: Ticket, context: Context, kind: type[M], *, most_images: int = 1
    ) -> Body[M]:
        raw = await self._reads.read(ticket, context, call.terms)
        body = take_apart(raw, kind, most_images=most_images)
        call.request_id = requests.read_request_id(body.message.request_id)  # type: ignore[attr-defined]  # M has one
        ticket.hold(body.image_bytes)
        return body

    async def _parse(self, call: Call, context: Context, kind: type[M], *, most_bytes: int = MESSAGE_MARGIN) -> M:
        ticket = self._pipeline.admission.arrive(call.terms, sees=False)
        try:
            return parse(await self._reads.read(ticket, context, call.terms), kind, most_bytes=most_bytes)
        finally:
            self._reads.end(ticket)

    async def _batch(self, body: Body[pb.BatchModerateRequest], call: Call, ticket: Ticket) -> pb.BatchModerateResponse:
        snapshot = self._snapshot()  # one for all of its images, whatever is loaded while they are judged
        # A window, so that one large call neither fills the queue by itself nor holds its images decoded.
        window = asyncio.Semaphore(self._settings.call_in_flight)
        images, options = body.images, body.message.options
        # The call's own place in the queue is one image's after the other: a queue of one image takes a batch as well.
        places, held = [ticket], body.image_bytes

        def let_go(size: int) -> None:
            nonlocal held
            held -= size
            ticket.hold(held)

        async def one(index: int) -> pb.ModerationResult:
            own = replace(call, request_id=f"{call.request_id}/{index}")
            async with window:
                data, images[index] = images[index], None
                size, place = size_of(data), places.pop() if places else None
                if place is None:
                    let_go(size)  # it arrives by itself
                result = self._result(data, options, own, place, snapshot=snapshot)
                del data
                if place is None:
                    return await result
                try:
                    return await result
                finally:
                    let_go(size)
                    places.append(place)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(index)) for index in range(len(images))]
        results = [task.result() for task in tasks]
        cost = wire.A_COPY_MICROSECONDS * sum(len(result.moderation.categories) for result in results)
        wrap = partial(pb.BatchModerateResponse, results=results)
        return await self._pipeline.run_if_long(wrap, microseconds=cost)

    async def _moderate(
        self,
        image: Source,
        options: pb.ModerationOptions,
        call: Call,
        ticket: Ticket | None = None,
        *,
        snapshot: Snapshot | None = None,
    ) -> pb.Moderation:
        """Judge one image, wherever it came from, with a snapshot or what is loaded now; raises our errors."""
        wanted = requests.read_options(options)
        selection = call.selection = (snapshot or self._snapshot()).select(wanted.policy_id, wanted.context)
        source, terms = requests.read_source(image), _terms(call, wanted)
        if isinstance(source, str):
            judging = self._moderate_file(source, selection, terms, call, ticket)
        else:
            judging = self._pipeline.moderate(source, selection, terms=terms, ticket=ticket)
        del image, source  # the pipeline's, which lets it go where it knows the content
        judged = await judging
        return await self._answer(judged, selection, wanted, call)

    async def _moderate_file(
        self, path: str, selection: Selection, terms: Terms, call: Call, ticket: Ticket | None
    ) -> Judged:
        """Judge an image that the server reads itself; its bytes count on top of its call's."""
        call.path = path
        with nullcontext(ticket) if ticket is not None else self._pipeline.admission.arrive(terms) as place:
            async with self._files.read(path, terms, local=call.local) as data:
                judging = self._pipeline.moderate(data.pop(), selection, terms=terms, ticket=place)
                return await judging

    async def _answer(
        self, judged: Judged, selection: Selection, wanted: requests.Options, call: Call
    ) -> pb.Moderation:
        """Render a verdict, and account for it."""
        embeddings = wanted.return_embeddings
        render = partial(wire.moderation, judged, request_id=call.request_id, return_embeddings=embeddings)
        cost = wire.microseconds(judged, return_embeddings=embeddings)
        message = await self._pipeline.run_if_long(render, microseconds=cost)
        self._calls.note_judged(judged, selection, call)  # last: what is counted was answered
        return message

    async def _result(
        self,
        image: Source,
        options: pb.ModerationOptions,
        call: Call,
        ticket: Ticket | None = None,
        *,
        snapshot: Snapshot | None = None,
    ) -> pb.ModerationResult:
        """Judge one image of several: an error is its result, not the call's."""
        judging = self._moderate(image, options, call, ticket, snapshot=snapshot)
        del image
        try:
            return pb.ModerationResult(moderation=await judging)
        except Exception as exc:  # noqa: BLE001  whatever it is, the other images are not to blame
            return pb.ModerationResult(error=self._calls.refuse(exc, call))


def _terms(call: Call, wanted: requests.Options) -> Terms:
    terms = call.terms
    return terms if wanted.priority is terms.priority else replace(terms, priority=wanted.priority)
