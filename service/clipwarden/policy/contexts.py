"""A category and a context in, what holds there out: its mode, its bounds, and whether it counts anywhere."""

from collections.abc import Iterable

from clipwarden.policy.schema import Bounds, Category, Mode, Override, Policy


def mode_in(category: Category, context: str | None) -> Mode:
    """Return the mode in force in a context, or without one."""
    override = None if context is None else category.contexts.get(context)
    return category.mode if override is None or override.mode is None else override.mode


def bounds_in(category: Category, context: str | None) -> Bounds:
    """Return the bounds in force in a context, or without one; empty where there are none."""
    own = category.thresholds.bounds if category.thresholds else Bounds()
    override = None if context is None else category.contexts.get(context)
    return own if override is None else merge_bounds(own, override)


def merge_bounds(own: Bounds, override: Override) -> Bounds:
    """Return the bounds in force where an override applies: what it leaves out is inherited."""
    return Bounds(
        review=own.review if override.review is None else override.review,
        block=own.block if override.block is None else override.block,
    )


def enforced_in(category: Category) -> tuple[str | None, ...]:
    """Name where a policy says that a category is enforced.

    Args:
        category: Of the policy.

    Returns:
        None first if the category itself says so, which holds wherever a context says nothing else; then the contexts
        that say so, by name.
    """
    said = sorted(name for name, override in category.contexts.items() if override.mode is Mode.ENFORCE)
    return (None, *said) if category.mode is Mode.ENFORCE else tuple(said)


def enforced_where(category: Category) -> str:
    """Say where an enforced category is, to follow "is enforced": nothing where the category itself says so."""
    said = enforced_in(category)
    if None in said:
        return ""
    return f' in the context "{said[0]}"' if len(said) == 1 else f' in {len(said)} contexts, such as "{said[0]}",'


def enforced_anywhere(category: Category) -> bool:
    """Tell whether some verdict rests on a category: without a context, or in any."""
    return bool(enforced_in(category))


def no_longer_enforced(old: Policy, new: Policy) -> tuple[str, ...]:
    """Name the categories that one policy enforces and the next one does not.

    Args:
        old: One version.
        new: Another. A context that only one of them declares is left out: calls that name it are refused by the other.

    Returns:
        Ids in the order of the old policy, with the context where it is only in contexts.
    """
    categories = {category.id: category for category in new.categories}
    declared = {context.name for context in new.contexts}
    contexts = (None, *(context.name for context in old.contexts if context.name in declared))
    lost = (_lost_in(category, categories.get(category.id), contexts) for category in old.categories)
    return tuple(said for said in lost if said)


def _lost_in(category: Category, now: Category | None, contexts: Iterable[str | None]) -> str:
    """Name a category that is enforced no longer, and where; nothing if it still is."""
    for context in contexts:
        if mode_in(category, context) is Mode.ENFORCE and (now is None or mode_in(now, context) is not Mode.ENFORCE):
            return category.id if context is None else f'{category.id} in the context "{context}"'
    return ""


def scored_anywhere(category: Category) -> bool:
    """Tell whether a category is scored without a context, or in any; one that is not owns no rows."""
    modes = (category.mode, *(override.mode for override in category.contexts.values()))
    return any(mode not in (None, Mode.DISABLED) for mode in modes)


def contexts_with_modes(policy: Policy) -> tuple[str, ...]:
    """Name the contexts in which some category has another mode than without one, by name."""
    changed = {
        name
        for category in policy.categories
        for name, override in category.contexts.items()
        if override.mode not in (None, category.mode)
    }
    return tuple(sorted(context.name for context in policy.contexts if context.name in changed))


def mode_counts(policy: Policy, context: str | None = None) -> dict[Mode, int]:
    """Count a policy's categories by the mode in force in a context, or without one."""
    modes = [mode_in(category, context) for category in policy.categories]
    return {mode: modes.count(mode) for mode in Mode}


def modes_line(policy: Policy) -> str:
    """Say how many categories have which mode: `2 shadow, 1 enforce; in shop: 3 shadow`."""
    return "; in ".join(
        [_counts(policy, None), *(f"{name}: {_counts(policy, name)}" for name in contexts_with_modes(policy))]
    )


def _counts(policy: Policy, context: str | None) -> str:
    return ", ".join(f"{count} {mode}" for mode, count in mode_counts(policy, context).items() if count)
