"""A JPEG's header is walked once, and by the short way only where that leads to the same segments."""

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.errors import ImageError
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_file, read_header
from clipwarden.vision.formats import jpeg
from kit.pictures import encode, natural_picture

PLAIN = encode(natural_picture(1, (48, 36)), "JPEG")
COMMENT = b"\xff\xfe\0\2"
MODEL = Preprocessing(side=32)


@given(
    ahead=st.lists(
        st.sampled_from(
            [COMMENT, b"\xff", b"junk", b"\xff\xd0", b"\xff\x01", b"\xff\0", b"\xff\xfe\0\0", b"\xff\xfe\0\1"]
        ),
        max_size=70,
    ),
    keep=st.integers(0, len(PLAIN)),
)
def test_segments_are_those_that_a_search_for_each_finds(ahead: list[bytes], keep: int) -> None:
    data = PLAIN[:2] + b"".join(ahead) + PLAIN[2 : 2 + keep]
    assert jpeg.header_segments(data) == jpeg._searched_segments(data)


def test_segments_end_where_their_budget_does() -> None:
    data = PLAIN[:2] + COMMENT * jpeg.HEADER_BUDGET.entries + PLAIN[2:]
    assert len(jpeg.header_segments(data)) == jpeg.HEADER_BUDGET.entries


def test_an_image_that_waits_holds_on_to_few_segments_only() -> None:
    many = PLAIN[:2] + COMMENT * 1000 + PLAIN[2:]
    header = read_header(many, preprocessing=MODEL)
    assert (header.width, header.segments) == (48, ())
    assert decode_file(many, header, preprocessing=MODEL).facts.file is not None


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Each file whose header is walked, as it is."""
    walked: list[bytes] = []

    def walk(data: bytes) -> tuple[jpeg.Segment, ...]:
        walked.append(data)
        return once(data)

    once = jpeg.header_segments
    holders = [module for name, module in sys.modules.items() if name.startswith("clipwarden.vision")]
    for module in holders:
        if getattr(module, "header_segments", None) is once:
            monkeypatch.setattr(module, "header_segments", walk)
    return walked


def test_a_header_is_walked_once_for_all_who_ask_about_it(walks: list[bytes]) -> None:
    decode_file(PLAIN, read_header(PLAIN, preprocessing=MODEL), preprocessing=MODEL)
    assert walks == [PLAIN]


def test_a_header_without_any_segment_is_walked_once_as_well(walks: list[bytes]) -> None:
    empty = b"\xff\xd8" + b"\xff" * 64
    with suppress(ImageError):
        read_header(empty, preprocessing=MODEL)
    assert walks == [empty]
