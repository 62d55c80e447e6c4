"""What many callers have in, who may have more out: each as much as is free, so that nobody fills the house.

The dynamic threshold of Choudhury and Hahne ("Dynamic Queue Length Thresholds for Shared-Memory Packet Switches",
1998): a caller alone gets half of what there is, two a third each, and whoever comes new finds room.
"""

from collections import Counter
from dataclasses import dataclass

from clipwarden.engine.line import MAX_CALLERS
from clipwarden.engine.settings import Cause
from clipwarden.engine.terms import Priority, Terms


@dataclass(eq=False, kw_only=True, slots=True)
class Account:
    """What a caller has.

    Attributes:
        name: The caller's; the origin's, for those of it who have no account of their own; None for all others.
        origin: Where its callers come from.
        items: Images, or whatever else is shared out.
        bytes: Of their files.
        promised_until: When the last of those it was refused may come again.
    """

    name: str | None
    origin: str
    items: int = 0
    bytes: int = 0
    promised_until: float = 0.0


class Shares:
    """Keeps accounts. Lives on one event loop.

    There are `MAX_CALLERS`, as in the line, which are shared out among origins as what they account for is among
    callers: each may have as many as are free. The callers of an origin that has no more share one of its own, so that
    whoever opens connections without end fills his own place, and not that of those who come from elsewhere. Where no
    account is free, all new callers share one.

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
        self._opened: Counter[str] = Counter()  # by origin
        self._idle = 0  # accounts without items
        self.items = 0
        self.bytes = 0

    def account(self, terms: Terms) -> Account:
        """Find a caller's account, or open one.

        Args:
            terms: Of its call.
        """
        return self._accounts.get(terms.caller) or self._open(terms)

    def _open(self, terms: Terms) -> Account:
        if self._idle and not self._may_open(terms.origin):
            self._forget_idle()
        name: str | None = terms.caller
        if not self._may_open(terms.origin):
            room = terms.origin in self._accounts or len(self._accounts) < MAX_CALLERS
            name = terms.origin if room else None
        if name not in self._accounts:
            self._accounts[name] = Account(name=name, origin=terms.origin)
            self._opened[terms.origin] += 1
            self._idle += 1
        return self._accounts[name]

    def _may_open(self, origin: str) -> bool:
        return self._opened[origin] < MAX_CALLERS - len(self._accounts)

    def _forget_idle(self) -> None:
        self._accounts = {name: account for name, account in self._accounts.items() if account.items}
        self._opened = Counter(account.origin for account in self._accounts.values())
        self._idle = 0

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
        was_idle = not account.items
        account.items += items
        self._idle += (not account.items) - was_idle
        account.bytes += size
        self.items += items
        self.bytes += size
