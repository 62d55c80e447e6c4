"""Labelled pictures of a category and targets in; the limits that keep them, or what is missing, out."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from clipwarden.errors import LabelError, LineError
from clipwarden.tuning.labels.model import Design, Mark
from clipwarden.tuning.lines.choices import Choice, Option, choices
from clipwarden.tuning.lines.edges import Edge
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet
from clipwarden.tuning.lines.recall import line_for_recall
from clipwarden.tuning.lines.strictness import line_for_flag_rate, line_for_fpr
from clipwarden.tuning.lines.walk import Standing, Walk, from_the_top, standing
from clipwarden.tuning.tune.cases import Cases, Walked
from clipwarden.tuning.tune.targets import Targets
from clipwarden.tuning.tune.traffic import Traffic

_ON_THESE: Final = "of pictures like these, picked by hand: {}; of traffic nothing is promised"
_COUNTED: Final = "counted on the pictures that it was chosen on, and no promise"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A limit that was asked for, before any calibration.

    Attributes:
        asked: The target, as in `block-fpr 0.001`.
        line: Where it lies; or what is missing.
        sentence: What holds of it, or what is missing.
        promised: Whether it is a promise about traffic.
        stops: Of a walk: how many uploads of the store reach the limit, and of how many; None of other labels.
        walked: Of a walk: how many labels it took, and how many of those are harmful; None of other labels.
        useless: Whether it finds nothing harmful, so that nobody is to have it.
        shared: Whether the sentence is of all categories together, the same of each.
    """

    asked: str
    line: Line | Edge | NotMet
    sentence: str
    promised: bool
    shared: bool = False
    stops: tuple[int, int] | None = None
    walked: tuple[int, int] | None = None
    useless: bool = False

    @property
    def edge(self) -> Edge | None:
        """Where it lies; None where no limit keeps the target and finds anything."""
        if self.useless or isinstance(self.line, NotMet):
            return None
        return Edge(self.line.at, self.line.below, self.line.above)


def block_limit(cases: Cases, targets: Targets, delta: float, looks: int = 1) -> Placed | None:
    """Place the block limit.

    Args:
        cases: Labelled pictures.
        targets: What is asked.
        delta: The greatest chance of breaking the promise.
        looks: How often the labels were looked at, which the promise that is said makes up for.

    Returns:
        It; None where none is asked for.

    Raises:
        LabelError: The labels were drawn in a way that says nothing of the target.
    """
    if targets.block_fpr is not None:
        _require_rates(cases, "--block-fpr", "`--wrong-stops` is what they promise")
        line = _whole(cases, Kind.FALSE_POSITIVES, targets.block_fpr, delta) or _fpr_line(
            cases.and_doubtful(harmful=False), targets.block_fpr, delta
        )
        return _told(cases, f"block-fpr {targets.block_fpr!r}", line, looks)
    if targets.wrong_stops is not None:
        return _from_the_top(cases, targets.wrong_stops, delta, looks)
    if targets.block_wrong is not None:
        return _counted(cases, "block-wrong", targets.block_wrong)
    return None


def _fpr_line(cases: Cases, limit: float, delta: float) -> Line | NotMet:
    """Weigh a sample that was drawn for the category; thin any other until all had one chance."""
    by_weights = cases.drawn_for_it
    cases = cases.and_lost(harmful=False)
    tested = ~cases.positive if by_weights else cases.drawn_alike
    return line_for_fpr(
        cases.scores[tested],
        limit=limit,
        delta=delta,
        pi=cases.pi[tested] if by_weights and cases.pi is not None else None,
        group=cases.group[tested],
        u=cases.u[tested],
        uploads=cases.uploads[tested],
        others=cases.scores[~tested],
    )


def review_limit(cases: Cases, targets: Targets, delta: float, looks: int = 1) -> Placed | None:
    """Place the review limit, but for `--review-capacity`, which all categories share; as for `block_limit`."""
    if targets.review_recall is not None:
        _require_rates(cases, "--review-recall", "how much is missed below the walk nobody knows")
        line = _whole(cases, Kind.RECALL, targets.review_recall, delta) or _recall_line(
            cases.and_doubtful(harmful=True).and_lost(harmful=True), targets.review_recall, delta
        )
        return _told(cases, f"review-recall {targets.review_recall!r}", line, looks)
    if targets.review_fpr is not None:
        _require_rates(cases, "--review-fpr", "below the walk nobody looked")
        line = _whole(cases, Kind.REVIEWED, targets.review_fpr, delta) or _fpr_line(
            cases.and_doubtful(harmful=False), targets.review_fpr, delta
        )
        return _told(cases, f"review-fpr {targets.review_fpr!r}", _of_reviews(line), looks)
    if targets.review_wrong is not None:
        return _counted(cases, "review-wrong", targets.review_wrong)
    return None


def _of_reviews(line: Line | NotMet) -> Line | NotMet:
    """Say of a limit of wrong stops that it is one of reviews: the same test, of another line."""
    if isinstance(line, NotMet):
        return replace(line, kind=Kind.REVIEWED)
    return replace(line, promise=replace(line.promise, kind=Kind.REVIEWED))


def _recall_line(cases: Cases, target: float, delta: float) -> Line | NotMet:
    harmful = cases.positive
    return line_for_recall(
        cases.scores[harmful],
        target=target,
        delta=delta,
        pi=None if cases.pi is None else cases.pi[harmful],
        group=cases.group[harmful],
        u=cases.u[harmful],
        uploads=cases.uploads[harmful],
        others=cases.scores[~harmful],
        others_weight=None if cases.pi is None else (cases.uploads / cases.pi)[~harmful],
    )


def _whole(cases: Cases, kind: Kind, limit: float, delta: float) -> NotMet | None:
    """Promise nothing by half a sample: what people labelled first is no picture of the rest."""
    aim, drawn = Aim(kind=kind, limit=limit, delta=delta), cases.drawn
    if cases.is_lost:
        return aim.missed(Lacking.STORED, have=drawn - cases.left_out.absent, need=drawn)
    if cases.without_label:
        return aim.missed(Lacking.LABELS, have=drawn - cases.left_out.absent - cases.without_label, need=drawn)
    return None


def flag_limit(traffic: Traffic, targets: Targets, name: str, delta: float) -> Placed | None:
    """Place a limit by unlabelled traffic: a fallback, said as what it is.

    Args:
        traffic: Scores of one category.
        targets: What is asked.
        name: Of the limit, "block" or "review".
        delta: The greatest chance of breaking the promise.

    Returns:
        It; None where none is asked for.

    Raises:
        LabelError: The target needs labels.
    """
    for other in ("wrong_stops", "block_wrong", "review_recall", "review_wrong"):
        if getattr(targets, other) is not None:
            raise LabelError(f"--{other.replace('_', '-')} needs --labels; `clipwarden sample` says what to label.")
    limit = targets.block_fpr if name == "block" else targets.review_fpr
    if limit is None:
        return None
    line = line_for_flag_rate(
        traffic.scores,
        limit=limit,
        delta=delta,
        group=traffic.group,
        u=traffic.u,
        uploads=traffic.uploads,
    )
    sentence = line.sentence if isinstance(line, NotMet) else line.promise.sentence
    fallback = (
        "; nothing was labelled, so this bounds all that is stopped, and what is stopped wrongly only while harmful "
        "pictures are stopped at least as often as harmless ones"
    )
    told = sentence if isinstance(line, NotMet) else sentence + fallback
    return Placed(asked=f"{name}-fpr {limit!r}", line=line, sentence=told, promised=True)


def _walked(walk: Walk, now: Standing, walked: Walked) -> str:
    """Say what lies above the limit, and which label is why it lies there."""
    marks = walked.marks[walk.rows]
    above = walk.scores >= now.line.at
    found, wrong = int((above & (marks == Mark.POSITIVE)).sum()), now.line.promise.seen
    told = f"{found} found and {wrong} wrong above the limit"
    if now.false_alarms <= walk.allowed:
        return f"{told}, of {now.labelled} labelled from the top"
    what = "harmless" if marks[now.labelled - 1] == Mark.NEGATIVE else "unsure"
    return f"{told}; label {now.labelled} from the top was {what}, and the limit lies above it"


def walk_standing(walked: Walked, limit: float, delta: float, looks: int = 1) -> tuple[Line | NotMet, str]:
    """Say where a walk from the top stands.

    Args:
        walked: All that was drawn.
        limit: The greatest share of uploads stopped wrongly.
        delta: The greatest chance of breaking that.
        looks: How often the labels were looked at.

    Returns:
        The line, and what to do or what holds, in a sentence.
    """
    walk = _begun(walked, limit, delta)
    if isinstance(walk, NotMet):
        return walk, walk.sentence
    now = standing(walk, walked.marks)
    told = f"{now.line.promise.said(looks)}; {_walked(walk, now, walked)}"
    if now.ended:
        return now.line, told
    more = len(now.next)
    labels = "label is" if more == 1 else "labels are"
    return now.line, f"{told}; the walk is not at its end: at least {more} more {labels} needed for the lowest limit"


def _from_the_top(cases: Cases, limit: float, delta: float, looks: int) -> Placed:
    if cases.walked is None:
        raise LabelError(
            "--wrong-stops is promised by labels from the top; draw them with "
            f"`clipwarden sample --from-the-top {cases.category}`, or ask for --block-fpr."
        )
    asked = f"wrong-stops {limit!r}"
    if unmet := _whole(cases, Kind.WRONG_STOPS, limit, delta):
        return Placed(asked=asked, line=unmet, sentence=unmet.sentence, promised=False)
    lost = cases.left_out.absent
    walked = cases.walked.and_lost(lost)
    line, told = walk_standing(walked, limit, delta, looks)
    if lost:
        told = f"{told}; the {lost} that the store lacks by now count as harmless and stopped, at the top of the walk"
    taken = _taken(walked, lost, limit, delta)
    return Placed(asked=asked, line=line, sentence=told, promised=True, walked=taken)


def _taken(walked: Walked, lost: int, limit: float, delta: float) -> tuple[int, int] | None:
    """Count the labels that a walk took, and the harmful among them; what the store lacks begins it, without one."""
    walk = _begun(walked, limit, delta)
    if isinstance(walk, NotMet):
        return None
    marks = walked.marks[walk.rows][lost : standing(walk, walked.marks).labelled]
    return int((marks >= Mark.NEGATIVE).sum()), int((marks == Mark.POSITIVE).sum())


def _begun(walked: Walked, limit: float, delta: float) -> Walk | NotMet:
    # One of each group of near-duplicates was drawn, so that what is promised is promised of those.
    return from_the_top(walked.scores, limit=limit, delta=delta, group=np.arange(len(walked.scores)), u=walked.u)


def _require_rates(cases: Cases, flag: str, why: str) -> None:
    if cases.design is Design.TOP:
        raise LabelError(f"{flag} says nothing of labels from the top: {why}.")


def _told(cases: Cases, asked: str, line: Line | NotMet, looks: int) -> Placed:
    if isinstance(line, NotMet):
        return Placed(asked=asked, line=line, sentence=f"{line.sentence}{_remedy(cases, line)}", promised=False)
    promised = cases.design is Design.SAMPLE
    sentence = line.promise.said(looks)
    if promised and cases.doubtful is not None:
        what = "missed" if line.promise.kind is Kind.RECALL else "harmless"
        sentence = f"{sentence}, the {len(cases.doubtful)} unsure counted as {what}"
    if promised and len(cases.lost):
        what = "missed" if line.promise.kind is Kind.RECALL else "harmless and stopped"
        sentence = f"{sentence}, the {len(cases.lost)} that the store lacks by now counted as {what}"
    return Placed(
        asked=asked, line=line, sentence=sentence if promised else _ON_THESE.format(sentence), promised=promised
    )


def _remedy(cases: Cases, line: NotMet) -> str:
    """Say of too few harmless pictures of a sample why they count as so few, and what would help."""
    if cases.design is not Design.SAMPLE or line.lacking is not Lacking.CLEAN or not line.have:
        return ""
    harmless, drawn = int((~cases.positive).sum()), len(cases)
    why = f" (of {harmless:,} harmless ones {line.have:,} count as drawn evenly)" if line.have < harmless else ""
    many = -(-drawn * line.need // line.have)
    return (
        f"{why}; about {many:,} labels in all would do (`clipwarden sample --add`), or `clipwarden sample "
        f"--from-the-top {cases.category}`, which bounds wrong stops among uploads by a few dozen"
    )


def _counted(cases: Cases, name: str, wrong: int) -> Placed:
    _require_rates(cases, f"--{name}", "they are no picture of what is harmless")
    rows = choices(cases.labelled, now=None, most_wrong=(wrong,))
    wanted = wrong or None
    row = next((each for each in rows if each.most_wrong == wanted and each.option is not Option.AS_NOW), None)
    if row is None:
        harmless = int((~cases.positive).sum())
        raise LineError(f"--{name} {wrong} allows all {harmless} harmless pictures of {cases.category} to be stopped.")
    return Placed(asked=f"{name} {wrong}", line=edge_of(row), sentence=f"{counts(row)}; {_COUNTED}", promised=False)


def edge_of(choice: Choice) -> Edge:
    """Where a row of the table lies."""
    return Edge(choice.at, choice.below, choice.above)


def counts(choice: Choice) -> str:
    """What a row of the table found and stopped wrongly, in counts."""
    return f"finds {choice.found} of {choice.harmful} harmful, stops {choice.wrong} of {choice.harmless} harmless"
