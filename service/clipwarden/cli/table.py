"""Outcomes as a table: the verdict, and beside it the prompt and the contrast that speak for and against it."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from clipwarden.cli.outcome import Outcome
from clipwarden.cli.wording import (
    VERDICT_STYLES,
    few,
    leading_category,
    oddities,
    raises,
    score_lines,
    shadow_mark,
    verdict_name,
)
from clipwarden.terminal import printable
from clipwarden.v1 import moderation_pb2 as v1

UNJUDGED_STYLE = "bold magenta"

WIDE = 140
"""Columns from which every fact has a column of its own; below, a row takes a few lines."""


def outcomes_table(outcomes: Sequence[Outcome], *, width: int) -> Table:
    """Lay outcomes out, a row each.

    Args:
        outcomes: In the order to show.
        width: Columns to fill.
    """
    return _wide_table(outcomes) if width >= WIDE else _narrow_table(outcomes)


def new_table(*headers: str, unbroken: Sequence[str] = ()) -> Table:
    """Make an empty table.

    Args:
        headers: Of its columns.
        unbroken: Headers of columns that never break lines.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold", no_wrap=header in unbroken)
    return table


def verdict_text(verdict: v1.Verdict.ValueType) -> Text:
    """Colour a verdict."""
    name = verdict_name(verdict)
    return Text(name, style=VERDICT_STYLES.get(name, ""))


def shadow_text(moderation: v1.Moderation) -> Text:
    """Colour a shadow verdict, and mark one that lacks categories: ALLOW would look like a clean bill."""
    return verdict_text(moderation.shadow_verdict).append(shadow_mark(moderation), style="not bold")


def match_text(match: v1.TextMatch) -> Text:
    """Show a policy text and its cosine."""
    return Text.assemble(f'"{printable(match.text)}"', (f" {match.cosine:.3f}", "dim"))


def evidence_text(result: v1.CategoryResult | v1.AttributeResult) -> Text:
    """Show what speaks for a concept: its winning prompt, or what its head gave."""
    if result.HasField("logit"):
        return Text.assemble("head, logit", (f" {result.logit:+.2f}", "dim"))
    return match_text(result.winning_prompt)


def _wide_table(outcomes: Sequence[Outcome]) -> Table:
    headers = ("Verdict", "Shadow", "File", "Category", "Score / threshold", "Winning prompt", "Winning contrast")
    table = new_table(*headers, unbroken=("Verdict", "Score / threshold"))
    for outcome in outcomes:
        table.add_row(*_wide_cells(outcome))
    return table


def _wide_cells(outcome: Outcome) -> list[Text]:
    name = Text(printable(outcome.name))
    if outcome.moderation is None:
        return [_no_verdict(outcome), Text(""), name, Text(_reason(outcome)), Text(""), Text(_why_not(outcome))]
    moderation = outcome.moderation
    verdict = verdict_text(moderation.verdict)
    if reasons := raises(moderation):
        verdict.append(f" ({', '.join(reasons)})", style="not bold")
    if odd := oddities(moderation.image):
        name.append(f" ({', '.join(odd)})", style="dim")
    cells = [verdict, shadow_text(moderation), name]
    category = leading_category(moderation)
    if category is None:
        return [*cells, Text("none evaluated")]
    contrast = match_text(category.winning_contrast) if category.HasField("winning_contrast") else Text("")
    return [*cells, _category(category), Text(score_lines(category)), evidence_text(category), contrast]


def _narrow_table(outcomes: Sequence[Outcome]) -> Table:
    table = new_table("Verdict", "File", "Why", unbroken=("Verdict",))
    for outcome in outcomes:
        table.add_row(*(Text("\n").join(lines) for lines in _narrow_cells(outcome)))
    return table


def _narrow_cells(outcome: Outcome) -> tuple[list[Text], list[Text], list[Text]]:
    name = [Text(printable(outcome.name))]
    if outcome.moderation is None:
        return [_no_verdict(outcome)], name, [Text(_reason(outcome)), Text(_why_not(outcome))]
    moderation = outcome.moderation
    verdict = [verdict_text(moderation.verdict), *(Text(reason) for reason in raises(moderation))]
    shadow = verdict_text(moderation.shadow_verdict)
    if moderation.shadow_incomplete:
        verdict.append(Text.assemble(("shadow ", "dim"), shadow, "?"))
        name.append(Text(f"shadow without {few(moderation.shadow_incomplete)}"))
    elif moderation.shadow_verdict != moderation.verdict:
        verdict.append(Text.assemble(("shadow ", "dim"), shadow))
    name += [Text(odd, style="dim") for odd in oddities(moderation.image)]
    category = leading_category(moderation)
    if category is None:
        return verdict, name, [Text("no category evaluated")]
    why = [Text.assemble(_category(category), f" {score_lines(category)}"), evidence_text(category)]
    if category.HasField("winning_contrast"):
        why.append(Text.assemble(("vs. ", "dim"), match_text(category.winning_contrast)))
    return verdict, name, why


def _category(category: v1.CategoryResult) -> Text:
    # A shadow category beside a verdict would otherwise look like its cause.
    return Text(f"{category.id} (shadow)" if category.mode == v1.MODE_SHADOW else category.id)


def _no_verdict(outcome: Outcome) -> Text:
    return Text(outcome.result, style=UNJUDGED_STYLE if outcome.left_out is None else "")


def _reason(outcome: Outcome) -> str:
    if outcome.left_out is not None:
        return outcome.left_out.reason
    return (outcome.error.reason or outcome.error.code) if outcome.error else ""


def _why_not(outcome: Outcome) -> str:
    return printable(str(outcome.left_out or outcome.error))
