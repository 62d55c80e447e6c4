import re
import struct
from contextlib import suppress
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.vision.formats import reader as reader_module
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError

FILE = bytes(range(100))
ROOMY = Budget(entries=1000, bytes=1000)


def test_numbers_are_read_and_counted() -> None:
    reader = BoundedReader(FILE, ROOMY)
    assert reader.field(">H", 1) == (0x0102,)
    assert reader.entry("<HB", 10) == (0x0B0A, 12)
    assert list(reader.table("BB", 20, 3)) == [(20, 21), (22, 23), (24, 25)]
    found = reader.search(re.compile(b"A"), 30)
    assert found is not None
    assert found.start() == 65
    assert (reader.entries_read, reader.bytes_read) == (0 + 1 + 3 + 1, 2 + 3 + 6 + 36)


@pytest.mark.parametrize("position", [-1, 97, 2**63, 2**64])
def test_nothing_is_read_outside_the_file(position: int) -> None:
    reader = BoundedReader(FILE, ROOMY)
    with pytest.raises(struct.error, match="beyond the end"):
        reader.field("I", position)
    with pytest.raises(struct.error, match="beyond the end"):
        reader.table("I", position, 1)
    assert (reader.entries_read, reader.bytes_read) == (0, 0)


def test_table_that_claims_too_much_is_refused_before_it_is_read() -> None:
    reader = BoundedReader(FILE, Budget(entries=10, bytes=1000))
    with pytest.raises(struct.error, match="beyond the end"):
        reader.table("I", 0, 2**60)
    with pytest.raises(BudgetSpentError):
        reader.table("I", 0, 11)
    assert (reader.entries_read, reader.bytes_read) == (0, 0)


def test_search_ends_with_the_budget_and_tells_it_from_the_end_of_the_file() -> None:
    absent = re.compile(b"\xff")
    reader = BoundedReader(FILE, Budget(bytes=60))
    with pytest.raises(BudgetSpentError):
        reader.search(absent, 0)
    assert reader.bytes_read == 60
    reader = BoundedReader(FILE, Budget(bytes=60))
    assert reader.search(absent, 50) is None
    assert reader.search(absent, 500) is None
    assert reader.bytes_read == 50


def test_passes_are_paid_by_the_size_of_the_file() -> None:
    reader = BoundedReader(FILE, Budget(bytes=1, passes=2))
    assert reader.count(b"\x05") == 1
    assert reader.count(b"\xff") == 0
    with pytest.raises(BudgetSpentError):
        reader.count(b"\x05")
    assert reader.bytes_read == 2 * len(FILE)


@given(st.lists(st.sampled_from([b"\xff", b"\xda", b"\xff\xda", b"\0"])).map(b"".join), st.sampled_from([1, 3, 2**17]))
def test_pairs_are_counted_wherever_they_begin(data: bytes, at_once: int) -> None:
    with patch.object(reader_module, "_PAIRS_AT_ONCE", at_once):
        assert BoundedReader(data, Budget(passes=1)).count(b"\xff\xda") == data.count(b"\xff\xda")


POSITIONS = st.integers(-5, 2**65) | st.integers(0, 80)
CODES = st.sampled_from(["B", "<I", ">HHI4s", "<Q"])
READS = st.one_of(
    st.tuples(st.just("field"), CODES, POSITIONS),
    st.tuples(st.just("entry"), CODES, POSITIONS),
    st.tuples(st.just("table"), CODES, POSITIONS, st.integers(0, 2**65) | st.integers(0, 30)),
    st.tuples(st.just("search"), st.sampled_from([re.compile(rb"\xff[^\xff]"), re.compile(b"a")]), POSITIONS),
    st.tuples(st.just("count"), st.binary(min_size=1, max_size=2)),
)


@given(
    data=st.binary(max_size=80),
    budget=st.builds(Budget, entries=st.integers(0, 20), bytes=st.integers(0, 100), passes=st.integers(0, 2)),
    reads=st.lists(READS, max_size=30),
)
def test_no_sequence_of_reads_exceeds_the_budget(
    data: bytes, budget: Budget, reads: list[tuple[str, *tuple[object, ...]]]
) -> None:
    reader = BoundedReader(data, budget)
    for method, *arguments in reads:
        with suppress(struct.error):
            getattr(reader, method)(*arguments)
        assert reader.entries_read <= budget.entries
        assert reader.bytes_read <= budget.bytes + budget.passes * len(data)
