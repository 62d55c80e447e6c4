"""Contact sheets in Chromium: made of drawn pictures, opened from a file, watched for what they ask or complain of."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from clipwarden.tuning.labels.model import Design, Labels, Walk, no_marks
from clipwarden.tuning.sheet.page import Rendition, SheetText, sheet_html
from clipwarden.tuning.sheet.renditions import render

CATEGORIES = ("weapons", "drugs", "gambling")
ESCALATE_TO = "Robin, safety@example.com"


def make_sample(
    count: int = 5,
    *,
    categories: Sequence[str] = CATEGORIES,
    uris: Sequence[str] = (),
    walk: Walk | None = None,
    seed: str = "seed",
) -> Labels:
    """Draw a sample of pictures that are called by their numbers."""
    names = [*uris, *(f"uploads/{number}.png" for number in range(len(uris), count))]
    pi = np.full(count, np.nan) if walk else np.linspace(0.1, 1, count) if count > 1 else np.ones(count)
    return Labels(
        design=Design.TOP if walk else Design.SAMPLE,
        categories=tuple(categories),
        sha256=tuple(hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)),
        uri=tuple(names),
        pi=pi,
        group=(None,) * count,
        marks=no_marks(count, categories),
        seed=seed,
        store="sha256:1",
        walk=walk,
    )


def make_renditions(labels: Labels, *, clear: bool = True) -> dict[str, Rendition]:
    """Draw a picture for each, all different."""
    made = {}
    for number, sha256 in enumerate(labels.sha256):
        picture = Image.new("RGB", (40, 40), ((number * 37) % 256, (number * 91) % 256, 90))
        picture.paste((255, 255, 255), (10, 5, 30, 25))
        file = io.BytesIO()
        picture.save(file, "PNG")
        made[sha256] = render(file.getvalue(), clear=clear)
    return made


def write_sheet(
    path: Path,
    labels: Labels,
    renditions: Mapping[str, Rendition] | None = None,
    *,
    definitions: Mapping[str, str] | None = None,
    escalate_to: str = ESCALATE_TO,
) -> Path:
    """Write a page."""
    defined = {name: f"What {name} means." for name in labels.categories} if definitions is None else definitions
    text = SheetText(definitions=defined, escalate_to=escalate_to, stem="sample")
    path.write_text(sheet_html(labels, text, renditions or {}), encoding="utf-8")
    return path


class Visit:
    """Somebody who has a page open, and what the page asked and complained of meanwhile.

    Args:
        browser: Where; each visit is a profile of its own.
        path: Of the page.
        options: Of the profile.
    """

    def __init__(self, browser: Browser, path: Path, **options: object) -> None:
        self.address = path.as_uri()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.refused: list[tuple[str, str | None]] = []
        self.profile = browser.new_context(**options)  # type: ignore[arg-type]
        self.page: Page = self.profile.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.refused.append((request.url, request.failure)))
        self.page.goto(self.address)

    def begin(self, name: str = "kim") -> "Visit":
        """Give a name, by the keyboard alone."""
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        # The dialog closes first, and the sheet begins a moment later.
        self.page.locator("#number", has_text="Picture").wait_for()
        return self

    def reload(self, name: str = "kim") -> "Visit":
        """Come back later."""
        self.page.goto(self.address)
        return self.begin(name)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def save(self, folder: Path) -> Path:
        """Save the labels."""
        with self.page.expect_download() as download:
            self.page.locator("#save").click()
        saved = folder / download.value.suggested_filename
        download.value.save_as(saved)
        return saved

    def load(self, file: Path) -> None:
        """Load labels; what came of it is said a moment later."""
        self.page.locator("#file").set_input_files(file)

    def text(self, where: str) -> str:
        """Read what stands somewhere."""
        return self.page.locator(where).inner_text()

    @property
    def said(self) -> str:
        """What a screen reader was told last."""
        return self.text("#said")

    @property
    def number(self) -> str:
        """Which picture is shown."""
        return self.text("#number")

    def marks(self) -> list[str]:
        """Read the tiles: each picture with what was said of it."""
        tiles = self.page.locator("#tiles button").all()
        return [(tile.get_attribute("aria-label") or "").split(": ")[1] for tile in tiles]

    def pressed(self) -> list[str]:
        """Name the buttons that are held down."""
        return [button.inner_text() for button in self.page.locator('.marks button[aria-pressed="true"]').all()]

    def close(self) -> None:
        """Leave; nothing may have been asked of any network, nor complained of."""
        self.profile.close()
        assert self.complaints == []
        assert {url for url in self.requests if not url.startswith(("data:", "blob:"))} == {self.address}
