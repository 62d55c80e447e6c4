"""What each parser costs at its worst, counted in entries and bytes, and what honest files leave of it."""

import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipwarden.errors import ImageError
from clipwarden.vision.formats.bmp import BMP_BUDGET
from clipwarden.vision.formats.exif import exif_orientation
from clipwarden.vision.formats.gainmap import GAIN_MAP_BUDGET, METADATA_BUDGET
from clipwarden.vision.formats.gif import GIF_BUDGET
from clipwarden.vision.formats.heif import HEIF_BUDGET
from clipwarden.vision.formats.ifd import DIRECTORIES_BUDGET, MAX_ENTRIES, PROFILE_BUDGET
from clipwarden.vision.formats.jpeg import BODIES_BUDGET, SCANS_BUDGET
from clipwarden.vision.formats.png import PNG_BUDGET
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget
from clipwarden.vision.formats.sniff import sniff_format, sniff_size
from clipwarden.vision.formats.structures import PAGES_BUDGET, read_structure
from clipwarden.vision.formats.truncation import TRUNCATION_BUDGETS, looks_cut_short
from clipwarden.vision.formats.webp import WEBP_BUDGET
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.structure import MAX_FRAMES_COUNTED
from kit.containers import PNG_SIGNATURE, png_header
from kit.isobmff import Item, box, full_box, grid, heif, irot, ispe, pixi, profile
from kit.pictures import FORMATS, encode, natural_picture

# The stated bounds themselves, so that raising one is a decision: entries, bytes and passes of each.
STATED = {
    "header": (HEADER_BUDGET, (4_096, 98_304, 0)),
    "GIF blocks": (GIF_BUDGET, (600_000, 1_809_005, 0)),
    "PNG chunks": (PNG_BUDGET, (50_000, 400_000, 1)),
    "WEBP chunks": (WEBP_BUDGET, (100_000, 800_016, 1)),
    "BMP header": (BMP_BUDGET, (0, 256, 2)),
    "TIFF directories": (DIRECTORIES_BUDGET, (16_384, 393_216, 0)),
    "TIFF profile": (PROFILE_BUDGET, (4_096, 10_584_064, 0)),
    "TIFF pages": (PAGES_BUDGET, (1_000, 16_016, 0)),
    "JPEG bodies": (BODIES_BUDGET, (0, 0, 1)),
    "JPEG scans": (SCANS_BUDGET, (4_096, 8_192, 2)),
    "JPEG gain maps": (GAIN_MAP_BUDGET, (1_024, 0, 1)),
    "gain maps' metadata": (METADATA_BUDGET, (0, 262_144, 0)),
    "end of JPEG": (TRUNCATION_BUDGETS["JPEG"], (0, 0, 1)),
    "end of PNG": (TRUNCATION_BUDGETS["PNG"], (0, 0, 1)),
    "end of GIF": (TRUNCATION_BUDGETS["GIF"], (0, 1, 0)),
    "end of WEBP": (TRUNCATION_BUDGETS["WEBP"], (0, 4, 0)),
    "end of BMP": (TRUNCATION_BUDGETS["BMP"], (0, 4, 0)),
    "end of AVIF": (TRUNCATION_BUDGETS["AVIF"], (1_000, 16_000, 0)),
    "end of HEIC": (TRUNCATION_BUDGETS["HEIC"], (1_000, 16_000, 0)),
    "HEIF boxes": (HEIF_BUDGET, (16_384, 1_048_576, 1)),
    "end of TIFF": (TRUNCATION_BUDGETS["TIFF"], (404_096, 3_298_304, 0)),
}
INSPECTION_BUDGETS = {
    "AVIF": (HEIF_BUDGET,),
    "HEIC": (HEIF_BUDGET,),
    "GIF": (GIF_BUDGET,),
    "JPEG": (HEADER_BUDGET, BODIES_BUDGET, SCANS_BUDGET),
    "PNG": (PNG_BUDGET,),
    "WEBP": (WEBP_BUDGET,),
    "BMP": (BMP_BUDGET,),
    "TIFF": (DIRECTORIES_BUDGET, PAGES_BUDGET, PROFILE_BUDGET),
}
MILLION = 1_000_000


@pytest.mark.parametrize("parser", STATED)
def test_bounds_are_as_stated(parser: str) -> None:
    budget, stated = STATED[parser]
    assert (budget.entries, budget.bytes, budget.passes) == stated


def tiff(claimed: int, *entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """Spell a classic TIFF of one directory, whatever number of entries it claims."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", claimed) + body + tail


def bigtiff(claimed: int, *tail: bytes, first: int = 16) -> bytes:
    return b"MM\0+\0\x08\0\0" + struct.pack(">QQ", first, claimed) + b"".join(tail)


def gif(*blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b"".join(blocks)


GIF_FRAME = b"," + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02\x02\x4c\x01\x00"
OUTSIDE = struct.pack(">HHQQ", 700, 7, 9, 0)  # a tag with values outside the directory
SIZES = ((256, 3, 1, 8), (257, 3, 1, 8))
PNG_START = PNG_SIGNATURE + png_header((8, 8))
SCAN = b"\xff\xda\0\x02"


BRANDS = {"AVIF": b"avif", "HEIC": b"heic"}
CODED = {"AVIF": b"av01", "HEIC": b"hvc1"}


def hostile_heif(brand: bytes) -> dict[str, bytes]:
    """Files whose tables claim more than they hold, or hold more than anybody writes."""
    start, million = box(b"ftyp", brand, bytes(4), brand), struct.pack(">I", MILLION)
    item = struct.pack(">HH4s", 1, 0, b"av01" if brand == b"avif" else b"hvc1") + b"\0"
    shown = full_box(b"pitm", b"\0\1") + full_box(b"iinf", b"\0\1", full_box(b"infe", item, version=2))
    sized = full_box(b"ispe", struct.pack(">II", 8, 8))
    own = box(b"iprp", box(b"ipco", sized), full_box(b"ipma", b"\0\0\0\1\0\1\1\1"))
    table = b"".join(struct.pack(">HHII", 1, 0, 1, 0) for _ in range(1000))
    pieces, many = b"\x44\0\0\1\0\1\0\0\xff\xff", full_box(b"ipma", million, b"\0\1\xff" + b"\1" * 255) * 300
    to_itself = box(b"dimg", b"\0\1\xff\xff" + b"\0\1" * 65_535)
    metas = {
        "items": (full_box(b"iinf", b"\xff\xff", full_box(b"infe", item, version=2) * 50_000),),
        "properties": (shown, box(b"iprp", box(b"ipco", sized * 50_000))),
        "associations": (shown, box(b"iprp", box(b"ipco", sized), many)),
        "places": (shown, own, full_box(b"iloc", b"\x44\0\xff\xff", table * 60)),
        "pieces": (shown, own, full_box(b"iloc", pieces + bytes(8 * 65_535))),
        "pieces of nothing": (shown, own, full_box(b"iloc", b"\0\0" + pieces[2:])),
        "references": (shown, own, full_box(b"iref", to_itself * 9)),
    }
    still = start + full_box(b"meta", shown, own)
    deep = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", box(b"free") * 100_000))))
    return {
        **{name: start + full_box(b"meta", *parts) for name, parts in metas.items()},
        "tracks": still + box(b"moov", box(b"trak") * 100_000),
        "samples": still + box(b"moov", *[track(MILLION)] * 20),
        "units": heif_of(brand, b"\x12\0" * 200_000),
        "deep boxes": start + box(b"moov", deep),
    }


def heif_of(brand: bytes, body: bytes) -> bytes:
    kind = b"av01" if brand == b"avif" else b"hvc1"
    return heif([Item(kind=kind, body=body, properties=(ispe(8, 8),))], brands=(brand, brand))


def track(samples: int) -> bytes:
    times = full_box(b"stts", struct.pack(">I", samples), bytes(8 * 9000))
    chunks = full_box(b"stsc", struct.pack(">I", 9000), bytes(12 * 9000))
    described = full_box(b"stsd", struct.pack(">I", 1), box(b"av01", bytes(78)))
    held = box(b"mdia", box(b"minf", box(b"stbl", described, times, chunks)))
    return box(b"trak", full_box(b"tkhd", bytes(80)), held)


@cache
def hostile() -> dict[str, bytes]:
    """Files that would keep an unbounded walk busy, by format and what they repeat or claim."""
    pages = b"".join(struct.pack("<HI", 0, 20 + 6 * index) for index in range(200_000))
    tables = tiff(5, *SIZES, (273, 4, 1, 8), (279, 3, MILLION, 8), (325, 16, 7, 8), tail=b"\x01" * 2 * MILLION)
    four = ((273, 4, 100_000, 8), (279, 4, MILLION, 8), (324, 4, 100_000, 8), (325, 4, MILLION, 8))
    return {
        "JPEG fill": b"\xff\xd8" + b"\xff" * MILLION,
        "JPEG gap": b"\xff\xd8" + b"\0" * MILLION,
        "JPEG comments": b"\xff\xd8" + b"\xff\xfe\0\x02" * MILLION,
        "JPEG standalone markers": b"\xff\xd8" + b"\xff\x01" * MILLION,
        "JPEG comments and fill": b"\xff\xd8" + (b"\xff" * 20 + b"\xff\xfe\0\x02") * 100_000,
        "JPEG segments without length": b"\xff\xd8" + b"\xff\xe0\0\0" * MILLION,
        "JPEG scans": b"\xff\xd8" + SCAN * MILLION,
        "JPEG markers among scans": b"\xff\xd8" + SCAN * 2 + b"\xff\x01" * MILLION + SCAN * 80,
        "JPEG segments among scans": b"\xff\xd8" + SCAN * 2 + b"\xff\xe0\0\0" * MILLION + SCAN * 80,
        "JPEG stuffing among scans": b"\xff\xd8" + SCAN * 2 + b"\xff\0" * MILLION + SCAN * 80,
        "JPEG fill among scans": b"\xff\xd8" + SCAN * 2 + b"\xff" * MILLION + SCAN * 80,
        "GIF sub-blocks": gif(b"!\xfe" + b"\x01a" * MILLION),
        "GIF sub-blocks of a frame": gif(GIF_FRAME[:-1] + b"\x01a" * MILLION),
        "GIF stray bytes": gif(b"\x01" * MILLION),
        "GIF empty extensions": gif(b"!\xfe\0" * MILLION),
        "GIF frames": gif(GIF_FRAME * MILLION),
        "PNG empty chunks": PNG_START + struct.pack(">I4sI", 0, b"teXt", 0) * MILLION,
        "PNG endless chunk": PNG_START + struct.pack(">I4sI", 2**32 - 1, b"teXt", 0) * 1000,
        "TIFF tags": tiff(65_535, tail=struct.pack("<HHII", 700, 7, 9, 0) * 65_536),
        "TIFF tags at the end": tiff(65_535, tail=struct.pack("<HHII", 700, 7, 9, 0) * 4000),
        "TIFF a million tags": bigtiff(MILLION, OUTSIDE * MILLION),
        "TIFF as many tags as read": bigtiff(MAX_ENTRIES, OUTSIDE * MILLION),
        "TIFF impossible tags": bigtiff(2**64 - 1, OUTSIDE * 5000),
        "TIFF repeated directories": bigtiff(4000, struct.pack(">HHIIQ", 34665, 4, 0, 1, 16 << 32) * 4000),
        "TIFF directories of a million tags": bigtiff(
            3,
            *[struct.pack(">HHQQ", tag, 16, 1, 84) for tag in (34665, 34853, 40965)],
            struct.pack(">Q", MILLION),
            OUTSIDE * MILLION,
        ),
        "TIFF beyond the end": bigtiff(1, OUTSIDE, first=2**64 - 1),
        "TIFF pages": tiff(0, tail=struct.pack("<I", 14) + pages),
        "TIFF loop of pages": tiff(0, tail=struct.pack("<I", 8)),
        "TIFF table of a million strips": tables,
        "TIFF four tables": tiff(6, *SIZES, *four, tail=b"\x01" * 4 * MILLION),
        "AVIF boxes": b"\0\0\0\x0cftypavif" + (struct.pack(">I", 8) + b"free") * MILLION,
        "AVIF long boxes": b"\0\0\0\x0cftypavif" + (b"\0\0\0\x01free" + struct.pack(">Q", 16)) * MILLION,
        **{f"{kind} {what}": data for kind, brand in BRANDS.items() for what, data in hostile_heif(brand).items()},
        "AVIF boxes smaller than a box": b"\0\0\0\x0cftypavif" + b"\0\0\0\x07free" * MILLION,
        "WEBP chunks": b"RIFF\xff\xff\xff\xffWEBP" + b"EXIF\0\0\0\0" * MILLION,
        "BMP masks": b"BM" + b"\xff" * MILLION,
    }


HOSTILE = tuple(hostile())


def format_of(name: str) -> str:
    return name.replace(",", " ").partition(" ")[0]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BoundedReader]]:
    """Collect the readers made meanwhile: the only way by which the parsers see a file."""
    made: list[BoundedReader] = []
    original = BoundedReader.__init__

    def record(self: BoundedReader, data: bytes, budget: Budget) -> None:
        original(self, data, budget)
        made.append(self)

    with monkeypatch.context() as patched:
        patched.setattr(BoundedReader, "__init__", record)
        yield made


def lines_run(call: Callable[[], object]) -> int:
    """Count the lines of Python that a call runs, in whatever function: work that no reader sees."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401  typeshed's own
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines


def cost(monkeypatch: pytest.MonkeyPatch, parse: Callable[[], object]) -> tuple[int, int]:
    """Return the entries visited and the bytes looked at, whether or not the parser refuses the file."""
    with counted(monkeypatch) as readers, suppress(ImageError, ValueError, struct.error):
        parse()
    return sum(reader.entries_read for reader in readers), sum(reader.bytes_read for reader in readers)


def assert_within(spent: tuple[int, int], data: bytes, *budgets: Budget) -> None:
    assert spent[0] <= sum(budget.entries for budget in budgets)
    assert spent[1] <= sum(budget.bytes + budget.passes * len(data) for budget in budgets)


def inspect(data: bytes, image_format: str) -> None:
    read_structure(data, image_format, DEFAULT_LIMITS)


@pytest.mark.parametrize("name", HOSTILE)
def test_header_of_a_hostile_file_costs_no_more_than_stated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, image_format = hostile()[name], format_of(name)
    spent = cost(monkeypatch, lambda: sniff_size(data, image_format))
    assert_within(spent, data, HEADER_BUDGET)
    # A few lines of Python an entry, and nothing else that grows with the file.
    assert lines_run(lambda: sniff_size(data, image_format)) <= 200 + 40 * spent[0]


@pytest.mark.parametrize("name", [name for name in HOSTILE if format_of(name) in INSPECTION_BUDGETS])
def test_inspection_of_a_hostile_file_costs_no_more_than_stated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, image_format = hostile()[name], format_of(name)
    spent = cost(monkeypatch, lambda: inspect(data, image_format))
    assert_within(spent, data, *INSPECTION_BUDGETS[image_format])


@pytest.mark.parametrize("name", HOSTILE)
def test_looking_for_the_end_of_a_hostile_file_costs_no_more_than_stated(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, image_format = hostile()[name], format_of(name)
    spent = cost(monkeypatch, lambda: looks_cut_short(data, image_format))
    assert_within(spent, data, TRUNCATION_BUDGETS[image_format])


def test_orientation_of_a_hostile_exif_block_costs_no_more_than_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HOSTILE:
        if name.startswith("TIFF"):
            exif = b"Exif\0\0" + hostile()[name]
            assert_within(cost(monkeypatch, lambda exif=exif: exif_orientation(exif)), exif, HEADER_BUDGET)


@pytest.mark.parametrize(
    ("name", "parse", "spent"),
    [
        ("JPEG comments", sniff_size, HEADER_BUDGET.entries),
        ("JPEG fill", sniff_size, HEADER_BUDGET.bytes),
        ("TIFF a million tags", sniff_size, HEADER_BUDGET.entries),
        ("GIF sub-blocks", inspect, GIF_BUDGET.entries),
        ("PNG empty chunks", inspect, PNG_BUDGET.entries),
        ("TIFF repeated directories", inspect, DIRECTORIES_BUDGET.entries - 384),  # those of a fifth do not fit
        ("JPEG markers among scans", inspect, SCANS_BUDGET.entries),
        ("HEIC items", sniff_size, HEADER_BUDGET.entries),
        ("AVIF properties", inspect, HEIF_BUDGET.entries),
        ("AVIF units", inspect, HEIF_BUDGET.entries),
        ("AVIF boxes", looks_cut_short, TRUNCATION_BUDGETS["AVIF"].entries),
        ("AVIF long boxes", looks_cut_short, 16 * 999 + 8),
    ],
)
def test_worst_files_are_bad_enough_to_meet_the_bound(
    name: str, parse: Callable[[bytes, str], object], spent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spent in cost(monkeypatch, lambda: parse(hostile()[name], format_of(name)))


def jpeg(*segments: bytes) -> bytes:
    """Put segments at the start of a whole JPEG, behind some fill each, as cameras and editors do."""
    whole = encode(natural_picture(1, (48, 36)), "JPEG", progressive=True)
    return whole[:2] + b"".join(b"\xff\xff\xff" + segment for segment in segments) + whole[2:]


def segment(marker: int, size: int) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, size + 2) + b"\x01" * size


def phone() -> bytes:
    """Lay out 48 million pixels as iOS does: 192 tiles of 512 x 512, a thumbnail, EXIF, and what the tiles share."""
    tiles = tuple(range(2, 194))
    whole = Item(
        kind=b"grid",
        body=grid(12, 16, 8064, 6048),
        properties=(ispe(8064, 6048), profile(b"p" * 548), pixi(8, 8, 8), irot(3)),
        refers=((b"dimg", tiles),),
    )
    of_tile = (ispe(512, 512), box(b"hvcC", bytes(106)), profile(b"p" * 548))
    parts = [Item(number=number, kind=b"hvc1", body=b"tile" * 9, properties=of_tile) for number in tiles]
    small = Item(number=200, kind=b"hvc1", body=b"x", properties=(ispe(416, 312),), refers=((b"thmb", (1,)),))
    exif = Item(number=201, kind=b"Exif", body=bytes(6000), refers=((b"cdsc", (1,)),))
    return heif([whole, *parts, small, exif], brands=(b"heic", b"mif1", b"MiPr", b"miaf", b"MiHB", b"heic"))


@cache
def honest() -> dict[str, bytes]:
    """Files larger or stranger than most, all of which somebody's software writes."""
    picture = natural_picture(1, (48, 36))
    exif = Image.Exif()
    for tag in range(0xC000, 0xC000 + 400):  # as many tags as are registered
        exif[tag] = "maker's note"
    shot = Image.Exif()
    for directory, tag, value in ((34665, 0x9003, "2026:01:01 12:00:00"), (34853, 1, "N")):
        shot.get_ifd(directory)[tag] = value
        shot[directory] = 0  # Pillow writes the directory, and its offset here
    whole_gif = encode(picture, "GIF")
    strips = struct.pack("<4000I", *range(4000))
    pages = encode(picture, "TIFF", save_all=True, append_images=[picture] * 300)
    return {
        **{image_format: encode(picture, image_format) for image_format in FORMATS},
        "JPEG of a camera": jpeg(*[segment(marker, 60_000) for marker in (0xE1, 0xE1, 0xE2, 0xED)]),
        "JPEG with 64 MiB of metadata": jpeg(*[segment(0xE2, 65_533)] * 1020),
        "JPEG of 60 scans": encode(picture, "JPEG", progressive=True)[:-2] + (segment(0xC4, 40) + SCAN) * 50,
        "JPEG with restarts": encode(natural_picture(1, (640, 480)), "JPEG", restart_marker_blocks=1),
        "JPEG with EXIF": encode(picture, "JPEG", exif=exif),
        "PNG of 64 MiB in small chunks": PNG_START + (struct.pack(">I4s", 8192, b"IDAT") + bytes(8196)) * 8192,
        "PNG animation": encode(picture, "PNG", save_all=True, append_images=[natural_picture(2, (48, 36))] * 50),
        "GIF of 64 MiB": whole_gif[:-1] + b"!\xfe" + (b"\xff" + b"a" * 255) * 262_000 + b"\0;",
        "TIFF of 301 pages": pages,
        "TIFF with 400 tags": encode(picture, "TIFF", exif=exif),
        "TIFF with EXIF and GPS": encode(picture, "TIFF", exif=shot),
        "TIFF, big, with EXIF and GPS": encode(picture, "TIFF", exif=shot, big_tiff=True),
        "TIFF of 4,000 strips": tiff(
            4, *SIZES, (273, 4, 4000, 100), (279, 4, 4000, 16_100), tail=bytes(42) + 2 * strips
        ),
        "HEIC of a phone": phone(),
        "AVIF of many frames": encode(picture, "AVIF", save_all=True, append_images=[natural_picture(2, (48, 36))] * 9),
    }


@pytest.mark.parametrize("name", honest())
def test_honest_files_stay_below_half_of_every_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, image_format = honest()[name], format_of(name)
    assert sniff_format(data) == image_format
    header = cost(monkeypatch, lambda: sniff_size(data, image_format))
    assert max(2 * header[0] - HEADER_BUDGET.entries, 2 * header[1] - HEADER_BUDGET.bytes) <= 0
    with counted(monkeypatch) as readers:
        inspect(data, image_format)  # and nothing is refused
    allowed = sum(budget.entries for budget in INSPECTION_BUDGETS.get(image_format, ()))
    assert 2 * sum(reader.entries_read for reader in readers) <= allowed
    end = cost(monkeypatch, lambda: looks_cut_short(data, image_format))
    assert 2 * end[0] <= TRUNCATION_BUDGETS[image_format].entries


def test_bounds_leave_the_counts_of_honest_files_as_they_are() -> None:
    counts = {
        name: read_structure(data, format_of(name), DEFAULT_LIMITS).frames_total
        for name, data in honest().items()
        if format_of(name) in ("GIF", "TIFF", "JPEG")
    }
    assert counts == {**dict.fromkeys(counts, 1), "TIFF of 301 pages": 301}
    assert read_structure(hostile()["TIFF pages"], "TIFF", DEFAULT_LIMITS).frames_total == MAX_FRAMES_COUNTED


def test_jpeg_that_hides_its_scans_among_endless_markers_is_refused() -> None:
    for name in ("JPEG markers among scans", "JPEG segments among scans"):
        with pytest.raises(ImageError, match="has more than 4096 markers"):
            inspect(hostile()[name], "JPEG")


def test_directory_that_the_file_cuts_short_is_judged_by_the_entries_it_holds() -> None:
    with pytest.raises(ImageError, match="it claims too many strips or tiles"):
        inspect(tiff(1000, *SIZES, (273, 4, MILLION, 8)), "TIFF")
    cut = tiff(1000, *SIZES, (700, 7, 5000, 8))
    inspect(cut, "TIFF")  # not refused as implausible: the values may be what is missing
    assert looks_cut_short(cut, "TIFF")


def test_first_of_a_repeated_tag_counts_as_in_pillow() -> None:
    assert sniff_size(tiff(4, *SIZES, (256, 3, 1, 99), (257, 3, 1, 99)), "TIFF") == (8, 8)


@settings(max_examples=200)
@given(
    start=st.sampled_from([encode(natural_picture(1, (48, 36)), image_format) for image_format in FORMATS]),
    keep=st.integers(4, 60),
    body=st.lists(st.binary(min_size=1, max_size=12), max_size=5),
    times=st.integers(1, 3000),
)
def test_no_file_of_repeated_bytes_costs_more_than_stated(
    start: bytes, keep: int, body: list[bytes], times: int
) -> None:
    data = start[:keep] + b"".join(body) * times
    image_format = sniff_format(start) or ""
    patch = pytest.MonkeyPatch()
    assert_within(cost(patch, lambda: sniff_size(data, image_format)), data, HEADER_BUDGET)
    inspected = INSPECTION_BUDGETS.get(image_format, ())
    assert_within(cost(patch, lambda: inspect(data, image_format)), data, *inspected)
    ends = TRUNCATION_BUDGETS[image_format]
    assert_within(cost(patch, lambda: looks_cut_short(data, image_format)), data, ends)


def test_directories_that_pillow_loads_with_a_page_may_not_claim_endless_tags_either() -> None:
    name = "TIFF directories of a million tags"
    with pytest.raises(ImageError, match="it claims too many tags"):
        inspect(hostile()[name], "TIFF")
    with pytest.raises(ImageError, match="it claims too many directories"):
        inspect(hostile()["TIFF repeated directories"], "TIFF")
    # A reader skips an entry of unknown type and takes the next of the same tag.
    skipped = struct.pack(">HHQQ", 34665, 99, 1, 8)
    for tags in ([skipped, hostile()[name][24:44]], [hostile()[name][24:44], skipped]):
        data = bigtiff(2, *tags, bytes(20), struct.pack(">Q", MILLION), OUTSIDE)
        with pytest.raises(ImageError, match="it claims too many tags"):
            inspect(data, "TIFF")
    stale = tiff(3, *SIZES, (34665, 4, 1, 60), tail=b"\xff" * 40)
    inspect(stale, "TIFF")  # what 16 bits can count is cheap enough


def test_interoperability_directory_is_found_in_the_exif_directory_behind_a_damaged_pointer() -> None:
    def pointer(tag: int, offset: int) -> bytes:
        return struct.pack(">HHQQ", tag, 16, 1, offset)

    page = pointer(34665, 2**63) + pointer(34665, 72) + bytes(8)
    exif = struct.pack(">Q", 1) + pointer(40965, 108) + bytes(8)
    for claimed, refused in ((MAX_ENTRIES, False), (MAX_ENTRIES + 1, True)):
        data = bigtiff(2, page, exif, struct.pack(">Q", claimed))
        assert data[72:80] == struct.pack(">Q", 1)
        with pytest.raises(ImageError, match="it claims too many tags") if refused else nullcontext():
            inspect(data, "TIFF")


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"\xff" * 500, b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_orientation_of_junk_is_as_stored(exif: bytes) -> None:
    assert exif_orientation(exif) == 1
