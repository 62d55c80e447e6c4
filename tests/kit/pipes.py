"""Named pipes: whoever opens one to read waits there, which is an event and a standstill that a test can count on."""

import os
from collections.abc import Callable
from pathlib import Path

from kit.serving import eventually


async def opened(pipe: Path) -> Callable[[], None]:
    """Wait until somebody reads a pipe, who then waits for ever; what closes it comes back."""
    ends: list[int] = []

    def open_if_read() -> bool:
        try:
            ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # ENXIO: nobody has opened it yet
            return False
        return True

    await eventually(open_if_read)
    return lambda: os.close(ends[0])
