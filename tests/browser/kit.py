"""Image files in, what Chromium shows of them out: nothing, or a size and the pixels that a person would see."""

import base64
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

# How much one call carries to the page: the pixels come back in base64, four bytes each.
_BATCH_BYTES = 8 * 2**20
_BATCH_FILES = 200
# Above this only the size is asked for: a canvas of it would take 200 MiB, and its way here as much again.
MOST_PIXELS = 50_000_000

# `load` comes once a size is found; `decode()` does not reject what is damaged behind it. Only the pixels tell.
_SHOW = """
async ([files, mostPixels]) => {
  const toBase64 = (bytes) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(new Blob([bytes]));
  });
  const results = [];
  for (const file of files) {
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes]));
    const image = new Image();
    const event = new Promise((done) => {
      image.onload = () => done("load");
      image.onerror = () => done("error");
    });
    image.src = address;
    const result = {event: await event, width: image.naturalWidth, height: image.naturalHeight, pixels: null};
    await image.decode().catch(() => undefined);
    const area = result.width * result.height;
    if (area && area <= mostPixels) {
      const canvas = new OffscreenCanvas(result.width, result.height);
      const pen = canvas.getContext("2d", {colorSpace: "srgb", willReadFrequently: true});
      pen.drawImage(image, 0, 0);
      const read = () => pen.getImageData(0, 0, result.width, result.height).data;
      const pixels = read();
      result.pixels = await toBase64(pixels);
      result.pages = {};
      if (pixels.some((level, at) => at % 4 === 3 && level < 255)) {
        // Pictures whose colours are beyond their alpha add up with a page: on a canvas of 8 bits they overflow, and by
        // source-over one that says it is opaque is copied. All others are drawn as a page has them, in 8 bits.
        const options = {colorSpace: "srgb", colorType: "float16", alpha: false, willReadFrequently: true};
        const brush = new OffscreenCanvas(result.width, result.height).getContext("2d", options);
        const page = (pen, colour, operation) => {
          pen.globalCompositeOperation = "source-over";
          pen.fillStyle = colour;
          pen.fillRect(0, 0, result.width, result.height);
          pen.globalCompositeOperation = operation;
          pen.drawImage(image, 0, 0);
          return pen.getImageData(0, 0, result.width, result.height).data;
        };
        // Colours outside sRGB are beyond it by up to 41 levels. What is copied leaves the page see-through.
        const isBeyond = (level, at) => at % 4 < 3 && level > pixels[at | 3] + 48;
        const addsUp = page(brush, "black", "source-atop").some(isBeyond) ||
          page(pen, "black", "source-over").some((level, at) => at % 4 === 3 && level < 255);
        for (const [level, colour] of [[0, "black"], [255, "white"]]) {
          const drawn = addsUp ? page(brush, colour, "source-atop") : page(pen, colour, "source-over");
          result.pages[level] = await toBase64(drawn);
        }
      }
    }
    URL.revokeObjectURL(address);
    results.push(result);
  }
  return results;
}
"""

# Another may show other things: that is news, for the tables and for what is judged.
TAKEN_WITH = "150"

_PAGE = "<!doctype html><style>body{margin:0;background:transparent}img{display:block}</style>"


class NoChromiumError(Exception):
    """There is no Chromium to ask."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shown:
    """What Chromium shows of a file.

    Attributes:
        event: `load` or `error`, as the <img> fired it.
        size: (width, height) as displayed, EXIF turns included; None when nothing is shown.
        pixels: uint8 [H,W,4], sRGB and alpha, not premultiplied; None without a size, or where there are too many. Of
            an animation the first frame. Alpha is 0 where nothing was decoded.
        pages: Mode RGB, by the page's grey level, 0 and 255: what a see-through picture looks like there. Not always
            what its pixels and their alpha make: Chromium adds the colours of some to the page as they stand.
    """

    event: str
    size: tuple[int, int] | None
    pixels: NDArray[np.uint8] | None
    pages: dict[int, Image.Image] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether a person sees a broken picture, or one with nothing in it."""
        return self.event != "load" or self.size is None or (self.pixels is not None and not self.pixels[..., 3].any())

    @property
    def part(self) -> tuple[int, float, bool]:
        """Which part of its picture a cut file holds: axis, share, and whether it is the part at the end.

        Rows (0) are missing, or columns (1) where EXIF turns the picture. Where both are, and where what is seen is in
        pieces, the picture is see-through, and nothing is missing.
        """
        assert self.pixels is not None
        alpha = self.pixels[..., 3]
        # Of some pictures more is seen on a page than their alpha says.
        shown = alpha if 0 not in self.pages else np.maximum(alpha, np.asarray(self.pages[0]).max(axis=2))
        rows, columns = shown.any(axis=1), shown.any(axis=0)
        if rows.all() == columns.all():
            return 0, 1.0, False
        axis, seen = (1, columns) if rows.all() else (0, rows)
        pieces = np.count_nonzero(np.diff(seen.astype(np.int8)))
        return (axis, float(seen.mean()), bool(seen[-1])) if pieces == 1 else (0, 1.0, False)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which pixels a cut file holds: bool [H,W]."""
        assert self.pixels is not None
        axis, share, at_end = self.part
        height, width = self.pixels.shape[:2]
        places = np.indices((height, width))[axis] / (width if axis else height)
        return places >= 1 - share if at_end else places < share

    @property
    def share(self) -> float:
        """Share of the picture that the file holds."""
        return 0.0 if self.pixels is None else self.part[1]

    def on(self, background: int) -> Image.Image:
        """Show the picture on a page of grey, 0 or 255; mode RGB."""
        assert self.pixels is not None
        return self.pages.get(background) or Image.fromarray(self.pixels).convert("RGB")


class Chromium:
    """A headless Chromium with one page that shows files; for one thread.

    Attributes:
        browser: What makes further pages.
    """

    def __init__(self, browser: Browser, page: Page) -> None:
        self.browser = browser
        self._page = page

    @property
    def version(self) -> str:
        """Such as `150.0.7871.46`."""
        return self.browser.version

    def show(self, files: Sequence[bytes], *, most_pixels: int = MOST_PIXELS) -> list[Shown]:
        """Have files shown, one after the other.

        Args:
            files: Image files, or anything.
            most_pixels: Above this only the size is asked for.

        Returns:
            For each file, what is shown of it.
        """
        shown: list[Shown] = []
        for batch in _batches(files):
            texts = [base64.b64encode(data).decode() for data in batch]
            shown += [_shown(result) for result in self._page.evaluate(_SHOW, [texts, most_pixels])]
        return shown

    def screenshot(self, data: bytes) -> Image.Image:
        """Have a file shown in the page itself, and photograph it; mode RGBA."""
        source = "data:;base64," + base64.b64encode(data).decode()
        self._page.set_content(f'{_PAGE}<img src="{source}">')
        # Two frames: what is photographed was laid out and painted.
        self._page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        taken = self._page.locator("img").screenshot(omit_background=True)
        return Image.open(io.BytesIO(taken)).convert("RGBA")


@contextmanager
def open_chromium() -> Iterator[Chromium]:
    """Start Chromium, with sRGB as its screen's colours.

    Raises:
        NoChromiumError: None is installed.
    """
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=["--no-sandbox", "--force-color-profile=srgb"]
        )
        page = browser.new_page(viewport={"width": 1024, "height": 1024})
        page.set_content(_PAGE)
        yield Chromium(browser, page)
        browser.close()


def version_note(version: str) -> str:
    """Say what a failure may be about where the tables are of another Chromium than this; empty where they are not."""
    if version.split(".", maxsplit=1)[0] == TAKEN_WITH:
        return ""
    return (
        f"This is Chromium {version}; the tables, and what is judged, are of Chromium {TAKEN_WITH}. If it shows other "
        "things, `python -m tests.browser.show --structures --mutations` takes the tables again: look at what changed, "
        "mend what is judged where it should follow, and write the new number into TAKEN_WITH (tests/browser/kit.py)."
    )


def find_chromium() -> str:
    """Name the program: $CHROMIUM, or `chromium` or `chromium-browser` on the path.

    Raises:
        NoChromiumError: There is neither.
    """
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise NoChromiumError("There is no chromium on the path: apt-get install chromium, or set CHROMIUM to one.")
    return path


def _batches(files: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for data in files:
        if batch and (len(batch) == _BATCH_FILES or sum(map(len, batch)) + len(data) > _BATCH_BYTES):
            yield batch
            batch = []
        batch.append(data)
    if batch:
        yield batch


def _shown(result: dict[str, Any]) -> Shown:
    width, height = result["width"], result["height"]
    size = (width, height) if width and height else None
    pixels = None if size is None or result["pixels"] is None else _rgba(result["pixels"], size)
    pages = {
        int(level): Image.fromarray(_rgba(text, size)).convert("RGB")
        for level, text in result.get("pages", {}).items()
        if size
    }
    return Shown(event=result["event"], size=size, pixels=pixels, pages=pages)


def _rgba(text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(size[1], size[0], 4)
