"""One moderation in full: every category with the numbers and texts behind it, and what it was judged with."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clipwarden.cli.table import WIDE, evidence_text, match_text, new_table, shadow_text, verdict_text
from clipwarden.cli.wording import explained_oddities, mode_name, oddities, raises, score_lines, sight, where_seen
from clipwarden.terminal import printable
from clipwarden.v1 import moderation_pb2 as v1

FINGERPRINT_SHOWN = len("sha256:") + 16
"""Characters of a digest that tell two apart at a glance; JSON has all of them."""

_KINDS = {
    v1.SCORE_KIND_RAW_COSINE: "cosine",
    v1.SCORE_KIND_UNCALIBRATED: "uncalibrated",
    v1.SCORE_KIND_CALIBRATED: "calibrated",
}


def explanation(name: str, moderation: v1.Moderation, *, width: int) -> RenderableType:
    """Explain a verdict in full.

    Args:
        name: The image.
        moderation: Its verdict.
        width: Columns to fill.
    """
    parts: list[RenderableType] = [Text(printable(name), style="bold"), _verdict_line(moderation), Text("")]
    parts.append(_categories(moderation) if width >= WIDE else _narrow_categories(moderation))
    if moderation.attributes:
        parts += [Text(""), _attributes(moderation)]
    parts.append(Text(""))
    parts.extend(Text(line, style="dim") for line in _footnotes(moderation))
    return Group(*parts, Text(""))


def _verdict_line(moderation: v1.Moderation) -> Text:
    line = Text.assemble("Verdict ", verdict_text(moderation.verdict))
    if moderation.decided_by:
        line.append(f", decided by {', '.join(moderation.decided_by)}")
    if reasons := raises(moderation):
        line.append(f", raised because {', '.join(reasons)}")
    line.append(f". {_enforced(moderation.enforced_categories, moderation.context)}")
    if moderation.shadow_verdict != moderation.verdict or moderation.shadow_incomplete:
        line.append(" With shadow categories enforced it would be ").append(shadow_text(moderation)).append(".")
    return line


def _enforced(count: int, context: str) -> str:
    where = f" in the context {context}" if context else ""
    if count == 0:
        return f"No category is enforced{where}, so nothing could have changed it."
    return f"1 category is enforced{where}." if count == 1 else f"{count} categories are enforced{where}."


def _categories(moderation: v1.Moderation) -> Table:
    headers = ("Category", "Mode", "Band", "Score / threshold", "Margin", "Winning prompt", "Winning contrast")
    table = new_table(*headers, unbroken=headers[1:5])
    for item in moderation.categories:
        if item.status != v1.EVALUATION_STATUS_EVALUATED:
            table.add_row(item.id, mode_name(item.mode), "", _not_evaluated(item))
        else:
            numbers = (score_lines(item), _margin(item))
            table.add_row(item.id, mode_name(item.mode), _band(item), *numbers, *_matches(item))
    return table


def _narrow_categories(moderation: v1.Moderation) -> Table:
    headers = ("Category", "Mode", "Band", "Score / threshold", "Prompt vs. contrast")
    table = new_table(*headers, unbroken=headers[1:4])
    for item in moderation.categories:
        if item.status != v1.EVALUATION_STATUS_EVALUATED:
            table.add_row(item.id, mode_name(item.mode), "", _not_evaluated(item))
            continue
        prompt, contrast = _matches(item)
        texts = Text("\n").join([prompt, Text.assemble(("vs. ", "dim"), contrast)]) if contrast else prompt
        numbers = f"{score_lines(item)}\nmargin {_margin(item)}" if item.HasField("margin") else score_lines(item)
        table.add_row(item.id, mode_name(item.mode), _band(item), numbers, texts)
    return table


def _band(item: v1.CategoryResult) -> Text:
    band = verdict_text(item.band)
    # Only a BLOCK can be exempted.
    return band.append(f"\nnot BLOCK: {item.exempted_by}", style="not bold") if item.exempted_by else band


def _not_evaluated(item: v1.CategoryResult) -> str:
    why = v1.NotEvaluatedReason.Name(item.not_evaluated_reason).removeprefix("NOT_EVALUATED_REASON_").lower()
    return f"not evaluated: {why}"


def _attributes(moderation: v1.Moderation) -> Table:
    table = new_table("Attribute", "Score", "Margin", "Winning prompt", "Winning contrast")
    for item in moderation.attributes:
        if item.status == v1.EVALUATION_STATUS_EVALUATED:
            table.add_row(item.id, f"{item.score:.3f}", _margin(item), *_matches(item))
        else:
            table.add_row(item.id, "not evaluated")
    return table


def _margin(item: v1.CategoryResult | v1.AttributeResult) -> str:
    return f"{item.margin:+.2f}" if item.HasField("margin") else ""


def _matches(item: v1.CategoryResult | v1.AttributeResult) -> list[Text]:
    contrast = match_text(item.winning_contrast) if item.HasField("winning_contrast") else Text("")
    evidence = evidence_text(item)
    if where := where_seen(item.winning_view):
        evidence.append(f"\n{where}", style="dim")
    return [evidence, contrast]


def _footnotes(moderation: v1.Moderation) -> Iterator[str]:
    image = moderation.image
    if image.format:
        odd = "".join(f", {oddity}" for oddity in oddities(image))
        yield f"Image: {image.format} {image.width}x{image.height}{odd}, sha256 {image.sha256[:16]}"
    if how := sight(image):
        yield f"Seen: {how}"
    yield from explained_oddities(image)
    policy, model = moderation.policy, moderation.model
    version = f" {policy.version}" if policy.version else ""
    context = f", context {moderation.context}" if moderation.context else ""
    yield f"Policy: {policy.id}{version}, {policy.digest[:FINGERPRINT_SHOWN]}{context}"
    yield f"Model: {model.name}, {model.fingerprint[:FINGERPRINT_SHOWN]}, {model.runtime.provider}"
    yield f"Time: {moderation.timings.total.ToMilliseconds()} ms. {_score_note(moderation)}"


def _score_note(moderation: v1.Moderation) -> str:
    kinds = {_KINDS[item.score_kind] for item in moderation.categories if item.score_kind in _KINDS}
    if kinds == {"calibrated"}:
        return "Scores are calibrated probabilities."
    return f"Scores are {' or '.join(sorted(kinds))}, no probabilities." if kinds else "No category was evaluated."
