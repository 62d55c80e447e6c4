"""Frames one after another in, what stands on the canvas with each out. Nothing that was handed out is drawn upon."""

from PIL import Image

from clipwarden.vision.formats.cuts import Cut, Disposal

_CLEAR = (0, 0, 0, 0)


class Composition:
    """A canvas that a browser draws an animation on: see-through where nothing was drawn.

    Its colours and alpha are kept apart, as in a file; a browser's are multiplied, and rounded then.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Begin with an empty canvas.

        Args:
            size: (width, height) in pixels.
        """
        self._size = size
        self._stands: Image.Image | None = None

    def draw(self, cut: Cut, picture: Image.Image) -> Image.Image:
        """Draw a frame, and take away what it says that goes before the next.

        Args:
            cut: Of the frame.
            picture: Its own, mode RGB or RGBA; what stands over the canvas is cut off.

        Returns:
            The whole canvas with it, of mode RGB where that is opaque throughout.
        """
        shown = self._with(cut, picture)
        self.show(cut, shown)
        return shown

    def show(self, cut: Cut, shown: Image.Image) -> None:
        """Take a whole canvas as that which shows a frame.

        Args:
            cut: Of the frame.
            shown: Mode RGB or RGBA, of the canvas's size.
        """
        if cut.disposal is Disposal.KEEP:
            self._stands = shown
        elif cut.disposal is Disposal.BACKGROUND:
            self._stands = self._cleared(cut, shown)

    def stands(self) -> Image.Image:
        """Return what stands there now."""
        return Image.new("RGBA", self._size) if self._stands is None else self._stands

    def _with(self, cut: Cut, picture: Image.Image) -> Image.Image:
        if (cut.left, cut.top) == (0, 0) and picture.size == self._size and (picture.mode == "RGB" or not cut.over):
            return picture
        width, height = self._size[0] - cut.left, self._size[1] - cut.top
        if width <= 0 or height <= 0:
            return self.stands()
        if picture.width > width or picture.height > height:
            picture = picture.crop((0, 0, min(picture.width, width), min(picture.height, height)))
        canvas = self._copied(see_through=picture.mode == "RGBA" and not cut.over)
        _lay(canvas, picture, (cut.left, cut.top), over=cut.over)
        return canvas

    def _cleared(self, cut: Cut, shown: Image.Image) -> Image.Image | None:
        if (cut.left, cut.top) == (0, 0) and cut.size[0] >= self._size[0] and cut.size[1] >= self._size[1]:
            return None
        canvas = shown.convert("RGBA")
        canvas.paste(_CLEAR, (cut.left, cut.top, cut.left + cut.size[0], cut.top + cut.size[1]))
        return canvas

    def _copied(self, *, see_through: bool) -> Image.Image:
        if self._stands is None:
            return Image.new("RGBA", self._size)
        # Converting to the mode that it has already copies.
        return self._stands.convert("RGBA" if see_through else self._stands.mode)


def _lay(canvas: Image.Image, picture: Image.Image, at: tuple[int, int], *, over: bool) -> None:
    if not over or picture.mode == "RGB":
        canvas.paste(picture, at)
    elif canvas.mode == "RGB":
        canvas.paste(picture, at, picture)
    else:
        canvas.alpha_composite(picture, at)
