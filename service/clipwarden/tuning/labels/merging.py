"""Rows of one or several people in; one row a picture, with what they disagree on, out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from clipwarden.errors import LabelError
from clipwarden.textfiles.wording import shown
from clipwarden.tuning.labels.model import Disagreement, Mark
from clipwarden.tuning.labels.places import Places
from clipwarden.tuning.labels.rows import CellError, Row
from clipwarden.tuning.labels.textlines import MOST_ROWS


@dataclass(kw_only=True, slots=True)
class Picture:
    """What is known of one picture so far.

    Attributes:
        source: Where it was first read, `FILE:LINE`, for sentences about what contradicts it.
        beyond: Whether no file has it in the list of a walk.
        said: By labeller, marks of the categories in the order of `Merger.categories`, int8 as bytes, and where.
    """

    uri: str | None
    pi: float | None
    group: str | None
    slices: dict[str, str]
    source: tuple[str, int]
    escalated: bool = False
    beyond: bool = True
    said: dict[str, tuple[bytes, tuple[str, int]]] = field(default_factory=dict)


class Merger:
    """Takes rows one after the other and remembers what each person said of each picture.

    Args:
        categories: All of the policy.
        needs_pi: Whether every row needs the probability with which it was drawn.
        places: Where pictures are, or None.
    """

    def __init__(self, categories: Sequence[str], *, needs_pi: bool, places: Places | None) -> None:
        self.categories = tuple(categories)
        self.pictures: dict[str, Picture] = {}
        self.named: set[str] = set()
        self.absent: dict[str, float | None] = {}
        self.unjudged: dict[str, None] = {}
        self._needs_pi = needs_pi
        self._places = places
        self._rows = 0

    def take(self, source: str, rows: Iterable[Row], *, nobody: str) -> None:
        """Take the rows of one file.

        Args:
            source: The file, as messages name it.
            rows: Its rows.
            nobody: Who labelled rows that do not say so.

        Raises:
            LabelError: A row contradicts another, or there are too many.
        """
        for row in rows:
            self._rows += 1
            if self._rows > MOST_ROWS:
                raise LabelError(
                    f"{source}:{row.line}: there are more than {MOST_ROWS:,} rows; name fewer files, or of a set leave "
                    "out those without labels. A sample or a walk has to be whole: draw a smaller one with -n."
                )
            try:
                self._take(row, (source, row.line), row.labeller or nobody)
            except CellError as exc:
                raise exc.at(f"{source}:{row.line}") from exc

    def _take(self, row: Row, where: tuple[str, int], labeller: str) -> None:
        if self._needs_pi and row.pi is None:
            raise CellError("there is no pi, the probability with which a picture of a sample was drawn")
        sha256 = self._locate(row)
        if sha256 is None:
            return
        known = self.pictures.get(sha256)
        if known is None:
            pi = row.pi if self._needs_pi else None
            known = Picture(uri=row.uri, pi=pi, group=row.group, slices=dict(row.slices), source=where)
            self.pictures[sha256] = known
        else:
            self._join(known, row)
        known.escalated |= row.escalated
        known.beyond &= row.beyond
        self._say(known, row, where, labeller)

    def _locate(self, row: Row) -> str | None:
        sha256, places = row.sha256 or self._looked_up(row.uri), self._places
        if sha256 is not None and (places is None or sha256 in places.judged):
            return sha256
        if places is not None and sha256 in places.failed:
            if not row.beyond:
                self.unjudged[sha256] = None
        elif not row.beyond:  # below the list nothing rests on it
            self.absent[sha256 or row.uri or ""] = row.pi  # addresses are not each picture's own
        return None

    def _looked_up(self, uri: str | None) -> str | None:
        """Find out which picture an address is of; None where the store has none."""
        if uri is None:
            raise CellError("there is neither a sha256 nor a uri, so nothing says which picture this is")
        if self._places is None:
            raise CellError("the picture has no sha256, and there is no store to look its uri up in")
        return self._places.find(uri)

    def _join(self, known: Picture, row: Row) -> None:
        """Take over what another row says of the picture beside its marks.

        Raises:
            CellError: It says something else.
        """
        if self._needs_pi and row.pi != known.pi:
            raise CellError(
                f"pi is {row.pi!r}, and {known.pi!r} at {_at(known.source)}; "
                "once `sample --add` has written a new file, only that one counts"
            )
        pairs = [("group", known.group, row.group)]
        pairs += [(f'slice "{shown(name)}"', known.slices.get(name), text) for name, text in row.slices.items()]
        for what, old, new in pairs:
            if old is not None and new is not None and old != new:
                raise CellError(f'{what} is "{shown(new)}", and "{shown(old)}" at {_at(known.source)}')
        known.uri, known.group = known.uri or row.uri, known.group or row.group
        known.slices.update(row.slices)

    def _say(self, known: Picture, row: Row, where: tuple[str, int], labeller: str) -> None:
        self.named |= row.marks.keys()
        marks = [row.marks.get(name, row.rest) for name in self.categories]
        if all(mark is Mark.UNKNOWN for mark in marks):
            return
        said, place = known.said.get(labeller, (None, where))
        if said is not None:
            marks = [self._same(*pair, place) for pair in zip(self.categories, _unpacked(said), marks, strict=True)]
        known.said[labeller] = np.array(marks, dtype=np.int8).tobytes(), place

    def _same(self, category: str, old: Mark, new: Mark, place: tuple[str, int]) -> Mark:
        if Mark.UNKNOWN in (old, new):
            return max(old, new)
        if old is not new:
            raise CellError(
                f'"{category}" is {_word(new)}, and {_word(old)} at {_at(place)}; '
                "if two people said so, name each as labeller"
            )
        return old


def merged(picture: Picture, categories: Sequence[str]) -> tuple[list[Mark], dict[str, dict[str, Mark]]]:
    """Merge what people said of one picture.

    Args:
        picture: With marks of each.
        categories: In the order of those marks.

    Returns:
        A mark a category, UNSURE where they differ; and where they do, what each said, by category.
    """
    by_person = {name: _unpacked(said) for name, (said, _) in sorted(picture.said.items())}
    marks, differences = [], {}
    for column, category in enumerate(categories):
        said = {name: marks[column] for name, marks in by_person.items() if marks[column] is not Mark.UNKNOWN}
        kinds = set(said.values())
        if len(kinds) > 1:
            differences[category] = said
        marks.append(Mark.UNSURE if len(kinds) > 1 else kinds.pop() if kinds else Mark.UNKNOWN)
    return marks, differences


def disagreements_of(sha256: str, differences: dict[str, dict[str, Mark]]) -> list[Disagreement]:
    """Put differences about one picture into records."""
    return [Disagreement(sha256=sha256, category=category, marks=said) for category, said in differences.items()]


def _unpacked(said: bytes) -> list[Mark]:
    return [Mark(value) for value in np.frombuffer(said, dtype=np.int8).tolist()]


def _word(mark: Mark) -> str:
    return {Mark.POSITIVE: "yes", Mark.NEGATIVE: "no"}.get(mark, "unsure")


def _at(place: tuple[str, int]) -> str:
    return f"{place[0]}:{place[1]}"
