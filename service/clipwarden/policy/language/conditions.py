"""Read and check what a category makes depend on an attribute: exemptions and adjustments."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from clipwarden.policy.language.category_keys import ADJUSTMENT, EXEMPTION
from clipwarden.policy.language.maps import MapReader
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Adjustment, Attribute, Bounds, Category, Exemption, Method, Policy, Unit
from clipwarden.textfiles.findings import Findings, Path
from clipwarden.textfiles.wording import closest


def read_exemptions(category: MapReader) -> tuple[Exemption, ...]:
    """Read `exemptions`; values that cannot be read become stand-ins that no rule asks about."""
    return tuple(Exemption(**_condition(MapReader(item, EXEMPTION))) for item in category.items("exemptions"))


def read_adjustments(category: MapReader) -> tuple[Adjustment, ...]:
    """Read `adjustments`, as exemptions are."""
    return tuple(Adjustment(**_condition(MapReader(item, ADJUSTMENT))) for item in category.items("adjustments"))


def _condition(fields: MapReader) -> dict[str, Any]:
    when = fields.nested("when")
    return fields.plain() | (when.plain() if when else {"attribute": "", "gte": 0.0})


def check_conditions(path: Path, category: Category, policy: Policy, findings: Findings) -> None:
    """Report exemptions and adjustments that ask for nothing, or that can do nothing.

    Args:
        path: Of the category in the file.
        category: As read.
        policy: Knows the attributes.
        findings: Receives the problems.
    """
    methods = {each.id: _method(index, each, findings) for index, each in enumerate(policy.attributes)}
    _check_exemptions(path, category, policy, methods, findings)
    _check_adjustments(path, category, policy, methods, findings)


def _method(index: int, attribute: Attribute, findings: Findings) -> Method | None:
    """Return how an attribute is scored; None where what is written is refused, which is finding enough."""
    written = ("attributes", index, "scoring")
    return None if findings.refused(*written) or findings.refused(*written, "method") else attribute.method


def _check_exemptions(
    path: Path, category: Category, policy: Policy, methods: Mapping[str, Method | None], findings: Findings
) -> None:
    seen: set[str] = set()
    for index, exemption in enumerate(category.exemptions):
        here = (*path, "exemptions", index)
        if exemption.attribute in seen:
            message = f'A second exemption asks for "{exemption.attribute}"; the lower bound alone would count.'
            place = findings.positions.find(*here, "when", "attribute")
            findings.error(place, "duplicate-exemption", message, "Keep one of them.")
        elif exemption.attribute:
            seen.add(exemption.attribute)
            _check_attribute(here, exemption, policy, methods, findings)
        _check_reach(here, exemption, methods, findings)
    if category.exemptions and not _can_block(path, category, findings):
        place = findings.positions.find(*path, "exemptions")
        message = "No threshold here can block, so the exemption never acts."
        findings.warn(place, "idle-exemption", message, "Delete it, or add `block:` to the thresholds.")


def _check_adjustments(
    path: Path, category: Category, policy: Policy, methods: Mapping[str, Method | None], findings: Findings
) -> None:
    for index, adjustment in enumerate(category.adjustments):
        here = (*path, "adjustments", index)
        if not adjustment.attribute:
            continue
        _check_attribute(here, adjustment, policy, methods, findings)
        name, method = adjustment.attribute, methods.get(adjustment.attribute)
        if method and METHODS[method].unit is not Unit.COSINE:
            place = findings.positions.find(*here, "when", "attribute")
            message = f'The attribute "{name}" is scored by `method: {method}`, not as a cosine.'
            fix = f"Give {name} `scoring: {{method: cosine}}`, or ask for another attribute."
            findings.error(place, "adjusted-by-score", message, fix)
    read = [
        each for each in enumerate(category.adjustments) if not _stands_in((*path, "adjustments", each[0]), findings)
    ]
    for (first, one), (second, other) in combinations(read, 2):
        if idle := _never_acts(one, other):
            place = findings.positions.find(*path, "adjustments", first if idle is one else second)
            message = f'Another adjustment by "{one.attribute}" holds whenever this one does, and adds as much or more.'
            findings.error(place, "idle-adjustment", message, "Delete it.")


def _stands_in(path: Path, findings: Findings) -> bool:
    """Tell whether a number of an adjustment was refused, so that there is nothing to compare."""
    return findings.refused(*path, "add") or findings.refused(*path, "when", "gte")


def _never_acts(one: Adjustment, other: Adjustment) -> Adjustment | None:
    """Find the adjustment that the other makes pointless: the greatest alone counts. Of equals, the later."""
    if not one.attribute or one.attribute != other.attribute:
        return None
    if other.gte >= one.gte and other.add <= one.add:
        return other
    return one if one.gte >= other.gte and one.add <= other.add else None


def _check_attribute(
    path: Path,
    condition: Exemption | Adjustment,
    policy: Policy,
    methods: Mapping[str, Method | None],
    findings: Findings,
) -> None:
    name = condition.attribute
    if name in methods:
        return
    what = "exemptions" if isinstance(condition, Exemption) else "adjustments"
    if any(category.id == name for category in policy.categories):
        message = f'"{name}" is a category; {what} ask for attributes.'
        fix = "List it under `attributes` with an id of its own."
    else:
        guess = closest(name, methods)
        message = f'There is no attribute "{name}".'
        fix = f'Did you mean "{guess}"?' if guess else f"Add it under `attributes`: `- {{id: {name}, prompts: [...]}}`."
    findings.error(findings.positions.find(*path, "when", "attribute"), "unknown-attribute", message, fix)


def _check_reach(path: Path, exemption: Exemption, methods: Mapping[str, Method | None], findings: Findings) -> None:
    method = methods.get(exemption.attribute)
    lowest = METHODS[method].lowest if method else -1.0
    if exemption.gte < lowest:
        place = findings.positions.find(*path, "when", "gte")
        message = f"gte is {exemption.gte:g}, but the attribute gives scores."
        findings.error(place, "out-of-range", message, "Write a number between 0 and 1, ends included.")


def _can_block(path: Path, category: Category, findings: Findings) -> bool:
    if category.thresholds and category.thresholds.bounds == Bounds():
        return True  # written, but unreadable: already reported
    names = [(*path, "thresholds", "block"), *((*path, "contexts", name, "block") for name in category.contexts)]
    return any(name in findings.places for name in names)
