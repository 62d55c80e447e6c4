"""The table of memory a pixel measures what its rows say."""

from pathlib import Path

import pytest
from bench.memory import CASES, bytes_a_pixel, main

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image, read_header

MODEL = Preprocessing(side=32)
OPERATE = Path(__file__).parents[3] / "docs" / "operate.md"


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_image_is_what_it_is_called(name: str) -> None:
    data = CASES[name].draw(64)
    assert read_header(data, preprocessing=MODEL).format == name.partition(",")[0].upper()
    decoded = decode_image(data, preprocessing=MODEL)
    see_through = any(word in name for word in ("RGBA", "alpha", "see-through", "key"))
    assert len(decoded.views) == (2 if see_through else 1)
    assert (decoded.facts.frames_total > 1) == ("animated" in name)


def test_an_opaque_bitmap_takes_the_four_bytes_that_pillow_stores_a_pixel() -> None:
    # Memory pages and allocator thresholds blur it, the machine's load does not.
    assert 3 < bytes_a_pixel(CASES["BMP"], (512, 2048)) < 6


def test_the_documented_table_has_a_row_for_every_kind() -> None:
    page = OPERATE.read_text(encoding="utf-8")
    assert [name for name in CASES if f"| {name} |" not in page] == []


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["HEIC"])
    assert "there are: JPEG" in capsys.readouterr().err


def test_the_command_prints_a_row_for_each_kind_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.memory.bytes_a_pixel", lambda _: 4.125)
    assert main(["BMP", "GIF"]) == 0
    assert capsys.readouterr().out.endswith("| BMP | 4.1 |\n| GIF | 4.1 |\n")
