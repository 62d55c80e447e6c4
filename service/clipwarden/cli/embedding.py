"""Uploads that were found in; each file read once, each picture encoded once, and all of it written to a store."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import sha256

from clipwarden.cli.embedprogress import Advance
from clipwarden.cli.embedsources import Found
from clipwarden.cli.embedtally import EmbedTally, Taken
from clipwarden.cli.judging import FILE_UNREADABLE
from clipwarden.cli.leftovers import LeftOut
from clipwarden.cli.reading import Reading
from clipwarden.engine.in_order import in_order
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.errors import EncoderError, ImageError
from clipwarden.modelfolder.load import Model
from clipwarden.tuning.store.records import PictureRecord
from clipwarden.tuning.store.writing import Added, StoreWriter
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.plan import ViewPlan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedding:
    """How uploads are embedded.

    Attributes:
        model: Sees.
        plan: Which views are looked at.
        limits: Files that are refused.
        at_once: Uploads at work at the same time.
    """

    model: Model
    plan: ViewPlan
    limits: DecodeLimits
    at_once: int


async def embed_all(
    found: Iterable[Found | LeftOut], embedding: Embedding, writer: StoreWriter, tally: EmbedTally, advance: Advance
) -> None:
    """Embed uploads in their order, several at a time; what is done when it ends early waits in the writer.

    Args:
        found: From `Sources.find`.
        embedding: How.
        writer: Takes what is new.
        tally: Counts.
        advance: Told how many are done.

    Raises:
        ClipwardenError: No more can be embedded, or written.
    """
    # Nothing is kept beside the store: each picture comes here once.
    settings = EngineSettings(limits=embedding.limits, cache_bytes=0).without_queue_limits()
    async with Pipeline(embedding.model, settings) as pipeline:
        worker = _Worker(pipeline, embedding, writer)
        async with aclosing(in_order(found, worker.take, width=embedding.at_once)) as results:
            done = 0
            async for taken in results:
                _note(taken, writer, tally)
                worker.forget(taken)
                if writer.is_due:
                    await asyncio.to_thread(writer.write)
                done += 1
                advance(done)
        _count(writer.settle(), tally)


def _note(taken: Taken | LeftOut, writer: StoreWriter, tally: EmbedTally) -> None:
    """Have an upload written and counted; pictures come here before whatever else shows them."""
    if isinstance(taken, LeftOut):
        tally.leave_out(taken)
        return
    if taken.picture is not None and writer.add_picture(taken.picture):
        tally.encoded += taken.picture.reason is None
    _count(Counter([writer.add_upload(taken.upload)]), tally)
    known = taken.upload.sha256 and writer.pictures.reason(taken.upload.sha256)
    tally.add(taken, reason=taken.upload.reason or known)


def _count(added: Counter[Added], tally: EmbedTally) -> None:
    tally.added += added[Added.NEW]
    tally.other_slices += added[Added.OTHER_SLICES]


class _Worker:
    """Embeds one upload; several at once, on one event loop."""

    def __init__(self, pipeline: Pipeline, embedding: Embedding, writer: StoreWriter) -> None:
        self._pipeline = pipeline
        self._embedding = embedding
        self._writer = writer
        self._reading = Reading(limit=embedding.limits.max_image_bytes)
        # Pictures at work, by digest. Whoever shows one waits for it, so that it is written before whatever shows it.
        self._trying: dict[str, asyncio.Future[PictureRecord]] = {}

    async def take(self, item: Found | LeftOut) -> Taken | LeftOut:
        """Read an upload's file, and embed it unless its picture is known."""
        if isinstance(item, LeftOut):
            return item
        try:
            async with self._reading.read(item.file) as data:
                return data if isinstance(data, LeftOut) else await self._see(item, data)
        except ImageError as error:  # only that it is larger than what is read at all
            return _unread(item, error.reason, str(error))
        except OSError as error:
            message = f"the file cannot be read: {error.strerror or error}"
            return _unread(item, FILE_UNREADABLE, message)

    async def _see(self, item: Found, data: bytes) -> Taken:
        digest = await asyncio.to_thread(lambda: sha256(data).hexdigest())
        upload = replace(item.upload, sha256=digest)
        if digest in self._writer.pictures:
            return Taken(name=item.file.name, upload=upload)
        if digest not in self._trying:
            self._trying[digest] = asyncio.ensure_future(self._picture(digest, data))
        return Taken(name=item.file.name, upload=upload, picture=await self._trying[digest])

    def forget(self, taken: Taken | LeftOut) -> None:
        """Let go of a picture that the writer has."""
        if isinstance(taken, Taken) and taken.picture is not None:
            self._trying.pop(taken.picture.sha256, None)

    async def _picture(self, digest: str, data: bytes) -> PictureRecord:
        try:
            return PictureRecord.of(digest, await self._pipeline.embed(data, self._embedding.plan))
        except (ImageError, EncoderError) as error:
            return PictureRecord(sha256=digest, reason=error.reason, detail=str(error))


def _unread(item: Found, reason: str, detail: str) -> Taken:
    return Taken(name=item.file.name, upload=replace(item.upload, reason=reason, detail=detail))
