"""Say how well drawings and names find each other on sets that training never saw."""

from dataclasses import asdict, dataclass

import numpy as np

from clipwarden.modelfolder.encoder import TextEncoder
from clipwarden.tuning.metrics import ranks_of_truth, recall_at
from recipes.mini.heldout import HeldOut, Vectors
from recipes.mini.labels import is_plain_picture

_COMPOSITES = ("clean", "dark", "noisy", "half_size")
_HARDER = ("clutter", "rotated_15", "quarter_canvas", "jpeg_q30")


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Recall in both directions.

    Attributes:
        icon_set: Iconify prefix.
        view: How the drawings were shown.
        subset: `all` listed names, or `pictures`: without flags, letters, digits, arrows, clock times and buttons.
        names: How many names were told apart.
        image_to_name_1: Share of drawings whose own name comes first.
        image_to_name_5: Share of drawings whose own name is among the first five.
        name_to_image_1: Share of names whose own drawing comes first.
        name_to_image_5: Share of names whose own drawing is among the first five.
    """

    icon_set: str
    view: str
    subset: str
    names: int
    image_to_name_1: float
    image_to_name_5: float
    name_to_image_1: float
    name_to_image_5: float


class NameVectors:
    """Names embedded by the text tower that ships, each once.

    Args:
        text: The model's text encoder.
    """

    def __init__(self, text: TextEncoder) -> None:
        self._text = text
        self._known: dict[str, Vectors] = {}

    def of(self, names: list[str]) -> Vectors:
        """Embed names.

        Args:
            names: In plain words.

        Returns:
            Unit vectors, float32 [len(names),D].
        """
        for name in names:
            if name not in self._known:
                self._known[name] = self._text.embed([name])[0]
        return np.stack([self._known[name] for name in names])


def measure_recall(held: HeldOut, text: NameVectors, icon_set: str, view: str, *, pictures: bool = False) -> Recall:
    """Measure recall on one set under one view.

    Args:
        held: The held-out drawings.
        text: Embeds the names.
        icon_set: Iconify prefix.
        view: A key of VIEWS.
        pictures: Whether to leave out flags, letters, digits, arrows, clock times and buttons.

    Returns:
        Recall; equal scores count against it, and so do drawings that share one name.
    """
    rows = held.rows_of(icon_set)
    if pictures:
        rows = rows[[is_plain_picture(held.drawing(row).icon) for row in rows]]
    images, texts = held.vectors(rows, view), text.of(held.names(rows))
    scores = images @ texts.T
    forward, backward = ranks_of_truth(scores), ranks_of_truth(scores.T)
    return Recall(
        icon_set=icon_set,
        view=view,
        subset="pictures" if pictures else "all",
        names=len(rows),
        image_to_name_1=recall_at(forward, 1),
        image_to_name_5=recall_at(forward, 5),
        name_to_image_1=recall_at(backward, 1),
        name_to_image_5=recall_at(backward, 5),
    )


def recall_table(held: HeldOut, text: NameVectors, sets: tuple[str, ...], headline: str) -> list[dict[str, object]]:
    """Measure recall on several sets, and on all views of the headline set.

    Args:
        held: The held-out drawings.
        text: Embeds the names.
        sets: Iconify prefixes.
        headline: The set that is also shown in every other view.

    Returns:
        One record a measurement.
    """
    plain = [measure_recall(held, text, s, "clean") for s in sets]
    extra = [measure_recall(held, text, headline, view) for view in (*_COMPOSITES[1:], *_HARDER)]
    pictures = [measure_recall(held, text, headline, view, pictures=True) for view in _COMPOSITES]
    return [asdict(record) for record in (*plain, *extra, *pictures)]
