"""A comparison of two policies in, lines that say in words what changed out."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.text import Text

from clipwarden.cli.comparison import Comparison, Holding
from clipwarden.policy.language.differences import Change, Path
from clipwarden.policy.language.saying import IN_CONCEPT, line_of
from clipwarden.terminal import printable, stdout

SAID_ONCE = 3
"""From how many categories on one and the same change is said once for all of them."""
_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def show_comparison(comparison: Comparison, shown: Sequence[Change] | None = None) -> None:
    """Print what changed, by category, then what that means.

    Args:
        comparison: Of two policies.
        shown: The changes to print, where others are told in another way; all by default.
    """
    for heading, changes in groups(comparison.changes if shown is None else shown):
        stdout().print(Text(printable(heading), style="bold"), soft_wrap=True)
        for change in changes:
            mark, _, words = line_of(change).partition(" ")
            stdout().print(Text.assemble("  ", (mark, _STYLES[mark]), " ", printable(words)), soft_wrap=True)
    for line in conclusions(comparison):
        stdout().print(Text(printable(line)), soft_wrap=True)


def conclusions(comparison: Comparison) -> Iterator[str]:
    """Say what the changes mean: for calibrations, for verdicts, for the digest."""
    yield from _said_of("Holds no longer", comparison.voided)
    yield from _said_of("Holds now, and did not before", comparison.regained)
    if comparison.voided is None and not comparison.same_verdicts:
        yield "Whether calibrations and thresholds still hold is not known: neither policy names a model."
    yield _verdict(comparison)


def _said_of(what: str, parts: Sequence[Holding] | None) -> Iterator[str]:
    alike: dict[tuple[str, Path], list[str]] = defaultdict(list)
    for each in parts or ():
        alike[each.part, each.because].append(each.concept)
    for (part, causes), concepts in alike.items():
        because = f", because of {', '.join(causes)}" if causes else ""
        those = "s" if part == "calibration" and len(concepts) > 1 else ""
        yield f"{what}: the {part}{those} of {', '.join(concepts)}{because}."


def _verdict(comparison: Comparison) -> str:
    old, new = comparison.old.digest, comparison.new.digest
    if not comparison.changes:
        return f"Nothing changed: both are {new}."
    if comparison.same_digest:
        return f"Same judgement, only texts for people changed: the digest stays {new}."
    if comparison.same_verdicts:
        return f"Same verdicts, only texts that results carry changed: the digest was {old} and is {new}."
    return f"The judgement changed: the digest was {old} and is {new}."


def groups(changes: Sequence[Change]) -> Iterator[tuple[str, Sequence[Change]]]:
    """Yield changes by where they are: the policy itself, many categories at once, each category and attribute."""
    groups: dict[str, list[Change]] = defaultdict(list)
    shared: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        shared[_sameness(change)].append(change)
    for change in changes:
        same = shared[_sameness(change)]
        if change.concept is None:
            groups["The policy"].append(change)
        elif len(same) >= SAID_ONCE and len(change.path) > IN_CONCEPT:
            if change is same[0]:
                groups[_together(same)].append(change)
        else:
            kind = " (attribute)" if change.path[0] == "attributes" else ""
            groups[f"{change.concept}{kind}"].append(change)
    # A change of many categories is read before those of one.
    yield from sorted(groups.items(), key=lambda group: (group[0] != "The policy", "," not in group[0]))


def _sameness(change: Change) -> str:
    return json.dumps([change.concept is None, change.path[IN_CONCEPT:], change.kind, change.old, change.new])


def _together(same: Sequence[Change]) -> str:
    return f"{', '.join(str(change.concept) for change in same)} ({len(same)} alike)"
