"""A model and a folder of pictures in; what a policy's lines do to them out, as findings beside lint's own."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clipwarden.cli.exits import Exit
from clipwarden.cli.inputs import Item, Search, find_items
from clipwarden.cli.leftovers import LeftOut
from clipwarden.cli.loading import progress_bar
from clipwarden.cli.reading import Reading
from clipwarden.engine.in_order import in_order
from clipwarden.engine.linefindings import (
    SHIPPED_ADVICE,
    holds_for_shipped,
    line_notes,
    scale_problems,
    shipped_pictures,
)
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.settings import AT_ONCE, EngineSettings
from clipwarden.errors import ConfigError, ImageError, Problem, Severity
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import OnTruncated
from clipwarden.scoring.lineuse import Pictures, measure
from clipwarden.scoring.tables import prepare
from clipwarden.textfiles.findings import Positions
from clipwarden.vision.plan import ViewPlan

CUT = "ends too early, which the policy refuses (on_truncated)"
NAMED = 5
"""Pictures left out that are named; the others are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unread:
    """A picture that could not be embedded, or what may be one and was not looked at, and why."""

    name: str
    error: str


@dataclass(kw_only=True, slots=True)
class _Embedded:
    """A folder's pictures, while they come.

    Attributes:
        views: By name, `[V,D]`; equal files once, under the first name.
        left_out: That cannot be read.
        aside: What is or may hold pictures, and was not looked at.
        copies: Names of those that are, byte by byte, what another is.
        cut: As `views`, those that end too early, which a policy judges or refuses (`on_truncated`).
    """

    views: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    left_out: list[_Unread] = field(default_factory=list)
    aside: list[_Unread] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    cut: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        """How many pictures there are."""
        return len(self.views) + len(self.left_out) + len(self.copies) + len(self.cut)

    def add(self, name: str, result: EmbeddedImage | LeftOut | str) -> None:
        """Take one picture, or why it cannot be read; or what is none."""
        if isinstance(result, LeftOut):
            if result.kind.exit != Exit.OK:
                self.aside.append(_Unread(name=name, error=result.kind.label))
            return
        if isinstance(result, str):
            self.left_out.append(_Unread(name=name, error=result))
            return
        digest = result.facts.file.sha256 if result.facts.file else name
        if digest in self._seen:
            self.copies.append(name)
        else:
            self._seen.add(digest)
            (self.views if result.facts.share_shown == 1 else self.cut)[name] = result.embeddings


class _Folder:
    """The pictures of a folder, embedded once for each view plan that a policy has.

    Args:
        model: That sees them.
        name: The folder's.
    """

    def __init__(self, model: Model, name: str) -> None:
        self.name = name
        self._model = model
        self._items = tuple(find_items([name], Search(recursive=True, follow_links=True)))
        self._seen: dict[ViewPlan, _Embedded] = {}

    def seen(self, plan: ViewPlan) -> _Embedded:
        """Embed them, unless they are.

        Raises:
            ConfigError: None of them can be read.
        """
        if plan not in self._seen:
            embedded = asyncio.run(_embed_all(self._model, self._items, plan))
            if not embedded.views and not embedded.cut:
                raise ConfigError(_nothing_in(self.name, embedded))
            self._seen[plan] = embedded
        return self._seen[plan]

    @property
    def any_seen(self) -> _Embedded | None:
        """What became of them under the first of the plans: which files can be read depends on none."""
        return next(iter(self._seen.values()), None)


class Trial:
    """Tries policies on pictures: what looks wrong of their lines, and a note on each, which nothing fails on.

    Args:
        pictures: To try them on: the drawings that ship with the model, or a folder's.
    """

    def __init__(self, pictures: Pictures | _Folder) -> None:
        self._pictures = pictures
        self._tried = False
        self._refused_cut = False

    @property
    def about_pictures(self) -> Sequence[Problem]:
        """Notes on the pictures themselves, once the policies were tried."""
        pictures = self._pictures
        if isinstance(pictures, Pictures) or (embedded := pictures.any_seen) is None:
            return ()
        return _about(embedded, pictures.name, refused_cut=self._refused_cut)

    @property
    def advice(self) -> str:
        """What to keep in mind of what was found; empty where there is nothing."""
        return SHIPPED_ADVICE if self._tried and isinstance(self._pictures, Pictures) else ""

    def look(self, compiled: CompiledPolicy, positions: Positions) -> Sequence[Problem]:
        """Try one policy of the model's.

        Raises:
            ConfigError: No picture of the folder can be read.
        """
        pictures = self._pictures_for(compiled)
        if pictures is None:
            return ()
        scale = measure(prepare(compiled), pictures)
        self._tried = self._tried or bool(scale.lines)
        return (*scale_problems(scale, positions), *line_notes(scale, positions))

    def _pictures_for(self, compiled: CompiledPolicy) -> Pictures | None:
        """Take the pictures that a policy judges, if any: those that end too early as its `on_truncated` says."""
        plan = compiled.policy.plan
        if isinstance(self._pictures, Pictures):
            return self._pictures if holds_for_shipped(plan) else None
        found = self._pictures.seen(plan)
        refuses = compiled.policy.on_truncated is OnTruncated.REFUSE
        self._refused_cut = self._refused_cut or refuses
        views = found.views if refuses else found.views | found.cut
        return Pictures.of(views) if views else None


def trial_on(model: Model, folder: str | None) -> Trial | None:
    """Find what policies are to be tried on.

    Args:
        model: Sees.
        folder: With pictures, folders inside included; None takes the drawings that ship with the model.

    Returns:
        None where there is neither a folder nor such drawings.

    Raises:
        ConfigError: There is no such folder.
    """
    if folder is None:
        pictures = shipped_pictures(model)
        return None if pictures is None else Trial(pictures)
    return Trial(_Folder(model, folder))


def _nothing_in(folder: str, embedded: _Embedded) -> str:
    if embedded.left_out:
        return f"No picture in {folder} can be read: {_named(embedded.left_out)}."
    aside = f" that is looked at; left out: {_named(embedded.aside)}" if embedded.aside else ""
    return f"There is no picture in {folder}{aside}."


def _about(embedded: _Embedded, folder: str, *, refused_cut: bool) -> Sequence[Problem]:
    total = embedded.total
    note = partial(Problem, file=folder, line=0, column=0, severity=Severity.NOTE)
    found: list[Problem] = []
    cut = [_Unread(name=name, error=CUT) for name in embedded.cut] if refused_cut else []
    if left_out := [*embedded.left_out, *cut]:
        message = f"{len(left_out)} of {total} pictures cannot be read and are left out: {_named(left_out)}."
        facts: dict[str, object] = {"left_out": [asdict(each) for each in left_out]}
        found.append(note(message=message, code="pictures-left-out", facts=facts))
    if aside := embedded.aside:
        message = f"{len(aside)} beside the pictures were not looked at: {_named(aside)}."
        found.append(note(message=message, code="not-looked-at", facts={"left_out": [asdict(each) for each in aside]}))
    if copies := embedded.copies:
        message = f"{len(copies)} of {total} pictures are copies, byte by byte, of others and are not counted again."
        found.append(note(message=message, code="pictures-copied", facts={"copies": copies}))
    return found


def _named(unread: Sequence[_Unread]) -> str:
    named = ", ".join(f"{each.name} ({each.error})" for each in unread[:NAMED])
    return f"{named}, and {len(unread) - NAMED} more" if len(unread) > NAMED else named


async def _embed_all(model: Model, items: Sequence[Item], plan: ViewPlan) -> _Embedded:
    settings = EngineSettings().without_queue_limits()
    embedded = _Embedded()
    async with Pipeline(model, settings) as pipeline:
        one = partial(_embed_one, pipeline, plan, Reading(limit=settings.limits.max_image_bytes))
        with progress_bar("Embedding pictures") as advance:
            async with aclosing(in_order(items, one, width=AT_ONCE)) as results:
                number = 0
                async for name, result in results:
                    embedded.add(name, result)
                    number += 1
                    advance(number, len(items))
    return embedded


async def _embed_one(
    pipeline: Pipeline, plan: ViewPlan, reading: Reading, item: Item
) -> tuple[str, EmbeddedImage | LeftOut | str]:
    """Return a picture's name and what the model sees, or why it sees nothing."""
    if isinstance(item, LeftOut):
        return item.name, item
    try:
        async with reading.read(item) as data:
            return item.name, data if isinstance(data, LeftOut) else await pipeline.embed(data, plan)
    except ImageError as error:
        return item.name, str(error)
    except OSError as error:
        return item.name, error.strerror or str(error)
