"""Files of unknown origin in, small JPEGs for a contact sheet out: blurred in their pixels, and clear only if asked."""

import hashlib
import io
import math
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from PIL import Image

from clipwarden.errors import ImageError
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.tuning.sheet.page import Rendition
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import View
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.plan import ViewPlan

CLEAR_SIDE: Final = 320
"""Pixels a side of a clear picture."""
MOST_FRAMES: Final = 6
"""Frames of an animation that are shown: more would be too small to tell what they show."""
_MOST_CLEAR_SIDE: Final = 2 * CLEAR_SIDE
"""Of all its frames and backgrounds together."""
BLURRED_SIDE: Final = 6
"""Pixels a side that are left of a blurred picture: colours and composition, no faces, bodies or words."""
_SMOOTH_SIDE: Final = 32
"""What these are drawn out to, since browsers show single pixels as steps when they enlarge them."""
_AS_SHOWN: Final = Preprocessing(side=CLEAR_SIDE, fit="pad", colour="srgb", pad_rgb=(128, 128, 128))
_PLAN: Final = ViewPlan(frames=MOST_FRAMES)
_CLEAR_QUALITY, _BLURRED_QUALITY = 75, 85


def render(data: bytes, *, clear: bool, judged: Collection[int] = ()) -> Rendition:
    """Make small JPEGs of a picture, as it is judged: what is see-through on white and on black.

    Of an animation they show up to `MOST_FRAMES` frames in a grid, in the order of the file: the first of them, and
    those that differ most. It is read once, within the bounds of any decode, up to the last judged frame.

    Args:
        data: The file.
        clear: Whether to make a clear one as well.
        judged: Indices of the frames that were judged; none where nobody knows, then frames are chosen among all.

    Returns:
        Both without metadata.

    Raises:
        ImageError: It cannot be decoded, or is too large.
    """
    decoded = decode_image(data, preprocessing=_AS_SHOWN, plan=_PLAN, only_frames=judged)
    facts = decoded.facts
    picture = _grid(decoded.views, in_pairs=len(decoded.views) > facts.frames_judged)
    few = (picture.width * BLURRED_SIDE // CLEAR_SIDE, picture.height * BLURRED_SIDE // CLEAR_SIDE)
    blurred = picture.resize(few, Image.Resampling.BOX)  # cell by cell: none runs into the next
    picture.thumbnail((_MOST_CLEAR_SIDE, _MOST_CLEAR_SIDE))
    return Rendition(
        blurred=_jpeg(blurred, _BLURRED_QUALITY),
        clear=_jpeg(picture, _CLEAR_QUALITY) if clear else None,
        frames_shown=facts.frames_judged,
        frames_total=facts.frames_total,
    )


def _grid(views: Sequence[View], *, in_pairs: bool) -> Image.Image:
    """Lay views out in rows, about as many as columns.

    Args:
        views: Squares of `CLEAR_SIDE`.
        in_pairs: Whether a frame has two, which belong beside each other.
    """
    columns = math.ceil(math.sqrt(len(views)))
    columns += columns % 2 if in_pairs else 0
    rows = math.ceil(len(views) / columns)
    grid = Image.new("RGB", (columns * CLEAR_SIDE, rows * CLEAR_SIDE), _AS_SHOWN.pad_rgb)
    for place, view in enumerate(views):
        row, column = divmod(place, columns)
        grid.paste(Image.fromarray(view.pixels), (column * CLEAR_SIDE, row * CLEAR_SIDE))
    return grid


def find_file(sha256: str, uri: str | None, folder: Path) -> bytes | None:
    """Read a picture's file, if it is still the one that was stored.

    Args:
        sha256: Of the file; another one is not shown, whatever it is called.
        uri: Where it was found: a path, or a `file:` address. Nothing is fetched from a network.
        folder: Where relative paths begin, and where a file of that name is looked for.

    Returns:
        Its bytes; None where it is not there, or was changed.
    """
    for path in _candidates(uri, folder):
        data = _read(path)
        if data is not None and hashlib.sha256(data).hexdigest() == sha256:
            return data
    return None


def _candidates(uri: str | None, folder: Path) -> Iterator[Path]:
    if not uri or "\0" in uri:
        return
    parts = urlsplit(uri) if "://" in uri else None
    if parts is not None and parts.scheme != "file":
        path = Path(unquote(parts.path).lstrip("/"))
    else:
        path = Path(unquote(parts.path)) if parts else Path(uri)
        yield path
    yield folder / path.relative_to(path.anchor)
    yield folder / path.name


def _read(path: Path) -> bytes | None:
    """Read a plain file of a size that may be judged: never a pipe or a device."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > DEFAULT_LIMITS.max_image_bytes:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def renditions(
    pictures: Iterable[tuple[str, str | None]],
    folder: Path,
    *,
    clear: bool,
    judged: Mapping[str, Collection[int]] | None = None,
) -> Iterator[tuple[str, Rendition | None]]:
    """Make renditions of many pictures, one after the other.

    Args:
        pictures: sha256 and address of each.
        folder: As in `find_file`.
        clear: As in `render`.
        judged: Likewise, by sha256.

    Yields:
        sha256, and the rendition; None where the file is missing, changed, or cannot be decoded.
    """
    frames = judged or {}
    for sha256, uri in pictures:
        data = find_file(sha256, uri, folder)
        try:
            yield sha256, None if data is None else render(data, clear=clear, judged=frames.get(sha256, ()))
        except ImageError:
            yield sha256, None
