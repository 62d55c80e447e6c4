"""GIF: screens, frames, tables and control blocks that contradict each other."""

import struct
from collections.abc import Iterator

from PIL import Image
from tests.browser.parts import encode, gif_control, gif_parts
from tests.browser.profiles import NEGATIVE_CURVE, matrix_profile
from tests.browser.structures.case import SIZE, Case, picture

END = b";"


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _screens()
    yield from _blocks()
    yield from _tables()


def screen(size: tuple[int, int] = SIZE, table: bytes = b"", *, background: int = 0, version: bytes = b"89a") -> bytes:
    """Header, logical screen, global colour table."""
    flags = 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
    return b"GIF" + version + struct.pack("<HHBBB", *size, flags, background, 0) + table


def frame(
    name: str, *, at: tuple[int, int] = (0, 0), table: bytes | None = None, size: tuple[int, int] | None = None
) -> bytes:
    """An image block; its pixels are of `name`, its own table goes with it unless another is given."""
    parts = gif_parts(encode(_indexed(name), "GIF", interlace=0))
    image = next(part for part in parts if part[:1] == b",")
    own = colours(name) if table is None else table
    flags = 0x80 | (len(own) // 3).bit_length() - 2 if own else 0
    return b"," + struct.pack("<4HB", *at, *(size or picture(name).size), flags) + own + image[10:]


def colours(name: str) -> bytes:
    """The table that a picture's pixels mean, of 8 colours."""
    table = gif_parts(encode(_indexed(name), "GIF", interlace=0))[0][13:]
    return table[:24].ljust(24, b"\0")


def _indexed(name: str) -> Image.Image:
    return picture(name).quantize(8)


def _case(name: str, *blocks: bytes) -> Case:
    return Case(name=f"gif/{name}", data=b"".join(blocks))


def _screens() -> Iterator[Case]:
    a, b = frame("A"), frame("B")
    yield _case("plain", screen(), a, END)
    yield _case("two frames", screen(), gif_control(), a, gif_control(), b, END)
    yield _case("frame larger than the screen", screen((32, 24)), a, END)
    yield _case("second frame larger than the screen", screen(), gif_control(), a, gif_control(), frame("C"), END)
    yield _case("frame smaller than the screen", screen((96, 80)), frame("A", at=(8, 8)), END)
    yield _case(
        "frame smaller, background colour set", screen((96, 80), colours("B"), background=1), frame("A", at=(8, 8)), END
    )
    yield _case("frame partly outside", screen(), frame("A", at=(8, 8)), END)
    yield _case("frame wholly outside", screen(), frame("A", at=(100, 100)), END)
    yield _case(
        "frame wholly outside, then one inside",
        screen(),
        gif_control(),
        frame("A", at=(100, 100)),
        gif_control(),
        b,
        END,
    )
    yield _case("screen of no size", screen((0, 0)), a, END)
    yield _case("screen of no width", screen((0, 48)), a, END)
    yield _case(
        "screen of no size, second frame larger", screen((0, 0)), gif_control(), frame("C"), gif_control(), a, END
    )
    yield _case("frame of no size", screen(), b"," + struct.pack("<4HB", 0, 0, 0, 0, 0) + b"\2\0", END)
    yield _case("frame of no size, then one", screen(), b"," + struct.pack("<4HB", 0, 0, 0, 0, 0) + b"\2\0", a, END)
    yield _case("screen of 65535", screen((65535, 65535)), a, END)


def _blocks() -> Iterator[Case]:
    a, b = frame("A"), frame("B")
    comment = b"!\xfe\2ab\0"
    icc = matrix_profile(NEGATIVE_CURVE)
    pieces = b"".join(bytes([len(icc[at : at + 255])]) + icc[at : at + 255] for at in range(0, len(icc), 255))
    yield _case(
        "two control blocks, see-through last", screen(), gif_control(), gif_control(transparent=_first_index()), a, END
    )
    yield _case(
        "two control blocks, see-through first",
        screen(),
        gif_control(transparent=_first_index()),
        gif_control(),
        a,
        END,
    )
    yield _case("see-through index", screen(), gif_control(transparent=_first_index()), a, END)
    yield _case("see-through index beyond the table", screen(), gif_control(transparent=200), a, END)
    yield _case("see-through index in 87a", screen(version=b"87a"), gif_control(transparent=_first_index()), a, END)
    yield _case("control block of 5 bytes", screen(), b"!\xf9\5" + bytes([1, 0, 0, _first_index(), 0]) + b"\0", a, END)
    yield _case("control block behind the frame", screen(), a, gif_control(transparent=_first_index()), END)
    yield _case("comment between control and frame", screen(), gif_control(transparent=_first_index()), comment, a, END)
    yield _case(
        "plain text between control and frame",
        screen(),
        gif_control(transparent=_first_index()),
        b"!\1\x0c" + bytes(12) + b"\1x\0",
        a,
        END,
    )
    yield _case("plain text first", screen(), b"!\1\x0c" + bytes(12) + b"\1x\0", a, END)
    yield _case("unknown extension", screen(), b"!\x42\3abc\0", a, END)
    yield _case("ICC extension", screen(), b"!\xff\x0bICCRGBG1012" + pieces + b"\0", a, END)
    yield _case("second GIF behind the trailer", screen(), a, END, screen(), b, END)
    yield _case("frame behind the trailer", screen(), a, END, b, END)
    yield _case("trailer first", screen(), END, a, END)
    yield _case("no trailer", screen(), a)
    yield _case("no trailer, two frames", screen(), gif_control(), a, gif_control(), b)
    yield _case("stray byte between frames", screen(), gif_control(), a, b"\x42", gif_control(), b, END)
    yield _case("stray byte before the frame", screen(), b"\x42", a, END)
    yield _case("zero byte before the frame", screen(), b"\0", a, END)
    yield _case("zero bytes between frames", screen(), gif_control(), a, bytes(5), gif_control(), b, END)
    yield _case("no end of pixels", screen(), a[:-1], END)
    yield _case("pixels cut", screen(), a[: len(a) // 2])
    yield _case("pixels cut, then ended", screen(), a[: 34 + a[34] + 1], b"\0", END)
    yield _case("more pixels than the frame has", screen(), frame("A", size=(64, 24)), END)
    yield _case("fewer pixels than the frame has", screen((64, 96)), frame("A", size=(64, 96)), END)
    yield _case("least code size 12", screen(), a[:34] + b"\x0c" + a[35:], END)
    yield _case("second frame restores the first", screen(), gif_control(disposal=3), a, gif_control(), frame("C"), END)
    yield _case("header only", screen())


def _first_index() -> int:
    """Where A's own colour, of its upper left corner, stands in its table."""
    table = colours("A")
    distances = [
        sum(abs(a - b) for a, b in zip(table[at : at + 3], picture("A").getpixel((0, 0)), strict=True))
        for at in range(0, 24, 3)
    ]
    return distances.index(min(distances))


def _tables() -> Iterator[Case]:
    bare = frame("A", table=b"")
    yield _case("global table", screen(table=colours("A")), bare, END)
    yield _case("global and local table", screen(table=colours("B")), frame("A"), END)
    yield _case("no table at all", screen(), bare, END)
    yield _case("no table at all, second frame with one", screen(), gif_control(), bare, gif_control(), frame("B"), END)
    yield _case("table too short for its pixels", screen(table=colours("A")[:6]), bare, END)
    yield _case("local table too short", screen(table=colours("A")), frame("A", table=colours("A")[:6]), END)
