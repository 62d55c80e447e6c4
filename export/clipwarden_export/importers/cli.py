"""clipwarden-export import: other moderators' vectors and thresholds in, policies that give their verdicts out."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from clipwarden.errors import ConfigError
from clipwarden.machine import prepare_process
from clipwarden.modelfolder.load import Model, load_model, resolve_model
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Mode
from clipwarden.terminal import printable, stdout
from clipwarden_export.errors import SourceError
from clipwarden_export.exits import EXIT_CODES_HELP
from clipwarden_export.importers.imported import MODEL_NAME, POLICY_NAME, Imported, import_folder, write_policy
from clipwarden_export.steps import require_packages, showing
from clipwarden_export.verification.probes import image_paths

HELP = """Turn another moderator's vectors and thresholds into a policy that gives the same verdicts.

- `clipwarden-export import safety-checker CompVis/stable-diffusion-safety-checker -o checker`

- `clipwarden-export import q16 prompts.p --allow-pickle prompts.p --model clip-l14 -o q16`

- `clipwarden-export import nsfw-head h14_nsfw.pth --allow-pickle h14_nsfw.pth --model clip-h14 -o nsfw`
"""

OutputOption = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to create.")]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="FOLDER", help="The model folder that the policy will judge with.")
]
ModeOption = Annotated[
    Mode, typer.Option(help="enforce: the moderator's own verdicts; shadow: watched, changing no verdict.")
]
PickleOption = Annotated[
    str | None, typer.Option("--allow-pickle", metavar="FILE", help="Read this pickle, of which arrays alone are read.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier import.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]

imports = typer.Typer(
    name="import",
    help=HELP,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@imports.command("safety-checker")
def safety_checker(
    source: Annotated[
        str, typer.Argument(help="Hub id or folder of the checker, or of a pipeline that has it as safety_checker.")
    ],
    output: OutputOption,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FOLDER",
            help="Bind the policy to this model folder, once it is proven to be the checker's own tower.",
        ),
    ] = None,
    rounded: Annotated[
        bool, typer.Option("--rounded", help="Decide as diffusers' `forward` does, which rounds to three decimals.")
    ] = False,
    mode: ModeOption = Mode.ENFORCE,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    allow_pickle: PickleOption = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of your own pictures, verified beside the generated ones.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stable Diffusion's safety checker: its vision tower and its 17 + 3 concepts."""
    require_packages()
    # Seconds to import, and `--help` must not wait for them.
    from clipwarden_export.importers.imageonly import compare_with_tower, export_tower
    from clipwarden_export.importers.safetychecker import load_safety_checker, policy_arrays, policy_document

    prepare_process()
    tower_folder = None if model is None else resolve_model(model)
    steps = ("checker", "vision tower" if model is None else "comparison", "policy")
    if images is not None:
        image_paths(images)  # a wrong folder is found before a download
    with import_folder(output, overwrite=overwrite, model=tower_folder) as work, showing(steps) as step:
        step(steps[0])
        checker = load_safety_checker(source, revision=revision, pickle=allow_pickle)
        step(steps[1])
        tower = checker.tower
        if tower_folder is None:
            loaded, report = export_tower(tower, work / MODEL_NAME, images_folder=images)
        else:
            loaded, report = compare_with_tower(tower_folder, tower, images_folder=images)
        step(steps[2])
        document = policy_document(
            checker.rule, fingerprint=loaded.fingerprint, source=tower.source, mode=mode, rounded=rounded
        )
        path = "forward, which rounds to three decimals" if rounded else "forward_onnx, which does not round"
        notes = (
            f"Stable Diffusion's safety checker, from {tower.source}, revision {tower.revision}.",
            "Imported by `clipwarden-export import safety-checker`; its vectors lie beside this file.",
            f"It blocks what the checker flags; of diffusers' two code paths it follows {path}.",
            "Its authors name no concept, so what a verdict means is unknown; no detector of anything about minors.",
        )
        compiled = write_policy(work, document, notes=notes, arrays=policy_arrays(checker.rule), model=loaded)
    folder = output / MODEL_NAME if tower_folder is None else tower_folder
    _show(_outcome(output, folder, compiled, report.as_dict()), as_json=as_json)


@imports.command()
def q16(
    source: Annotated[Path, typer.Argument(help="Q16's prompts.p, or its [2,D] array as .npy or .safetensors.")],
    output: OutputOption,
    model: ModelOption,
    *,
    threshold: Annotated[
        float, typer.Option(help="Probability of `inappropriate` from which an image is blocked.")
    ] = 0.5,
    mode: ModeOption = Mode.ENFORCE,
    allow_pickle: PickleOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Q16's learned prompts: one direction in the space of the CLIP model they were learned for."""
    from clipwarden_export.importers.q16 import cosine_bound, load_q16, policy_arrays, policy_document

    prepare_process()
    direction = load_q16(source, pickle=allow_pickle)
    cosine_bound(threshold, direction.length)  # a wrong threshold is found before a model is loaded
    loaded, folder = _load_target(model, width=len(direction.vector), what=source.name)
    with import_folder(output, overwrite=overwrite, model=folder) as work:
        document = policy_document(
            direction, threshold=threshold, fingerprint=loaded.fingerprint, source=source.name, mode=mode
        )
        notes = (
            f"Q16 (Schramowski et al. 2022), from {source.name}, imported by `clipwarden-export import q16`.",
            f"It blocks where Q16's probability of inappropriate is at least {threshold:g}.",
            "Its vector suits the CLIP model alone that it was learned for, and no check can tell which that was.",
        )
        compiled = write_policy(work, document, notes=notes, arrays=policy_arrays(direction), model=loaded)
    _show(_outcome(output, folder, compiled, {"direction_length": direction.length}), as_json=as_json)


@imports.command("nsfw-head")
def nsfw_head(
    source: Annotated[Path, typer.Argument(help="A torch state dict (.pth) or .safetensors of Linear layers.")],
    output: OutputOption,
    model: ModelOption,
    *,
    threshold: Annotated[
        float, typer.Option(help="Probability, or value of the H/14 head, from which an image is blocked.")
    ] = 0.5,
    reading: Annotated[
        str | None,
        typer.Option(
            help="What the last layer gives: logit (its sigmoid is the probability) or value; by default as LAION's."
        ),
    ] = None,
    relu_in_gaps: Annotated[
        bool, typer.Option("--relu-in-gaps", help="One module between two layers of an nn.Sequential is a ReLU.")
    ] = False,
    mode: ModeOption = Mode.ENFORCE,
    allow_pickle: PickleOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """LAION's CLIP-based NSFW head, or another small network on unit embeddings that gives one number."""
    from clipwarden_export.importers.nsfwhead import Reading, load_head, policy_arrays, policy_document, score_bound

    prepare_process()
    if reading not in (None, *Reading):
        raise ConfigError(f"--reading must be logit or value, not {reading}.")
    chosen = None if reading is None else Reading(reading)
    head = load_head(source, pickle=allow_pickle, reading=chosen, relu_in_gaps_of_two=relu_in_gaps)
    bound = score_bound(threshold, head.reading)  # a wrong threshold is found before a model is loaded
    loaded, folder = _load_target(model, width=head.width, what=source.name)
    with import_folder(output, overwrite=overwrite, model=folder) as work:
        document = policy_document(
            head, threshold=threshold, fingerprint=loaded.fingerprint, source=source.name, mode=mode
        )
        what = "probability" if head.reading is Reading.LOGIT else "value"
        notes = (
            f"{source.name}, imported by `clipwarden-export import nsfw-head`.",
            f"It blocks from a {what} of {threshold:g}, which is a score of {bound:.6g}.",
            "It suits the CLIP model alone that it was trained on, and no check can tell which that was.",
        )
        compiled = write_policy(work, document, notes=notes, arrays=policy_arrays(head), model=loaded)
    figures: dict[str, object] = {"layers": len(head.layers), "reading": head.reading.value, "score": bound}
    _show(_outcome(output, folder, compiled, figures), as_json=as_json)


def _load_target(name: str, *, width: int, what: str) -> tuple[Model, Path]:
    folder = resolve_model(name)
    model = load_model(folder)
    if model.manifest.dim != width:
        raise SourceError(
            f"{what} is for embeddings of {width} values, and {model.manifest.name} makes {model.manifest.dim}; "
            "give the model it was made for."
        )
    return model, folder


def _outcome(output: Path, model: Path, compiled: CompiledPolicy, figures: dict[str, object]) -> Imported:
    policy = compiled.policy
    return Imported(
        folder=output,
        model=model,
        fingerprint=compiled.fingerprint,
        policy_id=policy.metadata.id,
        digest=compiled.digest,
        categories=len(policy.categories),
        figures=figures,
    )


def _show(imported: Imported, *, as_json: bool) -> None:
    if as_json:
        record = asdict(imported) | {"folder": str(imported.folder), "model": str(imported.model)}
        typer.echo(json.dumps(record, indent=1))
        return
    console = stdout()
    model, policy = (shlex.quote(str(path)) for path in (imported.model, imported.folder / POLICY_NAME))
    plural = "category" if imported.categories == 1 else "categories"
    for line in (
        f"Imported {imported.policy_id}: {imported.categories} {plural}, digest {imported.digest}",
        f"Bound to {imported.model}, fingerprint {imported.fingerprint}",
        f"Try it: clipwarden moderate photo.jpg --model {model} --policy {policy}",
    ):
        console.print(printable(line), soft_wrap=True)
