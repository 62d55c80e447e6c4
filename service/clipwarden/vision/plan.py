"""Which views of an image are looked at, by name: whoever keeps embeddings or scores can say what they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewPlan:
    """A way to look at an image.

    Scores taken over other views are other scores: whoever keeps embeddings keeps the plan's name beside them, and no
    policy judges embeddings of another plan than its own.

    Attributes:
        name: As policies and stores write it.
        views: What it looks at, in order; each once on white and once on black where an image is see-through.
    """

    name: str
    views: tuple[str, ...]


WHOLE = ViewPlan(name="whole", views=("full",))
"""One view of the whole picture, as the model folder's preprocessing fits it."""

VIEW_PLANS: Mapping[str, ViewPlan] = {plan.name: plan for plan in (WHOLE,)}
"""All there are, by name."""
