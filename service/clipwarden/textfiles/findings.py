"""Collect every finding about a file, each with its line and column, in one pass."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clipwarden.errors import PolicyError, Problem, Severity

Path = tuple[str | int, ...]
"""Where a value sits in the file: keys and list indices, such as `("categories", 0, "prompts", 2)`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A position in a file; both count from 1, and 0 stands for the whole file."""

    line: int = 0
    column: int = 0


WHOLE_FILE = Place()

MAX_PROBLEMS = 1000
"""Most findings kept: beyond that the file is of another kind, and the list would only cost memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Positions:
    """Where each value of a parsed file was written, so that later checks can still point at it.

    Attributes:
        file: Path as the user gave it.
        places: Place of each value, by its path.
    """

    file: str = "<policy>"
    places: Mapping[Path, Place] = field(default_factory=dict)

    def find(self, *path: str | int) -> Place:
        """Return the place of a value, or of the nearest thing around it that the file does write."""
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place
        return WHOLE_FILE


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort findings of several checks by where they are, and then by rule."""
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.column, problem.code)))


class Findings:
    """A growing list of problems; not safe to share between threads.

    Args:
        file: Path as the user gave it, repeated in every problem.
        places: Known places to start from: those of a file parsed earlier.
    """

    def __init__(self, file: str, places: Mapping[Path, Place] | None = None) -> None:
        self.file = file
        self.places: dict[Path, Place] = dict(places or {})
        # A dict keeps each problem once: two rules may reach the same text by two ways.
        self._problems: dict[Problem, None] = {}
        self._failed = False
        self._refused: set[Place] = set()

    @property
    def failed(self) -> bool:
        """Whether an error was found; warnings don't count."""
        return self._failed

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every finding, in file order."""
        return tuple(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))

    @property
    def positions(self) -> Positions:
        """Where to look up places; a live view, so places learnt later are found too."""
        return Positions(file=self.file, places=self.places)

    def refused(self, *path: str | int) -> bool:
        """Tell whether an error was found at this very value: what was read in its place is a stand-in."""
        return self.places.get(path) in self._refused

    def error(self, place: Place, code: str, message: str, fix: str) -> None:
        """Add a finding that stops the file from loading."""
        self._add(place, code, message, fix, Severity.ERROR)

    def warn(self, place: Place, code: str, message: str, fix: str, *, strict: bool = False) -> None:
        """Add a finding that stops no file from loading; a `strict` one is an error to `lint` all the same."""
        self._add(place, code, message, fix, Severity.WARNING, strict=strict)

    def note(self, place: Place, code: str, message: str, fix: str) -> None:
        """Add what there is nothing to mend about."""
        self._add(place, code, message, fix, Severity.NOTE)

    def raise_if_failed(self) -> None:
        """Stop here if there is any error.

        Raises:
            PolicyError: With every finding so far, warnings too.
        """
        if self.failed:
            raise PolicyError(self.problems)

    def _add(
        self, place: Place, code: str, message: str, fix: str, severity: Severity, *, strict: bool = False
    ) -> None:
        if severity is Severity.ERROR:
            self._failed = True
            self._refused.add(place)
        if len(self._problems) >= MAX_PROBLEMS:
            return
        problem = Problem(
            file=self.file,
            line=place.line,
            column=place.column,
            message=message,
            fix=fix,
            severity=severity,
            code=code,
            strict=strict,
        )
        self._problems[problem] = None
