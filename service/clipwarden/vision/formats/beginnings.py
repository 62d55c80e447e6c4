"""A file's first bytes in; whether it begins like a picture or a video out, be it of a kind that nobody here can judge.

For choosing among files of unknown kind: what is passed over as no image must be none, so that a picture that is not
decoded is tried all the same, and refused with its reason. Reads nothing but what it is given.
"""

from clipwarden.vision.formats.foreign import foreign_kind
from clipwarden.vision.formats.sniff import sniff_format

_APPLE_DOUBLE = b"\0\5\x16\7"
_BMP_HEADERS = range(12, 125)


def begins_like_picture(head: bytes) -> bool:
    """Say whether a file begins like a picture or a video, of a kind that is judged or of another.

    Args:
        head: Its first `foreign.BEGINNING_BYTES`, or all of it.
    """
    kind = sniff_format(head)
    if kind is not None:
        # Two letters begin many a text; no reader takes a header of another length for a BMP's.
        return kind != "BMP" or int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    foreign = foreign_kind(head)
    return foreign is not None and foreign.is_seen


def is_apple_double(head: bytes) -> bool:
    """Say whether a file holds macOS's notes on the file of the same name: `._photo.jpg` is no photograph."""
    return head.startswith(_APPLE_DOUBLE)
