"""Policies that judge and those of changed files in; which of them judge otherwise under the version of before, out.

A version that stands for two texts tells nobody which of them judged an image. And it may not let the former text come
back: where that enforces less it looks like a file cut short, and is refused for as long as the process runs.
"""

from clipwarden.engine.snapshot import Snapshot
from clipwarden.scoring.tables import Tables


def reuses_version(before: Tables, after: Tables) -> bool:
    """Tell whether a policy judges otherwise and says the version of before; none that says no version does."""
    version = after.compiled.policy.metadata.version
    old = before.compiled
    return version is not None and version == old.policy.metadata.version and after.compiled.digest != old.digest


class ReusedVersions:
    """Which policies judge otherwise than those that had their version first.

    Args:
        snapshot: What judges from the start.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._first = dict(snapshot.tables)
        self._reused: set[str] = set()

    def note_exchange(self, new: Snapshot) -> None:
        """Learn which policies took the place of others, under the same ids."""
        for policy_id, tables in new.tables.items():
            if reuses_version(self._first[policy_id], tables):
                self._reused.add(policy_id)
            else:
                self._reused.discard(policy_id)
                self._first[policy_id] = tables

    @property
    def sentence(self) -> str | None:
        """Say so to anybody, and so without names; None where there are none."""
        if not self._reused:
            return None
        many = f"{len(self._reused)} policies judge" if len(self._reused) > 1 else "1 policy judges"
        what = "otherwise than before under the same version, and may not take the former text back"
        return f"{many} {what}. The log says which."
