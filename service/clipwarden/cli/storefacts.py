"""An open store in; what it is and holds, as JSON and as lines for people, out."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from clipwarden.tuning.store.groupfile import count_groupings
from clipwarden.tuning.store.info import Source
from clipwarden.tuning.store.store import Store

MOST_VALUES = 12
"""Values of a slice that are counted one by one for people; JSON has all."""


def store_record(store: Store) -> Mapping[str, object]:
    """Say what a store is and holds, as JSON."""
    info, uploads = store.info, store.uploads
    return {
        "path": str(store.path),
        "source": info.source.value,
        "from": info.since and info.since.isoformat(),
        "to": info.until and info.until.isoformat(),
        "model": info.sight.model,
        "fingerprint": info.fingerprint,
        "provider": info.provider,
        "precision": info.precision,
        "views": info.plan.views.value,
        "frames": info.plan.frames,
        "width": info.sight.width,
        "digest": info.digest,
        "uploads": len(uploads),
        "pictures": len(store.pictures),
        "cannot_be_judged": dict(sorted(Counter(store.failed.values()).items())),
        "unread_uploads": store.unread,
        "unused_pictures": store.unused,
        "groupings": count_groupings(store.path),
        "ends_early": int((store.pictures.share_shown < 1).sum()),
        "partial": int(store.pictures.partial.sum()),
        "coverage_unknown": int(np.isnan(store.pictures.coverage).sum()),
        "first_time": _time(store, "first"),
        "last_time": _time(store, "last"),
        "slices": {name: dict(_counts(values)) for name, values in sorted(uploads.slices.items())},
    }


def store_lines(store: Store) -> Mapping[str, str]:
    """Say the same to people: names and values."""
    record, info = store_record(store), store.info
    rows = {
        "Store": str(store.path),
        "Uploads": f"{len(store.uploads):,}: {_source(store)}",
        "Pictures": f"{len(store.pictures):,} that can be judged",
        "Model": f"{record['model']} {record['fingerprint']}",
        "Seen by": f"{record['provider']}, {record['precision']}, views {info.plan.name}",
        "Digest": info.digest,
    }
    if store.uploads.time is not None:
        rows["Times"] = f"{record['first_time']} to {record['last_time']}"
    if bad := Counter(store.failed.values()):
        rows["Not judged"] = ", ".join(f"{reason} {count:,}" for reason, count in sorted(bad.items()))
    if store.unread:
        rows["Not read"] = f"{store.unread:,} uploads"
    if record["ends_early"]:
        rows["Cut short"] = f"{record['ends_early']:,} pictures, which a policy judges or refuses (on_truncated)"
    if record["partial"]:
        rows["Partial"] = f"{record['partial']:,} pictures, of which not all was seen (on_partial)"
    if record["coverage_unknown"]:
        rows["Coverage"] = (
            f"not known of {record['coverage_unknown']:,} pictures, embedded by an older release: they miss every floor"
        )
    if store.unused:
        rows["Unused"] = f"{store.unused:,} pictures that no upload shows: an interrupted run left them; run it again"
    if kept := record["groupings"]:
        rows["Groups"] = f"of near-duplicates, kept so that they are found once: {kept}; `store forget` drops them"
    return rows | {f"By {name}": _few(_counts(values)) for name, values in sorted(store.uploads.slices.items())}


def _source(store: Store) -> str:
    info = store.info
    if info.source is Source.TRAFFIC:
        return f"uniform traffic, {info.since} to {info.until}"
    return "a set, which bounds no traffic" if info.source is Source.SET else "a queue, which bounds no traffic"


def _time(store: Store, which: str) -> str | None:
    times = store.uploads.time
    if times is None:
        return None
    known = times[~np.isnat(times)]
    found = known.min() if which == "first" else known.max()
    return f"{np.datetime_as_string(found, unit='s')}Z"


def _counts(values: np.ndarray) -> list[tuple[str, int]]:
    return Counter(values.tolist()).most_common()


def _few(counts: list[tuple[str, int]]) -> str:
    named = ", ".join(f"{value or '(none)'} {count:,}" for value, count in counts[:MOST_VALUES])
    return f"{named}, and {len(counts) - MOST_VALUES:,} more" if len(counts) > MOST_VALUES else named
