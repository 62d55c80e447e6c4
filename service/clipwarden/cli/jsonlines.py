"""One JSON line an image: the same shape whether a server judged or this process."""

import json

from google.protobuf.json_format import MessageToDict

from clipwarden.cli.outcome import NotJudgedError, Outcome
from clipwarden.cli.wording import verdict_name
from clipwarden.v1 import moderation_pb2 as v1


def json_line(outcome: Outcome) -> str:
    """Render `{"path": ..., "moderation": {...}}` or `{"path": ..., "error": {...}}`.

    `moderation` is the wire's message under its own field names, with every field that has a default written out, so
    that a key is missing only where the wire says "absent".
    """
    if outcome.moderation is not None:
        return _dump({"path": outcome.name, "moderation": moderation_dict(outcome.moderation)})
    error = outcome.error or NotJudgedError("no answer", code="UNKNOWN", reason=None)
    return _dump({"path": outcome.name, "error": _error_dict(error)})


def moderation_dict(moderation: v1.Moderation) -> dict[str, object]:
    """Turn a moderation into plain values."""
    return dict(MessageToDict(moderation, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))


def _error_dict(error: NotJudgedError) -> dict[str, object]:
    return {
        "code": error.code,
        "reason": error.reason,
        "message": str(error),
        "policy_verdict": f"VERDICT_{verdict_name(error.policy_verdict)}" if error.policy_verdict else None,
        "request_id": error.request_id,
    }


def _dump(record: dict[str, object]) -> str:
    # ASCII, because file names may hold what is no UTF-8; JSON's own escapes carry it.
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"))
