"""Uploads and pictures as they come in, rows of Parquet parts out."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clipwarden.engine.results import EmbeddedImage
from clipwarden.errors import Reason
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store.columns import (
    EMBEDDING_FIELDS,
    IMAGE_FIELDS,
    LATER_FIELDS,
    METADATA_KEY,
    Kind,
    slice_field,
)
from clipwarden.tuning.store.info import Sight
from clipwarden.tuning.store.storefile import sight_record
from clipwarden.vision.facts import ImageFacts

ROWS_OF_A_GROUP = 2**13
"""Most rows of a row group; a part of ours seldom has more than one."""
_PLAIN = ("uri", "time", "reason", "detail")
_REPEATED = ("reason", "format", "degraded.list.element", "views.list.element.name")
"""Columns that say the same of many rows."""
_WHOLE = (0, 0, 0, 0)
"""Stands among boxes for a view that is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadRecord:
    """One upload.

    Attributes:
        uri: Its name.
        sha256: Of the file, 64 hexadecimal digits; None where it could not be read.
        time: When it was, with a time zone; None where nobody said.
        slices: What it belongs to, by the name of the slice.
        reason: Why there is no sha256.
        detail: The same as a sentence.
    """

    uri: str
    sha256: str | None
    time: datetime | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureRecord:
    """One distinct picture: either `vectors` with all that goes with them, or `reason`.

    Attributes:
        sha256: Of the file, 64 hexadecimal digits.
        reason: Why it cannot be judged; None where it can.
        detail: The same as a sentence.
        facts: About the image.
        views: V views.
        vectors: `[V,D]` float32, unit rows.
    """

    sha256: str
    reason: Reason | None = None
    detail: str | None = None
    facts: ImageFacts | None = None
    views: Sequence[ViewRef] = ()
    vectors: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, sha256: str, image: EmbeddedImage) -> Self:
        """Take what the engine made of a file."""
        return cls(sha256=sha256, facts=image.facts, views=image.views, vectors=image.embeddings)


def uploads_part(uploads: Sequence[UploadRecord]) -> bytes:
    """Render uploads as a part of `images/`."""
    slices = sorted({name for upload in uploads for name in upload.slices})
    schema = pa.schema([*IMAGE_FIELDS, *(slice_field(name) for name in slices)])
    columns = (
        [None if upload.sha256 is None else bytes.fromhex(upload.sha256) for upload in uploads],
        *([getattr(upload, name) for upload in uploads] for name in _PLAIN),
        *([upload.slices.get(name) for upload in uploads] for name in slices),
    )
    arrays = [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)]
    return part_bytes(pa.table(arrays, schema), Kind.IMAGES)


def pictures_part(pictures: Sequence[PictureRecord], sight: Sight) -> bytes:
    """Render pictures as a part of `embeddings/`."""
    rows = [_row(picture) for picture in pictures]
    *others, vectors = EMBEDDING_FIELDS
    fields = (*others, *LATER_FIELDS)
    arrays = [pa.array([row.get(each.name) for row in rows], each.type) for each in fields]
    table = pa.table([*arrays, _vectors(pictures)], pa.schema([*fields, vectors]))
    return part_bytes(table, Kind.EMBEDDINGS, sight=sight)


def part_bytes(  # a pyarrow table
    table: Any,  # noqa: ANN401
    kind: Kind,
    *,
    sight: Sight | None = None,
    replaces: Sequence[str] = (),
) -> bytes:
    """Render a table as a part.

    Args:
        table: Of the columns of its kind.
        kind: Which.
        sight: What saw its pictures.
        replaces: Names of parts of which this one holds what is left.
    """
    said: dict[str, object] = {"part": kind.schema_name}
    said |= {} if sight is None else sight_record(sight)
    said |= {"replaces": list(replaces)} if replaces else {}
    # Two parts may hold the same uploads, of one file that came as often, and are two parts all the same.
    said |= {"id": secrets.token_hex(8)} if kind is Kind.IMAGES else {}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({METADATA_KEY: json.dumps(said, sort_keys=True).encode()}),
        sink,
        compression="ZSTD" if kind is Kind.IMAGES else "NONE",  # nothing packs vectors
        use_dictionary=[name for name in _REPEATED if name.partition(".")[0] in table.column_names],
        write_statistics=False,
        write_page_checksum=True,
        row_group_size=ROWS_OF_A_GROUP,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _row(picture: PictureRecord) -> Mapping[str, object]:
    facts = picture.facts
    row: dict[str, object] = {
        "sha256": bytes.fromhex(picture.sha256),
        "reason": picture.reason,
        "detail": picture.detail,
    }
    if facts is None or facts.file is None:
        return row
    return row | {
        "format": facts.file.format,
        "bytes": facts.file.bytes,
        "width": facts.file.width,
        "height": facts.file.height,
        "frames_total": facts.frames_total,
        "frames_judged": facts.frames_judged,
        "frames_seen": facts.frames_seen,
        "coverage": facts.coverage,
        "resolution": facts.resolution,
        "parts_left": facts.parts_left,
        "degraded": list(facts.degraded),
        "share_shown": facts.share_shown,
        "hdr": facts.hdr,
        "views": [{"name": view.name, "frame": view.frame} for view in picture.views],
        "view_seconds": [view.seconds for view in picture.views] if any(map(_is_timed, picture.views)) else None,
        "view_boxes": [side for view in picture.views for side in view.box or _WHOLE]
        if any(map(_is_part, picture.views))
        else None,
    }


def _is_timed(view: ViewRef) -> bool:
    return view.seconds is not None


def _is_part(view: ViewRef) -> bool:
    return view.box is not None


def _vectors(pictures: Sequence[PictureRecord]) -> Any:  # noqa: ANN401  a pyarrow array
    flat = [np.empty(0, np.float32) if each.vectors is None else each.vectors.reshape(-1) for each in pictures]
    ends = np.cumsum([0, *(len(numbers) for numbers in flat)], dtype=np.int32)
    absent = pa.array([each.vectors is None for each in pictures])
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate(flat)), mask=absent)
