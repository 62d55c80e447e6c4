"""The table of memory a pixel measures what its rows say."""

import os
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench.memory import CASES, HOSTILE, Measured, main

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image, read_header
from kit.isobmff import Item, coded, heif, ispe, pixi
from kit.pictures import encode_heic, natural_picture

MODEL = Preprocessing(side=32)
ROOT = Path(__file__).parents[3]
OPERATE = ROOT / "docs" / "operate.md"


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_image_is_what_it_is_called(name: str) -> None:
    data = CASES[name].draw(64)
    assert read_header(data, preprocessing=MODEL).format == name.partition(",")[0].upper()
    decoded = decode_image(data, preprocessing=MODEL)
    see_through = any(word in name for word in ("RGBA", "alpha", "see-through", "key"))
    assert len(decoded.views) == (2 if see_through else 1)
    assert (decoded.facts.frames_total > 1) == ("animated" in name)


CHEAPEST = (
    "PNG, tiny, profile of nothing but tags",
    "PNG, 16-bit RGB, last row black",
    "TIFF, tile that stands over",
    "GIF, frame that stands over",
)


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks are told apart on Linux only")
def test_no_hostile_file_takes_more_memory_than_is_counted(tmp_path: Path) -> None:
    files = ["--files", str(heic_of_tiles(tmp_path / "tiles.heic"))] if find_spec("pillow_heif") else []
    command = [sys.executable, "-m", "bench.memory", *CHEAPEST, "--check", *files]
    # Again, since pages of libraries that are read anew meanwhile would count.
    runs = (subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT) for _ in range(3))
    run = next((run for run in runs if run.returncode == 0), None)
    assert run is not None
    assert [line.split(" | ")[0].strip("| ") for line in run.stdout.splitlines()[3:]] == [
        *CHEAPEST,
        *(["tiles.heic"] if files else []),
    ]


def heic_of_tiles(path: Path) -> Path:
    """Write a HEIC that shows a little more than one of its four tiles."""
    side, shown = 512, 528
    _, settings, written = coded(encode_heic(natural_picture(1, (side, side))))
    shared = (settings, pixi(8, 8, 8))
    tiles = [
        Item(number=number, kind=b"hvc1", body=written, properties=(ispe(side, side), *shared), hidden=True)
        for number in (2, 3, 4, 5)
    ]
    layout = struct.pack(">BBBBHH", 0, 0, 1, 1, shown, shown)
    whole = Item(
        kind=b"grid", body=layout, properties=(ispe(shown, shown), pixi(8, 8, 8)), refers=((b"dimg", (2, 3, 4, 5)),)
    )
    path.write_bytes(heif([whole, *tiles], brands=(b"heic", b"mif1", b"heic")))
    return path


def test_the_documented_table_has_a_row_for_every_kind() -> None:
    page = OPERATE.read_text(encoding="utf-8")
    assert [name for name in (*CASES, *HOSTILE) if f"| {name} |" not in page] == []


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["JXL"])
    assert "there are: JPEG" in capsys.readouterr().err


def test_the_command_prints_a_row_for_each_kind_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slope = Measured(peak=4.125, counted=8.0, seconds=1.0)
    monkeypatch.setattr("bench.memory.bytes_a_pixel", lambda *_: slope)
    assert main(["BMP", "GIF"]) == 0
    assert capsys.readouterr().out.endswith("| BMP | 4.1 | 8.0 |\n| GIF | 4.1 | 8.0 |\n")


def test_a_kind_that_takes_more_than_is_counted_fails_the_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slope = Measured(peak=9.5, counted=8.0, seconds=1.0)
    monkeypatch.setattr("bench.memory.bytes_a_pixel", lambda *_: slope)
    assert main(["BMP", "--check"]) == 1
    assert "more than counted: BMP" in capsys.readouterr().err
