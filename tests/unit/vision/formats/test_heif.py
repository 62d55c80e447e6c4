"""What boxes say of AVIF and HEIC: which of the two, how large, what colours, how much is shown."""

import io
import struct
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache

import pytest
from PIL import AvifImagePlugin, Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.formats.heif import HEIF_BUDGET
from clipwarden.vision.formats.sniff import sniff_format, sniff_size
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Canvas, Cicp, Structure
from kit.isobmff import (
    ALPHA,
    Item,
    box,
    boxes,
    clap,
    coded,
    find,
    full_box,
    grid,
    heif,
    irot,
    ispe,
    nclx,
    pixi,
    profile,
    replaced,
    with_code_points,
    with_track_property,
)
from kit.pictures import encode, natural_picture

SIZE = (64, 48)
HEIC = (b"heic", b"mif1", b"heic")
SRGB = Cicp(primaries=1, transfer=13, matrix=6)
PQ = Cicp(primaries=9, transfer=16, matrix=9, full_range=False)
NOTHING_SAID = Cicp(primaries=2, transfer=2, matrix=6)
DISPLAY_P3 = Cicp(primaries=12, transfer=13, matrix=6)


@cache
def still() -> tuple[bytes, bytes]:
    """The decoder's settings and the coded bytes of an AVIF; both are needed by its item."""
    return coded(encode(natural_picture(1, SIZE), "AVIF"))[1:]


def item(*properties: bytes, kind: bytes = b"av01", size: tuple[int, int] = SIZE, body: bytes | None = None) -> Item:
    settings, written = still()
    return Item(
        kind=kind,
        body=written if body is None else body,
        properties=(ispe(*size), settings, pixi(8, 8, 8), *properties),
    )


def avif(*properties: bytes, body: bytes | None = None, brands: tuple[bytes, ...] = (b"avif", b"mif1")) -> bytes:
    return heif([item(*properties, body=body)], brands=brands)


def tiled(on_grid: tuple[bytes, ...], on_tiles: tuple[bytes, ...], body: bytes | None = None) -> bytes:
    settings, written = still()
    tiles = [
        Item(
            number=number,
            kind=b"av01",
            body=body or written,
            properties=(ispe(*SIZE), settings, pixi(8, 8, 8), *on_tiles),
            hidden=True,
        )
        for number in (2, 3)
    ]
    whole = Item(
        kind=b"grid",
        body=grid(1, 2, 2 * SIZE[0], SIZE[1]),
        properties=(ispe(2 * SIZE[0], SIZE[1]), pixi(8, 8, 8), *on_grid),
        refers=((b"dimg", (2, 3)),),
    )
    return heif([whole, *tiles])


@cache
def moving() -> bytes:
    frames = [natural_picture(seed, SIZE) for seed in range(3)]
    return encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])


def structure(data: bytes) -> Structure:
    image_format = sniff_format(data)
    assert image_format is not None
    return read_structure(data, image_format, DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("brands", "kind", "name"),
    [
        ((b"avif", b"mif1", b"miaf"), b"av01", "AVIF"),
        ((b"avis", b"msf1"), b"av01", "AVIF"),
        ((b"mif1", b"avif"), b"av01", "AVIF"),
        ((b"miaf", b"avif"), b"av01", "AVIF"),
        ((b"heic", b"avif"), b"av01", "AVIF"),  # Chromium shows it
        ((b"isom", b"avif"), b"av01", "AVIF"),
        ((b"mif1", b"miaf"), b"av01", "AVIF"),
        ((b"heic", b"mif1"), b"av01", "AVIF"),
        ((b"heic", b"mif1", b"MiPr", b"miaf", b"MiHB", b"heic"), b"hvc1", "HEIC"),  # iOS
        ((b"mif1", b"heic"), b"hvc1", "HEIC"),
        ((b"mif1", b"miaf"), b"hvc1", "HEIC"),
        ((b"miaf",), b"hev1", "HEIC"),
        ((b"heix",), b"hvc1", "HEIC"),
        ((b"msf1", b"hevc"), b"hvc1", "HEIC"),
        ((b"heic", b"mif1"), b"xxxx", "HEIC"),
        ((b"mif1",), b"jpeg", None),
        ((b"heic", b"mif1"), b"jpeg", None),
        ((b"mif1",), b"unci", None),
        ((b"isom", b"mp42"), b"av01", None),
        ((b"qt  ",), b"hvc1", None),
    ],
)
def test_all_brands_and_the_shown_item_name_the_format(
    brands: tuple[bytes, ...], kind: bytes, name: str | None
) -> None:
    assert sniff_format(heif([item(kind=kind)], brands=brands)) == name


def test_kind_of_a_grid_is_that_of_its_tiles() -> None:
    tiles = [Item(number=2, kind=b"hvc1", body=b"x"), Item(number=3, kind=b"jpeg", body=b"x")]
    for target, name in ((2, "HEIC"), (3, None), (1, None), (9, None)):
        whole = Item(kind=b"grid", body=b"x", refers=((b"dimg", (target,)),))
        assert sniff_format(heif([whole, *tiles], brands=(b"mif1",))) == name


def test_first_bytes_of_a_file_are_enough_where_its_brands_are() -> None:
    assert sniff_format(avif()[:40]) == "AVIF"
    assert sniff_format(heif([item(kind=b"hvc1")], brands=HEIC)[:40]) == "HEIC"


def test_endless_brands_name_nothing_beyond_their_bound() -> None:
    assert sniff_format(box(b"ftyp", b"isom", bytes(4), b"iso2" * 10_000, b"avif")) is None


def test_size_is_known_before_decoding() -> None:
    assert sniff_size(avif(), "AVIF") == SIZE
    assert sniff_size(tiled((), ()), "AVIF") == (2 * SIZE[0], SIZE[1])
    assert sniff_size(moving(), "AVIF") == SIZE
    assert sniff_size(heif([item(kind=b"hvc1", size=(4032, 3024))], brands=HEIC), "HEIC") == (4032, 3024)
    wide = encode(natural_picture(1, (300, 20)), "AVIF")
    assert sniff_size(wide, "AVIF") == (300, 20)


def test_larger_of_a_still_and_a_sequence_counts_for_admission() -> None:
    at = moving().index(b"ispe") + 8
    assert sniff_size(moving()[:at] + struct.pack(">II", 999, 7) + moving()[at + 8 :], "AVIF") == (999, 7)
    assert sniff_size(moving()[:at] + struct.pack(">II", 9, 7) + moving()[at + 8 :], "AVIF") == SIZE


@pytest.mark.parametrize("properties", [(), (irot(1),)])
def test_size_that_is_not_said_is_not_guessed(properties: tuple[bytes, ...]) -> None:
    bare = heif([Item(kind=b"av01", body=still()[1], properties=properties)])
    assert sniff_size(bare, "AVIF") is None
    with pytest.raises(struct.error):
        structure(bare)


@pytest.mark.parametrize(
    ("data", "cicp", "icc"),
    [
        (avif, SRGB, None),  # as the coded picture says
        (lambda: avif(nclx(12, 13)), DISPLAY_P3, None),
        (lambda: avif(nclx(9, 16, 9, full_range=False)), PQ, None),
        (lambda: avif(profile(b"icc")), SRGB, b"icc"),
        (lambda: avif(profile(b"icc", b"rICC")), SRGB, b"icc"),
        (lambda: avif(profile(b"icc"), nclx(12, 13)), DISPLAY_P3, b"icc"),
        (lambda: avif(nclx(12, 13), profile(b"icc")), DISPLAY_P3, b"icc"),
        (lambda: avif(box(b"colr", b"nclc", bytes(6))), SRGB, None),
        (lambda: avif(body=with_code_points(still()[1], 12, 13)), DISPLAY_P3, None),
        (lambda: avif(nclx(1, 13), body=with_code_points(still()[1], 12, 13)), SRGB, None),
        (lambda: avif(nclx(2, 2), body=with_code_points(still()[1], 12, 13)), NOTHING_SAID, None),
        (lambda: tiled((nclx(12, 13),), ()), DISPLAY_P3, None),
        (lambda: tiled((), (nclx(12, 13),)), DISPLAY_P3, None),
        (lambda: tiled((nclx(1, 13),), (nclx(12, 13), profile(b"icc"))), SRGB, b"icc"),
        (lambda: tiled((), (), body=with_code_points(still()[1], 12, 13)), DISPLAY_P3, None),
    ],
)
def test_colours_are_read_where_chromium_reads_them(data: Callable[[], bytes], cicp: Cicp, icc: bytes | None) -> None:
    colour = structure(data()).colour
    assert (colour.cicp, colour.icc, colour.broken) == (cicp, icc, False)


def test_empty_profile_is_a_broken_carrier() -> None:
    assert structure(avif(profile(b""))).colour.broken


def test_colours_of_a_sequence_are_its_tracks_where_it_is_shown() -> None:
    on_track = moving()[: moving().index(b"moov")] + moving()[moving().index(b"moov") :].replace(
        b"nclx\0\x01\0\x0d", b"nclx\0\x0c\0\x0d"
    )
    assert structure(on_track).colour.cicp == DISPLAY_P3
    assert structure(on_track.replace(b"ftypavis", b"ftypavif")).colour.cicp == SRGB


@pytest.mark.parametrize("major", [b"avis", b"avif", b"mif1", b"msf1"])
@pytest.mark.parametrize("has_sequence_brand", [True, False])
@pytest.mark.parametrize("movie_first", [True, False])
def test_source_of_the_picture_is_the_one_that_libavif_chooses(
    major: bytes,
    has_sequence_brand: bool,  # noqa: FBT001
    movie_first: bool,  # noqa: FBT001
) -> None:
    parts = {kind: box(kind, body) for kind, body in boxes(moving())}
    others = [b"avif", b"mif1", *([b"avis"] if has_sequence_brand else [])]
    # Offsets count from the file's start: what stands ahead of the pixels has to stay as long.
    ftyp = box(b"ftyp", major, bytes(4), b"".join(others).ljust(len(parts[b"ftyp"]) - 16, b"\0"))
    order = (b"moov", b"meta") if movie_first else (b"meta", b"moov")
    data = ftyp + b"".join(parts[kind] for kind in (*order, b"mdat"))
    track = replaced_code_points(data)
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as opened:
        shows_track = opened.n_frames > 1
    assert structure(track).colour.cicp == (DISPLAY_P3 if shows_track else SRGB)
    assert structure(track).frames_total == 3  # whichever is shown here, another viewer moves


def replaced_code_points(data: bytes) -> bytes:
    """Say Display P3 of the track alone."""
    at = data.index(b"nclx\0\x01\0\x0d", data.index(b"moov"))
    return data[:at] + b"nclx\0\x0c\0\x0d" + data[at + 8 :]


def test_frames_are_counted_by_the_most_animated_table() -> None:
    assert structure(moving()).frames_total == 3
    table = moving().index(b"stsz")
    for field, count in ((12, 7), (12, 5_000_000)):
        lying = moving()[: table + field] + struct.pack(">I", count) + moving()[table + field + 4 :]
        assert structure(lying).frames_total == min(count, MAX_FRAMES_COUNTED)
    times = moving().index(b"stts") + 12
    assert structure(moving()[:times] + struct.pack(">I", 9) + moving()[times + 4 :]).frames_total == 9
    chunks = moving().index(b"stsc") + 16
    assert structure(moving()[:chunks] + struct.pack(">I", 6) + moving()[chunks + 4 :]).frames_total == 6


@pytest.mark.parametrize("name", ["AVIF", "HEIC"])
def test_a_sequence_of_one_picture_beside_another_still_counts(name: str) -> None:
    """Some viewers show the one, some the other."""
    assert [structure(of_one_sample(sample, name)).frames_total for sample in (0, 1)] == [1, 2]


def of_one_sample(sample: int, name: str) -> bytes:
    """Leave a sequence one sample, beside a still that is its first."""
    data = bytearray(moving().replace(b"ftypavis", b"ftypavif", 1))
    sizes, places, chunks, times = (data.index(kind) + 8 for kind in (b"stsz", b"stco", b"stsc", b"stts"))
    (first, second), (start,) = struct.unpack_from(">2I", data, sizes + 8), struct.unpack_from(">I", data, places + 4)
    struct.pack_into(">2I", data, sizes + 4, 1, (first, second)[sample])
    struct.pack_into(">I", data, places + 4, start + (0, first)[sample])
    struct.pack_into(">I", data, chunks + 8, 1)
    struct.pack_into(">I", data, times + 4, 1)
    if name == "AVIF":
        return bytes(data)
    return bytes(data).replace(b"av01", b"hvc1").replace(b"avis", b"hevc").replace(b"avif", b"heic")


@pytest.mark.parametrize(
    ("properties", "crop"),
    [
        ((clap(32, 24, 0, 0, of=SIZE),), (32, 24)),
        ((clap(31, 23, 0, 0, of=SIZE),), (31, 23)),
        ((irot(1), clap(32, 24, 0, 0, of=SIZE)), (32, 24)),
        ((clap(32, 24, 0, 0, of=SIZE), clap(16, 16, 0, 0, of=SIZE)), (32, 24)),
        ((clap(*SIZE, 0, 0, of=SIZE),), None),
        ((clap(32, 24, 2, 0, of=SIZE),), None),  # as Chromium does: elsewhere than at the top left it does not count
        ((clap(32, 24, 32, 24, of=SIZE),), None),
        ((clap(65, 24, 0, 0, of=SIZE),), None),
        ((box(b"clap", struct.pack(">8i", 65, 2, 24, 1, -63, 4, -12, 1)),), None),
        ((box(b"clap", struct.pack(">8i", 32, 0, 24, 1, 0, 1, 0, 1)),), None),
        ((box(b"clap", struct.pack(">8i", -32, -1, 24, 1, -48, 1, -12, 1)),), None),
        ((), None),
    ],
)
def test_clean_aperture_counts_at_the_top_left(properties: tuple[bytes, ...], crop: tuple[int, int] | None) -> None:
    canvas = structure(avif(*properties)).canvas
    assert (canvas and canvas.size) == crop


def test_still_that_is_not_shown_need_not_be_whole() -> None:
    at = moving().index(b"iloc") + 18
    lost = moving()[:at] + b"\x7f\xff\xff\xff" + moving()[at + 4 :]
    assert structure(lost).frames_total == 3
    with pytest.raises(struct.error):
        structure(lost.replace(b"ftypavis", b"ftypavif"))


def test_transparency_of_a_sequence_is_a_track_that_is_not_shown() -> None:
    frames = [natural_picture(seed, SIZE).convert("RGBA") for seed in range(2)]
    frames[0].putalpha(natural_picture(9, SIZE).convert("L"))
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    assert data.count(b"trak") == 2
    assert structure(data).frames_total == 2
    assert structure(data).colour.cicp == SRGB


BRIGHT, FAINT, PAGE = 200, 100, 155
DISPLAYED = Preprocessing(side=32, fit="squash", colour="srgb")


def grey(level: int) -> bytes:
    return encode(Image.new("L", SIZE, level), "AVIF", quality=100)


def premultiplied(*properties: bytes, by: int = 2) -> bytes:
    settings, written = coded(grey(BRIGHT))[1:]
    alpha_settings, alpha = coded(grey(FAINT))[1:]
    shown = Item(
        kind=b"av01",
        body=written,
        properties=(ispe(*SIZE), settings, pixi(8), *properties),
        refers=((b"prem", (by,)),),
    )
    beside = (ispe(*SIZE), alpha_settings, pixi(8), ALPHA)
    transparency = Item(number=2, kind=b"av01", body=alpha, properties=beside, refers=((b"auxl", (1,)),), hidden=True)
    return heif([shown, transparency])


@pytest.mark.parametrize(
    ("data", "white", "black"),
    [
        (premultiplied(), 255, BRIGHT),
        (premultiplied(nclx(1, 13)), 255, BRIGHT),
        # Divided by alpha they are white, whatever the curve.
        (premultiplied(nclx(1, 8)), 255, FAINT),
        (premultiplied(by=3), PAGE + BRIGHT * FAINT // 255, BRIGHT * FAINT // 255),
    ],
    ids=["as stored", "sRGB", "converted", "by no transparency of its own"],
)
def test_premultiplied_colours_are_added_to_the_page_however_bright(data: bytes, white: int, black: int) -> None:
    views = decode_image(data, preprocessing=DISPLAYED).views
    for view, level in zip(views, (white, black), strict=True):
        assert abs(view.pixels.astype(int) - level).max() <= 1, view.name


@pytest.mark.parametrize("more", [[], [natural_picture(2, SIZE).convert("RGBA")]], ids=["still", "sequence"])
def test_premultiplied_picture_looks_like_one_that_is_not(more: list[Image.Image]) -> None:
    picture = natural_picture(1, SIZE).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(SIZE))
    options = {"quality": 100, "subsampling": "4:4:4", "save_all": bool(more), "append_images": more}
    straight, stored = (encode(picture, "AVIF", alpha_premultiplied=how, **options) for how in (False, True))
    assert b"prem" in stored
    assert (structure(straight).alpha, structure(stored).alpha) == ("straight", "premultiplied")
    same = [decode_image(data, preprocessing=DISPLAYED).pixels.astype(int) for data in (straight, stored)]
    assert abs(same[0] - same[1]).max() <= 4


def test_clean_aperture_of_a_sequence_is_its_tracks() -> None:
    data = with_track_property(moving(), clap(32, 24, 0, 0, of=SIZE))
    assert structure(data).canvas == Canvas(size=(32, 24), left=0, top=0)
    assert structure(data.replace(b"ftypavis", b"ftypavif")).canvas is None


def described(data: bytes, kind: bytes = b"Exif") -> list[Item]:
    return [item(), Item(number=2, kind=kind, body=data, refers=((b"cdsc", (1,)),))]


def test_metadata_are_kept_from_the_decoder_which_fails_on_them() -> None:
    data = heif(described(b"no EXIF at all" * 9))
    with pytest.raises(ValueError, match="Invalid Exif"), AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as opened:
        opened.load()
    cleaned = structure(data).data
    assert len(cleaned) == len(data)
    with AvifImagePlugin.AvifImageFile(io.BytesIO(cleaned)) as opened:
        opened.load()
    assert structure(avif()).data == avif()


def test_file_without_a_brand_of_its_own_is_given_one() -> None:
    assert structure(avif(brands=(b"mif1",))).data == avif(brands=(b"avif",))
    heic = heif([item(kind=b"hvc1")], brands=(b"heic", b"miaf"))
    assert structure(heic).data == heif([item(kind=b"hvc1")], brands=(b"heic", b"heic"))


def test_what_is_coded_is_held_against_what_is_shown() -> None:
    # A frame of 4096 x 4096 takes kilobytes to write and 30 MB to decode before it is scaled to what `ispe` says.
    settings, large = coded(encode(Image.new("RGB", (4096, 4096), "red"), "AVIF", speed=10))[1:]
    small = Item(kind=b"av01", body=large, properties=(ispe(64, 48), settings, pixi(8, 8, 8)))
    clear = Item(
        number=2, kind=b"av01", body=large, properties=(ispe(64, 48), settings, ALPHA), refers=((b"auxl", (1,)),)
    )
    padded = Item(kind=b"av01", body=b"\x7a\x05paddi" + large, properties=small.properties)
    for items in ([small], [item(), clear], [padded]):
        with pytest.raises(ImageError, match="far more pixels decoded than it shows") as caught:
            structure(heif(items))
        assert caught.value.reason is Reason.IMAGE_CORRUPT
    unused = Item(number=2, kind=b"av01", body=large, properties=(ispe(64, 48), settings))
    assert structure(heif([item(), unused])).frames_total == 1
    half = Item(kind=b"av01", body=large, properties=(ispe(4096, 2048), settings, pixi(8, 8, 8)))
    assert structure(heif([half])).frames_total == 1


def nest(depth: int, kind: bytes = b"grid", times: int = 4) -> list[Item]:
    derived = [
        Item(number=number, kind=kind, body=b"", properties=(ispe(*SIZE),), refers=((b"dimg", (number + 1,) * times),))
        for number in range(1, depth)
    ]
    return [*derived, Item(number=depth, kind=b"hvc1", body=b"x", properties=(ispe(*SIZE),))]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (nest(3), None),
        (nest(4, times=30), "far more pixels decoded than it shows"),
        (nest(5), "derived items without end"),
        (nest(900, b"iden", 1), "derived items without end"),
        ([Item(kind=b"iden", body=b"", properties=(ispe(*SIZE),), refers=((b"dimg", (1,)),))], "without end"),
        (
            [
                Item(kind=b"grid", body=b"", properties=(ispe(64, 48),), refers=((b"dimg", (2,) * 8),)),
                Item(number=2, kind=b"hvc1", body=b"x", properties=(ispe(8000, 6000),)),
            ],
            "far more pixels decoded than it shows",
        ),
    ],
    ids=["shallow", "wide", "deep", "deeper", "circle", "large tiles"],
)
def test_pictures_made_of_others_cost_a_bounded_multiple_of_what_is_shown(
    items: list[Item], message: str | None
) -> None:
    expected = nullcontext() if message is None else pytest.raises((ImageError, struct.error), match=message)
    with expected:
        structure(heif(items, brands=HEIC))


def test_pieces_of_an_item_are_put_together() -> None:
    data = avif(body=with_code_points(still()[1], 12, 13))
    at = data.index(b"iloc") + 4
    offset, length = struct.unpack_from(">II", data, at + 14)
    pieces = struct.pack(">HIIIIII", 3, offset, 5, offset + 5, 4, offset + 9, length - 9)
    rewritten = data[: at - 8] + full_box(b"iloc", struct.pack(">HHHH", 0x4400, 1, 1, 0), pieces)
    # The box grew by 16 bytes, and so did the one that holds it, and whatever stands behind.
    meta = data.index(b"meta") - 4
    rewritten += data[at + 22 :]
    grown = rewritten[:meta] + struct.pack(">I", struct.unpack_from(">I", data, meta)[0] + 16) + rewritten[meta + 4 :]
    moved = struct.pack(">HIIIIII", 3, offset + 16, 5, offset + 21, 4, offset + 25, length - 9)
    final = grown.replace(pieces, moved)
    assert structure(final).colour.cicp == DISPLAY_P3
    with AvifImagePlugin.AvifImageFile(io.BytesIO(final)) as opened:
        opened.load()


def test_boxes_without_end_are_refused_and_not_walked() -> None:
    endless = [box(b"irot", b"\0")] * (HEIF_BUDGET.entries + 1)
    with pytest.raises(ImageError, match="The AVIF has too many boxes") as caught:
        structure(heif([Item(kind=b"av01", body=b"x")], before=b"".join(endless)))
    assert caught.value.reason is Reason.IMAGE_CORRUPT


def test_sequence_of_hevc_without_a_still_is_not_called_damaged() -> None:
    hevc = moving().replace(b"av01", b"hvc1").replace(b"avis", b"hevc").replace(b"avif", b"hevx")
    alone = hevc.replace(b"meta", b"free", 1)
    assert sniff_format(alone) == "HEIC"
    with pytest.raises(ImageError, match="a sequence without a still picture") as caught:
        structure(alone)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED
    assert structure(hevc).frames_total == 3


def test_kit_takes_a_file_apart_and_puts_it_together_again() -> None:
    data = encode(natural_picture(1, SIZE), "AVIF")
    again = heif([item()])
    assert find(again, b"mdat") == find(data, b"mdat")
    images = []
    for each in (data, again, replaced(moving(), b"moov", find(moving(), b"moov"))):
        with AvifImagePlugin.AvifImageFile(io.BytesIO(each)) as opened:
            images.append((opened.n_frames, opened.tobytes()))
    assert images[0] == images[1]
    assert images[2][0] == 3
