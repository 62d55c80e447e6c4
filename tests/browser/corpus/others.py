"""WebP, AVIF, GIF and BMP; TIFF and HEIC, which Chromium does not show and which have a twin that it does."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import pillow_heif
from PIL import Image
from tests.browser.corpus.entry import Entry, dithered, grey, inks, patches, see_through, wide
from tests.browser.corpus.jpegs import with_profile
from tests.browser.corpus.pngs import WRONG_KIND, deep
from tests.browser.corpus.spaces import cmyk_profiles, every_profile, grey_profiles, lut_profiles, rgb_profiles
from tests.browser.parts import encode, exif_block, gif_parts, iccp, with_chunks
from tests.browser.profiles import P3_PRIMARIES, SRGB_PRIMARIES, Pair, rgb_to_xyz

NAMES = ("Display P3 v4", "Adobe RGB v2", "falling curve", "LUT mft2, Adobe RGB", "LUT mAB, negative")


def entries() -> Iterator[Entry]:
    """All of them."""
    yield from _webp()
    yield from _avif()
    yield from _moving_avif()
    yield from _gif()
    yield from _bmp()
    yield from _tiff()
    yield from _heic()


def _webp() -> Iterator[Entry]:
    for name in NAMES:
        profile = every_profile()[name]
        yield Entry(name=f"webp/lossy, {name}", data=encode(patches(), "WEBP", quality=90, icc_profile=profile))
        yield Entry(name=f"webp/lossless, {name}", data=encode(patches(), "WEBP", lossless=True, icc_profile=profile))
    p3 = rgb_profiles()["Display P3 v4"]
    yield Entry(
        name="webp/lossy with alpha, Display P3", data=encode(see_through(), "WEBP", quality=90, icc_profile=p3)
    )
    yield Entry(
        name="webp/lossless with alpha, Display P3",
        data=encode(see_through(), "WEBP", lossless=True, exact=True, icc_profile=p3),
    )
    yield Entry(
        name="webp/with alpha, no carrier",
        data=encode(see_through(), "WEBP", lossless=True, exact=True),
        without=encode(see_through().convert("RGB"), "WEBP", lossless=True),
    )
    yield Entry(
        name="webp/grey profile",
        data=encode(patches(), "WEBP", lossless=True, icc_profile=grey_profiles()["grey gamma 3"]),
        control=WRONG_KIND,
    )
    moving = encode(
        patches(),
        "WEBP",
        lossless=True,
        save_all=True,
        append_images=[patches().rotate(180)],
        icc_profile=rgb_profiles()["falling curve"],
    )
    yield Entry(name="webp/animation, falling curve", data=moving, control="an animation's profile is ignored")
    checkers = encode(dithered(), "WEBP", lossless=True, icc_profile=rgb_profiles()["V-shaped curve"])
    yield Entry(name="webp/dithered under a V-shaped curve", data=checkers)
    yield Entry(
        name="webp/EXIF turned 6",
        data=encode(patches(), "WEBP", lossless=True, exif=exif_block(6)),
        control="a WebP is not turned",
    )


def _avif() -> Iterator[Entry]:
    plain = encode(patches(), "AVIF", quality=90, subsampling="4:4:4")
    for name in NAMES:
        yield Entry(
            name=f"avif/{name}",
            data=encode(patches(), "AVIF", quality=90, subsampling="4:4:4", icc_profile=every_profile()[name]),
        )
    p3 = rgb_profiles()["Display P3 v4"]
    yield Entry(name="avif/with alpha, Display P3", data=encode(see_through(), "AVIF", quality=90, icc_profile=p3))
    yield Entry(name="avif/4:2:0, Display P3", data=encode(patches(), "AVIF", quality=90, icc_profile=p3))
    yield Entry(
        name="avif/grey profile", data=encode(grey(), "AVIF", quality=90, icc_profile=grey_profiles()["grey gamma 3"])
    )
    for name, primaries, transfer, matrix in (
        ("Display P3", 12, 13, 6),
        ("linear", 1, 8, 6),
        ("BT.2020", 9, 1, 6),
        ("matrix of BT.709", 1, 13, 1),
        ("matrix of BT.2020", 1, 13, 9),
        ("gamma 2.8", 1, 5, 6),
        ("PQ", 9, 16, 6),
        ("HLG", 9, 18, 6),
    ):
        yield Entry(name=f"avif/nclx {name}", data=with_code_points(plain, primaries, transfer, matrix), without=plain)
    for name, numbers in (("unspecified", (2, 2, 6)), ("BT.709", (1, 1, 6))):
        yield Entry(name=f"avif/nclx {name}", data=with_code_points(plain, *numbers), control="shown as sRGB")
    both = encode(patches(), "AVIF", quality=90, subsampling="4:4:4", icc_profile=p3)
    yield Entry(name="avif/nclx linear beside Display P3", data=with_code_points(both, 1, 8, 6))
    for orientation in range(2, 9):
        yield Entry(
            name=f"avif/turned {orientation}",
            data=encode(patches(), "AVIF", quality=90, exif=exif_block(orientation)),
            without=encode(patches(), "AVIF", quality=90),
        )


def _moving_avif() -> Iterator[Entry]:
    """Its first frame."""
    profile = rgb_profiles()["falling curve"]
    moving = encode(patches(), "AVIF", quality=90, save_all=True, append_images=[grey()], icc_profile=profile)
    yield Entry(name="avif/animation, falling curve", data=moving)


def with_code_points(data: bytes, primaries: int, transfer: int, matrix: int) -> bytes:
    """Write other colours into an AVIF's nclx box."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">3H", primaries, transfer, matrix) + data[at + 6 :]


def _gif() -> Iterator[Entry]:
    plain = encode(patches(), "GIF", interlace=0)
    parts = gif_parts(plain)
    icc = rgb_profiles()["falling curve"]
    blocks = b"".join(bytes([len(icc[at : at + 255])]) + icc[at : at + 255] for at in range(0, len(icc), 255))
    extension = b"!\xff\x0bICCRGBG1012" + blocks + b"\0"
    yield Entry(
        name="gif/falling curve", data=b"".join([parts[0], extension, *parts[1:]]), control="no browser reads it"
    )
    clear = encode(patches().quantize(64), "GIF", transparency=3)
    yield Entry(name="gif/one colour clear", data=clear, without=encode(patches().quantize(64), "GIF"))


def bmp(
    image: Image.Image,
    kind: bytes,
    *,
    primaries: tuple[Pair, Pair, Pair] = SRGB_PRIMARIES,
    gamma: float = 2.2,
    profile: bytes = b"",
    version: int = 5,
) -> bytes:
    """Write a BMP of 24 bits whose header says what its colours are.

    Args:
        image: RGB.
        kind: Four bytes as in the file: `BGRs` (sRGB), ` niW`, `DEBM` (a profile within), four zeros (calibrated).
        primaries: Of calibrated colours.
        gamma: Of calibrated colours.
        profile: What stands behind the pixels.
        version: 4 or 5.
    """
    stride = -image.width * 3 % 4
    pixels = b"".join(row[:, ::-1].tobytes() + bytes(stride) for row in np.asarray(image)[::-1])
    length = {4: 108, 5: 124}[version]
    header = struct.pack("<IiiHHIIiiII", length, *image.size, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    header += bytes(16) + kind
    ends = rgb_to_xyz(primaries).T.reshape(-1)
    header += b"".join(struct.pack("<i", round(value * 2**30)) for value in ends)
    header += struct.pack("<3I", *[round(gamma * 65536)] * 3)
    if version == 5:
        header += struct.pack("<4I", 4, length + len(pixels) if profile else 0, len(profile), 0)
    start = 14 + length
    return b"BM" + struct.pack("<IHHI", start + len(pixels) + len(profile), 0, 0, start) + header + pixels + profile


def _bmp() -> Iterator[Entry]:
    yield Entry(name="bmp/V5, Display P3 within", data=bmp(patches(), b"DEBM", profile=rgb_profiles()["Display P3 v4"]))
    yield Entry(
        name="bmp/V5, falling curve within", data=bmp(patches(), b"DEBM", profile=rgb_profiles()["falling curve"])
    )
    yield Entry(name="bmp/V5, LUT within", data=bmp(patches(), b"DEBM", profile=lut_profiles()["LUT mAB, negative"]))
    yield Entry(name="bmp/V4, calibrated Display P3", data=bmp(patches(), bytes(4), primaries=P3_PRIMARIES, version=4))
    yield Entry(name="bmp/V4, calibrated gamma 1", data=bmp(patches(), bytes(4), gamma=1.0, version=4))
    yield Entry(name="bmp/V5, calibrated gamma 1", data=bmp(patches(), bytes(4), gamma=1.0))
    yield Entry(name="bmp/V5, sRGB", data=bmp(patches(), b"BGRs", gamma=1.0), control="sRGB")


def _tiff() -> Iterator[Entry]:
    plain = encode(patches(), "PNG")
    for name in NAMES:
        profile = every_profile()[name]
        data = encode(patches(), "TIFF", icc_profile=profile, compression="tiff_lzw")
        yield Entry(name=f"tiff/{name}", data=data, twin=with_chunks(plain, iccp(profile)))
    level = grey_profiles()["grey gamma 3"]
    twin = with_chunks(encode(grey(), "PNG"), iccp(level))
    yield Entry(name="tiff/grey gamma 3", data=encode(grey(), "TIFF", icc_profile=level), twin=twin)
    press = cmyk_profiles()["CMYK mft2"]
    cmyk = encode(inks(), "JPEG", quality=100, subsampling=0)
    yield Entry(name="tiff/CMYK mft2", data=encode(inks(), "TIFF", icc_profile=press), twin=with_profile(cmyk, press))
    yield Entry(name="tiff/CMYK, no profile", data=encode(inks(), "TIFF"), twin=cmyk, control="no carrier")
    alpha = rgb_profiles()["Display P3 v4"]
    twin = with_chunks(encode(see_through(), "PNG"), iccp(alpha))
    yield Entry(name="tiff/with alpha, Display P3", data=encode(see_through(), "TIFF", icc_profile=alpha), twin=twin)
    sixteen = Image.fromarray(wide()[..., 1])
    yield Entry(
        name="tiff/16-bit grey gamma 3",
        data=encode(sixteen, "TIFF", icc_profile=level),
        twin=deep(wide()[..., 1:2], iccp(level)),
    )
    for orientation in (3, 6):
        turned = encode(patches(), "TIFF", tiffinfo={274: orientation})
        twin = with_chunks(plain, (b"eXIf", exif_block(orientation)))
        yield Entry(name=f"tiff/turned {orientation}", data=turned, twin=twin, without=encode(patches(), "TIFF"))


def _heic() -> Iterator[Entry]:
    plain = encode(patches(), "PNG")
    for name in NAMES:
        profile = every_profile()[name]
        yield Entry(
            name=f"heic/{name}", data=heic(patches(), icc_profile=profile), twin=with_chunks(plain, iccp(profile))
        )
    turned = heic(patches(), exif=b"Exif\0\0" + exif_block(6))
    yield Entry(
        name="heic/turned 6", data=turned, twin=with_chunks(plain, (b"eXIf", exif_block(6))), without=heic(patches())
    )


def heic(image: Image.Image, **options: object) -> bytes:
    """Encode as HEIC, almost without loss."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, chroma=444, **options)
    return buffer.getvalue()
