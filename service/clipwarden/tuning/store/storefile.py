"""`store.json`: what a store is, written once when its first part is, and held against every later writer's word."""

import json
import os
import stat
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from clipwarden.errors import ModelError, StoreError, why_of
from clipwarden.modelfolder.jsonfile import JsonObject, read_json_object
from clipwarden.textfiles.atomic import write_new
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.vision.plan import MAX_VIEWS, ViewPlan, Views

STORE_NAME = "store.json"
STORE_SCHEMA = "clipwarden.store/1"

_MOST_WIDTH = 2**16
_SIGHT_KEYS = ("model", "fingerprint", "provider", "precision", "views", "frames", "width")


@dataclass(frozen=True, kw_only=True, slots=True)
class Charter:
    """What is fixed when a store is made.

    Attributes:
        source: What its uploads are.
        since: First day of the uploads (UTC), of traffic alone.
        until: Last day, inclusive.
        sight: What sees its pictures.
    """

    source: Source
    since: date | None = None
    until: date | None = None
    sight: Sight

    @property
    def in_words(self) -> str:
        """Say what the uploads are: `uniform traffic from 2026-10-01 to 2026-10-31`."""
        if self.source is Source.TRAFFIC:
            return f"uniform traffic from {self.since} to {self.until}"
        return {Source.SET: "a set that somebody chose", Source.QUEUE: "what came to reviewers"}[self.source]


def read_charter(store: Path) -> Charter:
    """Read what a store is.

    Raises:
        StoreError: The folder is no store, or its file says nothing that makes sense.
    """
    path = store / STORE_NAME
    try:
        is_file = stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise StoreError(f"{store} is no store: it has no {STORE_NAME}. `clipwarden embed` makes one.") from exc
    except (OSError, ValueError) as exc:
        raise StoreError(f"{store} cannot be read: {exc}.") from exc
    if not is_file:
        raise StoreError(f"{path} is a link or no file, which is not followed; put the file itself there.")
    try:
        return _charter(JsonObject(read_json_object(path), where=str(path)))
    except ModelError as exc:  # its sentence names the file and the key
        raise StoreError(str(exc)) from exc


def write_charter(store: Path, charter: Charter) -> None:
    """Write what a store is; leaves a file that is there alone.

    Raises:
        OSError: It cannot be written.
    """
    record = {
        "store": STORE_SCHEMA,
        "source": charter.source.value,
        "from": charter.since and charter.since.isoformat(),
        "to": charter.until and charter.until.isoformat(),
        **sight_record(charter.sight),
    }
    try:
        write_new(store / STORE_NAME, (json.dumps(record, indent=1) + "\n").encode())
    except FileExistsError:
        return  # another writer was quicker; whoever reads it next compares


def sight_record(sight: Sight) -> dict[str, object]:
    """Say what saw pictures, as JSON; the store's file and every part of vectors do."""
    # A part and a file of one frame say what they said before there were more.
    frames = {} if sight.plan.frames == 1 else {"frames": sight.plan.frames}
    return {
        "model": sight.model,
        "fingerprint": sight.fingerprint,
        "provider": sight.provider,
        "precision": sight.precision,
        "views": sight.plan.views.value,
        **frames,
        "width": sight.width,
    }


def read_sight(keys: JsonObject) -> Sight:
    """Read what `sight_record` wrote.

    Raises:
        ModelError: A key is missing or of another kind, or nobody knows such views.
    """
    views = Views(keys.choice("views", tuple(Views)))
    frames = keys.integer("frames", low=1, high=MAX_VIEWS) if keys.has("frames") else 1
    return Sight(
        model=keys.text("model"),
        fingerprint=keys.text("fingerprint"),
        provider=keys.text("provider"),
        precision=keys.text("precision"),
        plan=ViewPlan(views=views, frames=frames),
        width=keys.integer("width", low=1, high=_MOST_WIDTH),
    )


def require_same_sight(sight: Sight, wanted: Sight, *, what: str, advice: str) -> None:
    """Refuse what was seen otherwise; a model's name is for people and may differ.

    Args:
        sight: What saw it.
        wanted: What should have.
        what: It, as the beginning of a sentence.
        advice: What to do, as a whole sentence.

    Raises:
        StoreError: Says in what they differ.
    """
    for name, had, want in (
        ("model", sight.fingerprint, wanted.fingerprint),
        ("provider", sight.provider, wanted.provider),
        ("precision", sight.precision, wanted.precision),
        ("view plan", sight.plan.name, wanted.plan.name),
        ("width", sight.width, wanted.width),
    ):
        if had != want:
            raise StoreError(f"{what} of the {name} {had}, not {want}. {advice}")


def _charter(keys: JsonObject) -> Charter:
    keys.choice("store", (STORE_SCHEMA,))
    keys.allow_only(("store", "source", "from", "to", *_SIGHT_KEYS))
    source = Source(keys.choice("source", tuple(Source)))
    if source is not Source.TRAFFIC:
        return Charter(source=source, sight=read_sight(keys))
    since, until = _day(keys, "from"), _day(keys, "to")
    if until < since:
        raise ModelError(f"The store's last day, {until}, lies before its first, {since}.")
    return Charter(source=source, since=since, until=until, sight=read_sight(keys))


def _day(keys: JsonObject, name: str) -> date:
    text = keys.text(name)
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ModelError(f"The store's {name} is {text!r}, which is no day such as 2026-10-01.") from exc


def unreadable(path: Path, exc: OSError) -> StoreError:
    """Say that a file or folder of a store cannot be read."""
    return StoreError(f"{path} cannot be read: {why_of(exc)}.")
