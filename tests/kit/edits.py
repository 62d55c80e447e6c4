"""Edits of policies, as staff make them: of anything that bands rest on, and of what moves none.

Each gives a policy that the language could hold; what its thresholds were chosen on is never written anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.schema import (
    Adjustment,
    Bounds,
    Category,
    Concept,
    Exemption,
    Method,
    Mode,
    Override,
    Policy,
    Pool,
    Prompt,
    Unit,
)
from kit.builders import make_head
from kit.policies import DIM, FINGERPRINT

Edit = Callable[[Policy, int, float], Policy]
"""Given a policy, a number that chooses what to edit, and one in (0, 1) that chooses the new value."""
Step = tuple[str, int, float]


def fitted(policy: Policy) -> Policy:
    """Claim that every calibration was fitted on what the policy holds."""
    scale = policy.model.calibration_scale

    def fit(concept: Concept) -> dict[str, object]:
        right = fit_digest(
            concept, fingerprint=policy.model.fingerprint or FINGERPRINT, calibration_scale=scale, plan=policy.plan
        )
        return {"calibration": concept.calibration and replace(concept.calibration, fitted_on=right)}

    return replace(
        policy,
        categories=tuple(replace(each, **fit(each)) for each in policy.categories),  # type: ignore[arg-type]
        attributes=tuple(replace(each, **fit(each)) for each in policy.attributes),  # type: ignore[arg-type]
    )


def edit_concept(policy: Policy, which: int, change: Callable[[Concept], Mapping[str, object]]) -> Policy:
    concepts: list[Concept] = [*policy.categories, *policy.attributes]
    index = which % len(concepts)
    concepts[index] = replace(concepts[index], **change(concepts[index]))  # type: ignore[arg-type]
    split = len(policy.categories)
    return replace(policy, categories=tuple(concepts[:split]), attributes=tuple(concepts[split:]))  # type: ignore[arg-type]


def edit_category(policy: Policy, which: int, change: Callable[[Category], Mapping[str, object]]) -> Policy:
    index = which % len(policy.categories)
    category = policy.categories[index]
    edited = replace(category, **change(category))  # type: ignore[arg-type]
    return replace(policy, categories=(*policy.categories[:index], edited, *policy.categories[index + 1 :]))


def _texts(change: Callable[[tuple[Prompt, ...], float], tuple[Prompt, ...]]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        return edit_concept(
            policy, which, lambda each: {} if each.head else {"prompts": change(each.prompts, value) or each.prompts}
        )

    return edit


def _negatives(change: Callable[[tuple[str, ...], float], tuple[str, ...]]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        return edit_concept(
            policy,
            which,
            lambda each: {"negatives": change(each.negatives, value)} if each.method is Method.MARGIN else {},  # type: ignore[arg-type]
        )

    return edit


def _templates(*templates: str) -> Edit:
    return lambda policy, which, _: edit_concept(policy, which, lambda c: {} if c.head else {"templates": templates})


def _pool(policy: Policy, which: int, value: float) -> Policy:
    pool = [*Pool][int(value * len(Pool))]
    return edit_concept(policy, which, lambda each: {} if each.head else {"pool": pool})


def _weight(policy: Policy, which: int, value: float) -> Policy:
    def change(concept: Concept) -> Mapping[str, object]:
        if concept.pool is Pool.MAX or concept.head:
            return {}
        return {"prompts": (replace(concept.prompts[0], weight=value + 0.5), *concept.prompts[1:])}

    return edit_concept(policy, which, change)


def _to_cosine(policy: Policy, which: int, _: float) -> Policy:
    def change(category: Category) -> Mapping[str, object]:
        if category.method is not Method.MARGIN or category.thresholds is None:
            return {}
        thresholds = replace(category.thresholds, unit=Unit.COSINE)
        return {"method": Method.COSINE, "negatives": (), "calibration": None, "thresholds": thresholds}

    return edit_category(policy, which, change)


def _head(policy: Policy, which: int, value: float) -> Policy:
    return edit_concept(policy, which, lambda each: {"head": make_head(([[value] * DIM], [0.0]))} if each.head else {})


def _calibration(**changes: Callable[[float, float], float]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        def change(concept: Concept) -> Mapping[str, object]:
            own = concept.calibration
            new = {name: make(getattr(own, name), value) for name, make in changes.items()} if own else {}
            return {"calibration": own and replace(own, **new)}  # type: ignore[arg-type]

        return edit_concept(policy, which, change)

    return edit


def _drop_calibration(policy: Policy, which: int, _: float) -> Policy:
    return edit_concept(policy, which, lambda _: {"calibration": None})


def _scale(policy: Policy, _: int, value: float) -> Policy:
    return replace(policy, model=replace(policy.model, calibration_scale=value))


def _thresholds(change: Callable[[Bounds, float], Bounds]) -> Edit:
    def edit(policy: Policy, which: int, value: float) -> Policy:
        def new(category: Category) -> Mapping[str, object]:
            own = category.thresholds
            return {"thresholds": own and replace(own, bounds=change(own.bounds, value))}

        return edit_category(policy, which, new)

    return edit


def _contexts(change: Callable[[Mapping[str, Override], float], Mapping[str, Override]]) -> Edit:
    return lambda policy, which, value: edit_category(
        policy, which, lambda each: {"contexts": change(each.contexts, value)}
    )


def _exemptions(change: Callable[[tuple[Exemption, ...], float], tuple[Exemption, ...]]) -> Edit:
    return lambda policy, which, value: edit_category(
        policy, which, lambda each: {"exemptions": change(each.exemptions, value)}
    )


def _exemption_more(policy: Policy, which: int, value: float) -> Policy:
    if not policy.attributes:
        return policy
    more = Exemption(attribute=policy.attributes[-1].id, gte=value)
    return edit_category(policy, which, lambda each: {"exemptions": (*each.exemptions, more)})


def _adjustments(change: Callable[[tuple[Adjustment, ...], float], tuple[Adjustment, ...]]) -> Edit:
    return lambda policy, which, value: edit_category(
        policy, which, lambda c: {"adjustments": change(c.adjustments, value)} if c.method is Method.COSINE else {}
    )


def _no_attribute(policy: Policy, which: int, _: float) -> Policy:
    """Take an attribute out, and with it what asks for it, as the language demands."""
    if not policy.attributes:
        return policy
    gone = policy.attributes[which % len(policy.attributes)].id
    return replace(
        policy,
        attributes=tuple(each for each in policy.attributes if each.id != gone),
        categories=tuple(
            replace(
                each,
                exemptions=tuple(item for item in each.exemptions if item.attribute != gone),
                adjustments=tuple(item for item in each.adjustments if item.attribute != gone),
            )
            for each in policy.categories
        ),
    )


def _pointed_elsewhere(policy: Policy, which: int, value: float) -> Policy:
    if not policy.attributes:
        return policy
    attribute = policy.attributes[int(value * len(policy.attributes))].id
    return edit_category(
        policy,
        which,
        lambda each: {"exemptions": tuple(replace(item, attribute=attribute) for item in each.exemptions[:1])},
    )


def _fingerprint(policy: Policy, _: int, value: float) -> Policy:
    other = "sha256:" + f"{int(value * 10)}" * 64
    return replace(policy, model=replace(policy.model, fingerprint=other))


EDITS: Mapping[str, Edit] = {
    "no thresholds": lambda policy, which, _: edit_category(policy, which, lambda _: {"thresholds": None}),
    "an attribute less": _no_attribute,
    "an exemption pointed elsewhere": _pointed_elsewhere,
    "the fingerprint": _fingerprint,
    "a prompt more": _texts(lambda prompts, value: (*prompts, Prompt(text=f"p{value}"))),
    "a prompt less": _texts(lambda prompts, _: prompts[1:]),
    "another prompt": _texts(lambda prompts, value: (replace(prompts[0], text=f"p{value}"), *prompts[1:])),
    "a negative more": _negatives(lambda negatives, value: (*negatives, f"n{value}")),
    "a negative less": _negatives(lambda negatives, _: negatives[1:]),
    "another negative": _negatives(lambda negatives, value: (f"n{value}", *negatives[1:])),
    "a template more": _templates("{}", "a photo of {}"),
    "another template": _templates("a drawing of {}"),
    "the pool": _pool,
    "a weight": _weight,
    "the method": _to_cosine,
    "the head": _head,
    "the bias": _calibration(bias=lambda own, value: own + 8 * value - 4),
    "the prevalence": _calibration(prevalence=lambda _, value: value),
    "no calibration": _drop_calibration,
    "the scale": _scale,
    "a threshold": _thresholds(lambda own, value: replace(own, block=value) if own.block else Bounds(review=value)),
    "README's thresholds": _thresholds(lambda *_: Bounds(review=0.6, block=0.9)),
    "a bound less": _thresholds(lambda own, value: Bounds(block=own.block or value)),
    "a context's bound": _contexts(lambda own, value: {**own, "shop": Override(block=value)}),
    "a context less": _contexts(lambda own, _: {name: each for name, each in own.items() if name != "shop"}),
    "an exemption's bound": _exemptions(lambda own, value: tuple(replace(each, gte=value) for each in own)),
    "an exemption more": _exemption_more,
    "an exemption less": _exemptions(lambda *_: ()),
    "an adjustment's bound": _adjustments(lambda own, value: tuple(replace(each, gte=value) for each in own)),
    "an adjustment's rise": _adjustments(lambda own, value: tuple(replace(each, add=value) for each in own)),
    "an adjustment less": _adjustments(lambda *_: ()),
    "claimed to be fitted": lambda policy, *_: fitted(policy),
}


def _people(policy: Policy, which: int, value: float) -> Policy:
    return edit_category(
        policy,
        which,
        lambda _: {
            "severity": int(value * 5),
            "definition": f"d{value}",
            "reason_code": f"r{value}",
            "mode": [*Mode][int(value * len(Mode))],
        },
    )


def _order(policy: Policy, which: int, _: float) -> Policy:
    turned = edit_concept(
        policy, which, lambda each: {"prompts": each.prompts[::-1], "negatives": each.negatives[::-1]}
    )
    return replace(turned, categories=turned.categories[::-1], attributes=turned.attributes[::-1])


def _renamed_attribute(policy: Policy, *_: float) -> Policy:
    names = {attribute.id: f"new_{attribute.id}"[:60] for attribute in policy.attributes}
    return replace(
        policy,
        attributes=tuple(replace(each, id=names[each.id]) for each in policy.attributes),
        categories=tuple(
            replace(
                each,
                exemptions=tuple(replace(item, attribute=names[item.attribute]) for item in each.exemptions),
                adjustments=tuple(replace(item, attribute=names[item.attribute]) for item in each.adjustments),
            )
            for each in policy.categories
        ),
    )


def _mode_in_context(policy: Policy, which: int, value: float) -> Policy:
    if not policy.contexts:
        return policy
    name = policy.contexts[which % len(policy.contexts)].name
    mode = [*Mode][int(value * len(Mode))]
    return edit_category(
        policy,
        which,
        lambda each: {"contexts": {**each.contexts, name: replace(each.contexts.get(name, Override()), mode=mode)}},
    )


FREE: Mapping[str, Edit] = {
    "for people": _people,
    "order": _order,
    "an attribute's name": _renamed_attribute,
    "a context's mode": _mode_in_context,
}


def in_mode(policy: Policy, mode: Mode) -> Policy:
    """Put every category into a mode, in every context too."""
    return replace(
        policy,
        categories=tuple(
            replace(
                each,
                mode=mode,
                contexts={name: replace(own, mode=own.mode and mode) for name, own in each.contexts.items()},
            )
            for each in policy.categories
        ),
    )


def without_band(compiled: CompiledPolicy) -> set[str]:
    """Name the categories that have no thresholds, or none that hold."""
    bare = {each.id for each in compiled.policy.categories if each.thresholds is None}
    return bare | set(compiled.unbound)


def applied(steps: Sequence[Step], edits: Mapping[str, Edit], policy: Policy) -> Policy:
    """Edit a policy, step by step."""
    for name, which, value in steps:
        policy = edits[name](policy, which, value)
    return policy


def steps(edits: Mapping[str, Edit], least: int = 1) -> st.SearchStrategy[list[Step]]:
    """Draw up to four edits."""
    value = st.floats(0.05, 0.95).map(lambda each: round(each, 3))
    return st.lists(st.tuples(st.sampled_from(sorted(edits)), st.integers(0, 6), value), min_size=least, max_size=4)
