"""A store and names to forget in; its parts without them out: rows, vectors, and every file that held them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clipwarden.errors import StoreError, why_of
from clipwarden.tuning.store.columns import IMAGE_FIELDS, Kind
from clipwarden.tuning.store.digests import is_digest
from clipwarden.tuning.store.folder import sync_folder, write_part, writing_to
from clipwarden.tuning.store.groupfile import GROUPS, forget_groups
from clipwarden.tuning.store.parts import Part, list_parts, read_columns, read_whole, remove_replaced
from clipwarden.tuning.store.records import part_bytes
from clipwarden.tuning.store.storefile import read_charter

_DIGEST = IMAGE_FIELDS[0].type
_TEXT = IMAGE_FIELDS[1].type


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """What was taken out.

    Attributes:
        uploads: How many.
        pictures: How many distinct pictures, those that no upload showed before included.
        kept: Digests of pictures that a forgotten name showed, and that uploads under other names still do.
        unknown: Names that nothing in the store has.
        remains: What could not be deleted of what is derived from pictures, and why; None where nothing is left.
    """

    uploads: int
    pictures: int
    kept: tuple[str, ...]
    unknown: tuple[str, ...]
    remains: str | None = None


def forget(store: Path, names: Sequence[str]) -> Forgotten:
    """Take uploads out of a store by uri, or pictures with all their uploads by digest.

    A picture goes with the last upload that shows it. Parts that held any of it are written anew and then deleted, and
    groups of near-duplicates, which are derived from pictures, go as a whole; whatever ends this early, the same call
    goes on with it.

    Args:
        store: Its folder.
        names: URIs, or digests of 64 hexadecimal digits.

    Raises:
        StoreError: It is no store, somebody else writes it, or a part is damaged.
    """
    read_charter(store)
    with writing_to(store):
        for kind in Kind:
            remove_replaced(store, kind)
        uploads = _Uploads(names)
        for part in list_parts(store, Kind.IMAGES):
            uploads.look_at(part)
        for part, kept in uploads.marked:
            _rewrite(store, part, kept)
        shown = pa.array(uploads.shown, _DIGEST)
        pictures = sum(_keep_shown(store, part, shown) for part in list_parts(store, Kind.EMBEDDINGS))
        remains = _forget_groups(store)
    return Forgotten(
        uploads=uploads.count,
        pictures=pictures,
        kept=tuple(sorted(digest.hex() for digest in uploads.touched & uploads.shown)),
        unknown=tuple(name for name in dict.fromkeys(names) if name not in uploads.found),
        remains=remains,
    )


def _forget_groups(store: Path) -> str | None:
    """Delete groups, last of all: they are read for the pictures that they were made of alone, so never again."""
    try:
        forget_groups(store)
    except OSError as exc:
        return f"{exc.filename or store / GROUPS} cannot be deleted: {why_of(exc)}"
    return None


@dataclass(slots=True)
class _Uploads:
    """Which uploads of a store go, and which pictures the others show.

    Attributes:
        names: To forget.
        marked: Parts that hold some of them, with what of each stays.
        count: How many go.
        found: Names that some upload has.
        touched: Pictures of the uploads that go by name.
        shown: Pictures of those that stay.
    """

    names: Sequence[str]
    marked: list[tuple[Part, Any]] = field(default_factory=list)
    count: int = 0
    found: set[str] = field(default_factory=set)
    touched: set[bytes] = field(default_factory=set)
    shown: set[bytes] = field(default_factory=set)

    def look_at(self, part: Part) -> None:
        """Go through the uploads of one part."""
        table = read_columns(part, ("sha256", "uri"))
        digests = pa.array([bytes.fromhex(name) for name in self.names if is_digest(name)], _DIGEST)
        by_digest = pc.is_in(table["sha256"], value_set=digests, skip_nulls=True)
        by_uri = pc.is_in(table["uri"], value_set=pa.array([each for each in self.names if not is_digest(each)], _TEXT))
        goes = pc.or_(by_digest, by_uri)
        self.shown |= _known(table["sha256"].filter(pc.invert(goes)))
        if not (count := pc.sum(goes).as_py() or 0):
            return
        self.count += count
        self.marked.append((part, pc.invert(goes)))
        self.touched |= _known(table["sha256"].filter(by_uri))
        self.found |= {*table["uri"].filter(by_uri).to_pylist()}
        self.found |= {digest.hex() for digest in _known(table["sha256"].filter(by_digest))}


def _known(digests: Any) -> set[bytes]:  # noqa: ANN401  a pyarrow column
    return {*digests.drop_null().to_pylist()}


def _keep_shown(store: Path, part: Part, shown: Any) -> int:  # noqa: ANN401  a pyarrow array
    """Write a part anew with the pictures that some upload shows; returns how many went."""
    digests = read_columns(part, ("sha256",))["sha256"]
    kept = pc.is_in(digests, value_set=shown)
    lost = len(digests) - (pc.sum(kept).as_py() or 0)
    if lost:
        _rewrite(store, part, kept)
    return lost


def _rewrite(store: Path, part: Part, kept: Any) -> None:  # noqa: ANN401  a pyarrow array
    """Write what is kept of a part, then delete it; both are there for a moment, and one says that it replaces it."""
    left = read_whole(part).filter(kept)
    try:
        if len(left):
            write_part(store, part.kind, part_bytes(left, part.kind, sight=part.sight, replaces=[part.path.name]))
        part.path.unlink()
        sync_folder(part.path.parent)
    except OSError as exc:
        raise StoreError(f"{part.path} cannot be rewritten: {why_of(exc)}.") from exc
