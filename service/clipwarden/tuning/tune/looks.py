"""Which questions labels were asked before, in; how often they have been looked at, this time included, out.

Whoever changes texts after seeing what labels say, or asks for another target, and tests on the same labels, has had
another try: chances of a broken promise add up over tries (`lines.confidence`). What counts as a try is a question: a
category, how its number is made (texts, scoring, model), and the targets. The same question again gives the same answer
and is no other try, and figures without a target are one with the first target asked of the same texts: looking, asking
and writing is one look.

Questions are kept in `LABELS.looks` beside the label file, a line each, and in the user's state folder, under what the
sample was drawn with: a label file that grows, moves or is copied is known again by its seed and store. What any of
the places says counts. Neither is needed: in a folder that cannot be written the other one serves.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.tune.standing import category_of
from clipwarden.tuning.tune.targets import Targets

_SUFFIX = ".looks"
_MOST_BYTES = 2**24
"""A longer file is none of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """How often labels have been looked at.

    Attributes:
        counts: By category, this time included.
        written: Where it was noted; nowhere where no folder could be written.
    """

    counts: Mapping[str, int]
    written: tuple[Path, ...]


def note_look(
    labels: Labels,
    compiled: CompiledPolicy,
    asked: Mapping[str, Targets],
    *,
    state: Path | None = None,
    write: bool = True,
) -> Looks:
    """Note that labels are looked at, and count how often they have been.

    Args:
        labels: As read, from files.
        compiled: The policy.
        asked: What is asked of each category.
        state: The folder for what is kept; None takes the user's.
        write: Whether it is noted; else it is only counted, as long as nothing was shown.

    Returns:
        The counts.
    """
    questions = {name: _question(compiled, name, targets) for name, targets in asked.items()}
    places = [*_beside(labels.sources), _at_home(labels, state)]
    known = {line for place in places for line in _read(place)}
    wanted = known | set(questions.values())
    written = tuple(place for place in places if write and _write(place, wanted))
    return Looks(counts={name: _count(wanted, name) for name in asked}, written=written)


def state_folder() -> Path:
    """Return the user's folder for what programs remember."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "clipwarden" / "looks"


def _question(compiled: CompiledPolicy, category: str, targets: Targets) -> str:
    """Put a question into one line: the category, how its number is made, and the targets, if there are any."""
    scale, plan = compiled.policy.model.calibration_scale, compiled.policy.plan
    concept = replace(category_of(compiled, category), calibration=None)  # it reorders nothing
    made = fit_digest(concept, fingerprint=compiled.fingerprint, calibration_scale=scale, plan=plan)
    options = replace(targets, prevalence=None).options  # it moves no line
    return "\t".join((category, made, ", ".join(options) if targets.asks else ""))


def _count(lines: Iterable[str], category: str) -> int:
    """Count the questions about a category: of each way to make its number one at least, and each target."""
    asked: dict[str, set[str]] = {}
    for line in lines:
        about, made, targets = [*line.split("\t"), "", ""][:3]
        if about == category:
            asked.setdefault(made, set()).update({targets} - {""})
    return sum(max(1, len(targets)) for targets in asked.values())


def _beside(sources: Sequence[str]) -> list[Path]:
    paths = [Path(source).absolute() for source in sources]  # of `.` only that has a name
    return [path.with_name(path.name + _SUFFIX) for path in paths if path.name]


def _at_home(labels: Labels, state: Path | None) -> Path:
    drawn = [labels.design, labels.seed, labels.store, str(labels.walk)] if labels.seed else [labels.digest]
    name = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
    return (state or state_folder()) / f"{name}{_SUFFIX}"


def _read(place: Path) -> Iterable[str]:
    try:
        if place.stat().st_size > _MOST_BYTES:
            return []
        return [line for line in place.read_text("utf-8", "replace").splitlines() if "\t" in line]
    except OSError:
        return []


def _write(place: Path, lines: Iterable[str]) -> bool:
    """Write a file anew in one step; say whether that was possible."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, "".join(f"{line}\n" for line in sorted(lines)).encode())
    except OSError:
        return False
    return True
