"""Files in, a call whenever one of them has changed and rests: replaced, written in place, gone, or come back.

Whether a file has changed is told by what stands at its path (`identity_of`), wherever links lead. What the system says
of changes only has the thread look at once; it looks every `LOOK_SECONDS` in any case, which is all there is on file
systems that tell nothing (NFS, FUSE), and mends whatever else was missed.

Folders are watched and not files, since a file that is replaced takes its watch along; and all of those in which a link
stands on the way to a file. A ConfigMap is mounted as `policy.yaml -> ..data/policy.yaml` and `..data -> ..2026_01`:
what its change replaces is `..data`, and neither the file nor its own link.

A set of files is seldom replaced in one step, and a file that is written in place is there by halves for a while, of
which some halves are policies that load. So nobody is told before all has rested: for a moment where files were
replaced, for longer where one was written in place. No rest is long enough for a writer that stops in the middle: who
writes policies should rename them into place.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from watchfiles import watch

from clipwarden.engine.origin import Files, identity_of

LOOK_SECONDS = 1.0
"""How often files are looked at whatever the system says: for a dozen of them some 0.3 ms."""
REPLACED_REST_SECONDS = 0.25
WRITTEN_REST_SECONDS = 1.0
"""How long files have to stay as they are until somebody is told."""
MOST_UNREST_SECONDS = 30.0
"""After which somebody is told all the same: a file that is written without end must not hide the others."""
_STEP_SECONDS = 0.1
"""How soon the thread sees that it is to stop, and how long it gathers what the system says."""
_MOST_LINKS = 40
"""Links on the way to a file that are followed. Source: path_resolution(7)."""

log = logging.getLogger(__name__)


class FileWatch:
    """A thread that looks at files. Not started before `start`.

    Args:
        files: What to look at, as it was when somebody last read it.
        on_change: Called in that thread once something else stands there and rests.
    """

    def __init__(self, files: Files, on_change: Callable[[], None]) -> None:
        self._files = files
        self._on_change = on_change
        self._told: Files | None = None
        self._closed = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clipwarden-watch", daemon=True)
        self._told_of_no_events = False

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def expect(self, files: Files) -> None:
        """Look at these from now on, and tell of what differs from this; from any thread."""
        self._files = files
        self._told = None  # what was told of before may come back later, and is then news once more
        self._wake.set()

    def close(self) -> None:
        """End the thread, within moments."""
        self._closed = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            folders = folders_of(self._files)
            for _ in self._hints(folders):
                if self._closed:
                    return
                self._look()
                if folders_of(self._files) != folders:
                    break

    def _hints(self, folders: Mapping[Path, object]) -> Iterable[object]:
        """Yield whenever something may have changed, until `_wake` is set."""
        yield None  # before anybody watches; what changes meanwhile is seen at the next look
        try:
            yield from watch(
                *folders,
                watch_filter=None,
                debounce=int(_STEP_SECONDS * 1000),
                step=int(_STEP_SECONDS * 1000),
                rust_timeout=int(LOOK_SECONDS * 1000),
                yield_on_timeout=True,
                stop_event=self._wake,
                raise_interrupt=False,
                recursive=False,
                ignore_permission_denied=True,
            )
        except (OSError, RuntimeError) as exc:  # no more watches, say, or a folder that has just gone
            if not self._told_of_no_events:
                self._told_of_no_events = True
                message = "policy files are looked at every %g s, since changes of them cannot be watched: %s"
                log.warning(message, LOOK_SECONDS, exc)
            self._wake.wait(LOOK_SECONDS)

    def _look(self) -> None:
        expected = self._files
        found = _identities(expected)
        if found in (expected, self._told):
            return
        found = self._rest(expected, found)
        if self._closed or found == expected:
            return
        self._told = found
        self._on_change()

    def _rest(self, before: Files, found: Files) -> Files:
        """Wait until what stands there stays as it is, and return that."""
        until, since, rest = time.monotonic() + MOST_UNREST_SECONDS, time.monotonic(), _rest_seconds(before, found)
        while (now := time.monotonic()) < min(since + rest, until) and not self._closed:
            time.sleep(min(_STEP_SECONDS, max(0.0, since + rest - now)))
            latest = _identities(before)
            if latest != found:
                rest = max(rest, _rest_seconds(found, latest))
                found, since = latest, time.monotonic()
        return found


def _identities(files: Iterable[Path]) -> Files:
    return {path: identity_of(path) for path in files}


def _rest_seconds(before: Files, after: Files) -> float:
    """Tell how long to wait: a file that has its inode and another content is being written in place."""
    for path, now in after.items():
        was = before.get(path)
        if was and now and was != now and was[:2] == now[:2]:
            return WRITTEN_REST_SECONDS
    return REPLACED_REST_SECONDS


def folders_of(files: Iterable[Path]) -> Mapping[Path, tuple[int, int]]:
    """List the folders in which a change can lead to another file, with what tells each from one of the same name.

    Args:
        files: Whether they are there or not; where a folder is missing, the nearest one above stands for it.
    """
    found: dict[Path, tuple[int, int]] = {}
    for file in files:
        for folder in _on_the_way(file.absolute()):
            there = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
            if there and there not in found:
                facts = identity_of(there)
                if facts:
                    found[there] = facts[:2]
    return found


def _on_the_way(file: Path) -> Iterable[Path]:
    """Yield the folder of each link that leads to a file, and its own."""
    at, parts, links = Path(file.anchor), deque(file.parts[1:]), 0
    while parts:
        part = parts.popleft()
        here = at.parent if part == ".." else at / part
        try:
            target = here.readlink()
        except OSError:
            at = here
            continue
        yield at
        links += 1
        if links > _MOST_LINKS:
            return
        at = Path(target.anchor) if target.is_absolute() else at
        parts.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    yield at.parent
