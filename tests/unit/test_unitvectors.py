import tracemalloc

import numpy as np
import pytest

from clipwarden.unitvectors import UNIT_TOLERANCE, require_unit, row_lengths


def rows(*lengths: float) -> np.ndarray:
    return np.array([[length * 0.6, length * 0.8] for length in lengths], dtype=np.float32)


def test_unit_rows_pass_and_so_does_no_row_at_all() -> None:
    require_unit(rows(1, 1 + 0.9 * UNIT_TOLERANCE, 1 - 0.9 * UNIT_TOLERANCE), ValueError("wrong"))
    require_unit(rows()[:0].reshape(0, 2), ValueError("wrong"))
    require_unit(rows(1.4), ValueError("wrong"), tolerance=0.5)


# Warnings are errors in these tests, so this also shows that nothing overflows on the way.
@pytest.mark.parametrize("length", [1 + 1.1 * UNIT_TOLERANCE, 1 - 1.1 * UNIT_TOLERANCE, 0, 3e38, np.inf, np.nan])
def test_one_row_of_another_length_raises_the_error_that_was_given(length: float) -> None:
    error = LookupError("wrong")
    with pytest.raises(LookupError) as caught:
        require_unit(rows(1, length, 1), error)
    assert caught.value is error


def test_measuring_a_large_table_copies_a_fraction_of_it() -> None:
    table = np.ones((4096, 256), dtype=np.float32)
    tracemalloc.start()
    lengths = row_lengths(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (lengths == 16).all()
    assert peak < table.nbytes / 4
