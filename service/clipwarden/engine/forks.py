"""What begins anew in a forked child, before anything else runs there: its parent's threads are missing."""

import os
from functools import cache
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """What has to begin anew in a forked child."""

    def forget(self) -> None:
        """Start unopened; only one thread runs then."""


_INHERITED: list[object] = []
"""What a forked child has of its parent's, and must neither use nor let go."""
_FORGETFUL: "WeakSet[Forgetful]" = WeakSet()


def forget_in_children(moderator: Forgetful) -> None:
    """Have a moderator's `forget` called in each forked child, before anything else runs there."""
    _watch_forks()
    _FORGETFUL.add(moderator)


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    for moderator in list(_FORGETFUL):
        moderator.forget()


def keep_for_ever(inherited: object) -> None:
    """Never let go of something that the parent's threads would have had to end."""
    _INHERITED.append(inherited)
