"""Two policies with their digests in, what changed and what no longer holds after it out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from clipwarden.cli.policyfile import PolicyFile
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.concept_keys import ATTRIBUTE
from clipwarden.policy.language.differences import Change, Item, Reach, differences
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.newversion import NewVersion
from clipwarden.policy.schema import Category, Policy

_Side = tuple[Policy, str]
"""A policy, and the fingerprint of the model that judges with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A part of a concept that holds in one policy and not in the other.

    Attributes:
        concept: Id of the category or attribute.
        part: `calibration`, or the `thresholds`, which do not hold where they were chosen on something else.
        because: Keys that changed, on which it rests.
    """

    concept: str
    part: str
    because: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What became of one policy in another.

    Attributes:
        old: The one.
        new: The other.
        changes: What differs, in the order of the page that explains the keys.
        voided: What held and does not any more; None where that is not known, since neither names a model.
        regained: What did not hold, and does now; None likewise.
    """

    old: PolicyFile
    new: PolicyFile
    changes: tuple[Change, ...]
    voided: tuple[Holding, ...] | None
    regained: tuple[Holding, ...] | None

    @property
    def same_digest(self) -> bool:
        """Whether both judge alike, texts in results included."""
        return self.old.digest == self.new.digest

    @property
    def same_verdicts(self) -> bool:
        """Whether no score, band or verdict can differ."""
        return all(change.reach is not Reach.VERDICTS for change in self.changes)

    @property
    def same_version(self) -> bool:
        """Whether one id and version stand for two digests."""
        ours, theirs = self.old.policy.metadata, self.new.policy.metadata
        version = (ours.id, ours.version) == (theirs.id, theirs.version) and ours.version is not None
        return version and not self.same_digest

    @property
    def facts(self) -> Mapping[str, object]:
        """What `--json` says."""
        return {
            "old": self.old.facts,
            "new": self.new.facts,
            "same_digest": self.same_digest,
            "same_verdicts": self.same_verdicts,
            "same_version_other_digest": self.same_version,
            "changes": [
                {
                    "where": change.where,
                    "path": [str(part) for part in change.path],
                    "kind": change.kind.value,
                    "old": change.old,
                    "new": change.new,
                    "reach": change.reach.value,
                }
                for change in self.changes
            ],
            "voided": None if self.voided is None else [asdict(each) for each in self.voided],
            "regained": None if self.regained is None else [asdict(each) for each in self.regained],
        }


def compare(old: PolicyFile, new: PolicyFile) -> Comparison:
    """Compare two policies."""
    changes = differences(old.policy, new.policy)
    # A bundle knows its model although its policy may name none; then the other side means that one too.
    before, after = old.fingerprint or new.fingerprint, new.fingerprint or old.fingerprint
    if before is None or after is None:
        return Comparison(old=old, new=new, changes=changes, voided=None, regained=None)
    there, here = (old.policy, before), (new.policy, after)
    voided, regained = tuple(_fallen(there, here, changes)), tuple(_fallen(here, there, changes))
    return Comparison(old=old, new=new, changes=changes, voided=voided, regained=regained)


def compare_version(version: NewVersion) -> Comparison:
    """Compare a version that is not written yet with the policy that it was made from."""
    return compare(_side(version.source, version.old), _side(version.target, version.new))


def _side(path: Path, policy: Policy) -> PolicyFile:
    return PolicyFile(path=path, policy=policy, digest=policy_digest(policy), fingerprint=policy.model.fingerprint)


def _fallen(good: _Side, bad: _Side, changes: tuple[Change, ...]) -> Iterator[Holding]:
    """Yield what holds on one side and not on the other, of what both have."""
    stale, unbound = _calibrated(good[0]) & stale_calibrations(*bad), _bounded(good[0]) & unbound_lines(*bad).keys()
    stale, unbound = stale - stale_calibrations(*good), unbound - unbound_lines(*good).keys()
    for concept in (*bad[0].categories, *bad[0].attributes):
        if concept.id in stale:
            causes = (change for change in _of(concept.id, changes) if change.path[2] in ATTRIBUTE.names)
            yield Holding(concept=concept.id, part="calibration", because=_keys((*_of_model(changes), *causes)))
        if concept.id in unbound and isinstance(concept, Category):
            yield Holding(concept=concept.id, part="thresholds", because=_keys(_under_lines(concept, changes)))


def _calibrated(policy: Policy) -> frozenset[str]:
    concepts = (*policy.categories, *policy.attributes)
    return frozenset(concept.id for concept in concepts if concept.calibration)


def _bounded(policy: Policy) -> frozenset[str]:
    return frozenset(category.id for category in policy.categories if category.thresholds)


def _under_lines(category: Category, changes: tuple[Change, ...]) -> Iterator[Change]:
    """Yield the changes that can move a category's band: its own, those of attributes it asks for, and the model's."""
    yield from _of_model(changes)
    yield from (change for change in _of(category.id, changes) if change.path[2] != "mode")
    exempting = [each.attribute for each in category.exemptions]
    raising = [each.attribute for each in category.adjustments]
    for attribute in dict.fromkeys((*exempting, *raising)):
        yield from _of(attribute, changes)


def _of(concept: str, changes: tuple[Change, ...]) -> Iterator[Change]:
    judging = (change for change in changes if change.concept == concept and change.reach is Reach.VERDICTS)
    return (change for change in judging if len(change.path) > len(("categories", "id")))


def _of_model(changes: tuple[Change, ...]) -> Iterator[Change]:
    return (change for change in changes if change.path[0] == "model")


def _keys(changes: Iterable[Change]) -> tuple[str, ...]:
    """Name what changed, each once: `negatives`, `thresholds.block`, `museum's prompts`, `model.fingerprint`."""
    return tuple(dict.fromkeys(map(_key, changes)))


def _key(change: Change) -> str:
    if change.concept is None:
        return change.where
    key = ".".join(part for part in change.path[2:4] if not isinstance(part, Item))
    return f"{change.concept}'s {key}" if change.path[0] == "attributes" else key
