"""Bound what is at work at once: an image is let in if there is room and time for it, or refused at once with a hint.

Two steps. On arrival (`arrive`) only the caller and the deadline are known, and perhaps a number of bytes; what is let
in holds a `Ticket`, which counts until the call ends. Once the header has been read, the work that its content takes is
known (`begin`), and refused before any decoding if it cannot be done in time; what is let in is `Work`, which counts
until it is done or nobody waits for it. One content's work may serve several tickets, and outlive the first of them.

`shares` says how room is divided, `forecast` how long things take. What would take longer than `SHARE_OF_TIME` of the
time to its deadline is refused, and so is what would make late what the same caller has here. Another caller that comes
may have this one's share of the machine shrink to what is fair; what then cannot finish any more is refused at its
turn, before it is decoded.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from clipwarden.engine.forecast import Forecast, Foreseen, Pending
from clipwarden.engine.overruns import Overruns
from clipwarden.engine.settings import Cause, Observer, Unobserved
from clipwarden.engine.shares import Account, Shares
from clipwarden.engine.terms import Priority, Terms
from clipwarden.errors import DeadlineError, OverloadedError

SHARE_OF_TIME = 0.75
"""Of the time to its deadline that an image may be foreseen to take. The rest is for what nobody foresees. It costs no
verdict: as long as something waits, nothing stands still."""
MIN_RETRY_SECONDS = 0.05
"""Shortest hint: retrying faster than a network round trip only adds load."""
MAX_RETRY_SECONDS = 5.0
"""Longest hint: about what a person waits for a page. Until then things may look different."""
_SMOOTHING = 1 / 16
"""Weight of the newest image in what one costs as a rule."""


class Admission:
    """Counts images, bytes and work from admission to verdict. Lives on one event loop.

    Attributes:
        ahead: Images that are decoded, and views that wait for the encoder.
        on_room: Called whenever some of these give way.

    Args:
        max_items: Images.
        max_bytes: Bytes of their files, read or about to be.
        max_ahead: So many `ahead`, and nothing more has its turn: enough that neither decoders nor the encoder wait for
            one another, and no more, since what is decoded early holds pixels, and can be overtaken no more by what is
            more urgent. Images of many views may bring more than that with them, each decode once.
        cpus: That the process may use.
        least_cost: Seconds that any image takes at least, for which one counts until its header has been read. By what
            images take as a rule, those of one caller that take seconds would have the smallest of all others refused
            unread.
        observer: Told of refusals, and of what was foreseen and came about.
        clock: Seconds, the clock that deadlines are on.
    """

    def __init__(
        self,
        *,
        max_items: int,
        max_bytes: int,
        max_ahead: int,
        cpus: float,
        least_cost: Callable[[], float] = lambda: 0.0,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = Shares(max_items=max_items, max_bytes=max_bytes)
        self._max_items, self._max_bytes = max_items, max_bytes
        self._forecast = Forecast(cpus=cpus, share_of_time=SHARE_OF_TIME, clock=clock)
        self._observer = observer or Unobserved()
        self._least_cost = least_cost
        self._usual_cost = 0.0
        self._overruns = Overruns()
        self._at_work = 0
        self._max_ahead = max_ahead
        self.ahead = 0
        self.on_room: Callable[[], None] = lambda: None
        self.now = clock

    @property
    def has_room(self) -> bool:
        """Whether one more may have its turn."""
        return self.ahead < self._max_ahead

    @property
    def items(self) -> int:
        """Images that are here."""
        return self._shares.items

    @property
    def bytes(self) -> int:
        """What their files hold, or may."""
        return self._shares.bytes

    @property
    def backlog_seconds(self) -> float:
        """How long all that is here will take, as foreseen."""
        return self._forecast.seconds

    def arrive(self, terms: Terms, *, size: int = 0, sees: bool = True, items: int = 1) -> "Ticket":
        """Let an image in, before anything of it has been read.

        Args:
            terms: Of its call.
            size: Bytes to hold from the start.
            sees: Whether it will be looked at, and so has to wait; False for embeddings that only are to be judged.
            items: Places that it takes; 0 for what comes on top of a place that is held already.

        Returns:
            Its ticket, to be used as a context manager.

        Raises:
            OverloadedError: There is no room now, in all or for this caller, or as things are it would be too late
                (`retry_after_seconds` says when to come again); the observer was told why.
            DeadlineError: Its deadline has passed.
        """
        account = self._shares.account(terms)
        self.require_room(account, items=items, size=size, priority=terms.priority)
        work = None
        if sees:
            cost = self._least_cost()
            self._require_time(account, terms, cost, hint=max(cost, self._usual_cost))
            work = self._forecast.add(account.name, terms, cost)
        self._shares.take(account, items=items, size=size)
        return Ticket(
            self,
            self._shares,
            self._forecast,
            account=account,
            priority=terms.priority,
            work=work,
            size=size,
            items=items,
        )

    def begin(self, terms: Terms, cost: float) -> "Work":
        """Let work begin, which from now on waits for its turn.

        Args:
            terms: Of its call.
            cost: Seconds that it takes, as estimated.

        Returns:
            The work, to be used as a context manager.

        Raises:
            OverloadedError: It cannot be done in time, or would make others of the same caller late.
            DeadlineError: Its deadline has passed.
        """
        self._usual_cost += (cost - self._usual_cost) * (_SMOOTHING if self._usual_cost else 1.0)
        account = self._shares.account(terms)
        foreseen = self._require_time(account, terms, cost, hint=cost)
        self._at_work += 1
        # In line those who share an account are one caller, as they are here: what is foreseen holds for their turns.
        own = replace(terms, caller=account.name or "")
        return Work(self, self._forecast, self._forecast.add(account.name, terms, cost), own, foreseen)

    def has_time(self, terms: Terms, cost: float) -> bool:
        """Tell whether work could begin now under such terms, beside all that is here."""
        foreseen = self._forecast.foresee(self._shares.account(terms).name, terms, cost)
        return not self._is_late(foreseen, cost, self._seconds_left(terms))

    def require_room(self, account: Account, *, items: int, size: int, priority: Priority) -> None:
        """Insist that a caller may have more.

        Raises:
            OverloadedError: It may not.
        """
        cause = self._shares.objection(account, items=items, size=size, priority=priority)
        if cause is not None:
            # Of a share, what is short is places if no bytes at all were too many.
            bare = (
                cause if cause != "share" else self._shares.objection(account, items=items, size=0, priority=priority)
            )
            places = bare in ("items", "share")
            message = self._what_is_full(account if cause == "share" else None, None if places else size, priority)
            raise self.refusal(cause, account, message, after=0.0, step=self._forecast.pace * self._usual_cost)

    def _what_is_full(self, account: Account | None, size: int | None, priority: Priority) -> str:
        """Say in which setting's words there is no room.

        Args:
            account: Whose share is full; None where all is.
            size: Bytes that were asked for; None where places are short.
            priority: Of what they were asked for.
        """
        held = account or self._shares
        if size is None:
            full, more = f"{held.items} of {self._max_items} places (queue_items)", "more"
        else:
            full, more = f"{_mib(held.bytes)} of {_mib(self._max_bytes)} MiB (queue_bytes)", f"{_mib(size)} MiB more"
        if account is None:
            return f"images here take {full}, and there is no room for {more}"
        most = "half of what is free, being bulk" if priority is Priority.BULK else "what is free"
        return f"this caller has {full}, and may have no more than {most}"

    def _require_time(self, account: Account, terms: Terms, cost: float, *, hint: float) -> float:
        """Insist that work can be done in time; return when it is foreseen to be, in seconds from now.

        Whoever is refused is told to come as if images took `hint` seconds each.
        """
        left = self._seconds_left(terms)
        if left <= 0:
            raise DeadlineError("the deadline had passed before any work was done")
        foreseen = self._forecast.foresee(account.name, terms, cost)
        # Alone it is let in whatever is foreseen: a forecast that is wrong has to find out.
        if len(self._forecast) and self._is_late(foreseen, cost, left):
            message = f"it would take about {foreseen.seconds:.2g} s until this image is judged"
            late = "others of this caller would be too late then" if foreseen.delays else f"it has {left:.2g} s"
            after = foreseen.seconds - SHARE_OF_TIME * left
            raise self.refusal("wait", account, f"{message}, and {late}", after=after, step=foreseen.pace * hint)
        return max(foreseen.seconds, cost)

    def _seconds_left(self, terms: Terms) -> float:
        return terms.latest - self.now()

    @staticmethod
    def _is_late(foreseen: Foreseen, cost: float, left: float) -> bool:
        return foreseen.seconds > SHARE_OF_TIME * left or cost > left or foreseen.delays

    def refusal(self, cause: Cause, account: Account, message: str, *, after: float, step: float) -> OverloadedError:
        """Make the error of a refusal, and tell the observer.

        Those of a caller that are refused are told to come one after the other, as fast as its work gets done: if each
        were told when there is room for one, all would come then, and all but one be refused again.

        Args:
            cause: Of the refusal.
            account: The caller's.
            message: For people.
            after: Seconds until there is room, as foreseen.
            step: Seconds that an image of this caller takes.
        """
        self._observer.note_refusal(cause)
        now = self.now()
        again = min(max(now + max(0.0, after), account.promised_until), now + MAX_RETRY_SECONDS)
        account.promised_until = again + step
        return OverloadedError(message, retry_after_seconds=max(MIN_RETRY_SECONDS, again - now))

    def require_finish(self, work: Pending, terms: Terms) -> None:
        """Insist that work whose turn has come can still be finished, by what others took from there to their end.

        Raises:
            OverloadedError: It cannot.
        """
        # Calls whose headers have not been read are no company: one that sends nothing costs nobody time.
        left = work.deadline - self.now()
        if self._at_work > 1 and work.left + self._overruns.most(work.left) > left:
            if work.left <= left:
                self._overruns.doubt(work.left)
            account = self._shares.account(terms)
            message = "this image could not be finished any more when its turn came"
            raise self.refusal("late", account, message, after=0.0, step=self._forecast.pace * work.left)

    def note_end(self, work: "Work", *, done: bool) -> None:
        """Hear that work is over, and whether it was done."""
        now = self.now()
        self._at_work -= 1
        if done:
            self._observer.note_forecast(work.foreseen_seconds, now - work.began)
        # What died of its deadline would have taken longer still; of what failed or was given up nothing is known.
        if work.started is not None and (done or now >= work.deadline):
            self._overruns.note(work.cost, now - work.started)


class Ticket:
    """One image, or one call, that was let in: made by `Admission.arrive`, and ended by leaving its context."""

    def __init__(
        self,
        admission: Admission,
        shares: Shares,
        forecast: Forecast,
        *,
        account: Account,
        priority: Priority,
        work: Pending | None,
        size: int,
        items: int,
    ) -> None:
        self._admission = admission
        self._shares = shares
        self._forecast = forecast
        self._account = account
        self._priority = priority
        self._work = work
        self._bytes = size
        self._items = items
        self._ended = False

    def __enter__(self) -> Self:
        """Hold the place."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        self.end()

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on, in the place of what was held; less is always possible.

        Args:
            size: Bytes that are read, or may be.

        Raises:
            OverloadedError: There is no room for that many more; what was held stays held.
        """
        more = size - self._bytes
        if more > 0:
            self._admission.require_room(self._account, items=0, size=more, priority=self._priority)
        self._shares.take(self._account, items=0, size=more)
        self._bytes = size

    def fits(self, size: int) -> bool:
        """Tell whether `hold` would find room."""
        more = size - self._bytes
        return self._shares.objection(self._account, items=0, size=more, priority=self._priority) is None

    def settle(self) -> None:
        """Hear that its header has been read: its work is known now, or there is none, and none is guessed any more."""
        if self._work is not None:
            self._forecast.remove(self._work)
            self._work = None

    def end(self) -> None:
        """Give everything back; the second time does nothing."""
        if not self._ended:
            self._ended = True
            self.settle()
            self._shares.take(self._account, items=-self._items, size=-self._bytes)


class Work:
    """What one content takes from header to embeddings: made by `Admission.begin`, ended by leaving its context.

    Attributes:
        terms: Of its call, in the name of its account.
        cost: Seconds, as estimated.
        foreseen_seconds: How long it was thought to take, from `began` on.
        began: When that was.
        started: When its turn came; None until then.
    """

    def __init__(
        self, admission: Admission, forecast: Forecast, pending: Pending, terms: Terms, foreseen_seconds: float
    ) -> None:
        self.terms = terms
        self.cost = pending.left
        self._admission = admission
        self._forecast = forecast
        self._pending = pending
        self.foreseen_seconds = foreseen_seconds
        self.began = admission.now()
        self.started: float | None = None
        self._ahead = 0  # it counts for so many
        self._encoding = False

    def __enter__(self) -> Self:
        """Count it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count it no longer.

        What the encoder worked at in vain counts as done, too: the pace would else take a machine that is busy with
        what fails, or with what nobody waits for any more, for one that stands still.
        """
        if exc is None or self._encoding:
            self.spend(self._pending.left)
        self._admission.note_end(self, done=exc is None)
        self._forecast.remove(self._pending)
        self.give_way()

    @property
    def deadline(self) -> float:
        """Of its call; infinite for none."""
        return self._pending.deadline

    @property
    def ahead(self) -> bool:
        """Whether its turn has come, and not all of its views have reached the encoder."""
        return self._ahead > 0

    def wait(self) -> None:
        """Hear that it waits for its turn from now on."""
        self._forecast.enter_line(self._pending)

    def leave(self) -> None:
        """Hear that it does so no longer, and had none."""
        self._forecast.leave_line(self._pending)

    def start(self) -> None:
        """Hear that its turn has come, which it keeps until `give_way`.

        Raises:
            OverloadedError: It cannot be finished any more.
        """
        self._forecast.leave_line(self._pending)
        self._admission.require_finish(self._pending, self.terms)
        self._forecast.start(self._pending)
        self.started = self._admission.now()
        self.note_waiting(1)

    def spend(self, cost: float) -> None:
        """Hear that so many seconds of its cost were done."""
        self._forecast.spend(self._pending, cost)

    def go_on(self, encoding: bool) -> None:  # noqa: FBT001  a callback's one argument
        """Hear that it has come to the encoder, or will no more, and whether that works at it."""
        self._encoding = encoding

    def note_waiting(self, views: int) -> None:
        """Hear how many of its views wait for the encoder; what is only being decoded counts for one."""
        fewer = self._ahead - views
        self._ahead = views
        self._admission.ahead -= fewer
        if fewer > 0:
            self._admission.on_room()

    def give_way(self) -> None:
        """Give its turn back: it waits again, or is over. The second time does nothing."""
        self.note_waiting(0)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"
