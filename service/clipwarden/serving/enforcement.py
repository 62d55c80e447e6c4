"""Policies that judge and those of changed files in, what would be enforced no longer out: refused, or said in health.

A file that was cut short can be a policy that loads, with fewer categories, and one slip of an editor sets all modes to
shadow. Both have images allowed that were stopped before, and nothing fails. What tells either from a change that is
meant is the version, which stands at the head of the file and nobody changes by accident.
"""

import time
from collections.abc import Iterator

from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import ConfigError
from clipwarden.policy.contexts import enforced_anywhere, no_longer_enforced
from clipwarden.policy.schema import Policy

MOST_NAMED = 6
"""Categories that a refusal names: the log cuts long sentences short, and this one ends with its mend."""


def require_enforced(old: Snapshot, new: Snapshot) -> None:
    """Refuse policies that enforce less than before under the version of before.

    Args:
        old: What judges.
        new: What is to judge, under the same ids.

    Raises:
        ConfigError: Some do.
    """
    lost = " ".join(_lost(old, new))
    if lost:
        raise ConfigError(lost)


def _lost(old: Snapshot, new: Snapshot) -> Iterator[str]:
    for policy_id, tables in new.tables.items():
        before, after = old.tables[policy_id].compiled.policy, tables.compiled.policy
        named = no_longer_enforced(before, after)
        version = after.metadata.version
        if named and version == before.metadata.version:
            said, other = (f'still says version "{version}"', "another") if version else ("still says no version", "a")
            yield (
                f"Policy {policy_id} {said} but no longer enforces {_listed(named)}: a file cut short looks like this. "
                f"Give it {other} metadata.version if that is meant."
            )


def _listed(named: tuple[str, ...]) -> str:
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{', '.join(named[:MOST_NAMED])}{more}"


class IdlePolicies:
    """Which policies enforced something since the process began, and now nothing."""

    def __init__(self) -> None:
        self._since: dict[str, str] = {}

    def note_exchange(self, old: Snapshot, new: Snapshot) -> None:
        """Learn which policies took the place of others, under the same ids."""
        for policy_id, tables in new.tables.items():
            if _enforces(tables.compiled.policy):
                self._since.pop(policy_id, None)
            elif _enforces(old.tables[policy_id].compiled.policy):
                self._since[policy_id] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())

    @property
    def sentence(self) -> str | None:
        """Say so to anybody, and so without names; None where there are none."""
        if not self._since:
            return None
        many = f"{len(self._since)} policies enforce" if len(self._since) > 1 else "1 policy enforces"
        since = f"Since {min(self._since.values())} UTC"
        return f"{since} {many} nothing any more: every verdict there is ALLOW. The log says where."


def _enforces(policy: Policy) -> bool:
    return any(enforced_anywhere(category) for category in policy.categories)
