"""What `moderate` prints: JSON lines as images are judged, or a table, or every image explained."""

from abc import ABC, abstractmethod

from rich.console import Console

from clipwarden.cli.explain import explanation
from clipwarden.cli.jsonlines import json_line
from clipwarden.cli.outcome import Outcome, Tally
from clipwarden.cli.table import outcomes_table
from clipwarden.terminal import notice, stdout

NOTHING_ENFORCED = (
    "No category of this policy is enforced, so every image is ALLOW whatever it shows: this is no clean bill. "
    "The shadow verdict is what enforcing its shadow categories would give."
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
        """Show what is left to show, and warn on stderr when nothing was enforced."""
        if self.tally.counts:
            self._end()
        if self.tally.nothing_enforced:
            notice(NOTHING_ENFORCED, style="bold yellow")

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
