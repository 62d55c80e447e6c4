"""Versions of the policy about colours that judge red differently, with their digests and what they say of pictures."""

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import compile_text, next_version
from kit.steadychecks import Version

_EDITS: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = (
    (pb.VERDICT_BLOCK, ()),
    (pb.VERDICT_REVIEW, ((", block: 0.9}", "}"), ("{review: 0.999, block: 1.0}", "{review: 0.999}"))),
    (pb.VERDICT_ALLOW, (('prompts: ["red"]', 'prompts: ["a cat"]'),)),
)
"""What is said of red, and what says so: in turn a band, a band that is gone, and another text."""


def version(model: Model, number: int, *, policy_id: str = "colours") -> Version:
    """Make the version of a number below 90: no two have a digest in common, no two in a row a verdict on red."""
    red, edits = _EDITS[number % len(_EDITS)]
    own = ("review: 0.8", f"review: {0.8 + number / 1000:.3f}")
    text = next_version(model, *edits, own, policy_id=policy_id, version=f"1.{number}")
    verdicts = {"red": red, "yellow": pb.VERDICT_REVIEW, "blue": pb.VERDICT_ALLOW}
    return Version(digest=compile_text(text, model).digest, verdicts=verdicts, text=text)
