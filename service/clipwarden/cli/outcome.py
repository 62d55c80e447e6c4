"""What became of one image, or of what was found in its place, and what it adds to the exit code."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from clipwarden.cli.exits import Exit
from clipwarden.cli.leftovers import LeftOut, LeftOutReason, LeftOuts
from clipwarden.cli.wording import VERDICT_STYLES, verdict_name
from clipwarden.errors import ClipwardenError
from clipwarden.v1 import moderation_pb2 as v1

UNJUDGED = "NOT JUDGED"
"""Stands where a verdict would."""
LEFT_OUT = "LEFT OUT"
"""Likewise, of what was found in a folder and not tried."""
RESULTS = (*VERDICT_STYLES, UNJUDGED, LEFT_OUT)
"""All that can become of what was found."""

_EXIT_BY_VERDICT = {
    v1.VERDICT_ALLOW: Exit.OK,
    v1.VERDICT_REVIEW: Exit.REVIEW,
    v1.VERDICT_BLOCK: Exit.BLOCK,
}


class NotJudgedError(ClipwardenError):
    """There is no verdict on one image; the next may still be judged.

    Args:
        message: One sentence for people.
        code: Name of the gRPC status that a server answers such an image with.
        reason: One of `clipwarden.errors.Reason`, one of ours, or what a newer server sent; None if it sent none.
        policy_verdict: What the policy says to do with such an image; None where it has no say.
        request_id: What to search the server's log for.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str | None,
        policy_verdict: v1.Verdict.ValueType | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.policy_verdict = policy_verdict
        self.request_id = request_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One image, or what was found in its place: exactly one of `moderation`, `error` and `left_out`.

    Attributes:
        name: The image, as the user named it.
        moderation: The verdict.
        error: Why there is none.
        left_out: Why it was not tried.
    """

    name: str
    moderation: v1.Moderation | None = None
    error: NotJudgedError | None = None
    left_out: LeftOut | None = None

    @property
    def result(self) -> str:
        """Its verdict by name, or what stands where a verdict would; one of `RESULTS`, or what a newer server says."""
        if self.left_out is not None:
            return LEFT_OUT
        return UNJUDGED if self.moderation is None else verdict_name(self.moderation.verdict)

    @property
    def exit(self) -> Exit:
        """What this alone would end the command with; a verdict that nobody knows is no verdict."""
        if self.left_out is not None:
            return self.left_out.kind.exit
        if self.moderation is None:
            return Exit.UNJUDGED
        return _EXIT_BY_VERDICT.get(self.moderation.verdict, Exit.UNJUDGED)


@dataclass(kw_only=True, slots=True)
class Tally:
    """What remains of many images without keeping them.

    Attributes:
        counts: Images by verdict name, or `UNJUDGED`.
        left_out: What was left out, which is no image that is counted.
        exit: The highest of all.
        anything_enforced: Whether any verdict could have been other than ALLOW.
        incomplete: Ids of categories that shadow verdicts lack, in the order they came in.
        unmet: Folders in which no image has come yet, as they were named, by how the names in them begin.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left_out: LeftOuts = field(default_factory=LeftOuts)
    exit: Exit = Exit.OK
    anything_enforced: bool = False
    incomplete: dict[str, None] = field(default_factory=dict)
    unmet: dict[str, str] = field(default_factory=dict)

    def expect(self, names: Sequence[str]) -> None:
        """Expect an image in each folder among `names`."""
        self.unmet = {os.path.join(name, ""): name for name in names if os.path.isdir(name)}  # noqa: PTH112, PTH118  as names in it begin

    def empty_folders(self) -> Sequence[LeftOut]:
        """Return the folders in which no image came, once all have."""
        return [LeftOut(name=name, reason=LeftOutReason.FOLDER_EMPTY) for name in self.unmet.values()]

    def add(self, outcome: Outcome) -> None:
        """Count one image, or what was left out."""
        self.exit = max(self.exit, outcome.exit)
        if outcome.left_out is not None:
            self.left_out.add(outcome.left_out)
            if outcome.left_out.reason == LeftOutReason.FOLDER_SEEN and outcome.left_out.detail != f"as {outcome.name}":
                # Named as well under the name that its images have come under, or will be missed under.
                self.unmet.pop(os.path.join(outcome.name, ""), None)  # noqa: PTH118  as in `expect`
            return
        moderation = outcome.moderation
        self.counts[outcome.result] += 1
        if self.unmet:
            self.unmet = {start: name for start, name in self.unmet.items() if not outcome.name.startswith(start)}
        self.anything_enforced |= moderation is not None and moderation.enforced_categories > 0
        self.incomplete |= dict.fromkeys(moderation.shadow_incomplete if moderation else ())

    @property
    def nothing_enforced(self) -> bool:
        """Whether images were judged, and by nothing but shadow categories."""
        return self.counts.total() > self.counts[UNJUDGED] and not self.anything_enforced

    def __str__(self) -> str:
        """Render as `3 images: 1 ALLOW, 2 BLOCK.`."""
        parts = [f"{self.counts[name]} {name}" for name in RESULTS if self.counts[name]]
        return f"{images(self.counts.total())}: {', '.join(parts)}."


def images(count: int) -> str:
    """Count images: `1 image`, `2 images`."""
    return f"{count} image{'' if count == 1 else 's'}"
