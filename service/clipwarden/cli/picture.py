"""An image and its moderation in, a picture out that shows where in it each category found what it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from clipwarden.cli.wording import compare, leading_category, verdict_name
from clipwarden.errors import ConfigError
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.vision.displayed import displayed
from clipwarden.vision.limits import DecodeLimits

SUFFIX = ".png"
_COLOURS: Mapping[int, str] = {v1.VERDICT_BLOCK: "#c00000", v1.VERDICT_REVIEW: "#b36b00"}
_PLAIN = "#0050b0"
_TEXT_PIXELS = 16
_LINE_PIXELS = 3


def require_place(target: str) -> Path:
    """Take the file to write, before anything is judged.

    Raises:
        ConfigError: It is no PNG by its name, or its folder is not there.
    """
    path = Path(target)
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"--picture {target}: write a name that ends in {SUFFIX}.")
    if not path.parent.is_dir():
        raise ConfigError(f"--picture {target}: the folder {path.parent} is not there.")
    return path


def write_picture(path: Path, data: bytes, moderation: v1.Moderation, limits: DecodeLimits) -> None:
    """Draw where the categories that fired were found, and, where none did, the one that came nearest.

    Args:
        path: A PNG, written over.
        data: The file that was judged.
        moderation: Its verdict.
        limits: That it was judged under.

    Raises:
        ImageError: The file cannot be decoded.
        OSError: The picture cannot be written.
    """
    draw_places(data, moderation, limits).save(path)


def draw_places(data: bytes, moderation: v1.Moderation, limits: DecodeLimits) -> Image.Image:
    """Draw them; see `write_picture`."""
    told = _told(moderation)
    view = told[0].winning_view if told else v1.View(name="full")
    # One picture shows one frame: what was found in others is not drawn.
    told = [item for item in told if item.winning_view.frame == view.frame]
    picture = displayed(data, view=view.name, frame=view.frame, limits=limits)
    scale = picture.width / (moderation.image.width or picture.width)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT_PIXELS)
    for (left, top, right, bottom), categories in _by_box(told, moderation.image).items():
        box = tuple(round(edge * scale) for edge in (left, top, right, bottom))
        colour = _COLOURS.get(max(item.band for item in categories), _PLAIN)
        pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=colour, width=_LINE_PIXELS)
        text = "\n".join(_label(item) for item in categories)
        place = (box[0] + 2 * _LINE_PIXELS, box[1] + 2 * _LINE_PIXELS)
        pen.rectangle(pen.multiline_textbbox(place, text, font=font), fill="white")
        pen.multiline_text(place, text, fill=colour, font=font)
    return picture


def _told(moderation: v1.Moderation) -> list[v1.CategoryResult]:
    """Choose what to show: whatever is above a threshold, the strictest first; or else what came nearest."""
    evaluated = [item for item in moderation.categories if item.status == v1.EVALUATION_STATUS_EVALUATED]
    fired = [item for item in evaluated if item.band in _COLOURS]
    if fired:
        return sorted(fired, key=lambda item: (-item.band, -item.severity))
    leading = leading_category(moderation)
    return [] if leading is None else [leading]


def _by_box(
    categories: Sequence[v1.CategoryResult], image: v1.ImageFacts
) -> Mapping[tuple[int, int, int, int], list[v1.CategoryResult]]:
    found: dict[tuple[int, int, int, int], list[v1.CategoryResult]] = {}
    for item in categories:
        box, whole = item.winning_view.box, (0, 0, image.width, image.height)
        place = (box.left, box.top, box.right, box.bottom) if item.winning_view.HasField("box") else whole
        found.setdefault(place, []).append(item)
    return found


def _label(item: v1.CategoryResult) -> str:
    band = f"{verdict_name(item.band)} " if item.band else ""
    # The font that Pillow brings along has no such sign.
    return f"{band}{item.id}  {compare(item)}".replace("≥", ">=")
