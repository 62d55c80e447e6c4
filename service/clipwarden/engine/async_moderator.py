"""Judge images in this process, on the event loop of whoever asks; `moderator` is the same for programs without one."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from clipwarden.engine.forks import forget_in_children, keep_for_ever
from clipwarden.engine.images import ImageSource, name_of, read_source, require_several
from clipwarden.engine.in_order import in_order
from clipwarden.engine.moderator_options import ModeratorOptions, moderator_options
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.settings import AT_ONCE, EngineSettings
from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import ClipwardenError, RequestError, ShuttingDownError
from clipwarden.modelfolder.load import EMBEDDED_MODEL
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.vision.plan import WHOLE, ViewPlan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageResult:
    """What became of one image of several: exactly one of `judged` and `error`.

    Attributes:
        source: The image, as it was given.
        judged: The verdict and what it was made from, or None.
        error: Why there is no verdict, or None. Not raised, so that one bad image spoils no other.
    """

    source: ImageSource
    judged: Judged | None = None
    error: ClipwardenError | OSError | None = None

    def __repr__(self) -> str:
        """Say it in a line, whatever the source holds."""
        return f"<ImageResult {self.name}: {self.judged or self.error!r}>"

    @property
    def name(self) -> str:
        """The image's path, or what it is."""
        return name_of(self.source)

    def unwrap(self) -> Judged:
        """Return the verdict, or raise the error.

        Raises:
            ClipwardenError: There is no verdict on this image.
            OSError: It could not be read.
        """
        if self.judged is None:
            raise self.error or ClipwardenError("there is no result")
        return self.judged


async def _close(opening: asyncio.Task[tuple[Snapshot, Pipeline]]) -> None:
    opening.cancel()
    await asyncio.wait({opening})
    if not opening.cancelled() and opening.exception() is None:
        await opening.result()[1].close()


class AsyncModerator:
    """Judges images in this process, on one event loop.

    The model is loaded at first use, or by `async with`; a copy in another process, forked or unpickled, loads its own.
    Safe to share between tasks of the loop that used it first; while that loop lives, another one needs its own.

    Args:
        model: Model folder, or "mini" for the embedded model.
        policies: Policy files, bundles, or names of shipped policies; none takes the shipped one that suits the model.
            The first one is the default.
        provider: onnxruntime execution provider.
        encoder_threads: Of a run of the image encoder; None takes 1, and as many runs at once as there are CPUs.
        vector_cache: Whether to keep the vectors of policy texts in the user's cache folder, as servers do.
        settings: Limits and threads; its queue bounds are not used, since nothing waits here but what the caller gave.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        policies: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        *,
        provider: str = CPU_PROVIDER,
        encoder_threads: int | None = None,
        vector_cache: bool = True,
        settings: EngineSettings | None = None,
    ) -> None:
        self.__setstate__(
            moderator_options(
                model,
                policies,
                provider=provider,
                encoder_threads=encoder_threads,
                vector_cache=vector_cache,
                settings=settings,
            )
        )

    @classmethod
    def made_with(cls, options: ModeratorOptions) -> Self:
        """Make one as another moderator was made, unopened."""
        moderator = cls.__new__(cls)
        moderator.__setstate__(options)
        return moderator

    def __getstate__(self) -> ModeratorOptions:
        """Leave sessions and threads behind; they belong to this process."""
        return self._options

    def __setstate__(self, options: ModeratorOptions) -> None:
        """Start unopened."""
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[tuple[Snapshot, Pipeline]] | None = None
        forget_in_children(self)

    def forget(self) -> None:
        """Start unopened in a forked child, where the threads behind it are missing."""
        # Tasks that nobody can end would complain if they were let go.
        keep_for_ever((self._loop, self._opening))
        self._loop = self._opening = None

    async def __aenter__(self) -> Self:
        """Load the model and the policies now."""
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Stop; what is at work, or loading, fails with ShuttingDownError. The next use opens it again."""
        self._take_loop()
        opening, self._opening = self._opening, None
        if opening is not None:
            # A task of its own, which goes on when whoever closes is cancelled.
            await asyncio.shield(asyncio.create_task(_close(opening)))

    async def snapshot(self) -> Snapshot:
        """Return the model and the policies, loading them if need be."""
        return (await self._open())[0]

    async def moderate(self, image: ImageSource, *, policy: str | None = None, context: str | None = None) -> Judged:
        """Judge one image.

        Args:
            image: A path, the encoded bytes, or a file opened for reading bytes.
            policy: Id of a loaded policy; None takes the default.
            context: A context that the policy declares, or None.

        Returns:
            The verdict and everything it rests on.

        Raises:
            ImageError: It cannot be judged as an image, or ends too early and the policy refuses that.
            RequestError: No such policy or context.
            ShuttingDownError: It was closed meanwhile.
            ClipwardenError: The model or a policy cannot be loaded, or the encoder failed.
            OSError: The path cannot be read.
            TypeError: It is none of the things that an image may be.
        """
        snapshot, pipeline = await self._open()
        selection = snapshot.select(policy, context)
        return await pipeline.moderate(await self._read(image), selection)

    async def moderate_many(
        self,
        images: Iterable[ImageSource] | AsyncIterable[ImageSource],
        *,
        policy: str | None = None,
        context: str | None = None,
        at_once: int = AT_ONCE,
    ) -> AsyncGenerator[ImageResult, None]:
        """Judge images as they come, several at a time; neither they nor the results are ever held all at once.

        Args:
            images: Any number, even endless.
            policy: As for `moderate`.
            context: As for `moderate`.
            at_once: Most images at work or waiting to be taken from here; at least 1.

        Yields:
            A result an image, in the order of the images.

        Raises:
            RequestError: No such policy or context.
            ClipwardenError: The model or a policy cannot be loaded.
            TypeError: It is one image, or the path of a folder, in the place of several images; or one of them is no
                image at all, which is the program's fault and no image's.
        """
        require_several(images)
        (await self.snapshot()).select(policy, context)
        one = partial(self.result, policy=policy, context=context)
        async with aclosing(in_order(images, one, width=at_once)) as results:
            async for result in results:
                yield result

    async def result(self, image: ImageSource, *, policy: str | None = None, context: str | None = None) -> ImageResult:
        """Judge one image of several, whose errors are no reason to stop; arguments as for `moderate`.

        Raises:
            RequestError: No such policy or context, which spoils every image.
            ShuttingDownError: Likewise, it was closed.
        """
        try:
            return ImageResult(source=image, judged=await self.moderate(image, policy=policy, context=context))
        except (RequestError, ShuttingDownError):
            raise
        except (ClipwardenError, OSError) as error:
            return ImageResult(source=image, error=error)

    async def embed(self, image: ImageSource, *, plan: ViewPlan = WHOLE) -> EmbeddedImage:
        """Embed one image, to be judged later by any policy for this model; arguments and errors as `moderate`.

        Of a file that ends too early it embeds the rows that are there: whether they are judged is the policy's to say.
        """
        _, pipeline = await self._open()
        return await pipeline.embed(await self._read(image), plan)

    async def judge(self, image: EmbeddedImage, *, policy: str | None = None, context: str | None = None) -> Judged:
        """Judge an image that was embedded before.

        Args:
            image: From `embed`, of this model.
            policy: As for `moderate`.
            context: As for `moderate`.

        Returns:
            As `moderate`.

        Raises:
            FingerprintMismatchError: The image was embedded by another model.
            ClipwardenError: As `moderate`.
        """
        snapshot, pipeline = await self._open()
        return await pipeline.judge(image, snapshot.select(policy, context))

    async def _read(self, image: ImageSource) -> bytes:
        return await asyncio.to_thread(read_source, image, limit=self._options.settings.limits.max_image_bytes)

    async def _open(self) -> tuple[Snapshot, Pipeline]:
        """Load and start what this process and loop have not yet; callers that come meanwhile wait for the same."""
        self._take_loop()
        if self._opening is None:
            self._opening = asyncio.create_task(self._start())
            self._opening.add_done_callback(self._note_opened)
        opening = self._opening
        try:
            # Shielded: a caller that gives up must not take the others' model with it.
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if opening.cancelled() and not (own and own.cancelling()):
                raise ShuttingDownError("the moderator was closed while it was loading") from None
            raise

    def _take_loop(self) -> None:
        """Belong to the running loop, unless another one that lives has opened it."""
        loop = asyncio.get_running_loop()
        if self._opening is not None and self._loop is not None and self._loop is not loop:
            if not self._loop.is_closed():
                raise RuntimeError(
                    "an AsyncModerator belongs to the event loop that used it first; make one for each loop"
                )
            self._opening = None
        self._loop = loop

    async def _start(self) -> tuple[Snapshot, Pipeline]:
        snapshot = await asyncio.to_thread(self._options.load)
        pipeline = Pipeline(snapshot.model, self._options.settings)
        try:
            await pipeline.start()
        except BaseException:
            await pipeline.close()
            raise
        return snapshot, pipeline

    def _note_opened(self, opening: asyncio.Task[tuple[Snapshot, Pipeline]]) -> None:
        # Asked for here too, since whoever asked for it may have left.
        failed = opening.cancelled() or opening.exception() is not None
        if failed and self._opening is opening:
            self._opening = None  # the next use tries again
