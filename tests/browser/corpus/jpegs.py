"""JPEG: profiles for RGB, grey and CMYK, Adobe's marker, turns."""

from collections.abc import Iterator

from PIL import Image
from tests.browser.corpus.entry import Entry, dithered, grey, inks, patches
from tests.browser.corpus.pngs import WRONG_KIND
from tests.browser.corpus.spaces import SAME_AS_SRGB, cmyk_profiles, every_profile, grey_profiles, rgb_profiles
from tests.browser.parts import (
    after_start,
    encode,
    exif_segment,
    icc_segment,
    jpeg_parts,
    jpeg_renamed,
    jpeg_segment,
    xmp,
)

QUALITY = 92


def entries() -> Iterator[Entry]:
    """All of them."""
    plain = encode(patches(), "JPEG", quality=QUALITY, subsampling=0)
    for name, profile in every_profile().items():
        control = "sRGB by another name" if name in SAME_AS_SRGB else ""
        yield Entry(name=f"jpeg/{name}", data=with_profile(plain, profile), control=control)
    yield from _kinds()
    yield from _inks()
    yield from _turns(plain)


def with_profile(data: bytes, profile: bytes) -> bytes:
    """Put a profile behind a JPEG's first marker, in as many segments as it takes."""
    pieces = [profile[at : at + 60_000] for at in range(0, len(profile), 60_000)]
    return after_start(data, *[icc_segment(piece, at + 1, len(pieces)) for at, piece in enumerate(pieces)])


def _kinds() -> Iterator[Entry]:
    p3 = rgb_profiles()["Display P3 v4"]
    subsampled = encode(patches(), "JPEG", quality=80)
    progressive = encode(patches(), "JPEG", quality=80, progressive=True)
    large = encode(patches().resize((1440, 1080), Image.Resampling.NEAREST), "JPEG", quality=QUALITY)
    rgb = encode(patches(), "JPEG", quality=QUALITY, keep_rgb=True)
    yield Entry(name="jpeg/4:2:0, Display P3", data=with_profile(subsampled, p3))
    yield Entry(name="jpeg/progressive, Display P3", data=with_profile(progressive, p3))
    yield Entry(name="jpeg/1440 x 1080, Display P3", data=with_profile(large, p3))
    yield Entry(name="jpeg/1440 x 1080, falling curve", data=with_profile(large, rgb_profiles()["falling curve"]))
    yield Entry(name="jpeg/1440 x 1080, Adobe RGB", data=with_profile(large, rgb_profiles()["Adobe RGB v2"]))
    yield Entry(name="jpeg/RGB, Display P3", data=with_profile(rgb, p3))
    unnamed = jpeg_renamed(rgb, b"\1\2\3")
    yield Entry(name="jpeg/RGB by Adobe's marker", data=unnamed, without=_without_marker(unnamed))
    for name, profile in grey_profiles().items():
        yield Entry(name=f"jpeg/{name}", data=with_profile(encode(grey(), "JPEG", quality=QUALITY), profile))
    yield Entry(
        name="jpeg/grey, RGB profile",
        data=with_profile(encode(grey(), "JPEG", quality=QUALITY), rgb_profiles()["gamma 3"]),
    )
    yield Entry(
        name="jpeg/RGB, grey profile",
        data=with_profile(subsampled, grey_profiles()["grey gamma 3"]),
        control=WRONG_KIND,
    )
    yield Entry(
        name="jpeg/RGB, CMYK profile", data=with_profile(subsampled, cmyk_profiles()["CMYK mft2"]), control=WRONG_KIND
    )
    checkers = encode(dithered(), "JPEG", quality=100, subsampling=0)
    yield Entry(
        name="jpeg/dithered under a V-shaped curve", data=with_profile(checkers, rgb_profiles()["V-shaped curve"])
    )


def _inks() -> Iterator[Entry]:
    cmyk = encode(inks(), "JPEG", quality=QUALITY)
    yield Entry(name="jpeg/CMYK, no profile", data=cmyk, control="Adobe's marker is not what inverts them")
    for name, profile in cmyk_profiles().items():
        yield Entry(name=f"jpeg/{name}", data=with_profile(cmyk, profile))
    yield Entry(
        name="jpeg/CMYK, RGB profile", data=with_profile(cmyk, rgb_profiles()["falling curve"]), control=WRONG_KIND
    )
    # The same numbers, said to be YCCK: other colours.
    ycck = after_start(_without_marker(cmyk), jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\2"))
    yield Entry(name="jpeg/YCCK by Adobe's marker", data=ycck, without=_without_marker(cmyk))
    yield Entry(name="jpeg/YCCK, profile", data=with_profile(ycck, cmyk_profiles()["CMYK mft2"]))


def _without_marker(data: bytes) -> bytes:
    return b"".join(part for part in jpeg_parts(data) if part[1] not in (0xEE, 0xE0))


def _turns(plain: bytes) -> Iterator[Entry]:
    for orientation in range(2, 9):
        yield Entry(name=f"jpeg/EXIF turned {orientation}", data=after_start(plain, exif_segment(orientation)))
    p3 = with_profile(plain, rgb_profiles()["Display P3 v4"])
    yield Entry(name="jpeg/EXIF turned 8, Display P3", data=after_start(p3, exif_segment(8)))
    turned = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))
    yield Entry(name="jpeg/XMP turned 6", data=after_start(plain, turned), control="XMP turns nothing")
