"""Turn a file's untrusted bytes into text, or say where they are no text that an auditor could read."""

import codecs
import re
import unicodedata
from pathlib import Path

from clipwarden.textfiles.findings import WHOLE_FILE, Findings, Place

MAX_BYTES = 1024 * 1024
"""Largest file; the default policy has 12 KB."""

_DOCUMENTS = {
    b"PK\x03\x04": "a document of Word, Pages or LibreOffice, or a ZIP file",
    b"\xd0\xcf\x11\xe0": "a document of an older Word",
    b"{\\rtf": "a document with formatting (RTF)",
    b"%PDF": "a PDF",
}
"""What such files begin with."""

# Bidirectional controls make a text look different from what it is (CVE-2021-42574), and so does whatever is not drawn
# at all: "chi\u00adld" is read as "child" by a model, and not by a search. Policies are read by auditors.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2028\u2029\u2060-\u206f\u3164\ufe00-\ufe0d\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e0fff"
)
# Between emoji, and in scripts that are written with them, joiners are seen by what they do.
_EMOJI = "\u2190-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff"
_VARIED = rf"{_EMOJI}0-9#*\u00a9\u00ae\u203c\u2049\u2122\u2139"
"""What an emoji may be made of by a variation selector, keycaps among them."""
_TAGS = "\U000e0020-\U000e007e"
"""Spell the flag of a part of a country, behind a black flag."""
_JOINED = "\u0600-\u08ff\u0900-\u0dff"
FORBIDDEN = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    rf"|[{_UNSEEN}{_BIDI}]|(?<![{_JOINED}])\u200c|(?<![{_EMOJI}{_JOINED}])\u200d|(?<![{_VARIED}])[\ufe0e\ufe0f]"
    rf"|(?<![\U0001f3f4{_TAGS}])[{_TAGS}\U000e007f]"
)
_LINE_END = re.compile(r"\r\n|\r|\n")


def read_file(path: Path, findings: Findings) -> str | None:
    """Read a file as text.

    Args:
        path: The file.
        findings: Receives what is wrong with it.

    Returns:
        The text, or None after a finding.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        findings.error(
            WHOLE_FILE, "unreadable", f"The file cannot be read: {reason}.", "Check the path and its permissions."
        )
        return None
    return decode(data, findings)


def decode(data: bytes, findings: Findings) -> str | None:
    """Decode a file's bytes; a UTF-8 byte order mark is dropped.

    Args:
        data: The whole file.
        findings: Receives what is wrong with it.

    Returns:
        The text, or None after a finding.
    """
    if len(data) > MAX_BYTES:
        message = f"The file is larger than {MAX_BYTES // 1024} KiB, the most that is read."
        findings.error(WHOLE_FILE, "too-large", message, "Split it up.")
        return None
    if kind := next((kind for start, kind in _DOCUMENTS.items() if data.startswith(start)), None):
        message = f"This is {kind}, not a plain text."
        findings.error(Place(line=1, column=1), "not-text", message, "Save it as plain text (UTF-8), as NAME.yaml.")
        return None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        before = data[: exc.start].decode()
        place = _place_in(before, len(before))
        findings.error(place, "not-utf8", f"Byte 0x{data[exc.start]:02x} is not UTF-8.", "Save the file as UTF-8.")
        return None


def check_characters(text: str, findings: Findings) -> None:
    """Report characters that YAML forbids, or that make a text look different from what it is.

    Args:
        text: The file's text.
        findings: Receives the first forbidden character.
    """
    for match in FORBIDDEN.finditer(text):
        name = unicodedata.name(match[0], "control character")
        message = f"The invisible character U+{ord(match[0]):04X} ({name}) is not allowed."
        findings.error(
            _place_in(text, match.start()), "bad-character", message, "Delete it; retype the line if need be."
        )
        return  # a binary file would otherwise yield a finding for each byte


def split_lines(text: str) -> tuple[str, ...]:
    """Return a text's lines without their ends, as YAML counts them."""
    return tuple(_LINE_END.split(text))


def _place_in(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(line=before.count("\n") + 1, column=len(before) - (before.rfind("\n") + 1) + 1)
