"""What lint says of scale: a folder's pictures embedded, and beside a policy's findings what its lines do to them."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from clipwarden.cli.inputs import Input, find_inputs
from clipwarden.cli.judges import WORTH_BATCHING
from clipwarden.cli.loading import progress_bar
from clipwarden.engine.in_order import in_order
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.scale import shipped_pictures
from clipwarden.engine.settings import AT_ONCE, EngineSettings
from clipwarden.errors import ConfigError, ImageError, Problem
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.scale import LineUse, Pictures, Scale, measure
from clipwarden.scoring.scalewords import SHIPPED_ADVICE, describe, place_of, scale_problems
from clipwarden.scoring.tables import prepare
from clipwarden.terminal import notice, printable, stdout
from clipwarden.textfiles.findings import Positions
from clipwarden.vision.plan import WHOLE

NAMED = 5
"""Pictures left out that are named; the others are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _LeftOut:
    """A picture that could not be embedded, and why."""

    name: str
    error: str


class ScaleNotes:
    """Tries policies on pictures: warnings first, then a note for each category's lines, which nothing fails on.

    Args:
        model: That embedded the pictures.
        pictures: To try them on.
    """

    def __init__(self, model: Model, pictures: Pictures) -> None:
        self._model = model
        self._pictures = pictures
        self._tried: list[tuple[Scale, Positions]] = []

    def look(self, compiled: CompiledPolicy, positions: Positions) -> Sequence[Problem]:
        """Try one policy; return what is wrong with its scale. A bundle of another model is passed over."""
        if compiled.fingerprint != self._model.fingerprint:
            return ()
        scale = measure(prepare(compiled), self._pictures)
        self._tried.append((scale, positions))
        return scale_problems(scale, positions)

    def show(self, *, as_json: bool) -> None:
        """Print the notes on all policies that were tried."""
        for scale, positions in self._tried:
            for use in scale.lines:
                _show_note(use, scale, positions, as_json=as_json)
        if self._pictures.shipped and any(scale.lines for scale, _ in self._tried):
            notice(SHIPPED_ADVICE)


def scale_notes(model: Model, folder: str | None, *, as_json: bool) -> ScaleNotes | None:
    """Find what policies are to be tried on.

    Args:
        model: Sees.
        folder: With pictures, folders inside included; None takes the drawings that ship with the model.
        as_json: Whether pictures that cannot be read are told as a line of JSON.

    Returns:
        None where there is neither a folder nor such drawings.

    Raises:
        ConfigError: The folder holds no picture that can be read.
    """
    pictures = shipped_pictures(model) if folder is None else _pictures_in(folder, model, as_json=as_json)
    return None if pictures is None else ScaleNotes(model, pictures)


def _pictures_in(folder: str, model: Model, *, as_json: bool) -> Pictures:
    inputs = find_inputs([folder], recursive=True).inputs
    embedded, left_out = asyncio.run(_embed_all(model, inputs))
    if left_out:
        _tell_left_out(left_out, len(inputs), as_json=as_json)
    if not embedded:
        raise ConfigError(f"No picture in {folder} can be read.")
    return Pictures.of(embedded)


def _show_note(use: LineUse, scale: Scale, positions: Positions, *, as_json: bool) -> None:
    place = place_of(use, positions)
    if as_json:
        note = {"file": positions.file, "line": place.line, "column": place.column, "severity": "note"}
        print(json.dumps(note | _facts(use, scale)))  # noqa: T201  results go to stdout
        return
    where = f"{positions.file}:{place.line}:{place.column}:" if place.line else f"{positions.file}:"
    text = Text.assemble((printable(where), "bold"), " ", ("note:", "cyan"), " ", printable(describe(use, scale)))
    stdout().print(text, soft_wrap=True)


def _facts(use: LineUse, scale: Scale) -> dict[str, object]:
    return {
        "code": "line-use",
        "message": describe(use, scale),
        "category": use.category.id,
        "mode": use.mode,
        "context": use.context,
        "bounds": asdict(use.bounds),
        "in_force": use.in_force,
        "pictures": "shipped" if scale.pictures.shipped else "given",
        "neutral": asdict(use.neutral),
        "showing": asdict(use.showing),
        "highest": use.highest,
        "top": [{"name": name, "score": score} for name, score in use.top],
    }


def _tell_left_out(left_out: Sequence[_LeftOut], total: int, *, as_json: bool) -> None:
    message = f"{len(left_out)} of {total} pictures cannot be read and are left out"
    if as_json:
        facts = {"severity": "note", "code": "pictures-left-out", "message": f"{message}."}
        print(json.dumps(facts | {"left_out": [asdict(each) for each in left_out]}))  # noqa: T201  as above
        return
    named = ", ".join(f"{each.name} ({each.error})" for each in left_out[:NAMED])
    more = f", and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    notice(printable(f"{message}: {named}{more}."))


async def _embed_all(
    model: Model, inputs: Sequence[Input]
) -> tuple[dict[str, NDArray[np.float32]], Sequence[_LeftOut]]:
    settings = EngineSettings(max_batch=1 if len(inputs) < WORTH_BATCHING else 0).without_queue_limits()
    embedded: dict[str, NDArray[np.float32]] = {}
    left_out: list[_LeftOut] = []
    async with Pipeline(model, settings) as pipeline:
        one = partial(_embed_one, pipeline, settings.limits.max_bytes)
        with progress_bar("Embedding pictures") as advance:
            async with aclosing(in_order(inputs, one, width=AT_ONCE)) as results:
                async for name, result in results:
                    if isinstance(result, str):
                        left_out.append(_LeftOut(name=name, error=result))
                    else:
                        embedded[name] = result
                    advance(len(embedded) + len(left_out), len(inputs))
    return embedded, left_out


async def _embed_one(pipeline: Pipeline, max_bytes: int, item: Input) -> tuple[str, NDArray[np.float32] | str]:
    """Return a picture's name and its views `[V,D]`, or why it has none."""
    try:
        data = await asyncio.to_thread(item.read, limit=max_bytes)
        return item.name, (await pipeline.embed(data, WHOLE)).embeddings
    except ImageError as error:
        return item.name, str(error)
    except OSError as error:
        return item.name, error.strerror or str(error)
