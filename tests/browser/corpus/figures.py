"""The colour corpus in; how far what we judge, and what a build that ignores carriers judges, is from what is shown."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.browser.compare import Distance, distance, is_flagged, judge, shown_distance
from tests.browser.corpus import jpegs, others, pngs
from tests.browser.corpus.drawn import Draws
from tests.browser.corpus.entry import Entry, patches
from tests.browser.corpus.oddities import odd_profiles
from tests.browser.kit import Chromium, Shown
from tests.browser.parts import encode, iccp, with_chunks

from clipwarden.errors import Reason
from clipwarden.modelfolder.manifest import Preprocessing

# The embedded model's side, and that of most of CLIP.
SIDES = (96, 224)
# What the issue allows between a build and a browser, in levels of 0-255.
MOST_MEAN = 1.5
MOST_P99 = 8.0
# Under random curves, which are steeper, lossy pictures and their rounding are farther apart.
MOST_DRAWN_P99 = 12.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Of one file, the worse of both sides.

    Attributes:
        entry: The file.
        ours: Between what we judge and what is shown; None when we refuse.
        ignored: The same of a build that ignores the carrier.
        flagged: Whether we say that it is partial, or its colours uncertain.
    """

    entry: Entry
    ours: Distance | None
    ignored: Distance | None
    flagged: bool

    @property
    def holds(self) -> bool:
        """Whether we are within the bounds."""
        return is_within(self.ours)

    @property
    def is_seen(self) -> bool:
        """Whether ignoring the carrier would be noticed."""
        return not is_within(self.ignored)


@dataclass(frozen=True, kw_only=True, slots=True)
class Oddity:
    """What becomes of a picture under a profile that readers take differently.

    Attributes:
        name: Of the profile.
        moved: Mean distance between what Chromium shows and what is stored; 0 where it ignores the profile.
        ours: Between what we judge and what it shows; None when we refuse.
        flagged: Whether we say that the colours are uncertain.
    """

    name: str
    moved: float
    ours: Distance | None
    flagged: bool


def is_within(found: Distance | None) -> bool:
    """Whether a distance is within the bounds."""
    return found is not None and found.mean <= MOST_MEAN and found.p99 <= MOST_P99


def every_entry() -> list[Entry]:
    """The whole corpus."""
    return [*pngs.entries(), *jpegs.entries(), *others.entries()]


def find_figures(chromium: Chromium) -> Iterator[Figures]:
    """Measure every file of the corpus."""
    every = every_entry()
    for entry, shown in zip(every, chromium.show([entry.twin or entry.data for entry in every]), strict=True):
        assert not shown.refused, entry.name
        ours = [_distance(shown, entry.data, Preprocessing(side=side, colour="srgb")) for side in SIDES]
        ignoring = [_distance(shown, entry.without or entry.data, _ignoring(entry, side)) for side in SIDES]
        judged = judge(entry.data, Preprocessing(side=SIDES[0], colour="srgb"))
        flagged = not isinstance(judged, Reason) and is_flagged(judged)
        yield Figures(entry=entry, ours=_worst(ours), ignored=_worst(ignoring), flagged=flagged)


def find_oddities(chromium: Chromium) -> Iterator[Oddity]:
    """Have a picture under each odd profile shown, and judge it."""
    every = {name: with_chunks(encode(patches(), "PNG"), iccp(profile)) for name, profile in odd_profiles().items()}
    (stored,) = chromium.show([encode(patches(), "PNG")])
    for name, shown, ours, flagged in _held_against(chromium, every):
        yield Oddity(name=name, moved=shown_distance(shown, stored), ours=ours, flagged=flagged)


def find_hidden(chromium: Chromium, *, seed: int, count: int) -> tuple[list[str], int]:
    """Judge files of random profiles.

    Returns:
        Those that are shown otherwise and are not flagged; and how many are the same, and not flagged either.
    """
    hidden, same = [], 0
    for name, _, ours, flagged in _held_against(chromium, dict(Draws(seed).files(count))):
        if not flagged:
            differs = ours is None or ours.mean > MOST_MEAN or ours.p99 > MOST_DRAWN_P99
            same += not differs
            hidden += [name] if differs else []
    return hidden, same


def _held_against(chromium: Chromium, files: dict[str, bytes]) -> Iterator[tuple[str, Shown, Distance | None, bool]]:
    """Name each file that is shown, with what is shown, how far what we judge is from it, and whether we flag it."""
    preprocessing = Preprocessing(side=SIDES[0], colour="srgb")
    for (name, data), shown in zip(files.items(), chromium.show(list(files.values())), strict=True):
        if shown.refused:
            continue
        judged = judge(data, preprocessing)
        refused = isinstance(judged, Reason)
        yield (
            name,
            shown,
            None if refused else distance(shown, judged, preprocessing),
            not refused and is_flagged(judged),
        )


def oddities_table(oddities: list[Oddity]) -> str:
    """Print them, a profile a line."""
    lines = [f"{'odd profile':48} {'moved':>6}   {'ours':>6} {'p99':>4}"]
    for each in oddities:
        what = "flagged" if each.flagged else "" if is_within(each.ours) else "BEYOND THE BOUNDS, NOT FLAGGED"
        lines.append(f"{each.name:48} {each.moved:6.2f}   {_text(each.ours)}   {what}".rstrip())
    return "\n".join(lines)


def as_table(figures: list[Figures]) -> str:
    """Print them, a file a line."""
    lines = [f"{'file':48} {'mean':>6} {'p99':>4}   {'ignored':>7} {'p99':>4}   note"]
    for each in figures:
        note = each.entry.control and f"control: {each.entry.control}"
        missed = "" if each.holds else "BEYOND THE BOUNDS "
        unseen = "" if each.is_seen or each.entry.control else "NOT SEEN WHEN IGNORED "
        flagged = "flagged " if each.flagged else ""
        numbers = f"{each.entry.name:48} {_text(each.ours)}   {_text(each.ignored)}"
        lines.append(f"{numbers}   {missed}{unseen}{flagged}{note}".rstrip())
    held, seen = sum(each.holds for each in figures), sum(each.is_seen for each in figures)
    bounds = f"mean {MOST_MEAN} and p99 {MOST_P99:.0f}"
    lines.append(f"{len(figures)} files: {held} within {bounds}; {seen} beyond it when the carrier is ignored")
    return "\n".join(lines)


def _text(found: Distance | None) -> str:
    return f"{'refused':>11}" if found is None else f"{found.mean:6.2f} {found.p99:4.0f}"


def _ignoring(entry: Entry, side: int) -> Preprocessing:
    if entry.without is not None:
        return Preprocessing(side=side, colour="srgb")
    return Preprocessing(side=side, colour="ignore", orientation="ignore")


def _distance(shown: Shown, data: bytes, preprocessing: Preprocessing) -> Distance | None:
    judged = judge(data, preprocessing)
    return None if isinstance(judged, Reason) else distance(shown, judged, preprocessing)


def _worst(distances: list[Distance | None]) -> Distance | None:
    known = [each for each in distances if each is not None]
    if len(known) < len(distances):
        return None
    return Distance(mean=max(each.mean for each in known), p99=max(each.p99 for each in known))
