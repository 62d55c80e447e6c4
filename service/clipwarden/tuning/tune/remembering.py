"""Labels in; what was noted about them before, wherever they are known again, and the places to note more, out.

Lines are kept in `LABELS.looks` beside the label file, and in the user's state folder, so that a label file that grows,
moves or is copied is known again. A sample is known by what it was drawn with: its seed and its store. Labels without a
seed are known by their pictures: a file of the state folder begins with a sketch of them (the least digests, as in
Broder's resemblance of documents, 1997), and where half of what two sketches can compare is common, they are the same
labels with some rows more, or fewer. What any of the places says counts. None is needed: in a folder that cannot be
written the others serve.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from clipwarden.textfiles.atomic import write_atomically
from clipwarden.tuning.labels.model import Labels

_SUFFIX: Final = ".looks"
_MOST_BYTES: Final = 2**24
"""A longer file is none of ours."""
_MOST_FILES: Final = 4096
"""Of the state folder, that are searched for labels of the same pictures."""
_PICTURES: Final = "pictures"
_SKETCHED: Final = 256
"""Digests of a sketch: shares of pictures in common are known to a few hundredths."""
_DIGITS: Final = 12
_SAME: Final = 0.5


def known_lines(labels: Labels, state: Path | None = None) -> frozenset[str]:
    """Read what was noted about labels.

    Args:
        labels: As read, from files.
        state: The folder for what is kept; None takes the user's.

    Returns:
        Lines, each with a tab.
    """
    places = [*_beside(labels.sources), _at_home(labels, state), *_alike(labels, state or state_folder())]
    return frozenset(line for place in places for line in _read(place) if not _is_sketch(line))


def note_lines(labels: Labels, lines: Iterable[str], state: Path | None = None) -> tuple[Path, ...]:
    """Note lines about labels, those that were noted before included.

    Args:
        labels: As read.
        lines: All of them.
        state: As above.

    Returns:
        Where they stand now; nowhere where no folder could be written.
    """
    told = sorted(lines)
    home = _at_home(labels, state)
    sketch = [] if labels.seed else ["\t".join((_PICTURES, *_sketch(labels)))]
    written = [place for place in _beside(labels.sources) if _write(place, told)]
    return (*written, *([home] if _write(home, [*sketch, *told]) else []))


def state_folder() -> Path:
    """Return the user's folder for what programs remember."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "clipwarden" / "looks"


def _beside(sources: Sequence[str]) -> list[Path]:
    paths = [Path(source).absolute() for source in sources]  # of `.` only that has a name
    return [path.with_name(path.name + _SUFFIX) for path in paths if path.name]


def _at_home(labels: Labels, state: Path | None) -> Path:
    drawn = [labels.design, labels.seed, labels.store, str(labels.walk)] if labels.seed else [labels.digest]
    name = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
    return (state or state_folder()) / f"{name}{_SUFFIX}"


def _alike(labels: Labels, state: Path) -> Iterator[Path]:
    """Find files about labels without a seed that are of the same pictures, for the most part."""
    if labels.seed:
        return
    ours = _sketch(labels)
    try:
        for place in islice(state.glob(f"*{_SUFFIX}"), _MOST_FILES):
            first = next(iter(_read(place)), "")
            if _is_sketch(first) and _resemble(ours, first.split("\t")[1:]):
                yield place
    except OSError:
        return


def _sketch(labels: Labels) -> list[str]:
    """Take the least digests of digests, so that nobody learns from them which pictures these are."""
    return sorted(hashlib.sha256(each.encode()).hexdigest()[:_DIGITS] for each in labels.sha256)[:_SKETCHED]


def _resemble(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Compare two sketches as far as both reach: of the smaller one half is in the other."""
    reach = min((max(each) for each in (ours, theirs) if len(each) >= _SKETCHED), default="g")  # above all digits
    one, other = ({each for each in sketch if each <= reach} for sketch in (ours, theirs))
    return bool(one and other) and len(one & other) >= _SAME * min(len(one), len(other))


def _is_sketch(line: str) -> bool:
    return line.startswith(f"{_PICTURES}\t")


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
        write_atomically(place, "".join(f"{line}\n" for line in lines).encode())
    except OSError:
        return False
    return True
