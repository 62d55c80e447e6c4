"""Show drawings near the subjects of moderation more often: they are few among thousands of names."""

from typing import Final

import numpy as np
import numpy.typing as npt

from recipes.mini.text import Vectors

# What the policy for stickers asks about, and what is mistaken for it. Written before any held-out set was read.
SUBJECTS: Final = (
    "a gun",
    "a rifle",
    "a sword",
    "a dagger",
    "a knife",
    "a bomb",
    "a grenade",
    "a bow and arrow",
    "a cannon",
    "bullets",
    "a military tank",
    "cannabis",
    "a bong",
    "a joint",
    "a syringe",
    "a cigarette",
    "smoking",
    "a tobacco pipe",
    "beer",
    "wine",
    "a cocktail",
    "champagne",
    "a bottle of alcohol",
    "dice",
    "a slot machine",
    "casino",
    "poker",
    "playing cards",
    "roulette",
    "a skull",
    "a coffin",
    "a gravestone",
    "death",
    "a skeleton",
    "blood",
    "a severed head",
    "middle finger",
    "a hand gesture",
)
_NEAR: Final = 0.5  # cosine from which a name counts as near; "katana" is at 0.6 from "a sword", "fork" at 0.35
_MOST: Final = 5.0  # how much more often the nearest are shown


def focus_weights(names: Vectors, subjects: Vectors) -> npt.NDArray[np.float64]:
    """Weigh names by how near they are to any subject.

    Args:
        names: Unit vectors of the plain names, float32 [C,D].
        subjects: Unit vectors of SUBJECTS, float32 [K,D].

    Returns:
        1 for most names, rising from a cosine of 0.5 to 5 at 0.7 and over; float64 [C].
    """
    nearest = (names @ subjects.T).max(1).astype(np.float64)
    rise = np.clip((nearest - _NEAR) / 0.2, 0.0, 1.0)
    weights: npt.NDArray[np.float64] = 1.0 + (_MOST - 1.0) * rise
    return weights
