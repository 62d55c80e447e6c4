"""ModerationService: messages in, messages out; what happens between is the pipeline's.

Every method reads its request (requests.py), asks the pipeline, and renders the answer (wire.py). Ids, deadlines,
counts, log lines and errors are handled for all of them alike in calls.py.
"""

# ruff: noqa: N802  the proto names the methods
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from clipwarden.engine.pipeline import Pipeline, Reading
from clipwarden.engine.results import Judged
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.engine.terms import Terms
from clipwarden.errors import RequestError
from clipwarden.serving import requests, wire, wire_policy
from clipwarden.serving.calls import Call, Calls, Context
from clipwarden.serving.config import Settings
from clipwarden.serving.stream import ItemStream
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc

SERVICE = "clipwarden.v1.ModerationService"


class ModerationService(moderation_pb2_grpc.ModerationServiceServicer):
    """The service as the proto describes it.

    Args:
        pipeline: Judges.
        calls: Accounts.
        settings: Limits of batches and streams.
        snapshot: Gives what is loaded now; each request keeps what it was admitted with.
    """

    def __init__(
        self, pipeline: Pipeline, calls: Calls, settings: Settings, *, snapshot: Callable[[], Snapshot]
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._settings = settings
        self._snapshot = snapshot

    async def Moderate(self, request: pb.ModerateRequest, context: Context) -> pb.ModerateResponse:
        """Judge one image."""

        async def work(call: Call) -> pb.ModerateResponse:
            return pb.ModerateResponse(moderation=await self._moderate(request.image, request.options, call))

        return await self._calls.answer("Moderate", request.request_id, context, work)

    async def BatchModerate(self, request: pb.BatchModerateRequest, context: Context) -> pb.BatchModerateResponse:
        """Judge several images; one bad image is one item with an error."""

        async def work(call: Call) -> pb.BatchModerateResponse:
            most = self._settings.max_call_items
            if not 1 <= len(request.images) <= most:
                raise RequestError(f"{len(request.images)} images are given; one call takes 1 to {most}")
            # A window, so that one large call neither fills the queue by itself nor holds its images decoded.
            window = asyncio.Semaphore(self._settings.call_in_flight)

            async def one(index: int, image: pb.ImageSource) -> pb.ModerationResult:
                own = replace(call, request_id=f"{call.request_id}/{index}")
                async with window:
                    return await self._result(image, request.options, own)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(index, image)) for index, image in enumerate(request.images)]
            results = [task.result() for task in tasks]
            cost = wire.A_COPY_MICROSECONDS * sum(len(result.moderation.categories) for result in results)
            wrap = partial(pb.BatchModerateResponse, results=results)
            return await self._pipeline.run_if_long(wrap, microseconds=cost)

        return await self._calls.answer("BatchModerate", request.request_id, context, work)

    async def StreamModerate(
        self, request_iterator: AsyncIterator[pb.StreamModerateRequest], context: Context
    ) -> AsyncIterator[pb.StreamModerateResponse]:
        """Judge images as they come; results come as they are ready."""
        stream = ItemStream(
            request_iterator, self._result, self._calls, context, in_flight=self._settings.call_in_flight
        )
        # Closed with this generator, not some time after: a caller that leaves must not keep items at work.
        async with aclosing(stream.responses()) as responses:
            async for response in responses:
                yield response

    async def ModerateEmbedding(
        self, request: pb.ModerateEmbeddingRequest, context: Context
    ) -> pb.ModerateEmbeddingResponse:
        """Judge stored embeddings again."""

        async def work(call: Call) -> pb.ModerateEmbeddingResponse:
            options = requests.read_options(request.options)
            selection = call.selection = self._snapshot().select(options.policy_id, options.context)
            self._pipeline.require_model(requests.read_fingerprint(request.model_fingerprint))
            width = selection.snapshot.model.manifest.dim
            read = partial(requests.read_embedded_image, request, width=width)
            numbers = width * requests.count_embeddings(request)
            cost = requests.A_NUMBER_MICROSECONDS * numbers
            reading = Reading(image=read, numbers=numbers, microseconds=cost)
            judged = await self._pipeline.judge_read(reading, selection, terms=Terms(deadline=call.deadline))
            return pb.ModerateEmbeddingResponse(moderation=await self._answer(judged, selection, options, call))

        return await self._calls.answer("ModerateEmbedding", request.request_id, context, work)

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: Context) -> pb.ListPoliciesResponse:
        """List the loaded policies, ordered by id."""

        async def work(_: Call) -> pb.ListPoliciesResponse:
            snapshot = self._snapshot()
            ids = list(snapshot.tables)
            first, end = requests.read_page(request, total=len(ids))
            token = str(end) if end < len(ids) else ""
            render = partial(wire_policy.policy_list, snapshot, ids[first:end], next_page_token=token)
            cost = wire_policy.list_microseconds(snapshot, ids[first:end])
            return await self._pipeline.run_if_long(render, microseconds=cost)

        return await self._calls.answer("ListPolicies", "", context, work)

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Context) -> pb.GetPolicyResponse:
        """Tell all that is loaded under one policy id."""

        async def work(_: Call) -> pb.GetPolicyResponse:
            selection = self._snapshot().show(requests.read_policy_id(request.policy_id))
            render = partial(wire_policy.policy, selection)
            policy = await self._pipeline.run_if_long(render, microseconds=wire_policy.microseconds(selection))
            return pb.GetPolicyResponse(policy=policy)

        return await self._calls.answer("GetPolicy", "", context, work)

    async def _moderate(self, image: pb.ImageSource, options: pb.ModerationOptions, call: Call) -> pb.Moderation:
        """Judge one image, wherever it came from; raises our errors."""
        wanted = requests.read_options(options)
        selection = call.selection = self._snapshot().select(wanted.policy_id, wanted.context)
        data = requests.read_source(image)
        judged = await self._pipeline.moderate(data, selection, terms=Terms(deadline=call.deadline))
        return await self._answer(judged, selection, wanted, call)

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

    async def _result(self, image: pb.ImageSource, options: pb.ModerationOptions, call: Call) -> pb.ModerationResult:
        """Judge one image of several: an error is its result, not the call's."""
        try:
            return pb.ModerationResult(moderation=await self._moderate(image, options, call))
        except Exception as exc:  # noqa: BLE001  whatever it is, the other images are not to blame
            return pb.ModerationResult(error=self._calls.refuse(exc, call))
