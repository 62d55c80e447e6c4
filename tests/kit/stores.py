"""What tests of stores share: made-up pictures with vectors of their own, and stores of them."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipwarden.errors import Reason
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store.columns import METADATA_KEY, Kind
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.names import part_name
from clipwarden.tuning.store.records import PictureRecord, UploadRecord
from clipwarden.tuning.store.storefile import Charter
from clipwarden.tuning.store.writing import writing
from clipwarden.vision.facts import FileFacts, ImageFacts
from clipwarden.vision.plan import WHOLE
from kit.toymodel import DIM

SIGHT = Sight(
    model="toy", fingerprint="sha256:toy", provider="CPUExecutionProvider", precision="fp32", plan=WHOLE, width=DIM
)
SET = Charter(source=Source.SET, sight=SIGHT)


def digest_of(number: int) -> str:
    """Name a made-up picture."""
    return hashlib.sha256(f"picture {number}".encode()).hexdigest()


def made_picture(number: int, *, views: int = 1, width: int = DIM, **facts: Any) -> PictureRecord:  # noqa: ANN401
    """Make a picture up; one of a number always has the same vectors."""
    vectors = np.random.default_rng(number).normal(size=(views, width)).astype(np.float32)
    file = FileFacts(format="PNG", width=64, height=48, sha256=digest_of(number), bytes=1000 + number)
    return PictureRecord(
        sha256=digest_of(number),
        facts=ImageFacts(file=file, **facts),
        views=tuple(ViewRef(name="full", frame=frame) for frame in range(views)),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )


def failed_picture(number: int, reason: Reason = Reason.IMAGE_CORRUPT) -> PictureRecord:
    """Make up a picture that cannot be judged."""
    return PictureRecord(sha256=digest_of(number), reason=reason, detail="It is damaged.")


def made_upload(number: int, **known: Any) -> UploadRecord:  # noqa: ANN401
    """Make up an upload of a picture, named after it unless told otherwise."""
    return UploadRecord(**{"uri": f"/uploads/{number}.png", "sha256": digest_of(number), **known})


def write_store(
    path: Path,
    uploads: Iterable[UploadRecord],
    pictures: Iterable[PictureRecord] = (),
    *,
    charter: Charter = SET,
    each: int = 1024,
) -> Path:
    """Write a store.

    Args:
        path: Its folder.
        uploads: Those.
        pictures: What they show.
        charter: What it is.
        each: Rows of a part.
    """
    with writing(path, charter) as writer:
        for count, picture in enumerate(pictures, 1):
            writer.add_picture(picture)
            if count % each == 0:
                writer.write()
        for count, upload in enumerate(uploads, 1):
            writer.add_upload(upload)
            if count % each == 0:
                writer.write()
    return path


def number_store(path: Path, numbers: Sequence[int], *, each: int = 1024, charter: Charter = SET) -> Path:
    """Write a store of uploads that each show the picture of a number."""
    pictures = [made_picture(number, width=charter.sight.width) for number in dict.fromkeys(numbers)]
    return write_store(path, [made_upload(number) for number in numbers], pictures, each=each, charter=charter)


def only_part(store: Path, kind: Kind) -> Path:
    """Return the one part of a kind."""
    (part,) = (store / kind).glob("part-*.parquet")
    return part


def rewrite_part(part: Path, change: Any, **options: Any) -> None:  # noqa: ANN401  a function of a pyarrow table
    """Replace a part by what a function makes of its table, as whoever knows how parts are named can."""
    table = pq.read_table(part)
    changed = change(table)
    if METADATA_KEY not in (changed.schema.metadata or {}):
        changed = changed.replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, part, **{"use_dictionary": False, **options})
    part.rename(part.with_name(part_name(part.read_bytes())))


def with_column(name: str, values: Sequence[object], kind: Any = None) -> Any:  # noqa: ANN401
    """Make a function that sets a column of a table."""

    def change(table: Any) -> Any:  # noqa: ANN401
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, pa.array(values, kind or table.schema.field(index).type))

    return change
