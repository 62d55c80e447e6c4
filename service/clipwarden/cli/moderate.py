"""clipwarden moderate: names of files and folders in, their verdicts printed, in the order of the names."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from clipwarden.cli.exits import Exit
from clipwarden.cli.inputs import Input, find_inputs
from clipwarden.cli.judges import Judge, load_for, open_judge
from clipwarden.cli.loading import progress_bar
from clipwarden.cli.options import Asked
from clipwarden.cli.outcome import NotJudgedError, Outcome
from clipwarden.cli.report import Report, make_report
from clipwarden.engine.in_order import in_order
from clipwarden.engine.snapshot import Snapshot
from clipwarden.terminal import notice

FILE_UNREADABLE = "FILE_UNREADABLE"
"""Reason, in JSON and table, of a file that this process could not read; no server has ever seen it."""


def moderate_files(files: Sequence[str], asked: Asked, *, recursive: bool, as_json: bool, explain: bool) -> Exit:
    """Judge images and print what became of them.

    Args:
        files: Files, folders, or `-`.
        asked: How to judge.
        recursive: Whether to look into folders inside folders.
        as_json: Print JSON lines.
        explain: Print every image in full.

    Returns:
        The highest exit code of all images.

    Raises:
        ClipwardenError: Not every image was tried; what was judged is printed all the same.
    """
    found = find_inputs(files, recursive=recursive)
    report = make_report(as_json=as_json, explain=explain)
    try:
        asyncio.run(_judge_all(found.inputs, asked, load_for(asked), report))
    finally:
        # What was judged before Ctrl-C or before the server went away is still worth seeing.
        report.finish()
    if found.folders_left_out:
        notice(f"Folders not looked into: {found.folders_left_out}. Add --recursive to judge what they hold.")
    return report.tally.exit


async def _judge_all(inputs: Sequence[Input], asked: Asked, snapshot: Snapshot | None, report: Report) -> None:
    async with (
        open_judge(asked, snapshot, images=len(inputs)) as judge,
        aclosing(in_order(inputs, partial(_judge_one, judge), width=judge.width)) as outcomes,
    ):
        with progress_bar("Judging") as advance:
            done = 0
            async for outcome in outcomes:
                report.add(outcome)
                done += 1
                # A bar for one image would only flicker.
                advance(done, len(inputs) if len(inputs) > 1 else 0)


async def _judge_one(judge: Judge, item: Input) -> Outcome:
    try:
        data = await asyncio.to_thread(item.read, limit=judge.max_bytes)
        return Outcome(name=item.name, moderation=await judge.judge(data))
    except NotJudgedError as error:
        return Outcome(name=item.name, error=error)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        return Outcome(name=item.name, error=NotJudgedError(message, code="UNKNOWN", reason=FILE_UNREADABLE))
