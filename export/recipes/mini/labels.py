"""What people said of held-out drawings, and which drawings no figure counts twice."""

import csv
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_RESTYLED: Final = re.compile(r"-(filled|fill|outline|flat|24px|negative|solid)(-|$)")
_NOT_PICTURES: Final = re.compile(
    r"^(flag-.*|letter-.|digit-.*|keycap-.*|.*-arrow(-.*)?|.*-oclock|.*-thirty|.*-button)$"
)


@dataclass(frozen=True, kw_only=True)
class Label:
    """One line of moderation_eval.csv.

    Attributes:
        icon_set: Iconify prefix.
        icon: The drawing's name.
        category: Policy category.
        label: `positive`, `hard_negative` or `ambiguous`.
    """

    icon_set: str
    icon: str
    category: str
    label: str


def read_labels() -> list[Label]:
    """Read the reviewed labels.

    Returns:
        One record a line of moderation_eval.csv.
    """
    return [
        Label(icon_set=r["set"], icon=r["icon"], category=r["category"], label=r["label"])
        for r in _rows("moderation_eval.csv")
    ]


def read_training_labels() -> dict[str, dict[str, str]]:
    """Read the labels of training drawings, which hold for all drawings of a name.

    Returns:
        `positive` or `ambiguous` by category, by name as in `Drawing.name`; what is not listed is a negative.
    """
    found: dict[str, dict[str, str]] = {}
    for row in _rows("moderation_train.csv"):
        found.setdefault(row["name"], {})[row["category"]] = row["label"]
    return found


def _rows(file: str) -> list[dict[str, str]]:
    text = files("recipes.mini").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def is_restyled(icon: str) -> bool:
    """Tell whether a drawing is another style of one that is there, as in `sword-filled`.

    Args:
        icon: The drawing's name.

    Returns:
        True for the variants, which no figure counts twice.
    """
    return _RESTYLED.search(icon) is not None


def is_plain_picture(icon: str) -> bool:
    """Tell whether an emoji is a picture rather than a flag, letter, digit, arrow, clock time or button.

    Args:
        icon: The drawing's name.

    Returns:
        True for pictures.
    """
    return _NOT_PICTURES.match(icon) is None
