"""Reports in, what a person reads on stdout out."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import typer
from rich.console import Console
from rich.table import Table

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
    manifest = exported.manifest
    console = Console()
    console.print(f"{manifest.architecture}, {manifest.precision}, licence {manifest.license}", markup=False)
    console.print(_table(report))
    for note in exported.report.notes:
        console.print(f"Accepted: {note}", markup=False, soft_wrap=True)
    if manifest.precision == "int8":
        console.print(_UNPROVEN, markup=False, soft_wrap=True)
    if manifest.max_batch is not None:
        console.print(
            f"Its embeddings depend on their neighbours in a batch, so it carries max_batch: {manifest.max_batch}."
        )
    size = sum(record.bytes for record in manifest.files.values())
    console.print(f"Verified and published: {exported.folder} ({size / 1e6:.0f} MB)", markup=False, soft_wrap=True)
    console.print(f"Fingerprint {exported.fingerprint}", markup=False, soft_wrap=True)


def show_verification(figures: Mapping[str, object]) -> None:
    """Print the outcome of `verify`.

    Args:
        figures: `self_check`, and `against` where a checkpoint was compared.
    """
    console = Console()
    for provider, check in cast("Mapping[str, Mapping[str, object]]", figures["self_check"]).items():
        console.print(
            f"{provider}: files intact, golden drift {check['golden_drift']:.2g} of {check['golden_tolerance']:.2g} "
            f"allowed, batch neighbours move an embedding by {check['batch_dependence']:.2g}.",
            markup=False,
            soft_wrap=True,
        )
    report = figures.get("against")
    if report is None:
        console.print("Not compared with its checkpoint; --against SOURCE does that.", markup=False)
        return
    found = cast("Mapping[str, object]", report)
    console.print(_table(found))
    for sentence in cast("list[str]", found["shortfalls"]):
        console.print(f"Below the bar: {sentence}", markup=False, soft_wrap=True, style="red")
    console.print("Passed." if found["passed"] else "Not passed.", markup=False)


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
