"""What the lines of an audit log say, as frozen values: one class a kind of record; unknown keys are left out.

Keys of the lines are the names of the fields. `rendering` makes the lines, and a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeVar

from clipwarden.errors import AuditLogError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A text that a view was compared with.

    Attributes:
        text: As the policy has it; `vector NAME` for a learned vector.
        vector_digest: Of a learned vector's numbers; None for a text.
        cosine: To the view that it matched best.
    """

    text: str
    cosine: float
    vector_digest: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenView:
    """Which view of which frame, from 0, gave a score; `seconds` and `box` as of `scoring.verdict.ViewRef`."""

    name: str
    frame: int
    seconds: float | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rise:
    """What raised a score above its cosine."""

    attribute: str
    add: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The numbers of one category or attribute, as `scoring.verdict.Scored` has them; all None when not evaluated.

    Attributes:
        id: Whose.
        kind: RAW_COSINE, UNCALIBRATED or CALIBRATED.
        score: What limits are compared with.
    """

    id: str
    kind: str | None = None
    score: float | None = None
    cosine: float | None = None
    margin: float | None = None
    logit: float | None = None
    pair_probability: float | None = None
    prompt: Match | None = None
    contrast: Match | None = None
    view: SeenView | None = None
    adjustment: Rise | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryScores(Scores):
    """A category's numbers, and what they were compared with.

    Attributes:
        mode: In force in the image's context.
        unit: Of the limits, `score` or `cosine`; None without any.
        review: The limit in force in the image's context; None where there is none, or it does not hold.
        block: Likewise.
        band: ALLOW, REVIEW or BLOCK; None where `no_band` or `unevaluated` says why.
        exempted_by: The attribute that turned this block into a review.
        no_band: Why it gets no band, whatever the image.
        unevaluated: Why it has no numbers.
    """

    mode: str
    unit: str | None = None
    review: float | None = None
    block: float | None = None
    band: str | None = None
    exempted_by: str | None = None
    no_band: str | None = None
    unevaluated: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What every line says.

    Attributes:
        time: When it happened: ISO 8601, UTC, microseconds.
        process: That wrote it.
        seq: Its number there, from 0.
        hash: None where lines are not chained.
    """

    kind: ClassVar[str] = ""
    time: str
    process: str
    seq: int
    hash: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(Record):
    """A process began to write.

    Attributes:
        version: Of clipwarden.
        host: Its name for itself.
        pid: There.
        scores: Whether lines of images have scores.
        chain: Whether lines have hashes.
        follows: The last line that was in the file, as `process`, `seq` and `hash`; None where there was none.
    """

    kind: ClassVar[str] = "started"
    version: str
    host: str
    pid: int
    scores: bool
    chain: bool
    follows: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded(Record):
    """What images are judged with from now on; those that were admitted before keep what they had.

    Attributes:
        policies: Each as `policy`, `version` and `digest`.
        candidates: Likewise.
    """

    kind: ClassVar[str] = "loaded"
    model: str
    fingerprint: str
    default_policy: str
    policies: tuple[Mapping[str, Any], ...]
    candidates: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyText(Record):
    """A whole policy, once in each file that has a line judged by it.

    Attributes:
        document: What its file said, defaults written out: `parse_policy(json.dumps(document))` reads it, if it has no
            learned vectors or heads, which are named by their content; and `policy_digest` of that is `digest`.
    """

    kind: ClassVar[str] = "policy"
    policy: str
    digest: str
    document: Mapping[str, Any]
    version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedImage(Record):
    """An image that was judged.

    Attributes:
        decided_by: Enforced categories whose band is the verdict.
        raised_by: Why the verdict is stricter than the bands: PARTIAL, DEGRADED, NOT_EVALUATED.
        exempted: By category whose block an exemption turned into a review, the attribute.
        shadow_fired: By category in shadow that would not have allowed it, its band.
        not_evaluated: By category that counts and has no numbers, why.
        seconds: From admission to verdict.
        categories: In the policy's order; None unless scores are logged.
        attributes: Likewise.
    """

    kind: ClassVar[str] = "judged"
    request_id: str
    method: str
    caller: str
    policy: str
    version: str | None
    digest: str
    context: str | None
    model: str
    fingerprint: str
    provider: str
    onnxruntime: str
    verdict: str
    decided_by: tuple[str, ...]
    raised_by: tuple[str, ...]
    exempted: Mapping[str, str]
    enforced_categories: int
    shadow_verdict: str
    shadow_incomplete: tuple[str, ...]
    shadow_fired: Mapping[str, str]
    not_evaluated: Mapping[str, str]
    unseen: tuple[str, ...]
    degraded: tuple[str, ...]
    frames_total: int
    frames_judged: int
    share_shown: float
    sha256: str | None
    bytes: int | None
    format: str | None
    width: int | None
    height: int | None
    from_cache: bool
    source: str | None
    seconds: float
    frames_seen: int | None = None
    coverage: float | None = None
    resolution: float | None = None
    categories: tuple[CategoryScores, ...] | None = None
    attributes: tuple[Scores, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedImage(Record):
    """An image, or a call, that ended without a verdict.

    Attributes:
        request_id: Empty for a call that ended before its message was read.
        code: Of gRPC.
        reason: Ours; None for a call that its caller gave up.
        message: What the caller was told; None for a fault of ours, whose text may hold anything.
        policy_verdict: The policy's `on_error`, where the image could not be judged as an image.
    """

    kind: ClassVar[str] = "failed"
    request_id: str
    method: str
    caller: str
    code: str
    reason: str | None = None
    message: str | None = None
    policy: str | None = None
    version: str | None = None
    digest: str | None = None
    context: str | None = None
    policy_verdict: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused(Record):
    """Calls that were refused unread, summed up.

    Attributes:
        since: When the first of them came.
        count: How many.
    """

    kind: ClassVar[str] = "refused"
    method: str
    code: str
    reason: str
    count: int
    since: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped(Record):
    """Lines that would stand here, had there been room for them.

    Attributes:
        count: How many.
        since: When the first of them was dropped.
        until: When the last was.
        why: In words.
    """

    kind: ClassVar[str] = "dropped"
    count: int
    since: str
    until: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped(Record):
    """A process ended as it should; nothing of it follows.

    Attributes:
        dropped: Lines it dropped in all.
    """

    kind: ClassVar[str] = "stopped"
    dropped: int


KINDS: Mapping[str, type[Record]] = {
    kind.kind: kind for kind in (Started, Loaded, PolicyText, JudgedImage, FailedImage, Refused, Dropped, Stopped)
}
"""By the value of `record`; a kind that is not here is read as a plain `Record`."""

_NESTED: Mapping[str, type] = {
    "prompt": Match,
    "contrast": Match,
    "view": SeenView,
    "adjustment": Rise,
    "categories": CategoryScores,
    "attributes": Scores,
}


def record_of(data: Mapping[str, object]) -> Record:
    """Make the record of what a line says.

    Raises:
        AuditLogError: It lacks a key that its kind has.
    """
    return _made(KINDS.get(str(data.get("record")), Record), data)


def _made(kind: type[T], data: Mapping[str, object]) -> T:
    known = fields(kind)  # type: ignore[arg-type]  # all of them are dataclasses
    lacking = [item.name for item in known if item.default is MISSING and item.name not in data]
    if lacking:
        raise AuditLogError(f"a line of an audit log lacks {', '.join(map(repr, lacking))}")
    return kind(**{item.name: _value(item.name, data[item.name]) for item in known if item.name in data})


def _value(name: str, value: object) -> object:
    nested = _NESTED.get(name)
    if isinstance(value, list):
        return tuple(_made(nested, each) if nested else each for each in value)
    return _made(nested, value) if nested and isinstance(value, dict) else value
