"""A call whose message has not been read in, its raw bytes out: what a message may take is bounded before it is read.

Nobody can tell how long a message is before it is there, so each read under way holds room for the longest, out of the
bytes that images at work may take; once read it counts for what it is. Calls that find no room wait for it a moment,
unread, which costs what fits into gRPC's window. Whoever has the fewest reads under way goes next, and of those who
have as few, who comes from where the fewest come from: so newcomers pass an address whose connections send nothing. How
much of the room one caller may have is the admission's to say. While others wait, a message that takes longer than
`give_way_seconds` is refused. Rejected: to believe sizes that callers announce, since whoever lies about them takes the
memory all the same. What a caller sends behind its one message stays unread in gRPC's window.

A read that is given up ends when gRPC says so, once its call is answered; until then it counts. It is never cancelled:
a message that came in that moment would lie in gRPC's memory for good.
"""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import grpc

from clipwarden.engine.admission import Ticket
from clipwarden.engine.terms import Terms
from clipwarden.errors import DeadlineError, OverloadedError, RequestError
from clipwarden.serving.context import Context

GIVE_WAY_SECONDS = 1.0
"""How long a message may take while others wait: a megabyte at 10 Mbit/s takes 0.8 s, 80 MiB from next door 0.1 s."""
PATIENCE_SECONDS = 2.0
"""How long a call waits for room: until whoever is slow has given way, and was followed by another as slow."""
CANCEL_SECONDS = 0.05
"""What gRPC may take to say that a call without a message was cancelled; that there is none it says first."""


@dataclass(kw_only=True, slots=True, eq=False)
class _Read:
    """One call's message, from when it may be read, or waits for that."""

    ticket: Ticket
    caller: str
    origin: str
    deadline: float
    began: float = 0.0
    started: bool = False
    left: bool = False
    turn: "asyncio.Future[None] | None" = None
    outcome: "asyncio.Future[bytes | None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ReadBudget:
    """Lends room to read messages in. Lives on one event loop.

    Args:
        slot_bytes: Most bytes of a message.
        on_refusal: Told of each call that is refused for want of room.
        give_way_seconds: Time after which a message gives way to others that wait.
        patience_seconds: Longest wait for room.
    """

    def __init__(
        self,
        *,
        slot_bytes: int,
        on_refusal: Callable[[], None] = lambda: None,
        give_way_seconds: float = GIVE_WAY_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._slot_bytes = slot_bytes
        self._on_refusal = on_refusal
        self._give_way_seconds = give_way_seconds
        self._patience_seconds = patience_seconds
        self._reads: dict[Ticket, _Read] = {}  # under way, the oldest first
        self._lines: dict[str, deque[_Read]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf

    @property
    def reading(self) -> int:
        """Messages that are being read."""
        return len(self._reads)

    @property
    def waiting(self) -> int:
        """Calls that wait for room."""
        return sum(map(len, self._lines.values()))

    @property
    def reserved_bytes(self) -> int:
        """Bytes that reads under way hold room for."""
        return self.reading * self._slot_bytes

    async def read(self, ticket: Ticket, context: Context, terms: Terms) -> bytes:
        """Read the one message of a call; the ticket then holds as many bytes as it has.

        Args:
            ticket: Of the call, to be ended by `end`.
            context: Of the call.
            terms: Whose share of the room it takes, and until when.

        Raises:
            OverloadedError: There is no room, or it took too long while others waited.
            DeadlineError: It did not come in time.
            RequestError: There is no message.
        """
        read = _Read(ticket=ticket, caller=terms.caller, origin=terms.origin, deadline=terms.latest)
        if self._lines or not self._may_read(read):
            await self._wait_for_room(read)
        else:
            self._grant(read)
        read.started = True
        self._step(read, context.read().__await__())
        self._look_at(read.deadline)
        raw = await read.outcome
        if raw is None:
            await asyncio.sleep(CANCEL_SECONDS)
            raise RequestError("the call ended without a message; it takes one")
        return raw

    def end(self, ticket: Ticket) -> None:
        """End a call's ticket, now or once nothing is read for it any more."""
        read = self._reads.get(ticket)
        if read and read.started:
            read.left = True
            return
        if read:  # its turn came as it left
            del self._reads[ticket]
        ticket.end()
        self._serve()

    async def _wait_for_room(self, read: _Read) -> None:
        read.turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(read.caller, deque()).append(read)
        self._serve()
        try:
            async with asyncio.timeout_at(read.deadline), asyncio.timeout(self._patience_seconds) as patience:
                await read.turn
        except TimeoutError:
            if not patience.expired():
                raise _late() from None
            raise self._refusal("queue_bytes left no room to read the message in") from None
        finally:
            self._leave(read)

    def _leave(self, read: _Read) -> None:
        line = self._lines.get(read.caller, deque())
        if read in line:
            line.remove(read)
            if not line:
                del self._lines[read.caller]

    def _may_read(self, read: _Read) -> bool:
        return read.ticket.fits(self._slot_bytes)

    def _grant(self, read: _Read) -> None:
        read.ticket.hold(self._slot_bytes)
        read.began = time.monotonic()
        self._reads[read.ticket] = read

    def _serve(self) -> None:
        """Let those read who find room, and have the slow give way to those who do not."""
        while self._lines:
            read = next(filter(self._may_read, self._heads()), None)
            if read is None:
                self._give_way()
                return
            self._leave(read)
            self._grant(read)
            if read.turn and not read.turn.done():
                read.turn.set_result(None)

    def _heads(self) -> Sequence[_Read]:
        """List the first of each caller that waits, whoever goes next first."""
        callers = Counter(read.caller for read in self._reads.values())
        origins = Counter(read.origin for read in self._reads.values())
        return sorted(
            (line[0] for line in self._lines.values()), key=lambda read: (callers[read.caller], origins[read.origin])
        )

    def _give_way(self) -> None:
        """End the oldest reads, as many as calls wait, or look again when they are old enough."""
        for read in islice(self._reads.values(), self.waiting):
            if read.began + self._give_way_seconds > time.monotonic():
                self._look_at(read.began + self._give_way_seconds)
                return
            if not read.outcome.done():
                read.outcome.set_exception(self._refusal("the message came too slowly while others waited"))

    def _look_at(self, when: float) -> None:
        """Look after slow reads at that time; one timer does for all, since deadlines mostly are in order."""
        if when < self._alarm_at:
            if self._alarm:
                self._alarm.cancel()
            self._alarm, self._alarm_at = asyncio.get_running_loop().call_at(when, self._look), when

    def _look(self) -> None:
        self._alarm, self._alarm_at = None, math.inf
        for read in self._reads.values():
            if read.outcome.done():
                continue
            if read.deadline <= time.monotonic():
                read.outcome.set_exception(_late())
            else:
                self._look_at(read.deadline)
        self._give_way()

    def _refusal(self, message: str) -> OverloadedError:
        self._on_refusal()
        return OverloadedError(message, retry_after_seconds=self._give_way_seconds)

    def _step(self, read: _Read, reading: "Iterator[asyncio.Future[None]]", _: object = None) -> None:
        """Take gRPC's read to where it waits, or to its end: a task, but for what a task costs, and never cancelled."""
        try:
            next(reading).add_done_callback(partial(self._step, read, reading))
        except StopIteration as end:
            self._note_end(read, None if end.value is grpc.aio.EOF else end.value)
        except grpc.aio.BaseError as given_up:
            given_up.__traceback__ = None  # the call's state keeps it, and its frames would keep that
            self._note_end(read, None)

    def _note_end(self, read: _Read, raw: bytes | None) -> None:
        del self._reads[read.ticket]
        read.ticket.hold(len(raw or b""))
        if not read.outcome.done():  # or nobody is left to hear
            read.outcome.set_result(raw)
        if read.left:
            read.ticket.end()
        self._serve()


def _late() -> DeadlineError:
    return DeadlineError("the deadline passed before the message was there")
