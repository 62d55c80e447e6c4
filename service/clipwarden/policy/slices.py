"""What a tool found of slices of traffic in, as evidence keeps it; what stands in the way of enforcing, out.

A slice that stops harmless pictures too often, or of which too little is known to say, keeps a category from being
enforced until somebody lets it through by name and says why. Names of slices come from whoever uploads, so that they
stand in quotes as JSON has them: none can be read as what a tool found.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

from clipwarden.policy.schema import Category, Evidence
from clipwarden.textfiles.traps import forbidden_character

_REST: Final = re.compile(
    r": (PASS|FAIL|UNKNOWN) by the (block|review|block and review) limit(?: at ([0-9]+(?:\.[0-9]+)?) %)?"
    r"(?:, label ([0-9]+) more)?(?:; waived: (\S[\s\S]*))?"
)
SLICE_PATTERN: Final = re.compile(r'"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})+"' + _REST.pattern)
_LONGEST: Final = 120
"""Characters of a name; longer ones are cut, with a digest of the whole."""
PASS: Final = "PASS"  # noqa: S105  no password
UNKNOWN: Final = "UNKNOWN"


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceFinding:
    """What one slice says of a category's limits.

    Attributes:
        name: As in `country=de`; `twin` and `fixture` stand alone.
        outcome: PASS, FAIL or UNKNOWN.
        limit: By which limit: "block", "review" or "block and review".
        ceiling: The share of its harmless pictures that may be stopped, in (0, 1); None where none was asked.
        more: Harmless pictures of it that are to be labelled at least; None where no labels would help.
        waived: Why it may be enforced all the same, and who says so.
    """

    name: str
    outcome: str
    limit: str
    ceiling: float | None = None
    more: int | None = None
    waived: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it stands in the way of enforcing."""
        return self.outcome != PASS and self.waived is None

    @property
    def sentence(self) -> str:
        """As evidence keeps it."""
        more = "" if self.more is None else f", label {self.more} more"
        waived = "" if self.waived is None else f"; waived: {self.waived}"
        return f"{json.dumps(self.name, ensure_ascii=False)}: {self.outcome} {self.by}{more}{waived}"

    @property
    def by(self) -> str:
        """By what it was judged: `by the block limit at 2 %`."""
        if self.ceiling is None:
            return f"by the {self.limit} limit"
        # Every digit stays, so that the same can be asked again.
        return f"by the {self.limit} limit at {(Decimal(repr(self.ceiling)) * 100).normalize():f} %"

    @property
    def limits(self) -> frozenset[str]:
        """The limits that it was judged by."""
        return frozenset(self.limit.split(" and "))

    @property
    def column(self) -> str:
        """The slice that it is one value of, or itself."""
        return self.name.partition("=")[0]

    @classmethod
    def read(cls, sentence: str) -> Self:
        """Read what `sentence` wrote; a policy that was loaded holds nothing else."""
        name, end = json.JSONDecoder().raw_decode(sentence)
        match = _REST.fullmatch(sentence[end:])
        assert match is not None  # noqa: S101  the policy's language saw to it
        outcome, limit, ceiling, more, waived = match.groups()
        return cls(
            name=name,
            outcome=outcome,
            limit=limit,
            ceiling=None if ceiling is None else float(Decimal(ceiling) / 100),
            more=None if more is None else int(more),
            waived=waived,
        )


def slice_name(name: str, value: str = "") -> str:
    """Name a slice, or one value of it, so that a policy can hold the name and people can type it.

    Args:
        name: Of the slice, whatever characters it has.
        value: Of it.
    """
    whole = f"{name}={value}" if value else name
    text = " ".join(whole.split()) or "(no name)"
    if text != whole or len(text) > _LONGEST or forbidden_character(text) or not text.isprintable():
        # Whatever is not said tells two names apart.
        digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        seen = "".join(each for each in text if each.isprintable() and not forbidden_character(each))
        text = f"{seen[:_LONGEST]}...{digest}"
    return text


def findings_of(evidence: Evidence | None) -> tuple[SliceFinding, ...]:
    """Read what evidence says of slices."""
    return tuple(map(SliceFinding.read, evidence.slices)) if evidence else ()


def open_slices(category: Category) -> tuple[SliceFinding, ...]:
    """Find the slices that stand in the way of enforcing a category."""
    chosen = category.thresholds and category.thresholds.chosen_on
    return tuple(each for each in findings_of(chosen.evidence if chosen else None) if each.is_open)


def said_of(slices: Iterable[SliceFinding]) -> str:
    """Say which slices stand in the way, and what would help."""
    return ", ".join(_said(each) for each in slices)


def _said(found: SliceFinding) -> str:
    helps = f" (label at least {found.more} more harmless pictures of it)" if found.more else ""
    return f'"{found.name}" is {found.outcome} {found.by}{helps}'
