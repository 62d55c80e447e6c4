"""Rules about what a policy looks at: floors that nearly every picture misses, frames that there are no views for."""

from clipwarden.policy.schema import Policy, Verdict
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.rendering import plain_number
from clipwarden.vision.plan import MAX_VIEWS, Views

PHOTOGRAPH = 0.75
"""Share of a 4:3 picture that its middle square shows; of a 16:9 one it is 0.56."""
VIEWS_OF_A_FRAME = {Views.WHOLE: 1, Views.AUTO: 2, Views.TILES: 12}
"""Views of a 4:3 frame (`vision.parts`): two squares show it all; closer looks at a large one are five a square."""


def check_looking(policy: Policy, findings: Findings) -> None:
    """Warn of a view plan or a floor that does not do what it says.

    Args:
        policy: As read.
        findings: Receives the warnings.
    """
    _check_coverage(policy, findings)
    _check_frames(policy, findings)
    _check_idle_floors(policy, findings)


def _check_coverage(policy: Policy, findings: Findings) -> None:
    floor = policy.least_coverage
    if floor is None or floor <= PHOTOGRAPH or policy.plan.views is not Views.WHOLE:
        return
    message = (
        f"Under `views: whole` a model that crops sees 75 % of a 4:3 photograph and 56 % of a 16:9 one: with "
        f"`least_coverage: {plain_number(floor)}` each of them gets at least `on_partial`."
    )
    fix = "Write `views: auto`, which sees all of them, or a floor of at most 0.75."
    findings.warn(findings.positions.find("defaults", "least_coverage"), "floor-above-photographs", message, fix)


def _check_frames(policy: Policy, findings: Findings) -> None:
    plan, views = policy.plan, VIEWS_OF_A_FRAME[policy.plan.views]
    most = MAX_VIEWS // views
    if plan.frames <= most:
        return
    message = (
        f"An image has at most {MAX_VIEWS} views, and under `views: {plan.views}` a large 4:3 frame takes {views}: of "
        f"such an animation at most {most} frames are judged, not {plan.frames}, and of a see-through one half of them."
    )
    fewer = plan.views is Views.TILES and plan.frames <= MAX_VIEWS // VIEWS_OF_A_FRAME[Views.AUTO]
    fix = f"Write `frames: {most}`{', or `views: auto`' if fewer else ''}."
    findings.warn(findings.positions.find("defaults", "frames"), "more-frames-than-views", message, fix)


def _check_idle_floors(policy: Policy, findings: Findings) -> None:
    if policy.on_partial is not Verdict.ALLOW:
        return
    for name in ("least_coverage", "least_resolution"):
        if getattr(policy, name) is not None:
            message = f"`{name}` moves no verdict while `on_partial` is `allow`."
            fix = "Write `on_partial: review`, or leave it out: results say what was seen in any case."
            findings.warn(findings.positions.find("defaults", name), "idle-floor", message, fix)
