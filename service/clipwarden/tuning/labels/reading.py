"""Label files and folders in, labels out; whatever is wrong is said in a sentence with its file and line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipwarden.tuning.labels.model import Design, Labels

if TYPE_CHECKING:
    from clipwarden.tuning.store import Store


def read_labels(
    paths: Path | Sequence[Path],
    *,
    categories: Sequence[str],
    design: Design | None = None,
    complete: bool = False,
    store: "Store | None" = None,
) -> Labels:
    """Read labels: JSON lines, CSV, Parquet, or a folder of folders named after categories.

    Several files are merged: of several people who labelled the same sample, or of a set in parts. What one person says
    twice must agree; where two people differ, the mark is UNSURE and the disagreement is kept.

    Args:
        paths: One file or folder, or several.
        categories: Ids that the policy declares; others are refused. The labels have those that the files are about.
        design: How the pictures were drawn, where the files do not say. Without either, a file with probabilities is a
            sample, and any other a set.
        complete: Whether what files leave out is "no", where they do not say.
        store: Where the pictures are. Rows of other pictures go to `absent`, of ones without vectors to `unjudged`.

    Returns:
        Rows in the order of the files.

    Raises:
        LabelError: A file cannot be read, or contradicts itself, the others, `design`, the policy or the store.
    """
    raise NotImplementedError
