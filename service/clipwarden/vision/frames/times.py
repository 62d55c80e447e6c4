"""How long frames are shown, as files say in, when a browser first shows each out."""

# Chromium, Firefox and Safari: such times were meant as "as fast as it goes".
_VERY_SHORT_MILLISECONDS, _INSTEAD_MILLISECONDS = 10, 100


class Clock:
    """Adds up the times of frames."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._milliseconds = 0

    def show(self, milliseconds: int) -> tuple[float, float]:
        """Show a frame for as long as its file says.

        Returns:
            When it begins and how long it is shown, in seconds.

        Source: `DeferredImageDecoder::FrameDurationAtIndex` of Chromium.
        """
        shown = milliseconds if milliseconds > _VERY_SHORT_MILLISECONDS else _INSTEAD_MILLISECONDS
        begin = self._milliseconds
        self._milliseconds += shown
        return begin / 1000, shown / 1000
