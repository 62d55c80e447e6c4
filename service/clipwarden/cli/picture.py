"""An image and its moderation in, a picture out that shows where in it each category found what it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from clipwarden.cli.wording import compare, leading_category, verdict_name, where_seen
from clipwarden.errors import ConfigError
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.vision.displayed import displayed
from clipwarden.vision.limits import DecodeLimits

SUFFIX = ".png"
_COLOURS: Mapping[int, str] = {v1.VERDICT_BLOCK: "#c00000", v1.VERDICT_REVIEW: "#b36b00"}
_PLAIN = "#0050b0"
_TEXT_PIXELS, _LINE_HEIGHT, _MARGIN = 16, 22, 4
_LINE_PIXELS = 3
MOST_FRAMES = 4
"""Panels side by side, of the frames in which most was found: more than that nobody compares."""


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
    """Draw them: a panel for each frame in which something was found, up to `MOST_FRAMES`; see `write_picture`."""
    by_frame: dict[int, list[v1.CategoryResult]] = {}
    for item in _told(moderation):
        by_frame.setdefault(item.winning_view.frame, []).append(item)
    panels = [_panel(data, moderation.image, told, limits) for told in list(by_frame.values() or [[]])[:MOST_FRAMES]]
    whole = Image.new("RGB", (sum(each.width for each in panels), max(each.height for each in panels)), "white")
    left = 0
    for panel in panels:
        whole.paste(panel, (left, 0))
        left += panel.width
    return whole


def _panel(data: bytes, image: v1.ImageFacts, told: Sequence[v1.CategoryResult], limits: DecodeLimits) -> Image.Image:
    """Draw one frame, and below it what was found there: words would hide what they are about."""
    view = told[0].winning_view if told else v1.View(name="full")
    picture = displayed(data, view=view.name, frame=view.frame, limits=limits)
    scale = picture.width / (image.width or picture.width)
    pen = ImageDraw.Draw(picture)
    for box, categories in _by_box(told, image).items():
        left, top, right, bottom = (round(edge * scale) for edge in box)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=_colour(categories), width=_LINE_PIXELS)
    lines = [(_label(item), _colour([item])) for item in told]
    if where := where_seen(v1.View(frame=view.frame, time=view.time) if view.HasField("time") else v1.View()):
        lines.insert(0, (where, _PLAIN))
    return _with_caption(picture, lines)


def _with_caption(picture: Image.Image, lines: Sequence[tuple[str, str]]) -> Image.Image:
    font = ImageFont.load_default(_TEXT_PIXELS)
    width = max([picture.width, *(round(font.getlength(text)) + 2 * _MARGIN for text, _ in lines)])
    panel = Image.new("RGB", (width, picture.height + len(lines) * _LINE_HEIGHT), "white")
    panel.paste(picture)
    pen = ImageDraw.Draw(panel)
    for number, (text, colour) in enumerate(lines):
        pen.text((_MARGIN, picture.height + number * _LINE_HEIGHT), text, fill=colour, font=font)
    return panel


def _colour(categories: Sequence[v1.CategoryResult]) -> str:
    return _COLOURS.get(max(item.band for item in categories), _PLAIN)


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
