"""A policy file and what is to stand in it in; a new version of it beside it, with nothing else changed, out.

What writes policies for people goes through here: `lint --fix` and `tune --write`. The file itself is never touched
(`versions` says how versions and what is live belong together), and the text that is written reads as exactly the policy
that was meant, or is not written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwarden.policy.schema import Metadata, Policy
from clipwarden.textfiles.editing import Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionNotes:
    """What a new version is to say about itself; None takes what can be found out.

    Attributes:
        version: Its `metadata.version`; None takes the next free one.
        author: Who wrote it; None takes the login name.
        reason: Why.
        approved_by: Who else stands for it; None leaves it out.
    """

    version: str | None = None
    author: str | None = None
    reason: str | None = None
    approved_by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewVersion:
    """A version that can be shown before it is written.

    Attributes:
        source: The policy file that it was made from.
        target: The file that it is to be.
        old: The policy of the source.
        new: The policy that the text says.
        data: The text, as it will be written.
    """

    source: Path
    target: Path
    old: Policy
    new: Policy
    data: bytes

    def write(self) -> Path:
        """Write the file.

        Returns:
            It.

        Raises:
            ConfigError: Somebody wrote it, or changed the source, meanwhile.
            OSError: It cannot be written.
        """
        raise NotImplementedError


def told_metadata(source: Path, old: Policy, notes: VersionNotes, *, reason: str) -> Metadata:
    """Say what the metadata of a new version are.

    Args:
        source: The policy file.
        old: What it says.
        notes: What somebody wants it to say.
        reason: Why, where the notes don't say it.

    Raises:
        ConfigError: The version is there already or can name no file, the policy cannot have versions, or a text is
            unfit.
    """
    raise NotImplementedError


def require_approval(policy: Policy, moved: Iterable[str], told: Metadata, *, why: str) -> None:
    """Refuse to put other numbers in force by one person alone.

    Args:
        policy: The old one.
        moved: Ids of categories whose numbers would be others.
        told: The metadata of the new version.
        why: What became of the numbers, as a sentence's part: "are taken over on trust".

    Raises:
        ConfigError: One of them is enforced, if only in a context, and nobody but the author stands for it.
    """
    raise NotImplementedError


def plan_new_version(source: Path, old: Policy, wanted: Policy, entries: Sequence[Entry]) -> NewVersion:
    """Put entries into a policy's text, and make sure that it then says what is wanted and nothing else.

    Args:
        source: The policy file.
        old: What it says.
        wanted: What it is to say; its metadata name the version.
        entries: What makes the text say so, those of the metadata left out.

    Raises:
        ConfigError: The file is laid out in a way that cannot be edited.
    """
    raise NotImplementedError
