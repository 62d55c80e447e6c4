"""What every call and every image of a call has in common: id, deadline, counts, log line, errors made statuses."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import grpc
from google.rpc import status_pb2

from clipwarden.engine.results import Judged
from clipwarden.engine.snapshot import Selection
from clipwarden.engine.terms import Terms
from clipwarden.errors import (
    ClipwardenError,
    EncoderError,
    HeadersTooLargeError,
    Reason,
    ShuttingDownError,
    UnauthenticatedError,
)
from clipwarden.policy.schema import Verdict
from clipwarden.serving.accesslog import judged_fields
from clipwarden.serving.audit import Audit
from clipwarden.serving.callers import NOBODY, Callers, Identity, address_of
from clipwarden.serving.candidates import Candidates, Opinion
from clipwarden.serving.context import Context
from clipwarden.serving.endings import Unread, ended, refusal_of
from clipwarden.serving.gate import Gate
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.refusals import RefusalLog
from clipwarden.serving.requests import read_request_id
from clipwarden.serving.sharedfiles import MAX_PATH_BYTES
from clipwarden.serving.status import reason_of, status_of

R = TypeVar("R")

log = logging.getLogger("clipwarden.access")

EARLY_SECONDS = 0.01
EARLY_SHARE = 0.01
"""How much sooner than we a caller may see its deadline pass: by the way here, and by what gRPC rounds a deadline up to
when it sends it, at most a hundredth of it (11.03 s come as 11.1 s)."""


@dataclass(kw_only=True, slots=True)
class Call:
    """One call, or one image of a call.

    Attributes:
        method: Of the RPC, without its service.
        terms: Until when, how urgently, and in whose name.
        who: Calls, and whether it may.
        request_id: Empty until its message has been read.
        selection: What it is judged with, once that is known.
        answered: Set once its answer is on its way, or there will be none; candidates judge from then on. The images
            of a batch share its call's.
        patience_seconds: Time to the deadline that its caller named, when it came; None where it named none.
        local: Whether it came by the Unix socket.
        path: Of the shared file that it names, as it was sent; None where it sent bytes.
    """

    method: str
    terms: Terms
    who: Identity = NOBODY
    patience_seconds: float | None = None
    request_id: str = ""
    selection: Selection | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    local: bool = False
    path: str | None = None

    @property
    def logged(self) -> dict[str, object]:
        """What each of its log lines begins with; of a path no more than a path may have."""
        path = {} if self.path is None else {"path": self.path[:MAX_PATH_BYTES]}
        return {"request_id": self.request_id, "method": self.method, "caller": self.terms.caller, **path}

    @property
    def asked(self) -> Mapping[str, str]:
        """Who asked for what, as the audit log takes it."""
        return {"request_id": self.request_id, "method": self.method, "caller": self.terms.caller}

    @property
    def on_error(self) -> Verdict | None:
        """The policy's verdict for an image that cannot be judged; None while no policy is selected."""
        return None if self.selection is None else self.selection.compiled.policy.on_error


class Calls:
    """Runs the body of each RPC and accounts for it.

    Args:
        metrics: Counts.
        gate: Closed when the server drains.
        candidates: Judge what was answered once more.
        refusals: Logs what was refused unread.
        callers: Tell who calls; by default without tokens.
        audit: Records every image and what became of it; None where nobody wants that.
        default_deadline_seconds: What a unary call has that names no deadline, and a stream's item; 0 for none.
    """

    def __init__(
        self,
        metrics: Metrics,
        gate: Gate,
        candidates: Candidates,
        refusals: RefusalLog,
        audit: Audit | None = None,
        *,
        callers: Callers | None = None,
        default_deadline_seconds: float,
    ) -> None:
        self._metrics = metrics
        self.gate = gate
        self._candidates = candidates
        self._refusals = refusals
        self._callers = callers or Callers()
        self._audit = audit
        self.default_seconds = default_deadline_seconds or None
        self._at_work = Counter[str]()

    def open(self, method: str, context: Context, *, default_seconds: float | None = None) -> Call:
        """Describe a call as it comes in; one that names no deadline has the default, if any."""
        patience = context.time_remaining()
        left = default_seconds if patience is None else patience
        deadline = None if left is None else time.monotonic() + left
        who = self._callers.identify(context)
        terms = Terms(deadline=deadline, caller=who.caller, origin=who.origin)
        local = str(context.peer()).startswith("unix:")
        return Call(method=method, terms=terms, who=who, patience_seconds=patience, local=local)

    def denial_now(self, call: Call, context: Context) -> ClipwardenError | None:
        """Say why a call that was let in would not be any more; None while it would."""
        call.who = self._callers.again(call.who, context)
        return call.who.denial

    async def answer(self, method: str, context: Context, work: Callable[[Call], Awaitable[R]]) -> R | None:
        """Run one unary call.

        Args:
            method: For counts and log.
            context: Of the call.
            work: Its body, which reads its message as well; raises our errors.

        Returns:
            What `work` returns. Any error ends the call with its status, and then there is nothing to return.
        """
        call = self.open(method, context, default_seconds=self.default_seconds)
        try:
            self.begin(call)
            try:
                response = await work(call)
            finally:
                self.end(method)
        except asyncio.CancelledError:
            self.note_cancelled(call, context)
            raise
        except Exception as exc:  # noqa: BLE001  the edge: nothing may leave without a status
            await self.abort(exc, call, context)
            return None
        else:
            self.note_ok(method)
            return response
        finally:
            # Whoever waits for this runs on a later turn of the loop; gRPC gets the response on this one.
            call.answered.set()

    def begin(self, call: Call) -> None:
        """Count a call as at work, until its end.

        Raises:
            UnauthenticatedError: It brings no token that is valid.
            HeadersTooLargeError: Its headers are too large.
            ShuttingDownError: The server drains.
        """
        if call.who.denial:
            raise call.who.denial
        self.gate.enter()
        method = call.method
        if method not in self._at_work:
            self._metrics.watch_in_flight(method, partial(self._at_work.__getitem__, method))
        self._at_work[method] += 1
        if call.who.name:
            self._metrics.note_caller(call.who.name)

    def end(self, method: str) -> None:
        """Count a call that began as at work no longer."""
        self._at_work[method] -= 1
        self.gate.leave()

    def note_ok(self, method: str) -> None:
        """Count a call that was answered."""
        self._metrics.note_request(method, "OK")

    async def abort(self, exc: Exception, call: Call, context: Context) -> None:
        """End a call with an error's status; its handler then only has to return.

        What gRPC raises for that it keeps, and raises once more itself as soon as the handler is done. Nothing else is
        let out: its frames keep the call's state and the request's image, and some hundred MiB of refused images would
        wait for the garbage collector.
        """
        if isinstance(exc, Unread) and not call.request_id:
            self._note_unseen(exc, call, context)
            code, message, metadata = refusal_of(exc)
        else:
            code, message, metadata = ended(self.refuse(exc, call))
        self._metrics.note_request(call.method, code.name)
        try:
            await context.abort(code, message, metadata)
        except grpc.aio.BaseError as abort:  # that it is ended, or that it is gone already and nobody can be told
            abort.__traceback__ = abort.__context__ = None

    def refuse(self, exc: Exception, call: Call) -> status_pb2.Status:
        """Count and log an error of one call or image, and render it."""
        if isinstance(exc, Unread):
            self._note_unseen(exc, call)
            return status_of(exc, request_id=call.request_id)
        reason = reason_of(exc)
        self._metrics.note_error(call.method, reason)
        # A message that could not be read has no id of its own; this one leads from its status to its log line.
        call.request_id = call.request_id or read_request_id("")
        if self._audit:
            self._audit.note_failed(exc, call.selection, **call.asked)
        status = status_of(exc, request_id=call.request_id, on_error=call.on_error)
        extra = {**call.logged, "reason": str(reason)}
        if isinstance(exc, EncoderError):
            log.error("failed: %s", exc, extra=extra)  # the traceback was logged once, where it happened
        elif isinstance(exc, ClipwardenError):
            log.info("refused: %s", exc, extra=extra)
        else:
            log.error("failed: %s", type(exc).__name__, extra=extra, exc_info=exc)
        # Its frames hold the image, and the futures that carried the error here; both would wait for the collector.
        exc.__traceback__ = None
        return status

    def _note_unseen(self, exc: Unread, call: Call, context: Context | None = None) -> None:
        """Count what thousands of calls a second may be told; of all of them the log has a few lines a second."""
        self._metrics.note_error(call.method, exc.reason)
        if context and isinstance(exc, UnauthenticatedError | HeadersTooLargeError):
            self._refusals.note_denied(exc, method=call.method, peer=address_of(str(context.peer())))
        elif self._audit:  # a call that is not let in is no image
            self._audit.note_failed(exc, call.selection, **call.asked)
        if isinstance(exc, ShuttingDownError):
            self._refusals.note("draining")
        exc.__traceback__ = None

    def note_judged(self, judged: Judged, selection: Selection, call: Call) -> None:
        """Count a verdict; log it, with what the policy's candidates say once the call is answered, if it has any."""
        self._metrics.note_judgement(call.method, judged.judgement)
        self._metrics.sights.note(judged)
        if self._audit:
            self._audit.note_judged(judged, selection, **call.asked)
        self._candidates.judge(judged, selection, call.answered, partial(self._note_opinions, judged, call))

    def _note_opinions(self, judged: Judged, call: Call, opinions: Sequence[Opinion]) -> None:
        for opinion in opinions:
            self._metrics.note_opinion(judged.judgement, opinion)
        if not log.isEnabledFor(logging.INFO):
            return
        log.info("judged", extra={**call.logged, **judged_fields(judged, opinions)})

    def note_cancelled(self, call: Call, context: Context) -> None:
        """Count and log a call that its caller gave up, or whose deadline passed, which callers take for one."""
        late = _is_deadline(context.time_remaining(), call.patience_seconds)
        code = "DEADLINE_EXCEEDED" if late else "CANCELLED"
        self._metrics.note_request(call.method, code)
        if late:
            self._metrics.note_error(call.method, Reason.DEADLINE_EXCEEDED)
        if self._audit:
            reason = Reason.DEADLINE_EXCEEDED if late else None
            self._audit.note_cancelled(code, reason, call.selection, **call.asked)
        log.info("cancelled", extra={**call.logged, "code": code})


def _is_deadline(left: float | None, patience: float | None) -> bool:
    """Tell whether a call that was cancelled with so many seconds left, of those it came with, was cut by them."""
    return left is not None and left <= EARLY_SECONDS + EARLY_SHARE * (patience or 0.0)
