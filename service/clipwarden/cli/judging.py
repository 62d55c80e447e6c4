"""What the user named in; each image judged and shown, in the order of the names, and the exit code out."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from clipwarden.cli.exits import Exit
from clipwarden.cli.inputs import Item, Search, find_items
from clipwarden.cli.judges import Judge, load_for, open_judge
from clipwarden.cli.leftovers import LeftOut
from clipwarden.cli.loading import progress_bar
from clipwarden.cli.options import JudgeOptions
from clipwarden.cli.outcome import NotJudgedError, Outcome
from clipwarden.cli.reading import Reading
from clipwarden.cli.report import Report
from clipwarden.engine.in_order import in_order
from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import ConfigError, ImageError
from clipwarden.v1 import moderation_pb2 as v1

Draw = Callable[[bytes, v1.Moderation], None]

FILE_UNREADABLE = "FILE_UNREADABLE"
"""Reason, in JSON and table, of a file that this process could not read; no server has ever seen it."""

FOUND_AT_ONCE = 1000
"""Names between two moves of the progress bar, each of which takes 28 us where finding a name takes 8 (measured)."""


def judge_files(
    names: Sequence[str], search: Search, options: JudgeOptions, report: Report, *, picture: Path | None = None
) -> Exit:
    """Find, judge and show; what was judged is shown even where not every image could be tried.

    Args:
        names: Files, folders, or `-`.
        search: How far to look inside folders.
        options: How to judge.
        report: Shows and counts.
        picture: Where to draw what was found in the only image; None draws nothing.

    Returns:
        The highest code that applies.

    Raises:
        ClipwardenError: A name stands for nothing, there is nothing to judge, or no more can be judged.
    """
    items = _find(names, search, limit=options.limits.max_image_bytes)
    if picture is not None and len(items) != 1:
        raise ConfigError(f"--picture shows one image, and {len(items):,} are named.")
    if picture is not None and picture.exists():
        _check_not_judged(picture, items[0])
    report.tally.expect(names)
    try:
        _judge_and_show(items, options, report, picture)
        for folder in report.tally.empty_folders():
            report.add(_left_out(folder))
    except BrokenPipeError:
        # Nobody is left to tell.
        raise
    except BaseException:
        # What was judged before Ctrl-C or before the server went away is still worth seeing.
        report.finish(complete=False)
        raise
    report.finish()
    tally = report.tally
    if not tally.counts and tally.exit < Exit.LEFT_OUT:
        raise ConfigError(f"There are no images in {', '.join(names)}.")
    return tally.exit


def _check_not_judged(picture: Path, item: Item) -> None:
    """Refuse to draw over the upload that is judged, by whatever name: it may be evidence."""
    path = Path(item.name)
    if path.exists() and path.samefile(picture):
        raise ConfigError(f"--picture {picture} is the image that is judged, and would be lost: write another name.")


def _find(names: Sequence[str], search: Search, *, limit: int) -> Sequence[Item]:
    """Find all there is, so that it is known how many; no more than names."""
    items: list[Item] = []
    with progress_bar("Finding files") as advance:
        for item in find_items(names, search, limit=limit):
            items.append(item)
            if len(items) % FOUND_AT_ONCE == 0:
                advance(len(items), len(items))
    return items


def _judge_and_show(items: Sequence[Item], options: JudgeOptions, report: Report, picture: Path | None) -> None:
    left_out = [item for item in items if isinstance(item, LeftOut)]
    if len(left_out) < len(items):
        draw = None if picture is None else partial(_draw, picture, options)
        asyncio.run(_judge_all(items, options, load_for(options), report, draw))
    else:
        # That takes no model.
        for item in left_out:
            report.add(_left_out(item))


async def _judge_all(
    items: Sequence[Item], options: JudgeOptions, snapshot: Snapshot | None, report: Report, draw: Draw | None
) -> None:
    async with (
        open_judge(options, snapshot) as judge,
        aclosing(
            in_order(items, partial(_judge_one, judge, Reading(limit=judge.max_bytes), draw), width=judge.width)
        ) as outcomes,
    ):
        with progress_bar("Judging") as advance:
            done = 0
            async for outcome in outcomes:
                report.add(outcome)
                done += 1
                # A bar for one image would only flicker.
                advance(done, len(items) if len(items) > 1 else 0)


async def _judge_one(judge: Judge, reading: Reading, draw: Draw | None, item: Item) -> Outcome:
    if isinstance(item, LeftOut):
        return _left_out(item)
    try:
        async with reading.read(item) as data:
            if isinstance(data, LeftOut):
                return _left_out(data)
            moderation = await judge.judge(data)
            if draw is not None:
                draw(data, moderation)
            return Outcome(name=item.name, moderation=moderation)
    except ImageError as error:
        return Outcome(name=item.name, error=await judge.refuse(error))
    except NotJudgedError as error:
        return Outcome(name=item.name, error=_without_trace(error))
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        return Outcome(name=item.name, error=NotJudgedError(message, code="UNKNOWN", reason=FILE_UNREADABLE))


def _draw(path: Path, options: JudgeOptions, data: bytes, moderation: v1.Moderation) -> None:
    # Late: whoever draws nothing need not wait for it.
    from clipwarden.cli.picture import write_picture

    try:
        write_picture(path, data, moderation, options.limits)
    except OSError as error:
        raise ConfigError(f"--picture {path}: it cannot be written: {error.strerror or error}.") from error


def _without_trace(error: NotJudgedError) -> NotJudgedError:
    """Let go of where an error came from: its frames hold the file, and outcomes wait for their turn to be shown."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def _left_out(item: LeftOut) -> Outcome:
    return Outcome(name=item.name, left_out=item)
