"""Labels in, the canonical label file out: JSON lines, the same bytes for the same labels."""

from pathlib import Path

from clipwarden.tuning.labels.model import Labels


def write_labels(labels: Labels, path: Path) -> None:
    """Write a label file that is not there yet, in one step.

    Args:
        labels: Disagreements are written as the unsure marks that they became.
        path: Ends with `.jsonl`, so that `read_labels` knows what it is.

    Raises:
        LabelError: Something is there already, or the folder is missing or cannot be written to.
    """
    raise NotImplementedError
