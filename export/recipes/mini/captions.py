"""Give every training class its captions: the texts its drawings are taught to match."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from recipes.mini.catalogue import Drawing
from recipes.mini.emoji import EmojiIndex, load_emoji
from recipes.mini.fetch import package_folder
from recipes.mini.names import to_words

SLOTS: Final = 8  # captions a class; a step draws one, the first being the plain name
_TAGS_IN_A_CAPTION: Final = 3
_ALIASES: Final = 3


@dataclass(frozen=True, kw_only=True)
class Captions:
    """The captions of all classes.

    Attributes:
        names: Class names, sorted.
        texts: SLOTS captions for each class, repeated where there are fewer.
    """

    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]


def build_captions(work: Path, drawings: Iterable[Drawing]) -> Captions:
    """Write the captions of the classes that drawings belong to.

    Args:
        work: The work folder, fetched.
        drawings: Training drawings.

    Returns:
        Captions, half of the slots the plain name, the rest other spellings and tags.
    """
    index, tags = load_emoji(work), _icon_tags(work)
    names = sorted({d.name for d in drawings})
    return Captions(names=tuple(names), texts=tuple(_slots(n, index, tags) for n in names))


def _slots(name: str, index: EmojiIndex, tags: dict[str, list[str]]) -> tuple[str, ...]:
    if name.startswith("emoji:"):
        emoji = index.by_key[name.removeprefix("emoji:")]
        plain, words = emoji.label, list(emoji.tags)
        others = list(emoji.aliases[:_ALIASES])
    else:
        plain, words, others = name, tags.get(name, []), []
    step = _TAGS_IN_A_CAPTION
    tagged = [", ".join([plain, *words[i : i + step]]) for i in range(0, len(words), step)]
    variety = (others + tagged[: SLOTS // 2 - len(others)])[: SLOTS // 2]
    return tuple([plain] * (SLOTS - len(variety)) + variety)


def _icon_tags(work: Path) -> dict[str, list[str]]:
    records = json.loads((package_folder(work, "@mdi/svg") / "meta.json").read_text())
    found: dict[str, list[str]] = {}
    for record in records:
        words = [to_words(a) for a in record["aliases"]]
        if words:
            found.setdefault(to_words(record["name"]), []).extend(words[:6])
    return found


def soft_neighbours(
    vectors: npt.NDArray[np.float32], count: int, tau: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Share each class's target with the classes of like meaning.

    Args:
        vectors: Unit vectors of the plain names, float32 [C,D].
        count: Neighbours kept, the class itself among them.
        tau: Temperature of `exp(cos / tau)`.

    Returns:
        Class numbers int64 [C,count] and their shares float32 [C,count], summing to one.
    """
    near = np.zeros((len(vectors), count), np.int64)
    share = np.zeros((len(vectors), count), np.float32)
    for start in range(0, len(vectors), 1024):
        cosines = vectors[start : start + 1024] @ vectors.T
        top = np.argpartition(-cosines, count, axis=1)[:, :count]
        weight = np.exp((np.take_along_axis(cosines, top, 1) - 1.0) / tau)
        near[start : start + 1024] = top
        share[start : start + 1024] = weight / weight.sum(1, keepdims=True)
    return near, share
