"""The parts of `images/` in, uploads as columns out, in an order that no order of parts or rows changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipwarden.tuning.store.columns import IMAGE_FIELDS, SLICE_PREFIX, slice_field
from clipwarden.tuning.store.parts import Part, read_columns

_COLUMNS = ("sha256", "uri", "time", "reason")
_EMPTY = pa.scalar("", type=pa.large_string())


class Names(Sequence[str]):
    """Many names, in their own bytes and eight more each.

    Args:
        column: A pyarrow column of texts.
    """

    def __init__(self, column: Any) -> None:  # noqa: ANN401  pyarrow has no types
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, index: int | slice) -> Any:  # noqa: ANN401  a name, or a list of them
        """Return a name; of a slice, a list."""
        found = self.column[index]
        return found.to_pylist() if isinstance(index, slice) else found.as_py()


def read_uploads(parts: Sequence[Part]) -> Any:  # noqa: ANN401  a pyarrow table
    """Read all uploads, in the order of (sha256, time, slices, uri); slices that a part does not have are empty.

    What could not be read once and could later counts as read.

    Raises:
        StoreError: A part is damaged.
    """
    slices = sorted({name for part in parts for name in part.slices})
    kept = [field for field in IMAGE_FIELDS if field.name in _COLUMNS]
    schema = pa.schema([*kept, *(slice_field(name) for name in slices)])
    table = pa.concat_tables([schema.empty_table(), *(_read(part, slices, schema) for part in parts)])
    table = _without_retried(table).drop_columns(["reason"])
    keys = ["sha256", "time", *(SLICE_PREFIX + name for name in slices), "uri"]
    return table.take(pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys])).combine_chunks()


def times_of(table: Any) -> NDArray[np.datetime64] | None:  # noqa: ANN401  as above
    """Return when each upload was; None where nobody said of any."""
    column = table["time"]
    return None if column.null_count == len(column) else column.cast(pa.timestamp("us")).to_numpy()


def slices_of(table: Any) -> dict[str, NDArray[np.object_]]:  # noqa: ANN401  as above
    """Return the slices of uploads by name; texts that are the same are one object."""
    names = (name for name in table.column_names if name.startswith(SLICE_PREFIX))
    return {name.removeprefix(SLICE_PREFIX): _shared(table[name]) for name in names}


def _shared(column: Any) -> NDArray[np.object_]:  # noqa: ANN401  as above
    encoded = column.combine_chunks().dictionary_encode()
    texts = np.array([*encoded.dictionary.to_pylist(), ""], dtype=np.object_)
    shared: NDArray[np.object_] = texts[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    return shared


def _read(part: Part, slices: Sequence[str], schema: Any) -> Any:  # noqa: ANN401  as above
    table = read_columns(part, [*_COLUMNS, *(SLICE_PREFIX + name for name in part.slices)])
    # Empty and absent are the same slice, and have to sort alike.
    texts = [
        pc.fill_null(table[SLICE_PREFIX + name], "") if name in part.slices else pa.repeat(_EMPTY, len(table))
        for name in slices
    ]
    return pa.table([*(table[name] for name in _COLUMNS), *texts], schema=schema)


def _without_retried(table: Any) -> Any:  # noqa: ANN401  as above
    """Leave out uploads that could not be read, where a later run read the same one."""
    unread = pc.is_null(table["sha256"])
    missed, read = table.filter(unread), table.filter(pc.invert(unread))
    if not len(missed):
        return table
    done = set(_keys(read.filter(pc.is_in(read["uri"], value_set=missed["uri"]))))
    still = [key not in done for key in _keys(missed)]
    return pa.concat_tables([read, missed.filter(pa.array(still))])


def _keys(table: Any) -> list[tuple[str, int | None]]:  # noqa: ANN401  as above
    return list(zip(table["uri"].to_pylist(), table["time"].cast(pa.int64()).to_pylist(), strict=True))
