"""What `moderate` prints: JSON lines or rows of CSV as images are judged, or a table, or every image explained."""

import json
from abc import ABC, abstractmethod

from google.protobuf.json_format import MessageToDict
from rich.console import Console

from clipwarden.cli.exits import Exit
from clipwarden.cli.explain import explanation
from clipwarden.cli.leftovers import LeftOut
from clipwarden.cli.outcome import LEFT_OUT, NotJudgedError, Outcome, Tally, images
from clipwarden.cli.selection import ALL, IMAGES
from clipwarden.cli.table import outcomes_table
from clipwarden.cli.wording import few, verdict_name
from clipwarden.terminal import notice, printable, stdout
from clipwarden.v1 import moderation_pb2 as v1

MAY_BE_IMAGES = f"Some of it is or may hold an image, so that this ends with {Exit.LEFT_OUT:d} and not with 0."
NOTHING_ENFORCED = "No category was enforced, so every image is ALLOW whatever it shows: this is no clean bill."
SHADOW_WHOLE = "The shadow verdict is what enforcing its shadow categories would give."
SHADOW_INCOMPLETE = (
    "Shadow verdicts are incomplete: they lack {}, without thresholds that hold, so nobody knows what enforcing would "
    "give. `clipwarden lint` tells of thresholds that stopped holding."
)


class Report(ABC):
    """Takes outcomes one by one, counts them all and shows some; subclasses say how.

    Args:
        shown: Results to show.
    """

    def __init__(self, shown: frozenset[str]) -> None:
        self.tally = Tally()
        self._shown = shown

    def add(self, outcome: Outcome) -> None:
        """Take the next outcome."""
        self.tally.add(outcome)
        if self._is_shown(outcome.result):
            self._show(outcome)

    def finish(self, *, complete: bool = True) -> None:
        """Show what is left to show; on stderr, say what was left out, and warn of verdicts that say little.

        Args:
            complete: Whether every outcome came; False after a failure or Ctrl-C.
        """
        self._end(complete=complete)
        self._say_what_was_left_out()
        if self.tally.nothing_enforced:
            whole = "" if self.tally.incomplete else f" {SHADOW_WHOLE}"
            notice(f"{NOTHING_ENFORCED}{whole}", style="bold yellow")
        if self.tally.incomplete:
            notice(SHADOW_INCOMPLETE.format(few([*self.tally.incomplete])), style="bold yellow")

    @abstractmethod
    def _show(self, outcome: Outcome) -> None: ...

    @abstractmethod
    def _end(self, *, complete: bool) -> None: ...

    def _is_shown(self, result: str) -> bool:
        # A verdict that only a newer server knows is nothing to hide.
        return result in self._shown or result not in ALL

    def _summary(self) -> str:
        """Return the last line: how many there are of each verdict, and how many of them are not shown."""
        counts = self.tally.counts
        unshown = sum(count for result, count in counts.items() if not self._is_shown(result))
        return f"{self.tally}{f' {images(unshown)} not shown.' if unshown else ''}" if counts else ""

    def _say_what_was_left_out(self) -> None:
        left_out = self.tally.left_out
        if not left_out.counts:
            return
        see_all = "; --only LEFT-OUT shows all" if left_out.exceed_names and LEFT_OUT not in self._shown else ""
        notice(f"Left out: {left_out.counts.total()}{see_all}.")
        for line in left_out.lines():
            notice(f"  {printable(line)}")
        if self.tally.exit == Exit.LEFT_OUT:
            notice(MAY_BE_IMAGES, style="bold yellow")


class LineReport(Report):
    """For programs: what stands on stdout is lines of one kind, so that the last line for people goes to stderr."""

    def _end(self, *, complete: bool) -> None:  # noqa: ARG002  lines say nothing of an end
        # Who reads lines of all there is counts for themselves.
        if self.tally.counts and (self.tally.left_out.counts or self._shown != ALL):
            notice(self._summary())


class JsonReport(LineReport):
    """One line an image, at once: a reader in a pipe need not wait for the last."""

    def _show(self, outcome: Outcome) -> None:
        print(json_line(outcome), flush=True)  # noqa: T201  results go to stdout


class TableReport(Report):
    """A row an image. Printed at the end, when the widths of the columns are known."""

    def __init__(self, shown: frozenset[str], console: Console) -> None:
        super().__init__(shown)
        self._console = console
        self._outcomes: list[Outcome] = []

    def _show(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def _end(self, *, complete: bool) -> None:  # noqa: ARG002  what ended it is said behind
        if self._outcomes:
            self._console.print(outcomes_table(self._outcomes, width=self._console.width))
        if summary := self._summary():
            self._console.print(f"\n{summary}")


class ExplainReport(Report):
    """Every image in full, as it is judged."""

    def __init__(self, shown: frozenset[str], console: Console) -> None:
        super().__init__(shown)
        self._console = console

    def _show(self, outcome: Outcome) -> None:
        if outcome.moderation is None:
            self._console.print(outcomes_table([outcome], width=self._console.width))
        else:
            self._console.print(explanation(outcome.name, outcome.moderation, width=self._console.width))

    def _end(self, *, complete: bool) -> None:  # noqa: ARG002  as above
        if summary := self._summary():
            self._console.print(summary)


def make_report(*, as_json: bool, explain: bool, csv: str | None = None, only: frozenset[str] | None = None) -> Report:
    """Choose how to show outcomes.

    Args:
        as_json: As JSON lines.
        explain: In full.
        csv: As rows in this file, or on standard output for `-`.
        only: Results to show; None shows every image, and to programs what was left out too.
    """
    if as_json:
        return JsonReport(only or ALL)
    if csv is not None:
        # Late: whoever does not ask for it need not wait for it.
        from clipwarden.cli.csvreport import CsvReport

        return CsvReport(only or ALL, csv)
    return (ExplainReport if explain else TableReport)(only or IMAGES, stdout())


def json_line(outcome: Outcome) -> str:
    """Render `{"path": ..., "moderation": {...}}`, or `error` or `left_out` in the place of `moderation`.

    `moderation` is the wire's message under its own field names, with every field that has a default written out, so
    that a key is missing only where the wire says "absent".
    """
    if outcome.moderation is not None:
        return _dump({"path": outcome.name, "moderation": moderation_dict(outcome.moderation)})
    if outcome.left_out is not None:
        return _dump({"path": outcome.name, "left_out": _left_out_dict(outcome.left_out)})
    error = outcome.error or NotJudgedError("no answer", code="UNKNOWN", reason=None)
    return _dump({"path": outcome.name, "error": _error_dict(error)})


def moderation_dict(moderation: v1.Moderation) -> dict[str, object]:
    """Turn a moderation into plain values."""
    return dict(MessageToDict(moderation, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))


def _error_dict(error: NotJudgedError) -> dict[str, object]:
    verdict = error.policy_verdict
    return {
        "code": error.code,
        "reason": error.reason,
        "message": str(error),
        "policy_verdict": f"VERDICT_{verdict_name(verdict)}" if verdict else None,
        "request_id": error.request_id,
    }


def _left_out_dict(left_out: LeftOut) -> dict[str, object]:
    return {"reason": left_out.reason, "message": str(left_out)}


def _dump(record: dict[str, object]) -> str:
    # ASCII, because file names may hold what is no UTF-8; JSON's own escapes carry it.
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"))
