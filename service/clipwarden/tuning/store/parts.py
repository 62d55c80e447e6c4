"""Parquet parts of a store: a file that nobody vouches for in, columns of known kinds or a StoreError out.

A part is a regular file of `images/` or `embeddings/` under the name that `names` gives it. Names that begin with a dot
or an underscore are of unfinished files, and of what other tools leave. Pages carry checksums, which are looked at: a
flipped bit is an error, not another vector.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clipwarden.errors import ModelError, StoreError
from clipwarden.modelfolder.jsonfile import JsonObject, parse_json_object
from clipwarden.tuning.store.columns import (
    FIELDS,
    LATER_FIELDS,
    METADATA_KEY,
    MOST_GROUP_BYTES,
    MOST_ROWS,
    MOST_TEXT,
    SLICE_PREFIX,
    Kind,
    slice_field,
)
from clipwarden.tuning.store.info import Sight
from clipwarden.tuning.store.names import is_part_name, require_end, require_whole
from clipwarden.tuning.store.storefile import read_sight, unreadable

_IGNORED = (".", "_")
"""How names begin that other tools leave beside parts, such as `.part-....` and `_SUCCESS`."""
_VECTORS = "vectors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part whose head was read and makes sense.

    Attributes:
        path: The file.
        kind: Which columns it has.
        rows: How many rows.
        sight: What saw its pictures; None of uploads.
        replaces: Names of parts of which this one holds what is left.
        slices: Names of the slices that it has columns of.
        later: Names of the columns of `LATER_FIELDS` that it has.
    """

    path: Path
    kind: Kind
    rows: int
    sight: Sight | None
    replaces: tuple[str, ...]
    slices: tuple[str, ...]
    later: tuple[str, ...] = ()


def list_parts(store: Path, kind: Kind) -> list[Part]:
    """List the parts of a folder by name, without those that another one replaces.

    Raises:
        StoreError: One cannot be read, or something else lies there.
    """
    parts = _all_parts(store, kind)
    replaced = {name for part in parts for name in part.replaces}
    return [part for part in parts if part.path.name not in replaced]


def remove_replaced(store: Path, kind: Kind) -> None:
    """Delete the parts that another one replaces: who wrote that was ended before it could.

    Raises:
        StoreError: A part cannot be read.
        OSError: One cannot be deleted.
    """
    parts = _all_parts(store, kind)
    replaced = {name for part in parts for name in part.replaces}
    for part in parts:
        if part.path.name in replaced:
            part.path.unlink()


def _all_parts(store: Path, kind: Kind) -> list[Part]:
    folder = store / kind
    try:
        if stat.S_ISLNK(os.lstat(folder).st_mode):
            raise StoreError(f"{folder} is a link, which is not followed; put the folder itself there.")
        names = sorted(name for name in os.listdir(folder) if not name.startswith(_IGNORED))  # noqa: PTH208  names
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise unreadable(folder, exc) from exc
    if strange := next((name for name in names if not is_part_name(name)), None):
        raise StoreError(f"{folder / strange} is no part of a store; move it out of there.")
    return [_open_part(folder / name, kind) for name in names]


def read_columns(part: Part, names: Sequence[str]) -> Any:  # noqa: ANN401  a pyarrow table
    """Read some columns of a part, as the kinds that `columns` says.

    Raises:
        StoreError: It is damaged, or its columns are of other kinds.
    """
    fields = _fields(part)
    texts = [path for name in names for path in _text_paths(fields[name])]
    with _opened(part.path, dictionaries=texts) as file:
        # Group by group: pyarrow reads no dictionaries inside lists across several.
        groups = [file.read_row_group(each, list(names), use_threads=False) for each in range(file.num_row_groups)]
        table = pa.concat_tables([file.schema_arrow.empty_table().select(list(names)), *groups]).select(list(names))
        for column in table.itercolumns():
            _require_short(part.path, column)
        if empty := next((name for name in names if table[name].null_count and not fields[name].nullable), None):
            raise StoreError(f"{part.path} has rows without {empty}.")
        table = table.cast(pa.schema([fields[name] for name in names]))
        table.validate(full=True)
        return table


def read_whole(part: Part) -> Any:  # noqa: ANN401  a pyarrow table
    """Read a part as it is, with all that others may have added to it.

    Raises:
        StoreError: It is damaged.
    """
    with _opened(part.path) as file:
        return file.read(use_threads=False)


def check_whole(part: Part) -> None:
    """Read all bytes of a part, and compare them with its name.

    Raises:
        StoreError: They are others, or it is gone.
    """
    with _opened(part.path):
        require_whole(part.path)


def read_vectors(part: Part, *, most_rows: int) -> Iterator[Any]:
    """Read the vectors of a part, some rows at a time, as pyarrow lists of float32; none that is empty.

    Raises:
        StoreError: It is damaged, or was removed since it was listed.
    """
    with _opened(part.path) as file:
        for batch in file.iter_batches(batch_size=most_rows, columns=[_VECTORS], use_threads=False):
            column = batch.column(0)
            column.validate(full=True)
            if column.type != pa.list_(pa.float32()):
                raise StoreError(f"{part.path}: its vectors are {column.type}, not lists of float.")
            yield column


def _open_part(path: Path, kind: Kind) -> Part:
    with _opened(path) as file:
        keys = _own_metadata(path, file, kind)
        present = {field.name: field for field in file.schema_arrow}
        if lacking := next((field.name for field in FIELDS[kind] if field.name not in present), None):
            raise StoreError(f"{path} has no column {lacking}; it is no part of {kind}.")
        if len(present) != len(file.schema_arrow):
            raise StoreError(f"{path} has two columns of one name.")
        _require_bounded(path, file.metadata)
        slices = [name.removeprefix(SLICE_PREFIX) for name in present if name.startswith(SLICE_PREFIX)]
        return Part(
            path=path,
            kind=kind,
            rows=file.metadata.num_rows,
            sight=read_sight(keys) if kind is Kind.EMBEDDINGS else None,
            replaces=keys.texts("replaces") if keys.has("replaces") else (),
            slices=tuple(sorted(slices)) if kind is Kind.IMAGES else (),
            later=tuple(each.name for each in LATER_FIELDS if each.name in present and kind is Kind.EMBEDDINGS),
        )


def _own_metadata(path: Path, file: Any, kind: Kind) -> JsonObject:  # noqa: ANN401  pyarrow has no types
    found = (file.metadata.metadata or {}).get(METADATA_KEY)
    if found is None:
        raise StoreError(f"{path} says nothing of itself, so no clipwarden wrote it; move it out of there.")
    keys = JsonObject(parse_json_object(found, where=str(path)), where=str(path))
    keys.choice("part", (kind.schema_name,))
    return keys


def _require_bounded(path: Path, metadata: Any) -> None:  # noqa: ANN401  as above
    """Refuse what would take too much memory to read, whatever it is: sizes as the part itself gives them."""
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        columns = [group.column(number) for number in range(group.num_columns)]
        held = max(group.total_byte_size, 4 * max((column.num_values for column in columns), default=0))
        if not 0 <= group.num_rows <= MOST_ROWS or held > MOST_GROUP_BYTES:
            raise StoreError(
                f"{path} has a row group of {group.num_rows:,} rows and {held:,} bytes; write groups of at most "
                f"{MOST_ROWS:,} rows and {MOST_GROUP_BYTES:,} bytes."
            )


def _text_paths(field: Any) -> Sequence[str]:  # noqa: ANN401  as above
    """Name the texts within a column as Parquet does, for `read_dictionary`."""
    return {"degraded": ("degraded.list.element",), "views": ("views.list.element.name",)}.get(
        field.name, (field.name,) if field.type == pa.large_string() else ()
    )


def _require_short(path: Path, column: Any) -> None:  # noqa: ANN401  as above
    """Refuse texts that unpack into far more than the part holds: a long one, said for each of a million rows."""
    for texts in (found for chunk in column.chunks for found in _dictionaries(chunk)):
        lengths = pc.binary_length(texts.dictionary)
        longest, all_together = pc.max(lengths).as_py() or 0, pc.sum(lengths.take(texts.indices)).as_py() or 0
        if longest > MOST_TEXT or all_together > MOST_GROUP_BYTES:
            raise StoreError(
                f"{path} has a text of {longest:,} bytes, and {all_together:,} in one column; "
                f"{MOST_TEXT:,} and {MOST_GROUP_BYTES:,} are the most."
            )


def _dictionaries(array: Any) -> Iterator[Any]:  # noqa: ANN401  as above
    """Find the texts within a column that was read as `_text_paths` says."""
    if pa.types.is_dictionary(array.type):
        yield array
    elif pa.types.is_list(array.type):
        yield from _dictionaries(array.values)
    elif pa.types.is_struct(array.type):
        for index in range(array.type.num_fields):
            yield from _dictionaries(array.field(index))


def _fields(part: Part) -> dict[str, Any]:
    fields = {field.name: field for field in (*FIELDS[part.kind], *LATER_FIELDS)}
    return fields | {SLICE_PREFIX + name: slice_field(name) for name in part.slices}


@contextmanager
def _opened(path: Path, *, dictionaries: Sequence[str] = ()) -> Iterator[Any]:
    """Open a part, and turn whatever goes wrong inside the block into one sentence.

    Args:
        path: The file.
        dictionaries: Texts to be read as dictionaries, so that one that is said a million times is held once.
    """
    try:
        _require_regular(path)
        require_end(path)
        # Never mapped into memory: a file that is cut while it is mapped ends the process.
        with pq.ParquetFile(
            path, read_dictionary=list(dictionaries), page_checksum_verification=True, memory_map=False
        ) as file:
            yield file
    except FileNotFoundError as exc:
        raise StoreError(f"{path} is gone: the store was changed meanwhile. Open it again.") from exc
    except StoreError:
        raise
    except ModelError as exc:  # a sentence of `jsonfile`, which names the file and the key
        raise StoreError(str(exc)) from exc
    except OSError as exc:
        if exc.errno is None:  # pyarrow's own
            raise _damaged(path, exc) from exc
        raise unreadable(path, exc) from exc
    except (pa.ArrowException, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as exc:
        raise _damaged(path, exc) from exc


def _require_regular(path: Path) -> None:
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        what = "a link, which is not followed" if stat.S_ISLNK(mode) else "no regular file"
        raise StoreError(f"{path} is {what}; move it out of there.")


def _damaged(path: Path, exc: BaseException) -> StoreError:
    said = (str(exc).splitlines() or [type(exc).__name__])[0].rstrip(".")
    return StoreError(f"{path} is no sound part of a store: {said[:200]}.")
