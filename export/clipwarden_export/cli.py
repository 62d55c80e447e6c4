"""clipwarden-export: checkpoints in, verified model folders out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, ClassVar, cast, get_args

import typer

from clipwarden.commandline import HELP_OPTIONS, CommandGroup
from clipwarden.errors import ConfigError
from clipwarden.modelfolder.manifest import Precision
from clipwarden_export.exits import EXIT_CODES_HELP, Exit, exit_of
from clipwarden_export.steps import require_packages, showing

HELP = """Turn a CLIP checkpoint into a model folder that `clipwarden serve` runs, and prove that it is the same model.

- `clipwarden-export model openai/clip-vit-base-patch32 -o clip-b32`

- `clipwarden-export verify clip-b32 --against openai/clip-vit-base-patch32`

- `clipwarden-export import safety-checker CompVis/stable-diffusion-safety-checker -o checker`
"""

SourceArgument = Annotated[
    str,
    typer.Argument(help="A folder, a hub id (owner/name), hf-hub:owner/name for open_clip, or ARCHITECTURE/TAG."),
]
RevisionOption = Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")]
PickleOption = Annotated[
    str | None,
    typer.Option(
        "--allow-pickle", metavar="FILE", help="Load this pickle, which can run code, for want of safetensors."
    ),
]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Folder of your own pictures, verified beside the generated ones.")
]
PolicyOption = Annotated[Path | None, typer.Option("--policy", help="Compare decisions under this policy, too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


class Commands(CommandGroup):
    """The commands of `clipwarden-export`."""

    table: ClassVar = {
        "import": (
            "clipwarden_export.importers.cli:imports",
            "Turn another moderator's vectors and thresholds into a policy that gives the same verdicts.",
        )
    }
    exit_of = staticmethod(exit_of)


app = typer.Typer(
    name="clipwarden-export",
    cls=Commands,
    help=HELP,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)


@app.command()
def model(
    source: SourceArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to create.")],
    *,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    opset: Annotated[int, typer.Option(min=18, max=23, help="ONNX operator set.")] = 20,
    revision: RevisionOption = None,
    allow_pickle: PickleOption = None,
    calibration_images: Annotated[
        Path | None, typer.Option(help="int8 only: measure activation ranges on these pictures (static, any batch).")
    ] = None,
    images: ImagesOption = None,
    policy: PolicyOption = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Publish though cosines to prompts moved: thresholds will be fitted again.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Export, verify and publish a model folder."""
    require_packages()
    # Seconds to import, and `--help` must not wait for them.
    from clipwarden.machine import prepare_process
    from clipwarden_export.export import STEPS, ExportSettings, check_before_work, export_model
    from clipwarden_export.graphs.precision import Calibration
    from clipwarden_export.sources.loading import load_checkpoint
    from clipwarden_export.summary import show_exported
    from clipwarden_export.verification.decisions import load_unbound

    prepare_process()
    settings = ExportSettings(
        precision=_precision(precision, calibrated=calibration_images is not None),
        opset=opset,
        calibration=Calibration(images_folder=calibration_images) if calibration_images else None,
        images_folder=images,
        policy=load_unbound(policy) if policy else None,
        refit=refit,
        overwrite=overwrite,
    )
    check_before_work(output, settings)
    with showing(("checkpoint", *STEPS)) as step:
        step("checkpoint")
        checkpoint = load_checkpoint(source, revision=revision, pickle=allow_pickle)
        exported = export_model(checkpoint, output, settings, step=step)
    show_exported(exported, as_json=as_json)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="A model folder.")],
    *,
    against: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Compare with this checkpoint; as for `model`.")
    ] = None,
    revision: RevisionOption = None,
    allow_pickle: PickleOption = None,
    images: ImagesOption = None,
    policy: PolicyOption = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="Execution provider that must run the model; repeatable.")
    ] = None,
    keep: Annotated[bool, typer.Option("--record", help="Write the figures into model.json.")] = False,
    as_json: JsonOption = False,
) -> Exit:
    """Verify a model folder again: its files and golden vectors, and with --against its checkpoint."""
    from clipwarden.machine import prepare_process
    from clipwarden_export.verification.selfcheck import check_folder

    prepare_process()
    if against is None:
        given = {"--policy": policy, "--images": images, "--revision": revision, "--allow-pickle": allow_pickle}
        _refuse_without_source([*(name for name, value in given.items() if value is not None), *["--record"] * keep])
    providers = tuple(provider or ())
    checks = {name: check_folder(folder, provider=name) for name in providers or ("CPUExecutionProvider",)}
    figures: dict[str, object] = {"self_check": {name: asdict(check) for name, check in checks.items()}}
    passed = True
    if against is not None:
        passed, report = _compare(folder, against, revision, allow_pickle, images, policy, providers, keep=keep)
        figures["against"] = report
    _print_verification(figures, as_json=as_json)
    return Exit.OK if passed else Exit.BELOW_BAR


def _refuse_without_source(names: list[str]) -> None:
    """Refuse what only the comparison reads: passing it over would look as if it had been checked."""
    if names:
        raise ConfigError(f"{names[0]} belongs to the comparison with a checkpoint; add --against SOURCE.")


def _compare(  # noqa: PLR0917 - passes the command line on
    folder: Path,
    against: str,
    revision: str | None,
    pickle: str | None,
    images: Path | None,
    policy: Path | None,
    providers: tuple[str, ...],
    *,
    keep: bool,
) -> tuple[bool, dict[str, object]]:
    require_packages()
    from clipwarden_export.sources.loading import load_checkpoint
    from clipwarden_export.verification.decisions import load_unbound
    from clipwarden_export.verification.probes import image_paths
    from clipwarden_export.verification.reverify import compare_folder, record, require_text_encoder

    # Mistakes are found before a download.
    require_text_encoder(folder)
    unbound = load_unbound(policy) if policy else None
    if images is not None:
        image_paths(images)
    with showing(("checkpoint", "comparison")) as step:
        step("checkpoint")
        checkpoint = load_checkpoint(against, revision=revision, pickle=pickle)
        step("comparison")
        report = compare_folder(folder, checkpoint, images_folder=images, policy=unbound, providers=providers)
    if keep:
        record(folder, report)
    return report.passed, report.as_dict()


def _print_verification(figures: dict[str, object], *, as_json: bool) -> None:
    from clipwarden_export.summary import show_verification

    if as_json:
        typer.echo(json.dumps(figures, indent=1))
    else:
        show_verification(figures)


def _precision(text: str, *, calibrated: bool) -> Precision:
    if text not in get_args(Precision):
        msg = f"--precision must be one of {', '.join(get_args(Precision))}, not {text}."
        raise ConfigError(msg)
    if calibrated and text != "int8":
        msg = f"--calibration-images is for int8; {text} needs none."
        raise ConfigError(msg)
    return cast("Precision", text)


def main() -> None:
    """Run the command line."""
    app()
