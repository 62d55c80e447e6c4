"""What `moderate` prints: JSON lines as images are judged, or a table, or every image explained."""

import json
from abc import ABC, abstractmethod

from google.protobuf.json_format import MessageToDict
from rich.console import Console

from clipwarden.cli.explain import explanation
from clipwarden.cli.outcome import NotJudgedError, Outcome, Tally
from clipwarden.cli.table import outcomes_table
from clipwarden.cli.wording import few, verdict_name
from clipwarden.terminal import notice, stdout
from clipwarden.v1 import moderation_pb2 as v1

NOTHING_ENFORCED = "No category was enforced, so every image is ALLOW whatever it shows: this is no clean bill."
SHADOW_WHOLE = "The shadow verdict is what enforcing its shadow categories would give."
SHADOW_INCOMPLETE = (
    "Shadow verdicts are incomplete: they lack {}, without thresholds that hold, so nobody knows what enforcing would "
    "give. `clipwarden lint` tells of thresholds that stopped holding."
)


class Report(ABC):
    """Takes outcomes one by one and counts them; subclasses show them."""

    def __init__(self) -> None:
        self.tally = Tally()

    def add(self, outcome: Outcome) -> None:
        """Take the next outcome."""
        self.tally.add(outcome)
        self._show(outcome)

    def finish(self) -> None:
        """Show what is left to show; warn on stderr when nothing was enforced, or shadow verdicts lack something."""
        if self.tally.counts:
            self._end()
        if self.tally.nothing_enforced:
            whole = "" if self.tally.incomplete else f" {SHADOW_WHOLE}"
            notice(f"{NOTHING_ENFORCED}{whole}", style="bold yellow")
        if self.tally.incomplete:
            notice(SHADOW_INCOMPLETE.format(few([*self.tally.incomplete])), style="bold yellow")

    @abstractmethod
    def _show(self, outcome: Outcome) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...


class JsonReport(Report):
    """One line an image, at once: a reader in a pipe need not wait for the last."""

    def _show(self, outcome: Outcome) -> None:
        print(json_line(outcome), flush=True)  # noqa: T201  results go to stdout

    def _end(self) -> None:
        pass


class TableReport(Report):
    """A row an image. Printed at the end, when the widths of the columns are known."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._outcomes: list[Outcome] = []

    def _show(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def _end(self) -> None:
        self._console.print(outcomes_table(self._outcomes, width=self._console.width))
        self._console.print(f"\n{self.tally}")


class ExplainReport(Report):
    """Every image in full, as it is judged."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def _show(self, outcome: Outcome) -> None:
        if outcome.moderation is None:
            self._console.print(outcomes_table([outcome], width=self._console.width))
        else:
            self._console.print(explanation(outcome.name, outcome.moderation, width=self._console.width))

    def _end(self) -> None:
        self._console.print(str(self.tally))


def make_report(*, as_json: bool, explain: bool) -> Report:
    """Choose how to show outcomes."""
    if as_json:
        return JsonReport()
    return ExplainReport(stdout()) if explain else TableReport(stdout())


def json_line(outcome: Outcome) -> str:
    """Render `{"path": ..., "moderation": {...}}` or `{"path": ..., "error": {...}}`.

    `moderation` is the wire's message under its own field names, with every field that has a default written out, so
    that a key is missing only where the wire says "absent".
    """
    if outcome.moderation is not None:
        return _dump({"path": outcome.name, "moderation": moderation_dict(outcome.moderation)})
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


def _dump(record: dict[str, object]) -> str:
    # ASCII, because file names may hold what is no UTF-8; JSON's own escapes carry it.
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"))
