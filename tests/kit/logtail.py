"""A log of JSON lines that is read on as it grows: each line once, in order."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

Line = dict[str, object]


class LogTail:
    """Follows one log.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._waiting: list[Line] = []

    def read(self) -> list[Line]:
        """Return the lines that came since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _being_written = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        lines, self._waiting = self._waiting + [json.loads(line) for line in whole.splitlines()], []
        return lines

    async def until(self, holds: Callable[[Line], object], *, seconds: float = 60) -> Line:
        """Wait for a line of which something holds; what stands before it is passed over, what stands behind is not."""
        async with asyncio.timeout(seconds):
            while True:
                lines = self.read()
                for place, line in enumerate(lines):
                    if holds(line):
                        self._waiting = lines[place + 1 :]
                        return line
                await asyncio.sleep(0.01)
