"""A line of a file that cannot be read, and what a slip of the hand in it is: shared by those who know the slips."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^']|'')*'"
"""A text in quotes, as a regular expression."""
LONGEST_SHOWN = 400
"""Characters of a line that a message repeats whole, to be pasted; a longer one is spoken of, never cut. The longest
line of the shipped policies has 334."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A line among the lines of its file.

    Attributes:
        lines: Without their ends.
        index: From 0.
        keys: Words that the file's language knows as keys.
    """

    lines: tuple[str, ...]
    index: int
    keys: Collection[str] = ()

    @property
    def line(self) -> str:
        """The line itself, without its end."""
        return self.lines[self.index]

    @property
    def indent(self) -> int:
        """How many blanks it begins with."""
        return indent_of(self.line)

    @property
    def above(self) -> str:
        """The nearest line above that says something; empty where none does."""
        return next((line for line in reversed(self.lines[: self.index]) if says_something(line)), "")


Mend = tuple[str, ...]
"""Lines: as many as they replace, from the slip's own on; or several for one, where a line has to be split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slip:
    """A slip of the hand.

    Attributes:
        message: What is wrong, in the author's words.
        mends: Yields what may have been meant, the likeliest first; nothing where the line does not look like it.
        splits: Whether a mend makes several lines of one.
        reach: How many lines above the one where reading failed the slip may be.
        code: Rule name of the finding.
        surely: Whether all of the section must be readable with the mend, since the line itself says little.
        alone: Whether, where no other mend helps, it is enough for such a slip to be readable up to the mend.
        everywhere: What to do where many lines have it, as a sentence.
    """

    message: str
    mends: Callable[[Spot], Iterator[Mend]]
    splits: bool = False
    reach: int = 3
    code: str = "yaml-syntax"
    surely: bool = False
    alone: bool = False
    everywhere: str = ""


def pasteable(line: str, otherwise: str) -> str:
    """Return a line as a message offers it, or other words where it is too long to be shown whole."""
    return f"`{line}`" if len(line) <= LONGEST_SHOWN else otherwise


def says_something(line: str) -> bool:
    """Tell whether a line is neither blank nor a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def indent_of(line: str) -> int:
    """Count the blanks that a line begins with."""
    return len(line) - len(line.lstrip(" "))
