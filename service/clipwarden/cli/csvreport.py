"""Outcomes in, rows of CSV out (RFC 4180): a header, and a row for each image and for whatever was left out.

Whoever uploads chooses file names, and spreadsheets run cells that begin like formulas: `_cell` sees to both.
"""

import csv
import errno
import io
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from google.protobuf.descriptor import EnumDescriptor
from rich.text import Text

from clipwarden.cli.outcome import NotJudgedError, Outcome
from clipwarden.cli.report import LineReport
from clipwarden.cli.wording import leading_category, mode_name, raises, telling_threshold, verdict_name
from clipwarden.errors import ConfigError
from clipwarden.terminal import printable, stdout
from clipwarden.v1 import moderation_pb2 as v1

STDOUT = "-"
SUFFIX = ".csv"

_BYTE_ORDER_MARK = "\ufeff"
_FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
"""What a cell may not begin with, the last four but one being full-width. Source: OWASP, "CSV Injection". The
apostrophe is there so that one that was added can be told from one that was not."""

Value: TypeAlias = str | int | float

COLUMNS: Final = tuple(
    "path verdict shadow_verdict shadow_incomplete decided_by raised_by "  # noqa: SIM905  reads better
    "category mode score threshold_kind threshold text contrast frame seconds box "
    "reason message policy_verdict request_id "
    "format width height frames_total frames_judged share_shown partial unseen degraded sha256 "
    "frames_seen coverage resolution "
    "policy_id policy_version policy_digest context model model_fingerprint".split()
)
"""In the order of the file; a new one is added at the end of its line, and the names stay."""


class CsvReport(LineReport):
    """A row at a time.

    Args:
        shown: Results to show.
        target: File to write, or `-` for standard output. A file begins with a byte order mark, without which
            spreadsheets take UTF-8 for something else; standard output, which programs read, has none.

    Raises:
        ConfigError: The file is there and is no CSV by its name.
        OSError: It cannot be written.
    """

    def __init__(self, shown: frozenset[str], target: str) -> None:
        super().__init__(shown)
        if target != STDOUT and Path(target).is_file() and Path(target).suffix.lower() != SUFFIX:
            raise ConfigError(
                f"--csv {target}: there is a file of that name, and only {SUFFIX} files are written over."
            )
        if target != STDOUT:
            _require_place(target)
        self._target = target
        self._file: BinaryIO | None = None

    def add(self, outcome: Outcome) -> None:
        """Take the next outcome; the first opens the file, so that one that stood there outlives a wrong command."""
        if self._file is None:
            begin = "" if self._target == STDOUT else _BYTE_ORDER_MARK
            self._file = sys.stdout.buffer if self._target == STDOUT else Path(self._target).open("wb", buffering=0)  # noqa: SIM115  closed at the end
            self._write(f"{begin}{_line(COLUMNS)}")
        super().add(outcome)

    def _show(self, outcome: Outcome) -> None:
        self._write(csv_line(outcome))

    def _write(self, text: str) -> None:
        data = memoryview(text.encode())
        try:
            while self._file is not None and data:
                data = data[self._file.write(data) :]  # less than all where the disk is full
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            if self._target == STDOUT:
                raise
            # The system names no file here.
            raise OSError(error.errno, error.strerror, self._target) from error

    def _end(self, *, complete: bool) -> None:
        if self._target == STDOUT:
            super()._end(complete=complete)
        elif self._file is not None:
            self._file.close()
            end = "is written" if complete else "is incomplete"
            stdout().print(Text(f"{self._summary()} {printable(self._target)} {end}.".strip()), soft_wrap=True)


def _require_place(target: str) -> None:
    """Find out before a model is loaded where no file can be written; raises OSError."""
    place = Path(target) if Path(target).exists() else Path(target).parent
    if Path(target).is_dir():
        code = errno.EISDIR
    elif not place.exists():
        code = errno.ENOENT
    elif not os.access(place, os.W_OK):
        code = errno.EACCES
    else:
        return
    raise OSError(code, os.strerror(code), target)


def csv_line(outcome: Outcome) -> str:
    """Render an outcome as a row of `COLUMNS`; what does not apply is empty."""
    values = {"path": outcome.name, "verdict": outcome.result, **_facts(outcome)}
    return _line(_cell(values.get(column, "")) for column in COLUMNS)


def _line(cells: Iterable[Value]) -> str:
    line = io.StringIO(newline="")
    # All texts quoted: where a spreadsheet separates by semicolons, a name could begin cells of its own.
    csv.writer(line, quoting=csv.QUOTE_NONNUMERIC).writerow(cells)
    return line.getvalue()


def _cell(value: Value) -> Value:
    """Make a text fit for terminals and spreadsheets.

    What is not printable, or no UTF-8, becomes a backslash escape, as in tables; what spreadsheets would take for a
    formula gets an apostrophe before it, and so does what begins with an apostrophe. Numbers are ours, and stay.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA_BEGINNINGS) else text


def _facts(outcome: Outcome) -> Mapping[str, Value]:
    if outcome.left_out is not None:
        return {"reason": outcome.left_out.reason, "message": str(outcome.left_out)}
    if outcome.moderation is None:
        return _error_facts(outcome.error) if outcome.error else {}
    moderation = outcome.moderation
    return {
        "shadow_verdict": verdict_name(moderation.shadow_verdict),
        "shadow_incomplete": ", ".join(moderation.shadow_incomplete),
        "decided_by": ", ".join(moderation.decided_by),
        "raised_by": ", ".join(raises(moderation)),
        "request_id": moderation.request_id,
        **_category_facts(leading_category(moderation)),
        **_image_facts(moderation.image),
        "policy_id": moderation.policy.id,
        "policy_version": moderation.policy.version,
        "policy_digest": moderation.policy.digest,
        "context": moderation.context,
        "model": moderation.model.name,
        "model_fingerprint": moderation.model.fingerprint,
    }


def _error_facts(error: NotJudgedError) -> Mapping[str, Value]:
    return {
        "reason": error.reason or error.code,
        "message": str(error),
        "policy_verdict": verdict_name(error.policy_verdict) if error.policy_verdict else "",
        "request_id": error.request_id or "",
    }


def _category_facts(category: v1.CategoryResult | None) -> Mapping[str, Value]:
    """Of the category that a table names beside the verdict; see `wording.leading_category`."""
    if category is None:
        return {}
    kind, threshold = telling_threshold(category) or ("", "")
    return {
        "category": category.id,
        "mode": mode_name(category.mode),
        "score": category.score,
        "threshold_kind": kind,
        "threshold": threshold,
        "text": category.winning_prompt.text,
        "contrast": category.winning_contrast.text,
        **_view_facts(category.winning_view),
    }


def _view_facts(view: v1.View) -> Mapping[str, Value]:
    """Say where it was found: frame and time of an animation, and left, top, right, bottom of a part."""
    box = view.box
    return {
        "frame": view.frame,
        "seconds": view.time.ToNanoseconds() / 1e9 if view.HasField("time") else "",
        "box": f"{box.left} {box.top} {box.right} {box.bottom}" if view.HasField("box") else "",
    }


def _image_facts(image: v1.ImageFacts) -> Mapping[str, Value]:
    return {
        "format": image.format,
        "width": image.width,
        "height": image.height,
        "frames_total": image.frames_total,
        "frames_judged": image.frames_judged,
        "share_shown": image.share_shown or "",  # 0: a server that is older than the field
        "partial": "TRUE" if image.partial else "FALSE",
        "unseen": _names(v1.Unseen.DESCRIPTOR, "UNSEEN_", image.unseen),
        "degraded": _names(v1.Degradation.DESCRIPTOR, "DEGRADATION_", image.degradations),
        "sha256": image.sha256,
        "frames_seen": image.frames_seen or image.frames_judged,  # 0: likewise
        "coverage": image.coverage or "",
        "resolution": image.resolution if image.HasField("resolution") else "",
    }


def _names(kind: EnumDescriptor, prefix: str, items: Iterable[int]) -> str:
    """Name values of an enumeration; one that only a newer server knows, by its number."""
    known = {number: value.name.removeprefix(prefix) for number, value in kind.values_by_number.items()}
    return ", ".join(known.get(item, str(item)) for item in items)
