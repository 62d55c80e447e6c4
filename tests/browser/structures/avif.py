"""AVIF: properties doubled, contradicting, or without effect; brands; turns, crops and profiles by box."""

import struct
from collections.abc import Iterator, Sequence

from tests.browser.parts import Part, box_file, boxes, encode, exif_block
from tests.browser.structures.case import NEGATIVE, SIZE, SWAPPED, Case, half_seen, picture

QUALITY = {"quality": 95, "subsampling": "4:4:4"}
_FULL = 4  # version and flags, in front of what a full box holds


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _properties()
    yield from _files()


def rebuilt(
    data: bytes, added: Sequence[Part], *, without: Sequence[bytes] = (), essential: bool = True, first: bool = False
) -> bytes:
    """Write an AVIF of one item again, with other properties.

    Args:
        data: As Pillow writes it.
        added: Properties, in their order.
        without: Kinds of property to leave out.
        essential: Whether readers have to understand what is added.
        first: Whether they come before the others.
    """
    top = boxes(data)
    meta = boxes(dict(top)[b"meta"][_FULL:])
    kept = [part for part in boxes(dict(boxes(dict(meta)[b"iprp"]))[b"ipco"]) if part[0] not in without]
    properties = [*added, *kept] if first else [*kept, *added]
    must = [0x80 if (part in added and essential) or part[0] == b"av1C" else 0 for part in properties]
    indices = bytes(mark | at + 1 for at, mark in enumerate(must))
    association = bytes(_FULL) + struct.pack(">IHB", 1, 1, len(indices)) + indices
    iprp = box_file([(b"ipco", box_file(properties)), (b"ipma", association)])
    grown = len(iprp) - len(dict(meta)[b"iprp"])
    new = [(kind, _moved(body, grown) if kind == b"iloc" else iprp if kind == b"iprp" else body) for kind, body in meta]
    return box_file([(kind, bytes(_FULL) + box_file(new) if kind == b"meta" else body) for kind, body in top])


def _moved(iloc: bytes, grown: int) -> bytes:
    """Follow the pixels of the one item, whose place Pillow writes in four bytes."""
    (offset,) = struct.unpack_from(">I", iloc, len(iloc) - 8)
    return iloc[:-8] + struct.pack(">I", offset + grown) + iloc[-4:]


def profile(icc: bytes) -> Part:
    """A profile's property."""
    return b"colr", b"prof" + icc


def nclx(primaries: int, transfer: int, matrix: int = 6, *, full: bool = True) -> Part:
    """Colours by number."""
    return b"colr", b"nclx" + struct.pack(">3HB", primaries, transfer, matrix, 0x80 * full)


def clap(size: tuple[int, int], moved: tuple[int, int] = (0, 0)) -> Part:
    """Show only a part, by its size and how far its middle is from the picture's."""
    return b"clap", struct.pack(">IIIIiIiI", size[0], 1, size[1], 1, moved[0], 1, moved[1], 1)


def _properties() -> Iterator[Case]:
    plain = encode(picture("A"), "AVIF", **QUALITY)
    negative, swapped = profile(NEGATIVE), profile(SWAPPED)
    irot, imir = (b"irot", b"\3"), (b"imir", b"\1")

    def case(name: str, *added: Part, **options: bool) -> Case:
        return Case(name=f"avif/{name}", data=rebuilt(plain, added, **options))

    yield Case(name="avif/plain", data=plain)
    yield case("rebuilt")
    yield case("profile", negative)
    yield case("profile before the others", negative, first=True)
    yield case("two profiles", negative, swapped)
    yield case("two profiles, the other order", swapped, negative)
    yield case("broken profile, then another", profile(b"nonsense" * 30), negative)
    yield case("profile of kind rICC", (b"colr", b"rICC" + NEGATIVE))
    yield case("colr of an unknown kind", (b"colr", b"abcd" + NEGATIVE))
    yield case("linear nclx behind the other", nclx(1, 8))
    yield case("linear nclx before the other", nclx(1, 8), first=True)
    yield Case(name="avif/nclx left out", data=rebuilt(plain, [], without=[b"colr"]))
    yield Case(name="avif/linear nclx alone", data=rebuilt(plain, [nclx(1, 8)], without=[b"colr"]))
    yield Case(name="avif/nclx of narrow range", data=rebuilt(plain, [nclx(1, 13, full=False)], without=[b"colr"]))
    yield Case(name="avif/nclx with the matrix of RGB", data=rebuilt(plain, [nclx(1, 13, 0)], without=[b"colr"]))
    yield Case(name="avif/profile and linear nclx", data=rebuilt(plain, [negative, nclx(1, 8)], without=[b"colr"]))
    yield Case(name="avif/linear nclx and profile", data=rebuilt(plain, [nclx(1, 8), negative], without=[b"colr"]))
    yield case("turned by irot", irot)
    yield case("irot that nobody has to understand", irot, essential=False)
    yield case("two irot", irot, irot)
    yield case("irot, then imir", irot, imir)
    yield case("imir, then irot", imir, irot)
    yield case("crop to the middle", clap((32, 24)))
    yield case("crop to the left half", clap((32, 48), (-16, 0)))
    yield case("crop larger than the picture", clap((128, 96)))
    yield case("crop that nobody has to understand", clap((32, 24)), essential=False)
    yield case("pixels twice as wide", (b"pasp", struct.pack(">II", 2, 1)))
    yield case("ispe again, smaller", (b"ispe", bytes(4) + struct.pack(">II", 32, 24)), essential=False)
    yield Case(
        name="avif/ispe smaller",
        data=rebuilt(plain, [(b"ispe", bytes(4) + struct.pack(">II", 32, 24))], without=[b"ispe"], essential=False),
    )
    yield Case(
        name="avif/ispe larger",
        data=rebuilt(plain, [(b"ispe", bytes(4) + struct.pack(">II", 96, 80))], without=[b"ispe"], essential=False),
    )
    yield Case(name="avif/no ispe", data=rebuilt(plain, [], without=[b"ispe"]))
    yield case("unknown property, essential", (b"abcd", b"1234"))
    yield case("unknown property", (b"abcd", b"1234"), essential=False)


def _files() -> Iterator[Case]:
    plain = encode(picture("A"), "AVIF", **QUALITY)
    (_, brands), *rest = boxes(plain)
    for name, new in (
        ("mif1, avif among its others", b"mif1\0\0\0\0mif1avifmiaf"),
        ("mif1 alone", b"mif1\0\0\0\0mif1"),
        ("heic, avif among its others", b"heic\0\0\0\0heicavif"),
        ("heic alone", b"heic\0\0\0\0mif1heic"),
        ("avis", b"avis\0\0\0\0avisavif"),
        ("unknown, avif among its others", b"abcd\0\0\0\0avif"),
    ):
        moved = rebuilt(box_file([(b"ftyp", brands), *rest]), [])
        parts = boxes(moved)
        shift = len(new) - len(brands)
        meta = boxes(dict(parts)[b"meta"][_FULL:])
        again = [(kind, _moved(body, shift) if kind == b"iloc" else body) for kind, body in meta]
        yield Case(
            name=f"avif/brand {name}",
            data=box_file([(b"ftyp", new), (b"meta", bytes(_FULL) + box_file(again)), *parts[2:]]),
        )
    yield Case(name="avif/more behind the end", data=plain + b"more" * 99)
    yield Case(name="avif/another behind the end", data=plain + encode(picture("B"), "AVIF", **QUALITY))
    yield Case(name="avif/cut", data=plain[:-20])
    yield Case(name="avif/free box first", data=box_file([(b"free", b"1234")]) + plain)
    yield Case(name="avif/see-through", data=encode(half_seen(), "AVIF", **QUALITY))
    yield Case(
        name="avif/EXIF that says nothing else", data=encode(picture("A"), "AVIF", exif=exif_block(6), **QUALITY)
    )
    turned = encode(picture("A"), "AVIF", exif=exif_block(6), **QUALITY)
    yield Case(name="avif/EXIF turned, irot renamed", data=turned.replace(b"irot\3", b"free\3"))
    moving = encode(picture("A"), "AVIF", save_all=True, append_images=[picture("B")], duration=100, **QUALITY)
    yield Case(name="avif/two frames", data=moving)
    assert picture("A").size == SIZE
