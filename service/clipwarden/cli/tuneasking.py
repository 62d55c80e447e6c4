"""A person at a terminal in; what limits are to keep, out: a few questions, each with its default and why."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from rich.prompt import Confirm, Prompt

from clipwarden.cli.shares import read_share
from clipwarden.errors import ConfigError
from clipwarden.terminal import notice, printable, stdout
from clipwarden.tuning.labels.model import Design, Labels
from clipwarden.tuning.tune.targets import Targets
from clipwarden.tuning.tune.writing import Plan

_NONE: Final = "none"


def ask_targets(targets: Targets, labels: Labels | None, *, single: bool) -> Targets | None:
    """Ask what limits are to keep.

    Args:
        targets: What was said already.
        labels: What there is to choose by.
        single: Whether it is about one category, whose prevalence can be asked for.

    Returns:
        The targets; None where nobody wants any.
    """
    if labels is not None and labels.design is Design.QUEUE:
        return None
    asked = _ask_block(targets, labels)
    if labels is not None and labels.design in (Design.SAMPLE, Design.SET):
        asked = _ask_review(asked)
        asked = _ask_prevalence(asked, labels) if single else asked
    return asked if asked.asks else None


def ask_confirmation(plan: Plan) -> bool:
    """Ask whether a version is to be written; no by default, since nothing is lost by running it again."""
    return Confirm.ask(printable(f"Write {plan.path}?"), default=False, console=stdout())


def _ask_block(targets: Targets, labels: Labels | None) -> Targets:
    if labels is not None and labels.design is Design.TOP:
        share = labels.walk.at_most if labels.walk else 0.005
        return _ask(
            f"BLOCK may stop how many of 100 uploads wrongly? Default {_percent(share)}: what the walk was drawn for",
            _percent(share),
            lambda text: replace(targets, wrong_stops=read_share(text, "The share", small=True)),
        )
    if labels is None:
        return _ask(
            "BLOCK may stop what share of uploads, rightly or not? Default none: without labels nobody knows which; "
            "a share such as 0.5%",
            _NONE,
            lambda text: (
                targets if text == _NONE else replace(targets, block_fpr=read_share(text, "The share", small=True))
            ),
        )
    return _ask(
        "BLOCK may stop how many of the harmless? A share such as 1% is promised where labels allow; a number such as "
        "3 is counted on these labels and no promise. Default 3: these labels can always say that; none leaves it",
        "3",
        lambda text: _block(targets, text),
        "Or write a number such as 3, or none.",
    )


def _block(targets: Targets, text: str) -> Targets:
    if text == _NONE:
        return targets
    if text.isdecimal():
        return replace(targets, block_wrong=int(text))
    return replace(targets, block_fpr=read_share(text, "The share", small=True))


def _ask_review(targets: Targets) -> Targets:
    return _ask(
        "REVIEW is to find what share of the harmful? Such as 80%, which is promised where labels allow. Default none: "
        "what goes to people costs their time, so that somebody has to want it",
        _NONE,
        lambda text: targets if text == _NONE else replace(targets, review_recall=read_share(text, "The share")),
    )


def _ask_prevalence(targets: Targets, labels: Labels) -> Targets:
    if targets.prevalence is not None:
        return targets
    picked = labels.design is Design.SET
    why = (
        "hand-picked pictures cannot say it, and without it no score can be read as a probability"
        if picked
        else "what the sample says, where it drew three or more"
    )
    return _ask(
        f"How many of 1,000 uploads are like this? Default {'2' if picked else _NONE}: {why}",
        "2" if picked else _NONE,
        lambda text: targets if text == _NONE else replace(targets, prevalence=_of_thousand(text)),
    )


def _of_thousand(text: str) -> float:
    try:
        share = float(text) / 1000.0
    except ValueError:
        raise ConfigError(f'"{text}" is no number of 1,000 uploads, such as 2.') from None
    if not 0.0 < share < 1.0:
        raise ConfigError("Write a number above 0 and below 1,000, such as 2.")
    return share


def _ask(question: str, default: str, read: Callable[[str], Targets], hint: str = "") -> Targets:
    """Ask until the answer can be read."""
    while True:
        answer = Prompt.ask(printable(question), default=default, console=stdout()).strip()
        try:
            return read(answer)
        except ConfigError as exc:
            notice(printable(f"{exc} {hint}".strip()))


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
