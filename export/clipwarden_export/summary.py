"""Reports in, what a person reads on stdout out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import typer
from rich.table import Table
from rich.text import Text

from clipwarden.terminal import printable, stdout

if TYPE_CHECKING:
    from clipwarden_export.export import Exported  # which imports torch, and verifying a folder does without

_UNPROVEN = (
    "int8 is unproven on real checkpoints: trained weights have activation outliers. This verification stands for this "
    "checkpoint and these images only; judge by your own with --images and --policy."
)


def show_exported(exported: "Exported", *, as_json: bool) -> None:
    """Print where the folder is, what it is, and how close it came.

    Args:
        exported: A published folder.
        as_json: Print one JSON object instead.
    """
    report = exported.report.as_dict()
    if as_json:
        figures = {"folder": str(exported.folder), "fingerprint": exported.fingerprint, "verification": report}
        typer.echo(json.dumps(figures, indent=1))
        return
    manifest, console = exported.manifest, stdout()
    # Architecture and licence are the checkpoint's words.
    console.print(printable(f"{manifest.architecture}, {manifest.precision}, licence {manifest.license}"))
    console.print(_table(report))
    _say(_skipped(report))
    _say(f"Accepted: {note}" for note in exported.report.notes)
    if manifest.precision == "int8":
        _say([_UNPROVEN])
    if manifest.max_batch is not None:
        _say([f"Its embeddings depend on their neighbours in a batch, so it carries max_batch: {manifest.max_batch}."])
    size = sum(record.bytes for record in manifest.files.values())
    _say([f"Verified and published: {exported.folder} ({size / 1e6:.0f} MB)", f"Fingerprint {exported.fingerprint}"])


def show_verification(figures: Mapping[str, object]) -> None:
    """Print the outcome of `verify`.

    Args:
        figures: `self_check`, and `against` where a checkpoint was compared.
    """
    for provider, check in cast("Mapping[str, Mapping[str, float]]", figures["self_check"]).items():
        drift, allowed, moved = (check[key] for key in ("golden_drift", "golden_tolerance", "batch_dependence"))
        sentence = (
            f"{provider}: files intact, golden drift {drift:.2g} of {allowed:.2g} allowed, "
            f"batch neighbours move an embedding by {moved:.2g}."
        )
        _say([sentence])
    report = figures.get("against")
    if report is None:
        _say(["Not compared with its checkpoint; --against SOURCE does that."])
        return
    found = cast("Mapping[str, object]", report)
    stdout().print(_table(found))
    _say(_skipped(found))
    _say(f"Accepted: {note}" for note in cast("list[str]", found["notes"]))
    _say((f"Below the bar: {sentence}" for sentence in cast("list[str]", found["shortfalls"])), style="red")
    _say(["Passed." if found["passed"] else "Not passed."])


def _say(sentences: Iterable[str], *, style: str = "") -> None:
    for sentence in sentences:
        stdout().print(Text(printable(sentence), style=style), soft_wrap=True)


def _skipped(report: Mapping[str, object]) -> Iterator[str]:
    """Name the providers that were present and did not start: figures of theirs are missing, not good."""
    for name, why in cast("Mapping[str, str]", report["skipped"]).items():
        yield f"Not compared on {name}, which did not start: {why}"


def _table(report: Mapping[str, object]) -> Table:
    table = Table("provider", "of", "worst cosine", "error / spread", "nearest own")
    for row in _rows(report):
        table.add_row(*row)
    return table


def _rows(report: Mapping[str, object]) -> Iterator[tuple[str, ...]]:
    providers = cast("Mapping[str, Mapping[str, Mapping[str, float]]]", report["providers"])
    for name, part in providers.items():
        for kind in ("images", "texts"):
            figures = part[kind]
            yield (
                name.removesuffix("ExecutionProvider"),
                f"{figures['samples']:.0f} {kind}",
                f"{figures['worst_cosine']:.7f}",
                f"{figures['relative_error']:.2g}",
                f"{figures['nearest_own']:.1%}",
            )
        prompts = part["prompts"]
        moved = f"cosines move by {prompts['change_p99']:.2g} (99 %)"
        agreed = f"top prompt agrees on {prompts['top_prompt_agreement']:.1%}"
        yield name.removesuffix("ExecutionProvider"), f"{prompts['prompts']:.0f} prompts", moved, "", agreed
        if "decision_agreement" in part:
            share = cast("float", part["decision_agreement"])
            yield name.removesuffix("ExecutionProvider"), "decisions", "", "", f"{share:.1%} agree"
