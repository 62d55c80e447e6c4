"""A policy file and what tuning found for its categories in; a new version of it, to be shown and then written, out.

Comments and order stay as they are, and only what is proposed is written: calibration, thresholds, and what they were
chosen on with its evidence. No mode is touched, so that nothing is ever raised to enforce; and an enforced category
changes its numbers only when a second person stands for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from clipwarden.errors import Problem
from clipwarden.policy.newversion import NewVersion, VersionNotes
from clipwarden.policy.schema import Bounds, Evidence, Policy
from clipwarden.tuning.calibration import Fitted


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """What one category is to say; what is not proposed stays as it is.

    Attributes:
        category: Its id.
        calibration: None keeps the one that is there, which has to hold, unless `removes_calibration`.
        removes_calibration: Whether the category is to have none.
        bounds: In the unit of its method, mapped through the calibration and rounded. `Bounds()` takes the thresholds
            out, and those of its contexts with them: it is scored and has no band.
        contexts: Bounds that contexts are to have instead, in the same unit. Those of others are carried over to the
            same place on the scores before calibration where they held, and taken out where they did not.
        evidence: What it was chosen on.
    """

    category: str
    calibration: Fitted | None = None
    removes_calibration: bool = False
    bounds: Bounds
    contexts: Mapping[str, Bounds] = field(default_factory=dict)
    evidence: Evidence


class Carried(StrEnum):
    """What became of a context's bounds that nobody proposed."""

    KEPT = "kept"
    MAPPED = "mapped"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextNote:
    """What became of the bounds of one context of a category.

    Attributes:
        category: Its id.
        context: Its name.
        carried: What was done.
        sentence: For people.
    """

    category: str
    context: str
    carried: Carried
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A new version, and what to say before it is written.

    Attributes:
        version: To be shown (`cli.comparison.compare_version`) and written (`version.write()`).
        contexts: What became of bounds of contexts.
        findings: What `lint` without a model says of it that it did not say of the old one.
    """

    version: NewVersion
    contexts: tuple[ContextNote, ...]
    findings: tuple[Problem, ...]

    @property
    def policy(self) -> Policy:
        """The policy that will be written: judge with it to predict verdicts."""
        return self.version.new

    @property
    def path(self) -> Path:
        """The file that it will be."""
        return self.version.target


def plan_version(
    path: Path, proposals: Sequence[Proposal], notes: VersionNotes, *, fingerprint: str, refit: bool = False
) -> Plan:
    """Work out a new version of a policy; writes nothing.

    Args:
        path: The policy file (no bundle, none that ships with clipwarden).
        proposals: At most one a category.
        notes: About the new version.
        fingerprint: Of the model whose scores these numbers are; written where the policy names no model.
        refit: Whether this is the same again after a text was edited, which the reason then says.

    Returns:
        The version.

    Raises:
        PolicyError: The file breaks rules.
        ConfigError: There is no such category, a proposal does not fit its method or contradicts itself, an enforced
            category would lose its lines, or change its numbers without a second person; nothing is written.
        FingerprintMismatchError: The policy is bound to another model.
    """
    raise NotImplementedError


def write_version(
    path: Path, proposals: Sequence[Proposal], notes: VersionNotes, *, fingerprint: str, refit: bool = False
) -> Path:
    """Plan a version and write it, for scripts; arguments and errors as for `plan_version`.

    Returns:
        The new file.
    """
    return plan_version(path, proposals, notes, fingerprint=fingerprint, refit=refit).version.write()


def to_refit(policy: Policy, fingerprint: str) -> Mapping[str, str]:
    """Name the categories whose calibration or thresholds do not hold any more, and why: `--refit` is about those.

    Args:
        policy: As parsed.
        fingerprint: Of the model that is to judge.

    Returns:
        Sentences by category id, in file order. A category's own evidence (`thresholds.chosen_on.evidence`) says what
        was asked for the last time.
    """
    raise NotImplementedError
