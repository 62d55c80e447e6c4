"""A drawn sample in; its label file and the page to label it on, written, and what that means in words, out."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwarden.cli.loading import progress_bar
from clipwarden.cli.sampling import Drawn
from clipwarden.errors import ConfigError, LabelError, why_of
from clipwarden.textfiles.atomic import write_new
from clipwarden.tuning.labels.outlook import outlook
from clipwarden.tuning.labels.writing import write_labels
from clipwarden.tuning.sheet.page import Rendition, SheetText, sheet_html
from clipwarden.tuning.sheet.renditions import renditions


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What was done, for people and for programs.

    Attributes:
        rows: By name.
        sentences: What the labels will be able to decide, and what to do next.
        facts: JSON values.
    """

    rows: Mapping[str, str]
    sentences: Sequence[str]
    facts: Mapping[str, object]


def require_new(paths: Sequence[Path]) -> None:
    """Find out before anything takes long that files can be written.

    Raises:
        ConfigError: One is there, or its folder is not.
    """
    for path in paths:
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path} is there; nothing is overwritten. Name other files with -o and --sheet.")
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"There is no folder {path.absolute().parent} to write {path.name} into.")
    if len(set(paths)) < len(paths):
        raise ConfigError(f"The label file and the page are both to be {paths[0]}; give them different names.")


def write_sample(
    drawn: Drawn, output: Path | None, page: Path, *, pictures: Path | None, reveal: bool, escalate_to: str
) -> Written:
    """Write the label file and the page.

    Args:
        drawn: What was drawn.
        output: Label file; None writes none.
        page: Page to write.
        pictures: Folder of pictures for the page; None leaves them out.
        reveal: Whether the page is to hold clear ones.
        escalate_to: Whom the page says to tell.

    Raises:
        LabelError: A file cannot be written.
    """
    to_label = drawn.to_label
    shown = _renditions(drawn, pictures, reveal=reveal)
    definitions = {category.id: category.definition for category in drawn.policy.categories}
    text = SheetText(definitions=definitions, escalate_to=escalate_to, stem=(output or page).stem)
    html = sheet_html(to_label, text, shown).encode()
    if output is not None:
        write_labels(drawn.labels, output)
    try:
        write_new(page, html)
    except OSError as exc:
        raise LabelError(f"{page} cannot be written: {why_of(exc)}.") from exc
    return _written(drawn, output, page, shown, pictures, reveal=reveal)


def _renditions(drawn: Drawn, folder: Path | None, *, reveal: bool) -> dict[str, Rendition]:
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder} to take pictures from.")
    labels = drawn.to_label
    escalated = set(labels.escalated)
    wanted = [pair for row, pair in enumerate(zip(labels.sha256, labels.uri, strict=True)) if row not in escalated]
    made: dict[str, Rendition] = {}
    with progress_bar("Blurring pictures") as advance:
        each = renditions(wanted, folder, clear=reveal, judged=drawn.judged)
        for done, (sha256, rendition) in enumerate(each, start=1):
            advance(done, len(wanted))
            if rendition is not None:
                made[sha256] = rendition
    return made


def _written(
    drawn: Drawn,
    output: Path | None,
    page: Path,
    shown: Mapping[str, Rendition],
    folder: Path | None,
    *,
    reveal: bool,
) -> Written:
    to_label, asked = drawn.to_label, folder is not None
    left_out = len(to_label) - len(shown)
    kind = "blurred pictures, clear behind R" if reveal else "blurred pictures"
    held = f"{len(shown):,} {kind}" if asked else "no pictures (--pictures puts blurred ones in)"
    if asked and left_out:
        held += f"; {left_out:,} left out, whose files are missing, changed or escalated"
    rows = {**drawn.rows, "Labels": str(output)} if output else dict(drawn.rows)
    rows["Page"] = f"{page}, {held}"
    saved = f"{(output or page).stem}-NAME.jsonl"
    next_step = (
        f"Next: open {page.name} in a browser, label, and save; each labeller by a name of their own. Then give "
        f"`clipwarden tune` {saved}"
        + (f", beside {output}, with --labels." if drawn.labels is not to_label else " with --labels.")
    )
    again = [] if reveal else [_how_to_reveal(drawn, output, page, folder)]
    return Written(
        rows=rows,
        sentences=(*outlook(drawn.labels), *again, next_step),
        facts=_facts(drawn, output, page, len(shown)),
    )


def _how_to_reveal(drawn: Drawn, output: Path | None, page: Path, folder: Path | None) -> str:
    """Say that a page without clear pictures is labelled with the files open beside it, and how to have another."""
    held = "Its pictures are blurred" if folder else "It holds no pictures"
    other = page.with_stem(f"{page.stem}-clear")
    command = ("clipwarden", "sample", drawn.file, "--again", str(output or "FILE"), "--sheet", str(other))
    shown = shlex.join((*command, "--pictures", str(folder or "FOLDER"), "--reveal"))
    return (
        f"{held}, so that each is opened from its file to be labelled. To see them in the page, behind the key R: "
        f"`{shown}`."
    )


def _facts(drawn: Drawn, output: Path | None, page: Path, shown: int) -> dict[str, object]:
    labels = drawn.labels
    return {
        "design": str(labels.design),
        "categories": [*labels.categories],
        "seed": labels.seed,
        "store": labels.store,
        "pictures": len(labels),
        "to_label": len(drawn.to_label),
        "labels": str(output) if output else None,
        "page": str(page),
        "pictures_shown": shown,
        "walk": {"uploads": labels.walk.uploads, "allowed": labels.walk.allowed} if labels.walk else None,
        "says": [*outlook(labels)],
    }
