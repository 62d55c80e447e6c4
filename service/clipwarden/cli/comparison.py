"""Two policies with their digests in, what changed and what no longer holds after it out."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from clipwarden.cli.policyfile import PolicyFile
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.language.concept_keys import ATTRIBUTE
from clipwarden.policy.language.differences import Change, Reach, differences
from clipwarden.policy.schema import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Voided:
    """A part of a concept that held before and holds no longer.

    Attributes:
        concept: Id of the category or attribute.
        part: Which: `calibration`.
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
    """

    old: PolicyFile
    new: PolicyFile
    changes: tuple[Change, ...]
    voided: tuple[Voided, ...] | None

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
        }


def compare(old: PolicyFile, new: PolicyFile) -> Comparison:
    """Compare two policies."""
    changes = differences(old.policy, new.policy)
    # A bundle knows its model although its policy may name none; then the other side means that one too.
    before, after = old.fingerprint or new.fingerprint, new.fingerprint or old.fingerprint
    voided = tuple(_voided(old.policy, new.policy, before, after, changes)) if before and after else None
    return Comparison(old=old, new=new, changes=changes, voided=voided)


def _voided(old: Policy, new: Policy, before: str, after: str, changes: tuple[Change, ...]) -> Iterator[Voided]:
    there = {concept.id for concept in (*old.categories, *old.attributes)}
    fresh = stale_calibrations(new, after) - stale_calibrations(old, before)
    for concept in (*new.categories, *new.attributes):
        if concept.id in fresh & there:
            because = _causes(concept.id, changes, frozenset(ATTRIBUTE.names))
            yield Voided(concept=concept.id, part="calibration", because=because)


def _causes(concept: str, changes: tuple[Change, ...], keys: frozenset[str]) -> tuple[str, ...]:
    """Name the keys that changed among those that something of a concept rests on; the model is one of all."""
    of_model = [change.where for change in changes if change.path[0] == "model"]
    own = [change.path[2] for change in changes if change.concept == concept and len(change.path) > len(("in", "it"))]
    return tuple(dict.fromkeys((*of_model, *(key for key in own if key in keys))))
