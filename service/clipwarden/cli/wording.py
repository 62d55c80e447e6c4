"""What to tell people about a moderation: which category matters, how its number stands to its thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.vision.facts import rows_in_words, share_in_words

VERDICT_STYLES: Final = {"ALLOW": "green", "REVIEW": "bold yellow", "BLOCK": "bold red"}
"""Colours; the word always stands beside them, for people and terminals that see none."""

_UNBOUND: Final = {
    v1.NO_BAND_REASON_NOT_CHOSEN: "thresholds chosen on nothing that is named",
    v1.NO_BAND_REASON_CHOSEN_ON_OTHER: "thresholds chosen on something else",
}

MOST_NAMED = 3
"""Categories named in a cell; of more their number says enough, and `--json` has all."""
FEWEST_DIGITS = 3
MOST_DIGITS = 17
"""Enough digits to write any double apart from its neighbours."""


def verdict_name(verdict: v1.Verdict.ValueType) -> str:
    """Name a verdict or band as people say it: ALLOW, REVIEW, BLOCK; "none" for an absent band."""
    name = v1.Verdict.Name(verdict).removeprefix("VERDICT_") if verdict in v1.Verdict.values() else str(verdict)
    return "none" if name == "UNSPECIFIED" else name


def shadow_mark(moderation: v1.Moderation) -> str:
    """Return what stands behind a shadow verdict that lacks categories, and names them; empty where it is whole."""
    lacking = moderation.shadow_incomplete
    return f"? (without {few(lacking)})" if lacking else ""


def few(categories: Sequence[str]) -> str:
    """Name categories, or count them where names would fill the line."""
    return ", ".join(categories) if len(categories) <= MOST_NAMED else f"{len(categories)} categories"


def no_band(category: v1.CategoryResult) -> str:
    """Say why thresholds do not hold; empty for a category that has none, or a band."""
    return _UNBOUND.get(category.no_band_reason, "")


def mode_name(mode: v1.Mode.ValueType) -> str:
    """Name a mode as policies write it."""
    return v1.Mode.Name(mode).removeprefix("MODE_").lower()


def raises(moderation: v1.Moderation) -> list[str]:
    """Name what made the verdict stricter than the bands, in lower case."""
    return [v1.VerdictRaise.Name(item).removeprefix("VERDICT_RAISE_").lower() for item in moderation.raised_by]


def oddities(image: v1.ImageFacts) -> list[str]:
    """Name what is odd about an image, in a few words each: degradations, and what of it was not judged."""
    found = [_oddity(item) for item in image.degradations]
    if _frames_seen(image) < image.frames_total:
        found.append(_frames(image))
    if v1.UNSEEN_PARTS in image.unseen or v1.UNSEEN_COVERAGE in image.unseen:
        found.append(f"{share_in_words(image.coverage)} of its area seen")
    if v1.UNSEEN_RESOLUTION in image.unseen:
        known = image.HasField("resolution")
        found.append(f"{image.resolution:.0f} pixels to its shorter side" if known else "unknown detail")
    if _is_cut(image):
        found.append(rows_in_words(image.share_shown, image.format).replace("its rows are", "rows"))
    return [*found, "HDR"] if v1.UNSEEN_HDR in image.unseen else found


def explained_oddities(image: v1.ImageFacts) -> list[str]:
    """Say in sentences what `oddities` names in words that not everybody knows."""
    found = []
    if v1.DEGRADATION_COLOUR_UNCERTAIN in image.degradations:
        found.append("Viewers may read the file's colours differently, so some may show others.")
    if _frames_seen(image) < image.frames_total:
        found.append(_frames_left(image))
    if 0 < image.coverage < 1:  # 0: likewise, which is not known to be too little
        found.append(_area_left(image))
    if v1.UNSEEN_RESOLUTION in image.unseen:
        found.append(_detail_lacking(image))
    if _is_cut(image):
        found.append(f"The file ends early; {rows_in_words(image.share_shown, image.format)}.")
    if v1.UNSEEN_HDR in image.unseen:
        found.append("HDR: brighter colours than a screen without HDR shows were not judged.")
    return found


def where_seen(view: v1.View) -> str:
    """Say where in an image something was found: frame, from 0 as on the wire, time, part; empty for a plain still."""
    found = []
    if view.frame or view.HasField("time"):
        at = f" at {view.time.ToNanoseconds() / 1e9:.2f} s" if view.HasField("time") else ""
        found.append(f"frame {view.frame}{at}")
    if view.HasField("box"):
        box = view.box
        found.append(f"{box.right - box.left}x{box.bottom - box.top} pixels at ({box.left}, {box.top})")
    found += [f"on {page}" for page in ("white", "black") if view.name.endswith(f"on_{page}")]
    return ", ".join(found)


def sight(image: v1.ImageFacts) -> str:
    """Say how an image was looked at: views, frames, share of its area, detail; empty from an older server."""
    if not image.HasField("view_plan"):
        return ""
    found = [f"views: {image.view_plan.views}"]
    if image.frames_total > 1:
        found.append(_frames(image))
    found.append(f"{share_in_words(image.coverage)} of its area")
    if image.HasField("resolution"):
        found.append(f"{image.resolution:.0f} pixels to its shorter side")
    return ", ".join(found)


def _frames(image: v1.ImageFacts) -> str:
    near = _frames_seen(image) - image.frames_judged
    alike = f", {near} more look alike" if near else ""
    return f"{image.frames_judged} of {image.frames_total} frames judged{alike}"


def _frames_seen(image: v1.ImageFacts) -> int:
    return image.frames_seen or image.frames_judged  # 0: a server that is older than the field


def _frames_left(image: v1.ImageFacts) -> str:
    judged, near = image.frames_judged, _frames_seen(image) - image.frames_judged
    were = "1 was" if judged == 1 else f"{judged} were"
    alike = f", and {near} look like one of those" if near else ""
    return f"Of its {image.frames_total} frames {were} judged{alike}; nobody saw the others."


def _area_left(image: v1.ImageFacts) -> str:
    least = share_in_words(image.coverage)
    if v1.UNSEEN_PARTS in image.unseen:
        return f"It is too long and narrow for the views there are: they show {least} of its area."
    wanted = " The policy wants more (least_coverage)." if v1.UNSEEN_COVERAGE in image.unseen else ""
    return (
        f"The model saw {least} of its area; what is at the ends was cut off (views: auto looks at all of it).{wanted}"
    )


def _detail_lacking(image: v1.ImageFacts) -> str:
    if not image.HasField("resolution"):
        return "Nobody knows how many pixels the views gave to its shorter side; the policy asks (least_resolution)."
    pixels = f"{image.resolution:.1f}".removesuffix(".0")
    return f"The views gave {pixels} pixels to its shorter side; the policy wants more (least_resolution)."


def _is_cut(image: v1.ImageFacts) -> bool:
    return 0 < image.share_shown < 1  # 0: a server that is older than the field


def _oddity(item: v1.Degradation.ValueType) -> str:
    known = item in v1.Degradation.values()
    return v1.Degradation.Name(item).removeprefix("DEGRADATION_").lower().replace("_", " ") if known else str(item)


def leading_category(moderation: v1.Moderation) -> v1.CategoryResult | None:
    """Find the category to name beside a verdict.

    The one that decided, if any; else the one that came nearest to deciding: the stricter band first, then enforced
    before shadow, then the least distance to its lowest threshold. Categories without thresholds come last, the best
    match by cosine first: their scores compare with nothing else. A head has no cosine, and takes part by its score;
    of equal scores, such as two that are 1.0, the higher logit comes first.

    Args:
        moderation: The verdict.

    Returns:
        A category that was evaluated, or None when there is none.
    """
    decided = moderation.decided_by[0] if moderation.decided_by else None
    evaluated = [item for item in moderation.categories if item.status == v1.EVALUATION_STATUS_EVALUATED]
    by_id = {item.id: item for item in evaluated}
    if decided in by_id:
        return by_id[decided]
    return max(evaluated, key=_nearness, default=None)


def _nearness(category: v1.CategoryResult) -> tuple[int, bool, bool, float, float, float]:
    threshold = lowest_threshold(category)
    distance = 0.0 if threshold is None else category.score - threshold
    enforced = category.mode == v1.MODE_ENFORCE
    match = category.score if category.HasField("logit") else category.cosine
    return int(category.band), threshold is not None, enforced, distance, match, category.logit


def lowest_threshold(category: v1.CategoryResult) -> float | None:
    """Return where a category's first band begins; None without thresholds."""
    if category.HasField("review_threshold"):
        return category.review_threshold
    return category.block_threshold if category.HasField("block_threshold") else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A score and the threshold that says what it means, as texts that never look equal unless they are.

    Attributes:
        score: The score.
        lacking: Why there are no thresholds, where there are none.
        relation: "≥" or "<"; empty without thresholds.
        band: "review" or "block"; empty without thresholds.
        threshold: The threshold; empty without thresholds.
    """

    score: str
    lacking: str = "no threshold"
    relation: str = ""
    band: str = ""
    threshold: str = ""

    def __str__(self) -> str:
        """Render as `0.981 ≥ block 0.900`."""
        parts = (self.score, self.relation, self.band, self.threshold)
        return " ".join(part for part in parts if part) if self.threshold else f"{self.score} ({self.lacking})"


def compare(category: v1.CategoryResult) -> Comparison:
    """Set a category's score beside the highest threshold it reached, or else the lowest it did not.

    Args:
        category: Evaluated.

    Returns:
        Both as texts, with as many digits as it takes to tell them apart.
    """
    telling = telling_threshold(category)
    if telling is None:
        return Comparison(score=f"{category.score:.{FEWEST_DIGITS}f}", lacking=no_band(category) or "no threshold")
    band, threshold = telling
    score_text, threshold_text = _told_apart(category.score, threshold)
    relation = "≥" if category.score >= threshold else "<"
    return Comparison(score=score_text, relation=relation, band=band, threshold=threshold_text)


def telling_threshold(category: v1.CategoryResult) -> tuple[str, float] | None:
    """Return the highest threshold that a category reached, or else the lowest that it did not.

    Args:
        category: Evaluated.

    Returns:
        "block" or "review", and the threshold; None without thresholds.
    """
    thresholds = [
        (band, threshold)
        for band, threshold in (("block", category.block_threshold), ("review", category.review_threshold))
        if category.HasField("block_threshold" if band == "block" else "review_threshold")
    ]
    passed = [(band, threshold) for band, threshold in thresholds if category.score >= threshold]
    return next(iter(passed or thresholds[-1:]), None)


def added(category: v1.CategoryResult) -> str:
    """Say what was added to a category's cosine, and by which attribute; empty when nothing was."""
    if not category.HasField("adjustment"):
        return ""
    return f"{category.adjustment.add:+.{FEWEST_DIGITS}g} by {category.adjustment.attribute}"


def score_lines(category: v1.CategoryResult) -> str:
    """Set a category's score beside its threshold, and below what was added to make it, if anything was."""
    return "\n".join(line for line in (str(compare(category)), added(category)) if line)


def _told_apart(score: float, threshold: float) -> tuple[str, str]:
    for digits in range(FEWEST_DIGITS, MOST_DIGITS + 1):
        texts = f"{score:.{digits}f}", f"{threshold:.{digits}f}"
        if texts[0] != texts[1] or score == threshold:
            break
    return texts
