"""What Prometheus is told: one object, given its registry, that the rest of the server counts and times with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from itertools import product
from threading import Lock
from typing import Literal, get_args

from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector

from clipwarden.engine.encoderplan import EncoderPlan
from clipwarden.engine.settings import Cause, Source, Stage
from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import Reason
from clipwarden.policy.contexts import contexts_with_modes, mode_counts
from clipwarden.policy.schema import Mode, Verdict
from clipwarden.scoring.tables import Tables
from clipwarden.scoring.verdict import CategoryResult, Ground, Judgement, NoBand
from clipwarden.serving.candidates import NotCompared, Opinion
from clipwarden.serving.nativelog import CAUSES
from clipwarden.serving.scorehistograms import ScoreHistograms
from clipwarden.serving.sightcounts import SightCounts
from clipwarden.serving.status import CODE_BY_ERROR
from clipwarden.serving.workload import Workload

# From 0.5 ms (judging one image takes less) to 30 s (the usual longest deadline), about doubling.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_VIEWS = (1, 2, 4, 8, 16, 32, 64)

_NAMES = {verdict: verdict.name.lower() for verdict in Verdict}
RefusalCause = Literal[Cause, "streams", "files"]
"""Why something was refused for want of room or time: as the engine says; a stream, or a wait for a file, too many."""
_DISABLED = Mode.DISABLED
_NO_BAND: Literal[0] = 0

_Outcome = tuple[str, Ground, Verdict, Verdict, tuple[Verdict | Literal[0] | None, ...]]
"""A judgement as it is counted: method, ground, verdict, shadow verdict, and each category's band, `_NO_BAND` where its
policy gives it none, None where it was not evaluated."""
Reloaded = Literal["changed", "unchanged", "failed", "candidates_failed"]
"""What becomes of loading policies again: exchanged, found to be the same, kept as they were, exchanged or the same but
for candidates, which were kept as they were."""
_MOST_TALLIED = 1000
"""Counters to raise though nobody asks: half a millisecond, on the loop."""

_WATCHED: Mapping[str, str] = {
    "admitted_images": "Images between admission and verdict.",
    "admitted_bytes": "Bytes of images between admission and verdict, as read.",
    "reserved_bytes": "Bytes kept for messages that are being read, each as the largest there may be.",
    "reading_messages": "Messages that are being read.",
    "unread_calls": "Calls that wait for room to be read in.",
    "open_streams": "StreamModerate calls that are open.",
    "open_watches": "Watches of health that are open.",
    "decode_bytes": "Memory lent to decodes at work, in bytes, by estimate.",
    "queue_images": "Decoded images waiting for the encoder.",
    "backlog_seconds": "How long all that is here will take, as foreseen.",
    "oldest_seconds": "How long the image has waited that has waited longest for its decode, or for the encoder.",
    "line_images": "Images waiting for their turn to be decoded.",
    "decode_threads_busy": "Decode threads at work.",
    "encoder_runs_busy": "Runs of the encoder under way.",
    "batch_fill": "Of the views that the runs so far could have had, the share that they had.",
    "cache_entries": "Embeddings kept for images that come again.",
    "cache_bytes": "Bytes that those take.",
}
"""Gauges that are read when Prometheus asks, with what they say."""


class _Tallied(Counter):
    """A counter that is brought up to date whenever Prometheus asks, and not before."""

    settle: Callable[[], None] = staticmethod(lambda: None)

    def collect(self) -> Iterable[Metric]:
        """Count what was tallied, then collect as ever."""
        self.settle()
        return super().collect()


class Metrics:
    """The server's metrics, and its engine's observer. Safe to use from any thread.

    Args:
        registry: Where they are collected; one server, one registry.
        on_refusal: Told of each refusal's cause as well, on the thread that refuses.
    """

    def __init__(self, registry: CollectorRegistry, *, on_refusal: Callable[[str], None] = lambda _: None) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)  # open descriptors and their limit, memory, processor time
        self._on_refusal = on_refusal
        self.requests = Counter(
            "clipwarden_requests", "Calls answered, by gRPC status.", ["method", "code"], registry=registry
        )
        self.in_flight = Gauge("clipwarden_requests_in_flight", "Calls at work.", ["method"], registry=registry)
        self.verdicts = _Tallied(
            "clipwarden_verdicts",
            "Images judged, by verdict and by what it would be were every shadow category enforced.",
            ["method", "policy", "verdict", "shadow_verdict", "shadow_incomplete"],
            registry=registry,
        )
        self.errors = Counter(
            "clipwarden_errors",
            "Images and calls without a verdict, by reason.",
            ["method", "reason"],
            registry=registry,
        )
        self.image_errors = Counter(
            "clipwarden_image_errors", "Images that could not be judged, by reason.", ["reason"], registry=registry
        )
        self.bands = _Tallied(
            "clipwarden_category_bands",
            "Categories judged, by band: allow, review, block, none (no thresholds), unbound (thresholds that do not "
            "hold) or not_evaluated.",
            ["policy", "category", "band", "mode"],
            registry=registry,
        )
        # Two counters of nine pairs a candidate, not one of 81; `agrees` adds none, and PromQL compares no two labels.
        self.candidate_verdicts = Counter(
            "clipwarden_candidate_verdicts",
            "Images that a candidate judged, by the live verdict and by its own.",
            ["policy", "version", "verdict", "candidate_verdict", "agrees"],
            registry=registry,
        )
        self.candidate_shadow_verdicts = Counter(
            "clipwarden_candidate_shadow_verdicts",
            "Images that a candidate judged, by the live shadow verdict and its own; incomplete where one of them is.",
            ["policy", "version", "shadow_verdict", "candidate_shadow_verdict", "agrees", "shadow_incomplete"],
            registry=registry,
        )
        self.not_compared = Counter(
            "clipwarden_candidate_not_compared",
            "Images that a candidate did not judge, by reason.",
            ["policy", "version", "reason"],
            registry=registry,
        )
        self.stages = Histogram(
            "clipwarden_stage_seconds",
            "Time of one image in each stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_views = Histogram(
            "clipwarden_batch_views", "Views encoded in one run.", buckets=_VIEWS, registry=registry
        )
        self.batch_seconds = Histogram(
            "clipwarden_batch_seconds", "Time of one run of the encoder.", buckets=_SECONDS, registry=registry
        )
        self.refusals = Counter(
            "clipwarden_refusals",
            "Images refused for want of room or time: items, bytes, share (of one caller), wait (foreseen), late; or "
            "streams.",
            ["cause"],
            registry=registry,
        )
        self.forecasts = Histogram(
            "clipwarden_forecast_seconds",
            "Time from the header to the embedding of images that were decoded: as predicted then, and actual.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.lookups = Counter(
            "clipwarden_embeddings",
            "Images embedded, by source: encoder, cache, or shared with the same bytes under way.",
            ["source"],
            registry=registry,
        )
        self.callers = Counter(
            "clipwarden_caller_requests", "Calls let in, by the name of their token.", ["caller"], registry=registry
        )
        self.secrets = Counter(
            "clipwarden_secret_reloads",
            "Changes of certificate and token files: loaded, or refused, and what was in use kept.",
            ["subject", "outcome"],
            registry=registry,
        )
        self._secrets_ok = Gauge(
            "clipwarden_secret_last_reload_successful",
            "0 while certificate or token files hold what cannot be used; what was in use stays.",
            ["subject"],
            registry=registry,
        )
        self.handshake_failures = Counter(
            "clipwarden_tls_handshake_failures",
            "Connections that gRPC turned away in TLS's handshake, and said so, by cause.",
            ["cause"],
            registry=registry,
        )
        self._certificate: tuple[Gauge, Gauge] | None = None
        # Finding a child takes four times as long as counting with it; there are as many as Prometheus is told of.
        self._stage, self._lookup = cache(self.stages.labels), cache(self.lookups.labels)
        self._verdict, self._band = cache(self.verdicts.labels), cache(self.bands.labels)
        self._caller = cache(self.callers.labels)
        self._refusal, self._error = cache(self.refusals.labels), cache(self.errors.labels)
        self._tally: dict[_Outcome, int] = {}
        self._tally_lock = Lock()
        self.verdicts.settle = self.bands.settle = self._settle
        self._request, self._forecast = cache(self.requests.labels), cache(self.forecasts.labels)
        self.scores, self.sights = ScoreHistograms(registry), SightCounts(registry)
        self.workload = Workload(registry)
        self.lag = Histogram(
            "clipwarden_loop_lag_seconds",
            "How late the event loop wakes a task, ten samples a second.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._watched = {name: Gauge(f"clipwarden_{name}", text, registry=registry) for name, text in _WATCHED.items()}
        self._stuck = Gauge(
            "clipwarden_stuck_threads", "Threads that may never come back.", ["stage"], registry=registry
        )
        self.ready = Gauge("clipwarden_ready", "1 while health is SERVING.", registry=registry)
        self._plan = Gauge(
            "clipwarden_plan_info",
            "Always 1: threads of a run, runs at once, most views of a run, decodes at once, and CPUs it rests on.",
            ["encoder_threads", "encoder_runs", "max_batch", "decode_threads", "cpus"],
            registry=registry,
        )
        self._build = Gauge("clipwarden_build_info", "Always 1.", ["version"], registry=registry)
        self._model = Gauge(
            "clipwarden_model_info",
            "Always 1.",
            ["name", "fingerprint", "provider", "onnxruntime"],
            registry=registry,
        )
        self._policy = Gauge(
            "clipwarden_policy_info", "Always 1.", ["policy", "version", "digest", "default"], registry=registry
        )
        self._candidate = Gauge(
            "clipwarden_candidate_info", "Always 1.", ["policy", "version", "digest"], registry=registry
        )
        self._categories = Gauge(
            "clipwarden_policy_categories",
            "Categories of a policy by mode, without a context and in each that changes modes. None enforced: ALLOW is "
            "no clean bill.",
            ["policy", "context", "mode"],
            registry=registry,
        )
        self._unbound = Gauge(
            "clipwarden_policy_unbound_categories",
            "Categories of a policy that have no band because their thresholds do not hold. Above 0: shadow verdicts "
            "are incomplete.",
            ["policy"],
            registry=registry,
        )
        self._candidate_unbound = Gauge(
            "clipwarden_candidate_unbound_categories",
            "The same of a candidate. Above 0: its shadow verdicts are incomplete.",
            ["policy", "version"],
            registry=registry,
        )

        self._described: set[tuple[Gauge, tuple[str, ...]]] = set()
        self._judging: Sequence[str] = ()
        self._reloads = Counter(
            "clipwarden_policy_reloads",
            "Loads of changed policies, by outcome: changed, unchanged, failed, or candidates_failed alone.",
            ["outcome"],
            registry=registry,
        )
        self._reload_ok = Gauge(
            "clipwarden_policy_last_reload_successful",
            "0 while the files hold policies or candidates that cannot be used; those of before judge.",
            registry=registry,
        )
        self._reload_time = Gauge(
            "clipwarden_policy_last_reload_success_timestamp_seconds",
            "When the policies were last loaded and could all be used, in Unix time.",
            registry=registry,
        )

    def expect(self, methods: Sequence[str]) -> None:
        """Have the counters whose labels are known beforehand at 0 from now on; verdicts, once policies are described.

        Prometheus takes a series that begins at 1 for one that never rose: `increase` would miss the first event.

        Args:
            methods: That will be called.
        """
        self._judging = [method for method in methods if "Moderate" in method]
        codes = {"OK", "CANCELLED", *map(code_pb2.Code.Name, CODE_BY_ERROR.values())}
        for method in methods:
            for code in codes:
                self._request(method, code)
            for reason in Reason:
                self._error(method, reason)
        for reason in Reason:
            if _is_about_images(reason):
                self.image_errors.labels(reason)
        for cause in get_args(RefusalCause):
            self._refusal(cause)
        for source in get_args(Source):
            self._lookup(source)
        for outcome in get_args(Reloaded):
            self._reloads.labels(outcome)

    def watch(self, **read: Callable[[], float]) -> None:
        """Read gauges from functions whenever Prometheus asks.

        Args:
            read: By the gauge's name, as `_WATCHED` has it.
        """
        for name, function in read.items():
            self._watched[name].set_function(function)

    def watch_in_flight(self, method: str, read: Callable[[], float]) -> None:
        """Read how many calls of a method are at work from a function whenever Prometheus asks."""
        self.in_flight.labels(method).set_function(read)

    def watch_stuck(self, stage: str, read: Callable[[], float]) -> None:
        """Read how many threads of a stage are stuck from a function whenever Prometheus asks."""
        self._stuck.labels(stage).set_function(read)

    def describe(self, snapshot: Snapshot, *, version: str) -> None:
        """Say what is loaded, in place of what was before; whoever asks meanwhile finds the one, the other or both."""
        runtime, model = snapshot.model.runtime, snapshot.model
        self.scores.describe_policies(snapshot)
        self._build.labels(version).set(1)
        self._model.labels(model.manifest.name, model.fingerprint, runtime.provider, runtime.onnxruntime).set(1)
        gone, self._described = self._described, set()
        for policy_id, tables in snapshot.tables.items():
            is_default = _word(on=policy_id == snapshot.default_policy_id)
            policy = tables.compiled.policy
            version_of = policy.metadata.version or ""
            self._describe(self._policy, 1, policy_id, version_of, tables.compiled.digest, is_default)
            self._describe(self._unbound, len(tables.unbound), policy_id)
            self._expect_verdicts(policy_id)
            for context in (None, *contexts_with_modes(policy)):
                for mode, count in mode_counts(policy, context).items():
                    self._describe(self._categories, count, policy_id, context or "", mode)
        for tables in snapshot.candidates.values():
            self._describe_candidate(tables)
        for gauge, labels in gone - self._described:
            gauge.remove(*labels)

    def _expect_verdicts(self, policy_id: str) -> None:
        """Have a policy's verdicts at 0: a share of none at all is no number, and no alert could go by it."""
        for method, word in product(self._judging, _NAMES.values()):
            self._verdict(method, policy_id, word, word, _word(on=False))

    def _describe(self, gauge: Gauge, value: float, *labels: str) -> None:
        """Set a series that is there for as long as what it is about is loaded."""
        gauge.labels(*labels).set(value)
        self._described.add((gauge, labels))

    def describe_plan(self, plan: EncoderPlan) -> None:
        """Say what runs at the same time."""
        self._plan.clear()
        self._plan.labels(**{name: f"{value:g}" for name, value in asdict(plan).items()}).set(1)

    def note_policies_loaded(self, seconds: float) -> None:
        """Note when policies and candidates were loaded and could all be used, in Unix time."""
        self._reload_ok.set(1)
        self._reload_time.set(seconds)

    def note_reload(self, outcome: Reloaded) -> None:
        """Count a load of policies beside those that judge."""
        self._reloads.labels(outcome).inc()
        if outcome in ("failed", "candidates_failed"):
            self._reload_ok.set(0)

    def note_request(self, method: str, code: str) -> None:
        """Count a call that has ended with a gRPC status."""
        self._request(method, code).inc()

    def note_caller(self, name: str) -> None:
        """Count a call that was let in by its token; the file bounds how many names there are."""
        self._caller(name).inc()

    def expect_secrets(self, subjects: Iterable[str], *, tls: bool) -> None:
        """Have the counters of secret files at 0 from now on, and the gauges that only a server with TLS has."""
        for subject in subjects:
            self._secrets_ok.labels(subject).set(1)
            for outcome in ("loaded", "refused"):
                self.secrets.labels(subject, outcome)
        if tls:
            ends = "clipwarden_tls_certificate_expiry_seconds", "When the certificate in use expires, as Unix time."
            begins = "clipwarden_tls_certificate_start_seconds", "When it began to be valid, as Unix time."
            self._certificate = Gauge(*begins, registry=self.registry), Gauge(*ends, registry=self.registry)
            for cause in CAUSES:
                self.handshake_failures.labels(cause)

    def note_handshake_failure(self, cause: str) -> None:
        """Count a connection that was turned away in the handshake."""
        self.handshake_failures.labels(cause).inc()

    def note_secret(self, subject: str, outcome: str) -> None:
        """Count a change of a secret file, and say whether what there is now can be used."""
        self.secrets.labels(subject, outcome).inc()
        self._secrets_ok.labels(subject).set(outcome == "loaded")

    def note_certificate(self, begins: float, expires: float) -> None:
        """Say from when until when the certificate in use is valid, as Unix time."""
        if self._certificate:
            self._certificate[0].set(begins)
            self._certificate[1].set(expires)

    def note_stage(self, stage: Stage, seconds: float) -> None:
        """Record one image's time in one stage."""
        self._stage(stage).observe(seconds)

    def note_batch(self, views: int, seconds: float) -> None:
        """Record one run of the encoder."""
        self.batch_views.observe(views)
        self.batch_seconds.observe(seconds)

    def note_refusal(self, cause: RefusalCause) -> None:
        """Count an image, or a stream, that was refused for want of room or time."""
        self._refusal(cause).inc()
        self._on_refusal(cause)

    def note_lag(self, seconds: float) -> None:
        """Record how late the event loop was."""
        self.lag.observe(seconds)

    def note_forecast(self, predicted_seconds: float, actual_seconds: float) -> None:
        """Record how far the time that was foreseen for an image is from what it took."""
        self._forecast("predicted").observe(predicted_seconds)
        self._forecast("actual").observe(actual_seconds)

    def note_lookup(self, source: Source) -> None:
        """Count where an image's embeddings came from."""
        self._lookup(source).inc()

    def note_judgement(self, method: str, judgement: Judgement) -> None:
        """Count a verdict and the bands behind it."""
        self.scores.note(judgement)
        # One sum for what happens alike; its dozen counters are raised when they are read.
        bands = tuple([None if result.scored is None else result.band or _NO_BAND for result in judgement.categories])
        outcome = (method, judgement.ground, judgement.verdict, judgement.shadow_verdict, bands)
        with self._tally_lock:
            self._tally[outcome] = self._tally.get(outcome, 0) + 1
            full = len(self._tally) * len(bands) >= _MOST_TALLIED
        if full:
            self._settle()

    def _settle(self) -> None:
        """Raise the counters by what was tallied."""
        with self._tally_lock:
            tally, self._tally = self._tally, {}
        for (method, ground, verdict, shadow, bands), count in tally.items():
            incomplete = _word(on=bool(ground.shadow_incomplete))
            self._verdict(method, ground.policy_id, _NAMES[verdict], _NAMES[shadow], incomplete).inc(count)
            for (_, unscored), band in zip(ground.categories, bands, strict=True):
                if unscored.mode is not _DISABLED:
                    self._band(ground.policy_id, unscored.id, _band_name(unscored, band), unscored.mode).inc(count)

    def note_opinion(self, live: Judgement, opinion: Opinion) -> None:
        """Count what a candidate makes of an image beside the live judgement."""
        metadata, other = opinion.candidate.policy.metadata, opinion.outcome
        labels = (metadata.id, metadata.version or "")
        if isinstance(other, NotCompared):
            self.not_compared.labels(*labels, other).inc()
            return
        self.candidate_verdicts.labels(*labels, *_compared(live.verdict, other.verdict)).inc()
        incomplete = _word(on=bool(live.shadow_incomplete or other.shadow_incomplete))
        shadow = _compared(live.shadow_verdict, other.shadow_verdict)
        self.candidate_shadow_verdicts.labels(*labels, *shadow, incomplete).inc()

    def _describe_candidate(self, candidate: Tables) -> None:
        metadata = candidate.compiled.policy.metadata
        labels = (metadata.id, metadata.version or "")
        self._describe(self._candidate, 1, *labels, candidate.compiled.digest)
        self._describe(self._candidate_unbound, len(candidate.unbound), *labels)
        # At 0 from the start: where nothing disagrees, the share that does is 0, not absent.
        for pair in product(Verdict, repeat=2):
            self.candidate_verdicts.labels(*labels, *_compared(*pair))
            self.candidate_shadow_verdicts.labels(*labels, *_compared(*pair), _word(on=False))
        for why in NotCompared:
            self.not_compared.labels(*labels, why)

    def note_error(self, method: str, reason: str) -> None:
        """Count an image or call without a verdict."""
        self._error(method, reason).inc()
        if _is_about_images(reason):
            self.image_errors.labels(reason).inc()


def _is_about_images(reason: str) -> bool:
    return reason.startswith("IMAGE_")


def _compared(live: Verdict, candidate: Verdict) -> tuple[str, str, str]:
    return live.name.lower(), candidate.name.lower(), _word(on=live is candidate)


def _word(*, on: bool) -> str:
    return "true" if on else "false"


def _band_name(unscored: CategoryResult, band: Verdict | Literal[0] | None) -> str:
    if band is None:
        return "not_evaluated"
    if band == _NO_BAND:
        return "none" if unscored.no_band is NoBand.NO_THRESHOLDS else "unbound"
    return _NAMES[band]
