"""Every error that clipwarden raises on purpose, as one tree.

ClipwardenError
├── ImageError              the caller's image cannot be judged (`reason` says why)
├── RequestError            the caller asked for something impossible (`reason` says what)
│   ├── PolicyUnknownError      no policy of that id is loaded
│   ├── ContextUnknownError     the policy declares no such context
│   ├── FingerprintMismatchError    vectors or a bundle come from another model
│   ├── HeadersTooLargeError    a call's headers are larger than any call needs
│   ├── PathRefusedError        a shared file's path leads out of the root, or to what is no plain file
│   ├── PathNotFoundError       there is no shared file at that path
│   ├── PathUnreadableError     there is, but it cannot be read as it is
│   └── EmbeddingError          stored embeddings are not finite unit vectors of the right width
├── PolicyError             a policy file or bundle cannot be used (`problems` lists every finding)
├── ModelError              a model folder cannot be trusted
├── RuntimeMissingError     neither or both of onnxruntime and onnxruntime-gpu are installed
├── ConfigError             a flag, environment variable or settings file is wrong
├── UnauthenticatedError    a call brings no token that is valid (`reason` says which)
├── OverloadedError         no room in the queue now (`retry_after_seconds`)
├── ShuttingDownError       the server drains and takes no new work
├── DeadlineError           the caller's deadline passed, or would pass before the work could finish
├── EncoderError            the encoder failed: a fault of ours, never a verdict
├── AuditLogError           a file is no audit log, or one of another schema
├── LabelError              labels cannot be used: a file is none, or contradicts itself, the policy or the store
├── DesignError             labels or a sample contradict how they say they were drawn
├── LineError               scores or targets that no line can be chosen on
├── StoreError              a folder is no store of pictures, or one that cannot be used here
├── ExtraMissingError       an extra of the package is not installed
└── ClientError             a call to a server failed (its own tree is in `clipwarden.client.errors`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class ClipwardenError(Exception):
    """Base of every error that clipwarden raises on purpose; they may cross from process to process."""

    def __reduce__(self) -> tuple[object, ...]:
        """Say how to make it again: Python's own way calls the class with nothing but the message."""
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[ClipwardenError], args: tuple[object, ...]) -> ClipwardenError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class Reason(StrEnum):
    """Stable machine-readable reasons, sent as `google.rpc.ErrorInfo.reason`.

    Never renamed once released; clients branch on them.
    """

    IMAGE_EMPTY = "IMAGE_EMPTY"
    IMAGE_TRUNCATED = "IMAGE_TRUNCATED"
    IMAGE_CORRUPT = "IMAGE_CORRUPT"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    IMAGE_TOO_MANY_PIXELS = "IMAGE_TOO_MANY_PIXELS"
    IMAGE_FORMAT_UNSUPPORTED = "IMAGE_FORMAT_UNSUPPORTED"
    REQUEST_INVALID = "REQUEST_INVALID"
    POLICY_UNKNOWN = "POLICY_UNKNOWN"
    CONTEXT_UNKNOWN = "CONTEXT_UNKNOWN"
    FINGERPRINT_MISMATCH = "FINGERPRINT_MISMATCH"
    EMBEDDING_INVALID = "EMBEDDING_INVALID"
    TOKEN_MISSING = "TOKEN_MISSING"  # noqa: S105  no password
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105
    PATH_REFUSED = "PATH_REFUSED"
    PATH_NOT_FOUND = "PATH_NOT_FOUND"
    PATH_UNREADABLE = "PATH_UNREADABLE"
    OVERLOADED = "OVERLOADED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    ENCODER_FAILED = "ENCODER_FAILED"
    INTERNAL = "INTERNAL"


class ImageError(ClipwardenError):
    """The caller's bytes cannot be judged as an image.

    Args:
        message: One sentence for people; never holds image content.
        reason: One of the `IMAGE_*` reasons.
    """

    def __init__(self, message: str, *, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class RequestError(ClipwardenError):
    """The request itself cannot be served, whatever the image."""

    reason = Reason.REQUEST_INVALID


class PolicyUnknownError(RequestError):
    """No policy of the asked id is loaded."""

    reason = Reason.POLICY_UNKNOWN


class ContextUnknownError(RequestError):
    """The policy declares no such context."""

    reason = Reason.CONTEXT_UNKNOWN


class FingerprintMismatchError(RequestError):
    """Vectors, a bundle or a policy belong to another model."""

    reason = Reason.FINGERPRINT_MISMATCH


class HeadersTooLargeError(RequestError):
    """A call's headers are larger than any call needs."""


class EmbeddingError(RequestError):
    """Stored embeddings are not finite unit vectors of the model's width."""

    reason = Reason.EMBEDDING_INVALID


class PathRefusedError(RequestError):
    """A shared file's path leads out of the root, or to something that is never read, or this caller may name none."""

    reason = Reason.PATH_REFUSED


class PathNotFoundError(RequestError):
    """There is no shared file at that path."""

    reason = Reason.PATH_NOT_FOUND


class PathUnreadableError(RequestError):
    """There is a shared file at that path, but it cannot be read as it is."""

    reason = Reason.PATH_UNREADABLE


class Severity(StrEnum):
    """Whether a finding stops a policy from loading."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    """Nothing to mend: what somebody approved, shown as long as it stands; or what was counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One finding about a policy file.

    Attributes:
        file: Path as the user gave it.
        line: 1-based; 0 when the finding is about the whole file.
        column: 1-based; 0 when the finding is about the whole file.
        message: What is wrong.
        fix: What to write instead; empty where there is nothing to mend.
        severity: Error (refused), warning or note (reported).
        code: Stable short name of the rule, such as `unknown-key`.
        strict: Whether `lint` refuses what loads with this warning: a running service need not stop for it, a new
            version of the policy should.
        facts: Further keys of `lint --json`, as JSON values.
    """

    file: str
    line: int
    column: int
    message: str
    fix: str = ""
    severity: Severity = Severity.ERROR
    code: str
    strict: bool = False
    facts: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        """Render as `file:line:column: severity: message. fix [code]`, as compilers do."""
        return " ".join(filter(None, (self.where, f"{self.severity}:", self.message, self.fix, f"[{self.code}]")))

    @property
    def where(self) -> str:
        """The place as compilers write it, `file:line:column:`, or `file:` for the whole file."""
        return f"{self.file}:{self.line}:{self.column}:" if self.line else f"{self.file}:"


class PolicyError(ClipwardenError):
    """A policy file or bundle cannot be used.

    Args:
        problems: Every finding, errors and warnings, in file order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ModelError(ClipwardenError):
    """A model folder is incomplete, damaged, or not what it says it is."""


class RuntimeMissingError(ClipwardenError):
    """Neither or both of onnxruntime and onnxruntime-gpu are installed."""


class ConfigError(ClipwardenError):
    """A flag, environment variable or settings file is wrong."""


class UnauthenticatedError(ClipwardenError):
    """A call brings no token that is valid; nothing of it was read.

    Args:
        message: One sentence for people; never holds what was sent.
        reason: TOKEN_MISSING or TOKEN_INVALID.
    """

    def __init__(self, message: str, *, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class OverloadedError(ClipwardenError):
    """There is no room for this request now.

    Args:
        message: One sentence for people.
        retry_after_seconds: When a retry is worth while; sent as `google.rpc.RetryInfo`.
    """

    reason = Reason.OVERLOADED

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ShuttingDownError(ClipwardenError):
    """The server drains and takes no new work; another replica, or this one later, may."""

    reason = Reason.SHUTTING_DOWN


class DeadlineError(ClipwardenError):
    """The caller's deadline passed, or would pass before the work could finish."""

    reason = Reason.DEADLINE_EXCEEDED


class EncoderError(ClipwardenError):
    """The encoder failed on this image: a fault of ours, never a verdict."""

    reason = Reason.ENCODER_FAILED


class AuditLogError(ClipwardenError):
    """A file cannot be read as an audit log: it is none, or of a schema that this version does not know."""


class LabelError(ClipwardenError):
    """Labels cannot be used; the message is one sentence that names file and line."""


class DesignError(ClipwardenError):
    """Labels, or a sample of pictures, contradict how they say they were drawn; one sentence says how."""


class LineError(ClipwardenError):
    """No line can be chosen on such scores or targets: not finite, out of range, or one number after calibration."""


class StoreError(ClipwardenError):
    """A store of pictures cannot be used: it is none, is damaged, or does not go with what it is used for."""


class ExtraMissingError(ClipwardenError):
    """What was asked for needs packages that are installed with an extra of ours only."""


def why_of(exc: OSError) -> str:
    """Say why something failed, in the system's words, as part of a sentence of ours."""
    return (exc.strerror or str(exc)).lower()
