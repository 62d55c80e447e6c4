"""What a scenario found: figures held against bars, saved as JSON, printed as text or Markdown."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from bench.pressure.statistics import LEAST_RUNS, Estimate, estimate

Sense = Literal[">=", "<=", "<"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One row of a table.

    Attributes:
        name: What it is of.
        value: Measured; the median where there are several runs.
        unit: Such as "ms"; "" for a ratio.
        bound: The 90 % bound of the median on the side of the bar; None where there is one run.
        runs: How many it is of.
        bar: What is promised; None where nothing is.
        sense: How value or bound and bar have to stand.
    """

    name: str
    value: float | None
    unit: str = ""
    bound: float | None = None
    runs: int = 1
    bar: float | None = None
    sense: Sense = ">="

    @property
    def holds(self) -> bool:
        """Whether the bar, if any, is met: by the bound where there is one."""
        if self.bar is None:
            return True
        held = self.value if self.bound is None else self.bound
        if held is None:
            return False
        return {">=": held >= self.bar, "<=": held <= self.bar, "<": held < self.bar}[self.sense]

    def cells(self) -> tuple[str, str, str, str]:
        """Render name, value with its bound, bar, and whether it is met."""
        value = "none" if self.value is None else f"{_number(self.value)} {self.unit}".rstrip()
        if self.bound is not None:
            bound = "90 % bound" if self.runs >= LEAST_RUNS else "worst"
            value += f" ({bound} {_number(self.bound)}, {self.runs} runs)"
        bar = "" if self.bar is None else f"{self.sense} {_number(self.bar)} {self.unit}".rstrip()
        return self.name, value, bar, "" if self.bar is None else ("met" if self.holds else "MISSED")


def _number(value: float) -> str:
    if float(value).is_integer() and abs(value) < 10_000:
        return str(int(value))
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def paired(
    name: str, values: Sequence[float], *, unit: str = "", bar: float | None = None, sense: Sense = ">="
) -> Figure:
    """Make a figure of paired runs, held against its bar by the bound of their median.

    Args:
        name: What it is of.
        values: A ratio or difference for each pair.
        unit: Of the values.
        bar: What is promised.
        sense: Which bound counts: the lower one for ">=".
    """
    found: Estimate = estimate(values)
    bound = found.low if sense == ">=" else found.high
    return Figure(name=name, value=found.median, unit=unit, bound=bound, runs=found.runs, bar=bar, sense=sense)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """All of one scenario.

    Attributes:
        scenario: Its name.
        title: What it shows, a sentence.
        machine: What it ran on, and the commit that was measured.
        figures: In the order to print.
        notes: Sentences that the figures cannot be read without.
        runs: Each run's own figures, as they came.
    """

    scenario: str
    title: str
    machine: dict[str, str]
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)
    runs: list[dict[str, object]] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        """Names of figures whose bar is missed."""
        return [figure.name for figure in self.figures if not figure.holds]

    @property
    def where(self) -> str:
        """The machine and the commit, for people."""
        return ", ".join(f"{name} {value}" for name, value in self.machine.items())

    def as_text(self) -> str:
        """Render for a terminal."""
        lines = [f"{self.scenario}: {self.title}"]
        for figure in self.figures:
            name, value, bar, met = figure.cells()
            lines.append(f"  {name}: {value}" + (f"; bar {bar}: {met}" if bar else ""))
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes), f"  machine: {self.where}"])

    def as_markdown(self) -> str:
        """Render as a table, with its notes below."""
        lines = ["| | measured | bar | |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(figure.cells())} |" for figure in self.figures]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)])

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        half.replace(path)

    def as_json(self) -> dict[str, object]:
        """Render as JSON; `holds` is for other programs, and not read back."""
        plain = asdict(self)
        plain["figures"] = [{**asdict(figure), "holds": figure.holds} for figure in self.figures]
        return plain

    @classmethod
    def read(cls, path: Path) -> "Outcome":
        """Read what `save` wrote."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        plain["figures"] = [
            Figure(**{key: value for key, value in figure.items() if key != "holds"}) for figure in plain["figures"]
        ]
        return cls(**plain)


def splice(document: str, outcomes: Sequence[Outcome]) -> str:
    """Put tables into a document: each fills the section whose heading names its scenario, such as "### `lone`".

    Args:
        document: Markdown.
        outcomes: Those without a section are left out.

    Returns:
        The document with what these sections held replaced.
    """
    for outcome in outcomes:
        title = f"{outcome.title[0].upper()}{outcome.title[1:]}."
        body = f"\n\n{title}\n\n{outcome.as_markdown()}\n\nMachine: {outcome.where}.\n\n"
        pattern = rf"(?ms)^(### `{re.escape(outcome.scenario)}`)$.*?(?=^#|\Z)"
        document = re.sub(pattern, lambda found, body=body: found.group(1) + body, document)  # type: ignore[misc]
    return document.rstrip("\n") + "\n"
