"""Policy files in, what a snapshot rests on out: the files that loading reads, and by what a changed one is told.

Files are read one after another, with texts embedded in between, which can take half a minute. So that no policy of one
release is taken beside one of the next, whatever was loaded while a file changed is dropped, and all is loaded again
(`settled`); vectors of texts are kept meanwhile, so the second time is short. Files that change for as long as they
are loaded are refused. Not seen: a link that is led elsewhere and back to the very same files within one load.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ClipwardenError
from clipwarden.policy.bundle.load import is_bundle
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.reading import read_file
from clipwarden.textfiles.tree import ListNode, MapNode, Node, TextNode, parse_tree

Identity = tuple[int, int, int, int, int] | None
"""Device, inode, time of the last write and of the last change of name or mode, size; None where there is no file."""
Files = Mapping[Path, Identity]
MOST_LOADS = 3
"""How often policies are loaded in a row because their files change meanwhile; all but the first embed what is new."""

Loaded = TypeVar("Loaded")
log = logging.getLogger(__name__)

_NAMES_FILES = re.compile(r"""\bfile["']?\s*:""")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Origin:
    """What a snapshot's policies were loaded from, for loading them again.

    Attributes:
        policies: Of the live policies, in the order of the settings.
        candidates: Likewise.
        files: All that was read, each as it was before it was read.
        vectors: float32 [D] of every text that was embedded; a bundle's texts are not among them.
    """

    policies: tuple[Path, ...]
    candidates: tuple[Path, ...] = ()
    files: Files = field(default_factory=dict)
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those of all policies, each once."""
        return tuple(dict.fromkeys((*self.policies, *self.candidates)))


def look_at(policies: Sequence[Path]) -> Files:
    """Tell by what every file that some policies rest on would be seen to change, missing ones among them.

    Args:
        policies: YAML files or bundles, right or wrong.
    """
    found: dict[Path, Identity] = {}
    for path in policies:
        found[path] = identity_of(path)  # before what it names, so that no change in between is missed
        found |= {named: identity_of(named) for named in _named_by(path)}
    return found


def identity_of(path: Path) -> Identity:
    """Tell what stands at a path, wherever links lead, without reading it."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


def settled(paths: Sequence[Path], load: Callable[[], Loaded]) -> tuple[Loaded | None, Files]:
    """Load until all files have stayed as they were meanwhile; what an earlier try raised is dropped as well.

    Args:
        paths: Of policies.
        load: Loads all of them.

    Returns:
        What was loaded, or None where files changed every time; and the files as they were before the last time.

    Raises:
        ClipwardenError: As `load` does, of files that stayed as they were.
    """
    for _ in range(MOST_LOADS):
        before = look_at(paths)
        try:
            loaded = load()
        except ClipwardenError:
            if look_at(paths) == before:
                raise
        else:
            if look_at(paths) == before:
                return loaded, before
        log.info("policy files changed while they were loaded, which is dropped")
    return None, before


def _named_by(policy: Path) -> Iterator[Path]:
    """Name the files of vectors and heads that a policy's text names, also where the policy breaks a rule."""
    if not policy.is_file() or is_bundle(policy):
        return
    findings = Findings(str(policy))
    text = read_file(policy, findings)
    # Most policies name none, and parsing takes a tenth of a second.
    root = parse_tree(text, findings) if text and _NAMES_FILES.search(text) else None
    for name in dict.fromkeys(_values_of("file", root)):
        written = PurePosixPath(name)
        # What leads elsewhere is refused when it is read; it need not be looked at either.
        if name and not written.is_absolute() and ".." not in written.parts and "\0" not in name:
            yield policy.parent / written


def _values_of(key: str, node: Node | None) -> Iterator[str]:
    if isinstance(node, ListNode):
        for item in node.items:
            yield from _values_of(key, item)
    elif isinstance(node, MapNode):
        for name, value in node.entries:
            if name.text == key and isinstance(value, TextNode):
                yield value.text
            else:
                yield from _values_of(key, value)
