"""A data frame in, as Parquet; its rows, read batch by batch, out. Needs pyarrow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import parquet as pq

from clipwarden.errors import LabelError
from clipwarden.tuning.labels.rows import CellError, Header, Row
from clipwarden.tuning.labels.tables import Columns, columns_of, header_of, row_of
from clipwarden.tuning.labels.textlines import check_size

_BATCH_ROWS: Final = 4096


def read_parquet(path: Path, categories: Sequence[str]) -> tuple[Header, Iterator[Row]]:
    """Read a data frame; its rows count as lines from 1.

    Args:
        path: The file.
        categories: All of the policy.

    Returns:
        Which categories are columns; and the rows, read while they are asked for.

    Raises:
        LabelError: It is no Parquet, or says what none can.
    """
    check_size(path)
    try:
        with pq.ParquetFile(path) as file:
            columns = columns_of([str(name) for name in file.schema_arrow.names], categories)
    except (pa.ArrowException, OSError) as exc:
        raise LabelError(f"{path} cannot be read as Parquet.") from exc
    except CellError as exc:
        raise exc.at(f"{path}") from exc
    return header_of(columns), _rows(path, columns, categories)


def _rows(path: Path, columns: Columns, categories: Sequence[str]) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield row_of(number, cells, columns, categories)
    except CellError as exc:
        raise exc.at(f"{path}:{number}") from exc
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        raise LabelError(f"{path}: what comes after row {number} cannot be read as Parquet.") from exc
