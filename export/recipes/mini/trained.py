"""What is known of the shipped weights' training: kept with the recipe, as their checkpoint is not."""

import json
from importlib.resources import files
from typing import Any


def read_trained() -> dict[str, Any]:
    """Read trained.json: written by hand from the last training run's `classes.json`, checkpoint and `evaluate`.

    Returns:
        `names`, `minutes`, `steps`, `samples`, and `parity` of the export by role.
    """
    text = files("recipes.mini").joinpath("trained.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
