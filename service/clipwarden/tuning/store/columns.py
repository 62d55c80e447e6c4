"""The columns of a store's parts, and the bounds of a part that is read: anybody may have written it."""

from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

IMAGES_SCHEMA: Final = "clipwarden.images/1"
EMBEDDINGS_SCHEMA: Final = "clipwarden.embeddings/1"
METADATA_KEY: Final = b"clipwarden"
"""Of a part's own metadata: a JSON object that says which columns it has, and what saw its pictures."""

SLICE_PREFIX: Final = "slice:"
"""How the name of a column begins that divides uploads into slices, in parts as in manifests."""

MOST_ROWS: Final = 2**20
"""Rows of a row group that is read. We write groups of about a thousand, other tools up to this many by default."""
MOST_GROUP_BYTES: Final = 2**30
"""Bytes that a row group may come to, unpacked: vectors of a width of 1,024 fill it with 262,144 views."""
MOST_TEXT: Final = 2**15
"""Letters of the longest name or slice; PATH_MAX is 4,096, and addresses are rarely longer."""


class Kind(StrEnum):
    """What a part holds: the folder that it lies in."""

    IMAGES = "images"
    EMBEDDINGS = "embeddings"

    @property
    def schema_name(self) -> str:
        """What the part calls its columns."""
        return IMAGES_SCHEMA if self is Kind.IMAGES else EMBEDDINGS_SCHEMA


def _field(name: str, kind: Any, *, always: bool = False) -> Any:  # noqa: ANN401  pyarrow has no types
    return pa.field(name, kind, nullable=not always)


_DIGEST = pa.binary(32)
_TEXT = pa.large_string()  # many names come to more than the 2 GiB that a shorter kind can point into

IMAGE_FIELDS: Final = (
    _field("sha256", _DIGEST),  # none where the file could not be read
    _field("uri", _TEXT, always=True),
    _field("time", pa.timestamp("us", tz="UTC")),
    _field("reason", _TEXT),  # why there is no sha256
    _field("detail", _TEXT),
)
"""Columns of every part of `images/`; those of slices follow, each a text."""

EMBEDDING_FIELDS: Final = (
    _field("sha256", _DIGEST, always=True),
    _field("reason", _TEXT),  # why it cannot be judged; then all below is empty
    _field("detail", _TEXT),
    _field("format", _TEXT),
    _field("bytes", pa.int64()),
    _field("width", pa.int32()),
    _field("height", pa.int32()),
    _field("frames_total", pa.int32()),
    _field("frames_judged", pa.int32()),
    _field("degraded", pa.list_(pa.string())),
    _field("share_shown", pa.float64()),
    _field("hdr", pa.bool_()),
    _field("views", pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("frame", pa.int32())]))),
    _field("vectors", pa.list_(pa.float32())),  # V times D numbers, view after view
)
"""Columns of every part of `embeddings/`."""

LATER_FIELDS: Final = (
    _field("frames_seen", pa.int32()),
    _field("coverage", pa.float64()),
    _field("resolution", pa.float64()),  # none where it is not known
    _field("parts_left", pa.bool_()),
    _field("view_seconds", pa.list_(pa.float64())),  # V, or none where no view stands in an animation
    _field("view_boxes", pa.list_(pa.int32())),  # V times left, top, right and bottom, or none where no view is a part
)
"""Columns of the parts of `embeddings/` that are written now. Of parts without them, nobody knows what of a picture its
one view shows; all else about it is known."""

FIELDS: Final = {Kind.IMAGES: IMAGE_FIELDS, Kind.EMBEDDINGS: EMBEDDING_FIELDS}


def slice_field(name: str) -> Any:  # noqa: ANN401  as above
    """Return the column of a slice."""
    return _field(SLICE_PREFIX + name, _TEXT)
