"""Sources and what they are in; a store made of them, or gone on with, and what a run says at its end, out."""

import asyncio
import json
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

from clipwarden.cli.embedding import Embedding, embed_all
from clipwarden.cli.embedprogress import Advance, in_words, upload_progress
from clipwarden.cli.embedsources import Sources
from clipwarden.cli.embedtally import EmbedTally
from clipwarden.cli.exits import Exit
from clipwarden.cli.leftovers import LeftOut
from clipwarden.cli.loading import notice_findings
from clipwarden.cli.storefacts import store_record
from clipwarden.engine.snapshot import load_seeing_model
from clipwarden.errors import ConfigError
from clipwarden.machine import prepare_process
from clipwarden.modelfolder.load import EMBEDDED_MODEL, Model
from clipwarden.terminal import notice, printable, stdout
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.store.storefile import STORE_NAME, Charter, read_charter
from clipwarden.tuning.store.writing import StoreWriter, writing
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.plan import ViewPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Purpose:
    """What the uploads are said to be.

    Attributes:
        source: Traffic, a set or a queue.
        since: First day of traffic (UTC); None of all else.
        until: Last day, inclusive.
    """

    source: Source
    since: date | None = None
    until: date | None = None

    @classmethod
    def of(cls, store: Path, *, traffic: bool, chosen: bool, queue: bool, since: str | None, until: str | None) -> Self:
        """Read what the user said; where that is nothing, a store that is there stays what it is, and others are sets.

        Raises:
            ConfigError: The options contradict one another.
            StoreError: The store that is there cannot be read.
        """
        if traffic + chosen + queue > 1:
            raise ConfigError("--traffic, --set and --queue exclude one another: uploads are one of them.")
        if traffic and (since is None or until is None):
            raise ConfigError("--traffic needs --from DAY and --to DAY: the days whose uploads these are.")
        if not traffic and (since is not None or until is not None):
            raise ConfigError("--from and --to make sense with --traffic only.")
        if traffic:
            return cls(source=Source.TRAFFIC, **_days(since or "", until or ""))
        if chosen or queue or not (store / STORE_NAME).exists():
            return cls(source=Source.QUEUE if queue else Source.SET)
        had = read_charter(store)
        return cls(source=had.source, since=had.since, until=had.until)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedOptions:
    """How the user wants images embedded.

    Attributes:
        model: Model folder; None takes the embedded model.
        provider: onnxruntime execution provider.
        plan: Which views are looked at.
        limits: Files that are refused.
        at_once: Uploads at work at the same time.
    """

    model: str | None
    provider: str
    plan: ViewPlan
    limits: DecodeLimits
    at_once: int


def run(sources: Sources, output: Path, purpose: Purpose, options: EmbedOptions, *, as_json: bool) -> Exit:
    """Embed all that is not in the store yet.

    Returns:
        The highest code that applies.

    Raises:
        ClipwardenError: There is nothing to embed, or no more can be.
    """
    started, tally = time.monotonic(), EmbedTally()
    total = _count(sources, tally)
    for manifest, columns in sources.ignored():
        notice(printable(f"{manifest}: nothing reads the columns {', '.join(columns)}."))
    prepare_process()
    name = options.model or EMBEDDED_MODEL
    model = load_seeing_model(name, provider=options.provider, threads=None, on_findings=notice_findings)
    sight = _sight(model, options.plan)
    charter = Charter(source=purpose.source, since=purpose.since, until=purpose.until, sight=sight)
    embedding = Embedding(model=model, plan=options.plan, limits=options.limits, at_once=options.at_once)
    try:
        with writing(output, charter) as writer, upload_progress("Embedding", total) as advance:
            asyncio.run(_until_told(sources, embedding, writer, tally, advance))
    except KeyboardInterrupt:
        notice(f"{tally.uploads:,} of {total:,} are done and kept; the same command goes on with the others.")
        raise
    if not tally.uploads:
        return _nothing(sources, tally)
    _tell(open_store(output), tally, time.monotonic() - started, as_json=as_json)
    return tally.exit


def _sight(model: Model, plan: ViewPlan) -> Sight:
    return Sight(
        model=model.manifest.name,
        fingerprint=model.fingerprint,
        provider=model.runtime.provider,
        precision=model.manifest.precision,
        plan=plan,
        width=model.manifest.dim,
    )


def _days(since: str, until: str) -> dict[str, date]:
    days = {"since": _day("--from", since), "until": _day("--to", until)}
    if days["until"] < days["since"]:
        raise ConfigError(f"--to {until} lies before --from {since}.")
    return days


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"{option} has to be a day such as 2026-10-01, not {text!r}.") from exc


def _count(sources: Sources, tally: EmbedTally) -> int:
    """Find all there is, so that mistakes show before anything takes long, and it is known how many there are.

    Raises:
        ConfigError: There is nothing to embed.
    """
    total = uploads = 0
    for item in sources.find():
        total += 1
        uploads += not isinstance(item, LeftOut)
    if not uploads:
        for item in sources.find():
            if isinstance(item, LeftOut):
                tally.leave_out(item)
        for line in tally.left_out.lines():
            notice(printable(line))
        raise ConfigError(f"There are no images in {', '.join(sources.names)}.")
    return total


async def _until_told(
    sources: Sources, embedding: Embedding, writer: StoreWriter, tally: EmbedTally, advance: Advance
) -> None:
    """Embed until all is done, or SIGTERM ends it as Ctrl-C does: what is done is written in either case."""
    work = asyncio.ensure_future(embed_all(sources.find(), embedding, writer, tally, advance))
    with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _nothing(sources: Sources, tally: EmbedTally) -> Exit:
    for line in tally.left_out.lines():
        notice(printable(line))
    if tally.exit < Exit.LEFT_OUT:
        raise ConfigError(f"There are no images in {', '.join(sources.names)}.")
    return tally.exit


def _tell(store: Store, tally: EmbedTally, seconds: float, *, as_json: bool) -> None:
    """Say what became of all; what is wrong goes to stderr, where `--json` leaves it to the object."""
    if as_json:
        print(json.dumps({**tally.record(seconds), "store": store_record(store)}))  # noqa: T201  results go to stdout
        return
    for line in (*tally.left_out.lines(), *tally.bad_lines()):
        notice(printable(line))
    if tally.other_slices:
        notice(
            f"{tally.other_slices:,} uploads are in the store with other slices than now, which stay as they were: "
            "`clipwarden store forget` them, and embed them again."
        )
    known = tally.uploads - tally.added
    already = f"; {known:,} were there already" if known else ""
    text = (
        f"{tally.added:,} uploads added in {in_words(seconds)}, {tally.encoded:,} pictures encoded{already}. "
        f"{store.path} holds {len(store.uploads):,} uploads of {len(store.pictures):,} pictures."
    )
    stdout().print(printable(text), soft_wrap=True)
