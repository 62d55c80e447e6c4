"""A policy's text and embeddings in; the band of every drawing in every category, and its verdict, out."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.schema import Mode
from recipes.mini.heldout import Vectors
from recipes.mini.lines import Bands, bands_of
from recipes.mini.moderation import score_cases


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a policy says of drawings.

    Attributes:
        version: The policy's.
        modes: By category id.
        bands: 0 allow, 1 review, 2 block, by category id [K].
    """

    version: str
    modes: Mapping[str, Mode]
    bands: Mapping[str, Bands]

    @property
    def verdicts(self) -> Bands:
        """The greatest band among enforced categories [K]."""
        enforced = [bands for name, bands in self.bands.items() if self.modes[name] is Mode.ENFORCE]
        worst: Bands = np.maximum.reduce([np.zeros_like(self.all_enforced), *enforced])
        return worst

    @property
    def all_enforced(self) -> Bands:
        """The verdicts if no category were in shadow [K]."""
        worst: Bands = np.maximum.reduce(list(self.bands.values()))
        return worst


def judge_text(text: str, model: Model, vectors: Vectors) -> Judged:
    """Judge embeddings by a policy's lines, whatever its age.

    A policy of before lines were bound says nothing of what they were chosen on, and one that enforces is refused: its
    numbers are compared here as its server compared them then.

    Args:
        text: The policy in YAML.
        model: That embedded the drawings.
        vectors: Unit vectors [K,D].

    Returns:
        The bands.
    """
    policy = parse_policy(text, file="policy").policy
    in_shadow = re.sub(r"(?m)^  mode: enforce$", "  mode: shadow", text)
    scores = score_cases(vectors, compile_policy(parse_policy(in_shadow, file="policy").policy, model=model))
    bands = {}
    for column, category in enumerate(scores.categories):
        bounds = category.thresholds.bounds if category.thresholds else None
        if bounds is None or bounds.review is None or bounds.block is None:
            message = f"{category.id} lacks a line for review or block, which the recipe always writes"
            raise ValueError(message)
        bands[category.id] = bands_of(scores.score[:, column], {"review": bounds.review, "block": bounds.block})
    return Judged(version=str(policy.metadata.version), modes={c.id: c.mode for c in policy.categories}, bands=bands)


def policy_at(revision: str, path: Path) -> str:
    """Read a policy as the repository held it.

    Args:
        revision: Of git, as in `8b03a37`.
        path: The policy's file in the working tree.

    Returns:
        Its text.
    """
    command = ["git", "show", f"{revision}:./{path.name}"]
    done = subprocess.run(command, cwd=path.parent, check=True, capture_output=True, text=True)  # noqa: S603 - no shell
    return done.stdout
