"""Turn a policy's categories into the rules that decide their bands, with every context and exemption looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.contexts import bounds_in, mode_in
from clipwarden.policy.schema import Bounds, Category, Exemption, Mode
from clipwarden.scoring.verdict import CategoryResult, Ground, NoBand


@dataclass(frozen=True, kw_only=True, slots=True)
class ExemptionRule:
    """An exemption with its attribute already found.

    Attributes:
        exemption: As the policy wrote it.
        index: Of the attribute among the concepts.
    """

    exemption: Exemption
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryRule:
    """What decides one category's band.

    Attributes:
        category: As the policy wrote it.
        index: Among the concepts; None for a category that is disabled everywhere, which has no rows.
        no_band: Why the category gets none, whatever the image; None where it gets one.
        modes: In force in each declared context, and under None without a context.
        bounds: Likewise; empty without a band.
        exemptions: By attribute id, so that policies with one digest name the same exemption. Without those by an
            attribute whose calibration was dropped: its number is not the one that `gte` was chosen on.
    """

    category: Category
    index: int | None
    no_band: NoBand | None
    modes: Mapping[str | None, Mode]
    bounds: Mapping[str | None, Bounds]
    exemptions: tuple[ExemptionRule, ...]


def category_rule(
    category: Category, contexts: Sequence[str], indexes: Mapping[str, int], compiled: CompiledPolicy
) -> CategoryRule:
    """Make the rule of one category.

    Args:
        category: Of the policy.
        contexts: Names of all that the policy declares.
        indexes: Of the scored concepts, by id.
        compiled: Knows which thresholds and calibrations hold.

    Returns:
        The rule.
    """
    no_band = _no_band(category, compiled)
    held = (each for each in category.exemptions if each.attribute not in compiled.dropped_calibrations)
    exemptions = sorted(held, key=lambda exemption: (exemption.attribute, exemption.gte))
    return CategoryRule(
        category=category,
        index=indexes.get(category.id),
        no_band=no_band,
        modes={name: mode_in(category, name) for name in (None, *contexts)},
        bounds={name: Bounds() if no_band else bounds_in(category, name) for name in (None, *contexts)},
        exemptions=tuple(ExemptionRule(exemption=item, index=indexes[item.attribute]) for item in exemptions),
    )


def _no_band(category: Category, compiled: CompiledPolicy) -> NoBand | None:
    if category.thresholds is None:
        return NoBand.NO_THRESHOLDS
    unbound = compiled.unbound.get(category.id)
    return NoBand[unbound.name] if unbound else None


def ground(compiled: CompiledPolicy, rules: Sequence[CategoryRule], context: str | None) -> Ground:
    """Look up what every judgement in a context, or without one, shares.

    Args:
        compiled: The policy.
        rules: Of all its categories, in file order.
        context: One of those that the rules were made for.

    Returns:
        The ground.
    """
    counted = _in_modes(rules, context, Mode.ENFORCE, Mode.SHADOW)
    metadata = compiled.policy.metadata
    return Ground(
        policy_id=metadata.id,
        policy_version=metadata.version,
        policy_digest=compiled.digest,
        fingerprint=compiled.fingerprint,
        context=context,
        attributes=compiled.policy.attributes,
        categories=tuple((_index(rule, context), _unscored(rule, context)) for rule in rules),
        enforced=_in_modes(rules, context, Mode.ENFORCE),
        counted=counted,
        shadow_incomplete=tuple(rules[index].category.id for index in counted if rules[index].no_band),
    )


def _index(rule: CategoryRule, context: str | None) -> int | None:
    return None if rule.modes[context] is Mode.DISABLED else rule.index


def _unscored(rule: CategoryRule, context: str | None) -> CategoryResult:
    return CategoryResult(
        category=rule.category,
        mode=rule.modes[context],
        scored=None,
        bounds=rule.bounds[context],
        band=None,
        exempted_by=None,
        no_band=rule.no_band,
    )


def _in_modes(rules: Sequence[CategoryRule], context: str | None, *modes: Mode) -> tuple[int, ...]:
    """Find the categories that have one of these modes in a context: their indexes, most severe first, then by id."""
    categories = [rule.category for rule in rules]
    found = [index for index, rule in enumerate(rules) if rule.modes[context] in modes]
    return tuple(sorted(found, key=lambda index: (-categories[index].severity, categories[index].id)))
