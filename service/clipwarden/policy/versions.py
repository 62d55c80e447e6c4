"""A live policy file in, the files of its versions beside it out: named, written once, never overwritten.

`NAME.yaml` is what servers load; `NAME-VERSION.yaml` beside it is one version of it, and stays as it is.
"""

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clipwarden.errors import ConfigError, PolicyError, Problem, Severity
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.load import load_policy
from clipwarden.textfiles.atomic import write_atomically, write_new
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.reading import MAX_BYTES, decode
from clipwarden.textfiles.tree import MapNode, Node, TextNode, parse_tree

SUFFIXES = (".yaml", ".yml")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""A version that a file's name can hold on every system, and that leads out of no folder."""

_DOTTED = re.compile(r"-([0-9]+(?:\.[0-9]+)+)$")
"""How the name of a version's file ends; a policy itself may be called `shop-2`, or `clip-b32`."""
_LAST_NUMBER = re.compile(r"([0-9]+)(?!.*[0-9])")
_DATES = ((re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII), "%Y-%m-%d"), (re.compile(r"\d{8}", re.ASCII), "%Y%m%d"))
_CHOOSE = "Choose the new version with --version, such as 1.4.1."


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFiles:
    """The files of one policy.

    Attributes:
        live: What servers load, `NAME.yaml`; it need not exist.
    """

    live: Path

    @property
    def name(self) -> str:
        """`NAME`."""
        return self.live.name.removesuffix(self.live.suffix)

    def of(self, version: str) -> Path:
        """Name the file of a version, whether or not there is one.

        Raises:
            ConfigError: No file can be named after it.
        """
        if not VERSION.fullmatch(version):
            message = f'"{version}" cannot be part of a file name. '
            raise ConfigError(
                f"{message}Use a version of letters, digits, `.`, `_`, `+` and `-`, at most 64, such as 1.4.1."
            )
        return self.live.with_name(f"{self.name}-{version}{self.live.suffix}")

    def versions(self) -> tuple[str, ...]:
        """List the versions that have a file, in the order of their names; another policy's may be among them."""
        start, end = f"{self.name}-", self.live.suffix
        names = (path.name for path in self.live.absolute().parent.iterdir())
        found = (name[len(start) : -len(end)] for name in names if name.startswith(start) and name.endswith(end))
        return tuple(sorted(version for version in found if VERSION.fullmatch(version)))

    def next_version(self, version: str | None) -> str:
        """Choose a version that no file has: the day after a date, otherwise the last number and one more.

        Args:
            version: The present one; None starts with 1.

        Raises:
            ConfigError: It has no number to count on, or no file can be named after it.
        """
        if version is None:
            version = "0"
        if not VERSION.fullmatch(version):
            raise ConfigError(f'"{version}" cannot be part of a file name. {_CHOOSE}')
        if not _LAST_NUMBER.search(version):
            raise ConfigError(f'"{version}" holds no number to count on. {_CHOOSE}')
        while True:
            version = _after(version)
            if not _is_there(self.of(version)):
                return version


def _after(version: str) -> str:
    for pattern, layout in _DATES:
        if pattern.fullmatch(version):
            # What is no day of the calendar is a number as any other.
            with suppress(ValueError, OverflowError):
                day = datetime.strptime(version, layout).replace(tzinfo=UTC) + timedelta(days=1)
                return day.strftime(layout)
    return _LAST_NUMBER.sub(lambda match: str(int(match[1]) + 1).zfill(len(match[1])), version)


def files_of(name: str) -> VersionFiles:
    """Find a policy's files by what a user typed.

    Args:
        name: The live file, or its path without `.yaml`.

    Raises:
        ConfigError: It is no name of a policy file.
    """
    path = Path(name).expanduser()
    if path.suffix not in SUFFIXES and path.name not in ("", *SUFFIXES):
        # Not `with_suffix`, which would take the end of `my.policy` for one.
        candidates = [path.parent / f"{path.name}{suffix}" for suffix in SUFFIXES]
        path = next((each for each in candidates if _is_there(each)), candidates[0])
    if path.suffix not in SUFFIXES or path.is_dir():
        raise ConfigError(f"{name} names no policy file. Write the path of a file such as mine.yaml, or mine.")
    return VersionFiles(live=path)


def files_around(path: Path, version: str | None) -> VersionFiles:
    """Find the files that a policy file belongs to, be it the live one or one of a version.

    Args:
        path: The file.
        version: That it holds.
    """
    end = f"-{version}{path.suffix}"
    live = path.with_name(f"{path.name.removesuffix(end)}{path.suffix}")
    # A policy may be called `shop-2` and be at version 2.
    return VersionFiles(live=live if version is not None and live.is_file() else path)


def require_restorable(files: VersionFiles) -> None:
    """Make sure that a version written beside a live file can become live.

    Raises:
        ConfigError: `restore` would not know the file by its name, or would replace a link.
    """
    if files.live.suffix not in SUFFIXES:
        message = f"{files.live} is not called NAME.yaml or NAME.yml, so that no version beside it could become live."
        raise ConfigError(f"{message} Rename it first.")
    _refuse_link(files.live)


def read_live(path: Path) -> bytes | None:
    """Read a live file, to keep or compare it.

    Returns:
        Its bytes; None where there is none.

    Raises:
        ConfigError: It is a link, no file, or too large for a policy.
        OSError: It cannot be read.
    """
    _refuse_link(path)
    if not path.exists():
        return None
    if not path.is_file():
        raise ConfigError(f"{path} is no file.")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES // 1024} KiB, and no policy.")
    return data


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        message = f"{path} is a link to {path.readlink()}, and would be replaced by a file."
        raise ConfigError(f"{message} Name the file that it leads to, or point the link elsewhere yourself.")


def written_version(data: bytes) -> str | None:
    """Read `metadata.version` out of a policy file, also of one that breaks rules.

    Returns:
        The version; None where there is none, or where the file is no YAML.
    """
    findings = Findings("")
    text = decode(data, findings)
    node: Node | None = None if text is None else parse_tree(text, findings)
    for key in ("metadata", "version"):
        entries = node.entries if isinstance(node, MapNode) else ()
        node = next((value for name, value in entries if name.text == key), None)
    return (" ".join(node.text.split()) or None) if isinstance(node, TextNode) else None


def reused_version(path: Path) -> Problem | None:
    """Look whether the live file and the file of its version judge differently: one version then names two policies.

    Args:
        path: Either of them.

    Returns:
        A warning at the version; None where there is only one of them, they judge alike, or one is no usable policy.
    """
    if path.suffix not in SUFFIXES:
        return None
    try:
        version = written_version(path.read_bytes())
        if version is None or not VERSION.fullmatch(version):
            return None
        files = files_around(path, version)
        other = files.of(version) if files.live == path else files.live
        if not other.is_file() or other.read_bytes() == path.read_bytes():
            return None
        ours, theirs = load_policy(path), load_policy(other).policy
    except (OSError, PolicyError):  # which lint says of each file for itself
        return None
    named = (ours.policy.metadata.id, ours.policy.metadata.version)
    if named != (theirs.metadata.id, theirs.metadata.version) or policy_digest(ours.policy) == policy_digest(theirs):
        return None
    place = ours.positions.find("metadata", "version")
    compare = shlex.join(("clipwarden", "diff", str(other), str(path)))
    return Problem(
        file=str(path),
        line=place.line,
        column=place.column,
        message=f'{other} is version "{version}" too, and judges differently: logs cannot tell which judged.',
        fix=f"Give one of them a version of its own; `{compare}` says how they differ.",
        severity=Severity.WARNING,
        code="version-reused",
    )


def misnamed_version(path: Path) -> Problem | None:
    """Look whether a file is named after another version than its text: logs would name the wrong one.

    Args:
        path: A policy file.

    Returns:
        A warning at the version; None where they agree, or the name ends in no version of numbers and dots.
    """
    named = _DOTTED.search(path.stem) if path.suffix in SUFFIXES else None
    try:
        if named is None or (written := written_version(path.read_bytes())) in (None, named[1]):
            return None
        place = load_policy(path).positions.find("metadata", "version")
    except (OSError, PolicyError):  # which lint says for itself
        return None
    right = f"{path.stem[: named.start()]}-{written}{path.suffix}"
    return Problem(
        file=str(path),
        line=place.line,
        column=place.column,
        message=f'The file is named after version "{named[1]}", but is version "{written}".',
        fix=f'Write `version: "{named[1]}"`, or rename the file to {right}; `clipwarden restore` refuses it as it is.',
        severity=Severity.WARNING,
        code="version-misnamed",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoration:
    """One version that is to become live.

    Attributes:
        files: The policy's files.
        before: What is live now; None where nothing is.
        after: The version's bytes.
        keep: Where `before` has to be written first; None where it is kept already, or nothing is live.
    """

    files: VersionFiles
    before: bytes | None
    after: bytes
    keep: Path | None

    def carry_out(self) -> None:
        """Keep what is live, then put the version in its place in one step.

        Raises:
            ConfigError: Somebody else wrote one of the files meanwhile.
            OSError: One cannot be written; what was live still is.
        """
        if self.before == self.after:
            return
        mode = None if self.before is None else self.files.live.stat().st_mode & 0o777
        if self.keep and self.before is not None:
            try:
                write_new(self.keep, self.before, mode=mode)
            except FileExistsError as exc:
                raise ConfigError(f"{self.keep} was written meanwhile. Run it again.") from exc
        if read_live(self.files.live) != self.before:
            raise ConfigError(f"{self.files.live} was changed meanwhile, and is left as it is. Run it again.")
        write_atomically(self.files.live, self.after, mode=mode)


def plan_restoration(files: VersionFiles, version: str) -> Restoration:
    """Find out what it takes to make a version live; writes nothing.

    Args:
        files: The policy's files.
        version: Which.

    Raises:
        ConfigError: There is no such version, its file holds another, or what is live cannot be kept.
        OSError: A file cannot be read.
    """
    source = files.of(version)
    after = _read_version(files, source)
    _check_content(source, after, version)
    before = read_live(files.live)
    keep = None if before is None or before == after else _place_for(files, before)
    return Restoration(files=files, before=before, after=after, keep=keep)


def _read_version(files: VersionFiles, source: Path) -> bytes:
    if not source.is_file():
        there = ", ".join(files.versions()) if source.absolute().parent.is_dir() else ""
        hint = f"Versions beside it: {there}." if there else "There are no versions beside it."
        raise ConfigError(f"There is no file {source}. {hint}")
    return source.read_bytes()


def _check_content(source: Path, data: bytes, version: str) -> None:
    """Refuse a file whose name says something else than its text: a log would name the wrong version."""
    written = written_version(data)
    if written != version:
        holds = "no version" if written is None else f'version "{written}"'
        raise ConfigError(
            f'{source} holds {holds}, not "{version}". Write `version: "{version}"` into it, or rename it.'
        )


def _place_for(files: VersionFiles, before: bytes) -> Path | None:
    """Choose where the live file is kept; None where that is done already."""
    version = written_version(before)
    live = files.live
    if version is None:
        aside = live.with_name(f"{files.name}-unnamed{live.suffix}")
        message = f"{live} has no `metadata.version`, so that no file can be named after it."
        raise ConfigError(
            f"{message} Give it one, or move it out of the way: {shlex.join(('mv', str(live), str(aside)))}"
        )
    keep = files.of(version)
    if not _is_there(keep):
        return keep
    if keep.is_file() and keep.read_bytes() == before:
        return None
    message = f'{live} and {keep} both are version "{version}", and differ (`clipwarden diff {keep} {live}` says how).'
    free = files.next_version(version) if _LAST_NUMBER.search(version) else "another"
    raise ConfigError(f'{message} Give {live} a version of its own, such as "{free}", and run it again.')


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
