"""`python -m tests.browser.sheetpicture`: take docs/contact-sheet.png again, of a sheet with the demo's drawings."""

import hashlib
import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from tests.browser.kit import open_chromium
from tests.browser.sheets import Visit

from clipwarden.policy.language.load import load_policy
from clipwarden.tuning.labels.model import Design, Labels, no_marks
from clipwarden.tuning.sheet.page import SheetText, sheet_html
from clipwarden.tuning.sheet.renditions import renditions

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "contact-sheet.png"
CATEGORIES = ("weapons", "substances.alcohol", "gambling")
KEYS = ("2", "j", "3", "j", "0", "2", "j", "Shift+Digit2", "j", "u", "1", "r")


def main() -> None:
    """Write the picture."""
    policy = load_policy(ROOT / "policies" / "stickers.yaml").policy
    drawings = sorted((ROOT / "service" / "clipwarden" / "demo" / "images").glob("*.png"))
    digests = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in drawings)
    labels = Labels(
        design=Design.SAMPLE,
        categories=CATEGORIES,
        sha256=digests,
        uri=tuple(f"stickers/{path.name}" for path in drawings),
        pi=np.full(len(drawings), 0.5),
        group=(None,) * len(drawings),
        marks=no_marks(len(drawings), CATEGORIES),
    )
    made = renditions(zip(digests, labels.uri, strict=True), drawings[0].parent, clear=True)
    text = SheetText(
        definitions={each.id: each.definition for each in policy.categories}, escalate_to="Robin", stem="labels"
    )
    page = sheet_html(labels, text, {sha256: each for sha256, each in made if each})
    with open_chromium() as chromium, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.html"
        path.write_text(page, encoding="utf-8")
        visit = Visit(chromium.browser, path, viewport={"width": 1180, "height": 800}).begin("Kim")
        visit.press(*KEYS)
        taken = visit.page.screenshot(full_page=True)
        visit.close()
    # Few colours: the page has no more, and the file is a quarter as large.
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
