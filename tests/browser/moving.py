"""Animations in, their frames as Chromium composes them out: pixels and times of each, by its `ImageDecoder`."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page
from tests.browser.kit import Chromium

# It is there on pages that came over TLS alone.
_ADDRESS = "https://frames.test/"
_TYPES = {"GIF": "image/gif", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}

# A VideoFrame is drawn as an <img> is. One that cannot be decoded ends the reading, as it ends the animation.
_READ = """
async ([file, type, most]) => {
  const toBase64 = (bytes) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(new Blob([bytes]));
  });
  const data = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  const result = {count: 0, frames: [], error: ""};
  const decoder = new ImageDecoder({data, type, preferAnimation: true});
  try {
    await decoder.tracks.ready;
    await decoder.completed;
    result.count = decoder.tracks.selectedTrack.frameCount;
    for (let frameIndex = 0; frameIndex < Math.min(result.count, most); frameIndex++) {
      const {image} = await decoder.decode({frameIndex});
      const [width, height] = [image.displayWidth, image.displayHeight];
      const pen = new OffscreenCanvas(width, height).getContext("2d", {colorSpace: "srgb", willReadFrequently: true});
      pen.drawImage(image, 0, 0);
      const pixels = await toBase64(pen.getImageData(0, 0, width, height).data);
      result.frames.push({width, height, pixels, timestamp: image.timestamp, duration: image.duration});
      image.close();
    }
  } catch (error) {
    result.error = String(error);
  }
  decoder.close();
  return result;
}
"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShownFrame:
    """A frame as Chromium composes it.

    Attributes:
        pixels: uint8 [H,W,4], sRGB and alpha, not premultiplied.
        seconds: When it begins by the file's own times, without the rule for very short ones.
        duration_seconds: By the file; None where it says none.
    """

    pixels: NDArray[np.uint8]
    seconds: float
    duration_seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownFrames:
    """All that Chromium shows of an animation.

    Attributes:
        count: Frames that it found.
        frames: Those up to the first that it could not decode.
        error: Why there are fewer; empty where there are not.
    """

    count: int
    frames: list[ShownFrame]
    error: str


class MovingChromium:
    """A page that takes animations apart; for one thread."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def frames(self, data: bytes, image_format: str, *, most: int = 1000) -> ShownFrames:
        """Read an animation.

        Args:
            data: The file.
            image_format: Such as GIF; `ImageDecoder` has to be told.
            most: Frames to read at most.
        """
        text = base64.b64encode(data).decode()
        found = self._page.evaluate(_READ, [text, _TYPES[image_format], most])
        return ShownFrames(
            count=found["count"], frames=[_frame(each) for each in found["frames"]], error=found["error"]
        )


@contextmanager
def moving(chromium: Chromium) -> Iterator[MovingChromium]:
    """Open a page for it."""
    page = chromium.browser.new_page()
    page.route(f"{_ADDRESS}**", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto(_ADDRESS)
    yield MovingChromium(page)
    page.close()


def _frame(found: dict[str, Any]) -> ShownFrame:
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    return ShownFrame(
        pixels=pixels.reshape(found["height"], found["width"], 4),
        seconds=found["timestamp"] / 1e6,
        duration_seconds=None if found["duration"] is None else found["duration"] / 1e6,
    )
