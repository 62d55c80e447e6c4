"""A sample and its pictures in; the contact sheet, one HTML file that asks nothing of any network, out.

Nothing of the sample is written as markup: categories, addresses and pictures are one block of JSON, which our scripts
put into the page as text. The page's own rule (Content-Security-Policy) names these scripts and the style sheet by
their digests and forbids all else, connections included.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.labels.writing import canonical, header_of, rows_of, whole_text

MOST_CATEGORIES: Final = 9
"""Keys 1 to 9."""
_SCRIPTS: Final = ("marks.js", "view.js", "main.js")
_DATA_RULE: Final = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendition:
    """Small JPEGs of one picture.

    Attributes:
        blurred: So few pixels that nothing is recognised.
        clear: What the key R shows; None where the file is not to hold it.
        frames_shown: How many frames they show, side by side in the order of the file.
        frames_total: How many the file has.
    """

    blurred: bytes
    clear: bytes | None = None
    frames_shown: int = 1
    frames_total: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetText:
    """What a sheet says beside its pictures.

    Attributes:
        definitions: What each category means, by its id.
        escalate_to: Whom to tell of a picture that was stopped, as part of a sentence.
        stem: What names of saved files begin with.
    """

    definitions: Mapping[str, str]
    escalate_to: str
    stem: str


def sheet_html(labels: Labels, text: SheetText, renditions: Mapping[str, Rendition]) -> str:
    """Write the page on which somebody labels a sample.

    Args:
        labels: The sample, in the order in which it is labelled. What was said of it so far is not shown, but for
            pictures that were escalated: those never come with their pixels.
        text: What the page says.
        renditions: By sha256; pictures that it lacks are left out, and so are all where it is empty.

    Returns:
        The whole file, to be saved as UTF-8.
    """
    data = _data(labels, text, renditions)
    style, scripts = _template("sheet.css"), [_template(name) for name in _SCRIPTS]
    rule = f"{_DATA_RULE}; style-src {_digest(style)}; script-src {' '.join(map(_digest, scripts))}"
    parts = {
        "%policy%": rule,
        "%style%": style,
        "%data%": _inert(data),
        "%scripts%": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # Piece by piece: what is put in may hold marks of its own.
    pieces = re.split("(%[a-z]+%)", _template("sheet.html"))
    return "".join(parts.get(piece, piece) for piece in pieces)


def sample_digest(labels: Labels) -> str:
    """Name a sample by what is to be labelled, whatever was said of it: browsers keep marks under it."""
    said = "\n".join([canonical(header_of(labels)), *labels.sha256])
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


def _data(labels: Labels, text: SheetText, renditions: Mapping[str, Rendition]) -> dict[str, Any]:
    return {
        "digest": sample_digest(labels),
        "header": header_of(labels),
        "stem": text.stem,
        "escalate": text.escalate_to,
        "categories": [{"id": name, "definition": text.definitions.get(name, "")} for name in labels.categories],
        "pictures": [_picture(row, renditions.get(row["sha256"])) for row in rows_of(labels)],
    }


def _picture(row: Mapping[str, Any], rendition: Rendition | None) -> dict[str, Any]:
    unsaid = {name: value for name, value in row.items() if name not in ("labels", "labeller", "escalated")}
    if row.get("escalated"):
        return {"row": unsaid, "escalated": True}
    return {"row": unsaid, **({} if rendition is None else _shown(rendition))}


def _shown(rendition: Rendition) -> dict[str, Any]:
    clear = {} if rendition.clear is None else {"clear": _data_uri(rendition.clear)}
    moves = rendition.frames_total > 1
    frames = {"frames": [rendition.frames_shown, rendition.frames_total]} if moves else {}
    return {"blurred": _data_uri(rendition.blurred), **clear, **frames}


def _inert(data: Mapping[str, Any]) -> str:
    """Write JSON that can end no script and begin no tag, whatever it holds."""
    text = json.dumps(whole_text(data), ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _template(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
