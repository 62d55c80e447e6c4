"""Every error that the exporter raises on purpose, as one tree under clipwarden's own.

ExportError
├── SourceError         the checkpoint cannot be found, trusted or understood
├── GraphError          the checkpoint's graph cannot be exported or converted
└── BelowBarError       the exported model is not the checkpoint: nothing was published
"""

from collections.abc import Sequence

from clipwarden.errors import ClipwardenError


class ExportError(ClipwardenError):
    """Base of the exporter's errors."""


class SourceError(ExportError):
    """The checkpoint cannot be found, trusted or understood."""


class GraphError(ExportError):
    """The checkpoint's graph cannot be exported or converted to the asked precision."""


class BelowBarError(ExportError):
    """The exported model differs from its checkpoint by more than the bar allows.

    Args:
        shortfalls: One sentence for each figure that misses its bar, saying by how much.
    """

    def __init__(self, shortfalls: Sequence[str]) -> None:
        super().__init__("Below the bar, so nothing was published: " + " ".join(shortfalls))
        self.shortfalls = tuple(shortfalls)
