"""What many callers have in, who may have more out: each as much as is free, so that nobody fills the house.

The dynamic threshold of Choudhury and Hahne ("Dynamic Queue Length Thresholds for Shared-Memory Packet Switches",
1998): a caller alone gets half of what there is, two a third each, and whoever comes new finds room.
"""

from dataclasses import dataclass

from clipwarden.engine.line import MAX_CALLERS
from clipwarden.engine.settings import Cause
from clipwarden.engine.terms import Priority


@dataclass(eq=False, kw_only=True, slots=True)
class Account:
    """What a caller has.

    Attributes:
        name: The caller's; None for all who have no account of their own.
        items: Images, or whatever else is shared out.
        bytes: Of their files.
        promised_until: When the last of those it was refused may come again.
    """

    name: str | None
    items: int = 0
    bytes: int = 0
    promised_until: float = 0.0


class Shares:
    """Keeps accounts. Lives on one event loop.

    At most `MAX_CALLERS` callers have an account of their own, as in the line; the rest share one.

    Attributes:
        items: Images in all, or whatever else is shared out.
        bytes: Of their files, in all.

    Args:
        max_items: Images.
        max_bytes: Bytes of their files.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._accounts: dict[str | None, Account] = {}
        self.items = 0
        self.bytes = 0

    def account(self, caller: str) -> Account:
        """Find a caller's account, or open one."""
        found = self._accounts.get(caller)
        if found is not None:
            return found
        if len(self._accounts) >= MAX_CALLERS:
            self._accounts = {name: account for name, account in self._accounts.items() if account.items}
        name = caller if len(self._accounts) < MAX_CALLERS else None
        return self._accounts.setdefault(name, Account(name=name))

    def objection(self, account: Account, *, items: int, size: int, priority: Priority) -> Cause | None:
        """Say why a caller may not have more; None where it may.

        Args:
            account: The caller's.
            items: Images that it wants beside those it has.
            size: Bytes likewise; what is given back is never objected to.
            priority: Of what they are for. BULK may have half of what is free: a backlog that fills all of its caller's
                places would keep out what the same caller waits for.
        """
        part = 1 if priority is Priority.INTERACTIVE else 2
        if self.items + items > self._max_items:
            return "items"
        if size > 0 and self.bytes + size > self._max_bytes:
            return "bytes"
        if items and account.items * part >= self._max_items - self.items:
            return "share"
        if size > 0 and account.bytes * part >= self._max_bytes - self.bytes:
            return "share"
        return None

    def take(self, account: Account, *, items: int, size: int) -> None:
        """Note that a caller has more, or less."""
        account.items += items
        account.bytes += size
        self.items += items
        self.bytes += size
