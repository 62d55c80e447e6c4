"""A policy file and what is to stand in it in; a new version of it beside it, with nothing else changed, out.

What writes policies for people goes through here: `lint --fix` and `tune --write`. The file itself is never touched
(`versions` says how versions and what is live belong together), and the text that is written reads as exactly the
policy that was meant, or is not written.
"""

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipwarden.errors import ConfigError, PolicyError, Problem
from clipwarden.policy.bundle.bindings import lint_without_model
from clipwarden.policy.bundle.load import is_bundle
from clipwarden.policy.contexts import enforced_anywhere
from clipwarden.policy.language.learned import PolicyFolder
from clipwarden.policy.language.load import LoadedPolicy, parse_policy
from clipwarden.policy.schema import Metadata, Policy
from clipwarden.policy.shipped import shipped_policies
from clipwarden.policy.versions import VersionFiles, files_around, require_restorable
from clipwarden.textfiles.atomic import write_new
from clipwarden.textfiles.editing import Entry, edit_maps
from clipwarden.textfiles.traps import forbidden_character
from clipwarden.textfiles.values import MAX_TEXT

_BOM = b"\xef\xbb\xbf"
_TOLD = ("version", "author", "reason", "approved_by")


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
        before: The source's bytes.
        target: The file that it is to be.
        old: The policy of the source.
        new: The policy that the text says.
        data: The text, as it will be written.
    """

    source: Path
    before: bytes
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
        if self.source.read_bytes() != self.before:
            raise ConfigError(f"{self.source} was changed meanwhile; nothing was written. Run it again.")
        try:
            write_new(self.target, self.data, mode=self.source.stat().st_mode & 0o777)
        except FileExistsError as exc:
            raise ConfigError(f"{self.target} was written meanwhile. Run it again.") from exc
        return self.target


def require_editable(path: Path, verb: str) -> None:
    """Make sure that a version can be written beside a file.

    Args:
        path: That somebody named.
        verb: What is to be done to it: "mend".

    Raises:
        ConfigError: It ships with clipwarden, or is a bundle.
    """
    if path in shipped_policies():
        raise ConfigError(
            f"{path} ships with clipwarden. {verb.capitalize()} a copy: clipwarden policies {path.stem} > mine.yaml"
        )
    if is_bundle(path):
        raise ConfigError(f"{path} is a bundle; {verb} the policy file that it was made from, and compile it again.")


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
    files = files_around(source, old.metadata.version)
    require_restorable(files)
    return replace(
        old.metadata,
        version=_free_version(files, old.metadata.version, notes.version),
        author=tidy("--author", notes.author or login_name()),
        reason=tidy("--reason", notes.reason or reason),
        approved_by=None if notes.approved_by is None else tidy("--approved-by", notes.approved_by),
    )


def _free_version(files: VersionFiles, present: str | None, wanted: str | None) -> str:
    version = wanted or files.next_version(present)
    target = files.of(version)
    if version == present or target.exists() or target.is_symlink():
        free = files.next_version(version)
        raise ConfigError(f'There is a version "{version}" already, and none is overwritten. Write --version {free}')
    return version


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
    wanted = frozenset(moved)
    enforced = [each.id for each in policy.categories if each.id in wanted and enforced_anywhere(each)]
    if enforced and told.approved_by is None:
        message = f"The numbers of {', '.join(enforced)} {why}, and would be enforced."
        raise ConfigError(
            f"{message} Say who else stands for them with --approved-by NAME, or write `mode: shadow` first. Nothing "
            "was written."
        )
    if enforced and told.author and told.approved_by and told.approved_by.casefold() == told.author.casefold():
        raise ConfigError(
            f"{told.author} writes this version and cannot be the second person who stands for {', '.join(enforced)}; "
            "name another with --approved-by, or the author with --author. Nothing was written."
        )


def plan_new_version(source: Path, old: Policy, wanted: Policy, entries: Sequence[Entry], *, by: str) -> NewVersion:
    """Put entries into a policy's text, and make sure that it then says what is wanted and nothing else.

    Args:
        source: The policy file.
        old: What it says.
        wanted: What it is to say; its metadata name the version.
        entries: What makes the text say so, those of the metadata left out.
        by: Who edits, for the message: "--fix".

    Raises:
        ConfigError: The file is laid out in a way that cannot be edited.
        OSError: It cannot be read.
    """
    target = files_around(source, old.metadata.version).of(str(wanted.metadata.version))
    before = source.read_bytes()
    told = [Entry(path=("metadata",), key=name, value=getattr(wanted.metadata, name)) for name in _TOLD]
    text = edit_maps(before.removeprefix(_BOM).decode(), [*told, *entries])
    try:
        new = parse_policy(text, file=str(target), learned=PolicyFolder(target.parent)).policy
    except PolicyError as error:
        raise ConfigError(f"{by} would write a policy that breaks a rule: {error.problems[0]}") from error
    if new != wanted:
        raise ConfigError(f"{source} is laid out in a way that {by} cannot edit. Write it by hand, as lint says.")
    data = (_BOM if before.startswith(_BOM) else b"") + text.encode()
    return NewVersion(source=source, before=before, target=target, old=old, new=new, data=data)


def new_findings(before: LoadedPolicy, version: NewVersion) -> tuple[Problem, ...]:
    """Say what `lint` without a model finds in a version that it did not find before.

    Args:
        before: The policy that the version was made from.
        version: The new one.
    """
    text = version.data.decode("utf-8-sig")
    after = parse_policy(text, file=str(version.target), learned=PolicyFolder(version.target.parent))
    known = {(each.code, each.message) for each in _linted(before)}
    return tuple(each for each in _linted(after) if (each.code, each.message) not in known)


def _linted(loaded: LoadedPolicy) -> Sequence[Problem]:
    return (*loaded.warnings, *lint_without_model(loaded.policy, loaded.positions))


def login_name() -> str:
    """Say who is at work, by the name that they logged in with.

    Raises:
        ConfigError: They have none.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as exc:  # a container's user may have no name
        raise ConfigError("Nobody is logged in by name. Say who writes this version with --author.") from exc


def tidy(option: str, text: str) -> str:
    """Make one line of a text that somebody gave to an option.

    Raises:
        ConfigError: It is empty, too long, or holds characters that nobody sees.
    """
    one_line = " ".join(text.split())
    if not one_line or len(one_line) > MAX_TEXT or forbidden_character(one_line):
        raise ConfigError(f"{option} must be a text of 1 to {MAX_TEXT} characters, none of them invisible.")
    return one_line
