"""Drawings with labels in; stores and label files of each half, made by clipwarden's own commands, out.

Traffic is simulated: uploads of one half's drawings with replacement, 2 % of them harmful by each of three categories.
People are simulated by the labels that the recipe has. What is there already is not made again.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.tuning import commands
from bench.tuning.halves import first_half
from bench.tuning.labelled import PICTURES, Drawings
from clipwarden.cli.policyfile import read_policy
from clipwarden.tuning.labels.model import Design, Labels, Mark
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.labels.writing import write_labels
from clipwarden.tuning.store.store import Store, open_store

Flags = NDArray[np.bool_]

POLICY: Final = Path(__file__).resolve().parents[2] / "policies" / "stickers.yaml"
PREVALENCE: Final = 0.02
SAMPLED: Final = ("weapons", "gambling", "substances.alcohol")  # of one sample: those with most harmful drawings
UPLOADS: Final = 10_000
LABELS: Final = 1_500  # of a sample
_SEED: Final = 14
_DAYS: Final = ("--traffic", "--from", "2026-10-01", "--to", "2026-10-31")


@dataclass(frozen=True, kw_only=True, eq=False)
class Materials:
    """The work folder, and the drawings in it."""

    work: Path
    drawings: Drawings
    _stores: dict[int, Store] = field(default_factory=dict)

    @cached_property
    def first(self) -> Flags:
        """Which drawings are in the first half, `[N]`."""
        return first_half(self.drawings)

    def half(self, number: int) -> Flags:
        """Return the drawings of half 0 or 1."""
        return self.first if number == 0 else ~self.first

    @cached_property
    def store(self) -> Store:
        """All drawings, embedded."""
        folder = self.work / "set.store"
        commands.run("embed", "-r", self.work / PICTURES, "-o", folder, "--set", *_looked_at())
        return open_store(folder)

    def set_labels(self, chosen: Flags) -> Labels:
        """Label some drawings, picked by hand and all of them looked at; near copies of harmful ones share a group."""
        rows = np.flatnonzero(chosen).tolist()
        drawings, harmful = self.drawings, (self.drawings.marks == Mark.POSITIVE).any(1)
        words = drawings.words
        return Labels(
            design=Design.SET,
            categories=drawings.categories,
            sha256=tuple(drawings.sha256[row] for row in rows),
            uri=tuple(str(drawings.paths[row]) for row in rows),
            pi=np.full(len(rows), np.nan),
            group=tuple(words[row] if harmful[row] else None for row in rows),
            marks=drawings.marks[rows],
        )

    def set_file(self, number: int) -> Path:
        """Write the labels of one half."""
        path = self.work / f"set-{number + 1}.jsonl"
        if not path.exists():
            write_labels(self.set_labels(self.half(number)), path)
        return path

    def traffic(self, number: int) -> Store:
        """Embed simulated traffic of one half's drawings; once a run."""
        if number not in self._stores:
            self._stores[number] = self._traffic(number)
        return self._stores[number]

    def _traffic(self, number: int) -> Store:
        manifest, folder = (self.work / f"traffic-{number + 1}{end}" for end in (".csv", ".store"))
        if not manifest.exists():
            rows = self._uploads(number)
            with manifest.open("w", newline="", encoding="utf-8") as opened:
                writer = csv.writer(opened)
                writer.writerow(["path", "uri"])
                paths = self.drawings.paths
                writer.writerows((paths[row].resolve(), f"upload-{at:05}") for at, row in enumerate(rows))
        commands.run("embed", manifest, "-o", folder, *_DAYS, *_looked_at())
        return open_store(folder)

    def sample(self, number: int) -> Labels:
        """Draw a sample of one half's traffic, and label it."""
        drawn = self.work / f"sample-{number + 1}.jsonl"
        wish = ("-n", str(LABELS), "--categories", ",".join(SAMPLED))
        return self._labelled(drawn, self.traffic(number), wish)

    def top(self, number: int, category: str, limit: float) -> tuple[Labels, int]:
        """Draw a walk from the top, and label from there until it ends; how many that took."""
        drawn = self.work / f"top-{number + 1}-{category}-{limit}.jsonl"
        wish = ("--from-the-top", category, "--at-most", f"{limit:.3%}")
        labels = self._labelled(drawn, self.traffic(number), wish)
        return labels, int((labels.column(category) != Mark.UNKNOWN).sum())

    def _uploads(self, number: int) -> Sequence[int]:
        """Choose which drawing each upload is; of what somebody was unsure about there is none."""
        chance = np.random.default_rng([_SEED, number])
        marks = np.stack([self.drawings.column(name) for name in SAMPLED], 1)
        own = self.half(number)
        each = round(UPLOADS * PREVALENCE)
        harmless = np.flatnonzero(own & (marks == Mark.NEGATIVE).all(1))
        drawn = [chance.choice(harmless, UPLOADS - each * len(SAMPLED))]
        drawn += [chance.choice(np.flatnonzero(own & (column == Mark.POSITIVE)), each) for column in marks.T]
        return [int(row) for row in chance.permutation(np.concatenate(drawn))]

    def _labelled(self, drawn: Path, store: Store, wish: Sequence[str]) -> Labels:
        done = drawn.with_stem(f"{drawn.stem}-labelled")
        if not done.exists():
            if not drawn.exists():
                commands.run("sample", POLICY, "--store", store.path, *wish, "-o", drawn)
            labels = read_labels(drawn, categories=self.drawings.categories, store=store)
            write_labels(self._filled(labels), done)
        return read_labels(done, categories=self.drawings.categories, store=store)

    def _filled(self, labels: Labels) -> Labels:
        """Mark what was drawn; of a walk, from the top down to the false alarm that ends it."""
        at = {digest: row for row, digest in enumerate(self.drawings.sha256)}
        rows = [at[digest] for digest in labels.sha256]
        marks = np.stack([self.drawings.column(name)[rows] for name in labels.categories], 1)
        if labels.walk is not None:
            wrong = np.cumsum(marks[:, 0] != Mark.POSITIVE)
            marks[1:][wrong[:-1] > labels.walk.allowed] = Mark.UNKNOWN
        return replace(labels, marks=marks.astype(np.int8), labellers=("recipe",))


def _looked_at() -> list[str]:
    """Say how the policy looks at pictures: it judges no other embeddings."""
    return read_policy(str(POLICY)).policy.plan.options.split()
